"""Without python-vagrant half of the driver cannot even be imported."""

from __future__ import annotations

from importlib.util import find_spec

_FOUND = find_spec("vagrant")
# A mere folder of that name is found, too.
collect_ignore = [] if _FOUND and _FOUND.origin else ["test_login.py", "test_vagrantfile.py"]
