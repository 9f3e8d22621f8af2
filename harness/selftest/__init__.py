"""Who tests the tester? Runners that are wrong on purpose, each of which a check must catch: docs/selftest.md."""
