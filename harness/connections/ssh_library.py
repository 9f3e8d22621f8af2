"""asyncssh, imported without what it need not start or load.

To look for liboqs (for one of its key exchanges) it has gcc and ld link with it, time and again, which costs every
process a quarter of the import. X.509 certificates in the place of keys are PKIX-SSH's, which OpenSSH does not know;
what they stand on is an eighth of what a converge imports, and asyncssh does without (asyncssh/crypto/__init__.py).
"""

from __future__ import annotations

import ctypes.util
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

_X509 = "asyncssh.crypto.x509"

_find = ctypes.util.find_library


def _without_compilers(name: str) -> str | None:
    return None if name.endswith("oqs") else _find(name)


@contextmanager
def _lean() -> Iterator[None]:
    spared = _X509 not in sys.modules
    ctypes.util.find_library = _without_compilers
    if spared:
        sys.modules[_X509] = None  # type: ignore[assignment]  # to import it is an ImportError
    try:
        yield
    finally:
        ctypes.util.find_library = _find
        if spared:
            del sys.modules[_X509]


# An old sshd's key exchange is the user's own choice, and no news for whoever reads what the harness prints.
warnings.filterwarnings("ignore", module=r"asyncssh\.")

with _lean():
    import asyncssh as asyncssh
