"""asyncssh, imported without what it starts: to look for liboqs (for one of its key exchanges) it has gcc and ld link
with it, time and again, which costs every process a quarter of the import."""

from __future__ import annotations

import ctypes.util

_find = ctypes.util.find_library


def _without_compilers(name: str) -> str | None:
    return None if name.endswith("oqs") else _find(name)


ctypes.util.find_library = _without_compilers
try:
    import asyncssh as asyncssh
finally:
    ctypes.util.find_library = _find
