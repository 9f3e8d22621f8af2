"""Reports: console, JSON, JUnit XML, HTML. They listen to events or read a `TestReport`, and decide nothing."""
