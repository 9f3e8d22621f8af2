"""Check what a run did: the testinfra backend, the pytest plugin, checks from expectations and from the plan."""
