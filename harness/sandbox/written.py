"""List what lies in a sandbox's layers: what has been written there, whiteouts included.

written LAYERS

Prints LAYER, a path relative to it, and `o` where it is an opaque folder (else nothing), each ended by a NUL.
"""

from __future__ import annotations

import sys

assert sys.platform == "linux"

import os

_OPAQUE = ("trusted.overlay.opaque", "user.overlay.opaque")
"""Documentation/filesystems/overlayfs.rst, "whiteouts and opaque directories": root's name, and that of `userxattr`."""


def main(arguments: list[str]) -> int:
    out = bytearray()
    layers = os.fsencode(arguments[0])
    for layer in sorted(os.listdir(layers)):
        _list(layers + b"/" + layer + b"/upper", b"", layer, out)
    sys.stdout.buffer.write(out)
    return 0


def _list(folder: bytes, relative: bytes, layer: bytes, out: bytearray) -> None:
    with os.scandir(folder) as entries:
        for entry in entries:
            path = relative + entry.name
            below = entry.is_dir(follow_symlinks=False)
            out += b"%s\0%s\0%s\0" % (layer, path, b"o" if below and _is_opaque(entry.path) else b"")
            if below:
                _list(entry.path, path + b"/", layer, out)


def _is_opaque(folder: bytes) -> bool:
    for name in _OPAQUE:
        try:
            if os.getxattr(folder, name, follow_symlinks=False) == b"y":
                return True
        except OSError:
            pass
    return False
