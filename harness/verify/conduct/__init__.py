"""Checks of a run's conduct that need no expectation file: what the runner said, against the plan and the machine.

`judge.judge` is the way in. Each check has an id (`catalogue`), looks at the `Evidence` of one host, and yields what it
observed that should not be. Nobody is accused falsely: what cannot be decided without running the plan is passed over.
"""
