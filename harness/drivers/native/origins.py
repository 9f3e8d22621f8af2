"""What a new sandbox begins as, for the keys of snapshots."""

from __future__ import annotations

import sys

assert sys.platform == "linux"

import hashlib
import json
import os
from pathlib import Path

from harness.cache import cache_dir
from harness.drivers.base import Origin, PlatformSpec
from harness.drivers.native import identity, rootfs
from harness.drivers.native.identity import UserMap
from harness.drivers.native.options import NativeOptions
from harness.drivers.shares import shared

_FORMAT = 1
"""Of the layers on disk."""
_TELLING = (
    *("etc/machine-id", "etc/os-release", "etc/passwd", "etc/group", "etc/ld.so.cache"),
    *("var/lib/dpkg/status", "var/lib/rpm/rpmdb.sqlite", "lib/apk/db/installed", "var/lib/pacman/local"),
    *("etc", "opt", "usr/bin", "usr/lib", "usr/local/bin", "usr/local/lib", "var/lib/apt/lists"),
)
"""What changes with most changes of a system; files and folders."""


def users_of(options: NativeOptions) -> UserMap | None:
    """None: the host's own ids."""
    if os.geteuid() == 0:
        return identity.for_root() if options.init == "systemd" else None
    return identity.for_this_user()


def origin(spec: PlatformSpec, options: NativeOptions, directory: Path) -> Origin:
    """Raises ImageFailed."""
    users = users_of(options)
    image = rootfs.resolve(spec.image, directory, users)
    base, unsure = _base(spec, image)
    body = [_FORMAT, base, users.key if users is not None else "host-ids", os.geteuid() == 0]
    return Origin(
        digest=hashlib.sha256(json.dumps(body).encode()).hexdigest(),
        unsure=unsure,
        outside=tuple(shared(text, directory).target for text in options.shares),
    )


def _base(spec: PlatformSpec, image: Path | None) -> tuple[str, str | None]:
    if image is None:
        return _telling(Path("/")), "it is a view of this host, which may change from run to run"
    built = image.parent / "image.json"
    if image.is_relative_to(cache_dir() / "images") and built.is_file():
        return built.read_text(encoding="utf-8"), None
    return f"{image} {_telling(image)}", f"its image {spec.image} is a folder, which may change from run to run"


def _telling(root: Path) -> str:
    """A fingerprint of a root file system: what most changes of it change."""
    found: list[object] = [os.uname().release]
    for name in _TELLING:
        try:
            seen = (root / name).stat()
        except OSError:
            continue
        found.append([name, seen.st_ino, seen.st_size, seen.st_mtime_ns])
    return json.dumps(found)
