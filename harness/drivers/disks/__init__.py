"""Disks of virtual machines: those of the catalogue, cloud images by URL, and a user's own."""

from __future__ import annotations

import platform
import sys
from collections.abc import Callable
from pathlib import Path

from harness.errors import ImageFailed
from harness.models.disk import DiskImage

Tell = Callable[[str], None]
"""Takes one line about what is going on."""
MADE, DOWNLOADED = "disk", "download"
KINDS = (MADE, DOWNLOADED)
"""Of entries in the store: by their recipe's hash, and by their own sha256 or the identity of the file they are of."""
BOOTED = "booted"
"""Of the store's entries that lie on a disk: it has been booted, and its memory kept (libvirt/warm.py)."""


def disk_image(name: str, directory: Path, *, arch: str | None = None, tell: Tell | None = None) -> DiskImage:
    """What a platform's `image:` names, as a disk: made, fetched or found.

    A name of the catalogue (`debian-12`, `debian:12`), or a URL or path as disks/reference.py has it; a relative path
    is taken from `directory`, the scenario's. `arch` is as `uname -m` says it, this machine's own where it is None.
    Raises ImageFailed.
    """
    from harness.drivers import images
    from harness.drivers.disks import foreign, reference

    say, wanted = tell or images.to_stderr, arch or platform.machine()
    if reference.is_place(name, directory):
        place = reference.parse(name, wanted)
        return foreign.downloaded(place, say) if place.is_url else foreign.own(place, directory)
    recipe = images.recipe_of(name)
    if sys.platform != "linux":
        raise ImageFailed(f"the image {name} can be built on Linux only", hint="name a disk by its URL or path")
    from harness.drivers.disks import debian

    return debian.ensure(debian.recipe(recipe, wanted), say)
