"""What is collected: without python-vagrant half of the driver cannot even be imported, and kills are for a soak."""

from __future__ import annotations

import os
from importlib.util import find_spec

_FOUND = find_spec("vagrant")
# A mere folder of that name is found, too.
collect_ignore = [] if _FOUND and _FOUND.origin else ["test_login.py", "test_vagrantfile.py"]
if not os.environ.get("HARNESS_SOAK"):
    collect_ignore.append("test_kills.py")
