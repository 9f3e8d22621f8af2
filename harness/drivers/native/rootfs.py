"""The root file system that a platform's `image:` names."""

from __future__ import annotations

import sys

assert sys.platform == "linux"

from collections.abc import Sequence
from pathlib import Path

from harness.drivers import images
from harness.drivers.native import identity
from harness.drivers.native.identity import UserMap
from harness.errors import ImageFailed


def resolve(image: str | None, directory: Path, users: UserMap | None) -> Path | None:
    """An unpacked root file system: a folder (relative to the scenario's), or an image of the catalogue, built and
    unpacked if need be. None: the host's own. Raises ImageFailed."""
    if image is None:
        return None
    named = directory / Path(image).expanduser()
    if image.startswith(("/", "./", "../", "~")) or named.is_dir():
        if not (named / "usr").is_dir() and not (named / "bin").is_dir():
            raise ImageFailed(
                f"{image} is no unpacked root file system: it has neither usr/ nor bin/",
                hint=f"unpack one there, or name an image: {', '.join(images.CATALOGUE)}",
            )
        return named.resolve()
    built = images.ensure(image)
    if users is None:
        return images.tree(built, "host-ids", list)

    def mapped(command: Sequence[str]) -> list[str]:
        return identity.mapped_command(users, command)

    return images.tree(built, users.key, mapped, owner=users.users[0][1])
