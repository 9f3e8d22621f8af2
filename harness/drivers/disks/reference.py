"""How a platform's `image:` names a disk that is not of the catalogue: a place, and what has to be known of it.

https://cloud.debian.org/.../debian-12-genericcloud-amd64.qcow2#sha256=8e6a...
file:///srv/images/debian-12.qcow2#user=debian
images/ours.qcow2#seed=no&user=admin
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qsl
from urllib.request import url2pathname

from harness.errors import ImageFailed
from harness.models.disk import Firmware

_KEYS = ("sha256", "arch", "firmware", "user", "seed", "serial")
_ARCHITECTURES = ("x86_64", "aarch64")
_FIRMWARE: dict[str, Firmware] = {"bios": "bios", "uefi": "uefi"}
_SHA256 = re.compile(r"[0-9a-f]{64}")
_YES = {"yes": True, "no": False}


@dataclass(frozen=True)
class Reference:
    """`place`: a URL or a path, as it was written; `serial`: a shell of ours answers in it without a seed."""

    place: str
    sha256: str | None
    arch: str
    firmware: Firmware
    user: str
    seed: bool
    serial: bool

    @property
    def is_url(self) -> bool:
        return is_url(self.place)

    @property
    def file(self) -> Path | None:
        """That a `file://` URL names."""
        host_and_path = _after_file(self.place)
        return Path(url2pathname("/" + host_and_path.partition("/")[2])) if host_and_path is not None else None


def is_url(name: str) -> bool:
    return re.match(r"(?i)(https?|file)://", name) is not None


def _after_file(place: str) -> str | None:
    scheme, _, rest = place.partition("://")
    return rest if scheme.lower() == "file" else None


def is_place(name: str, directory: Path) -> bool:
    """Whether it names a file or a URL rather than an image of the catalogue."""
    path = name.partition("#")[0]
    return is_url(name) or path.startswith(("/", "./", "../", "~")) or (directory / path).is_file()


def parse(name: str, arch: str) -> Reference:
    """`arch` is the one that is wanted. Raises ImageFailed with all that is wrong."""
    place, _, fragment = name.partition("#")
    pairs = parse_qsl(fragment, keep_blank_values=True)
    given = dict(pairs)
    wrong = [f"{key!r} is not known (known: {', '.join(_KEYS)})" for key in given if key not in _KEYS]
    wrong += [f"{key!r} is given twice" for key in given if sum(key == other for other, _ in pairs) > 1]
    sha256 = given.get("sha256", "").lower()
    if "sha256" in given and not _SHA256.fullmatch(sha256):
        wrong.append("sha256 is not 64 hexadecimal digits")
    wrong += _wrong_place(place, known="sha256" in given)
    arch = given.get("arch", arch)
    firmware = given.get("firmware", "uefi" if arch == "aarch64" else "bios")
    for key, value, known in (
        ("arch", arch, _ARCHITECTURES),
        ("firmware", firmware, tuple(_FIRMWARE)),
        ("seed", given.get("seed", "yes"), tuple(_YES)),
        ("serial", given.get("serial", "no"), tuple(_YES)),
    ):
        if value not in known:
            wrong.append(f"{key}={value} is none of {', '.join(known)}")
    user = given.get("user", "root")
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_.-]*", user):
        wrong.append(f"user={user} is no user's name")
    if wrong:
        raise ImageFailed(
            f"the image {place}: {'; '.join(wrong)}",
            hint="write it behind the place, as in https://example.org/disk.qcow2#sha256=8e6a...&user=debian",
        )
    return Reference(
        place=place,
        sha256=sha256 or None,
        arch=arch,
        firmware=_FIRMWARE[firmware],
        user=user,
        seed=_YES[given.get("seed", "yes")],
        serial=_YES[given.get("serial", "no")],
    )


def _wrong_place(place: str, *, known: bool) -> list[str]:
    """`known`: its sha256 is given."""
    if not is_url(place):
        return []
    local = _after_file(place)
    if local is None:
        return [] if known else ["sha256 is missing: what is downloaded has to be known beforehand"]
    host = local.partition("/")[0]
    if host in ("", "localhost"):
        return []
    return [f"{host!r} is taken for a machine: three slashes begin a path, as in file:///srv/disk.qcow2"]
