"""Disks that others made: cloud images by URL, and files of the user's own."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import time
import urllib.error
import urllib.request
from http.client import HTTPException
from pathlib import Path

from harness.compile.store import Store, sha256_of
from harness.drivers.disks import DOWNLOADED
from harness.drivers.disks.reference import Reference
from harness.drivers.images import Tell
from harness.errors import ImageFailed
from harness.models.disk import DiskFormat, DiskImage

_FILE = "disk"
_PIECE = 1 << 20
_SILENCE = 60.0
"""Seconds without a byte after which a server is given up."""
_TELL_EVERY = 5.0
_FORMATS: dict[str, DiskFormat] = {"qcow2": "qcow2", "raw": "raw"}
_PACKED = {b"\xfd7zXZ\0": "xz", b"\x1f\x8b": "gzip", b"BZh": "bzip2", b"(\xb5/\xfd": "zstd", b"PK\x03\x04": "zip"}


def own(reference: Reference, directory: Path) -> DiskImage:
    """A file, which is left where it is. Raises ImageFailed."""
    path = (directory / Path(reference.place).expanduser()).resolve()
    try:
        identity = _identity(path)
        if reference.sha256 is not None and (found := sha256_of(path)) != reference.sha256:
            raise ImageFailed(
                f"{path} has the sha256 {found}, and not {reference.sha256}",
                hint="it is another disk than was meant, or the sha256 behind its name is an earlier one's",
            )
        form = _format(path)
    except OSError as error:
        raise ImageFailed(f"the image {path} cannot be read: {error.strerror or error}") from error
    return _described(reference, path.name, path, form, reference.sha256 or identity)


def _identity(path: Path) -> str:
    """Reading it all would take longer than a guest takes to start: any change of it changes one of these.

    Raises OSError."""
    seen = path.stat()
    identity = [str(path), seen.st_dev, seen.st_ino, seen.st_size, seen.st_mtime_ns, seen.st_ctime_ns]
    return hashlib.sha256(json.dumps(identity).encode()).hexdigest()


def downloaded(reference: Reference, tell: Tell) -> DiskImage:
    """What a URL names, fetched once for all projects; of several processes one fetches and the others wait. A file of
    this machine whose sha256 nobody has said is fetched again once it has changed.

    Raises ImageFailed when it cannot be had, or is another one than the sha256 says.
    """
    key = reference.sha256 or _identity_of(reference)

    def make(folder: Path) -> dict[str, str]:
        digest = _fetch(reference, folder / _FILE, tell)
        if reference.sha256 is None and _identity_of(reference) != key:
            raise ImageFailed(f"{reference.place} was changed while it was read", hint="try again once it is whole")
        return {"name": _name(reference.place), "format": _format(folder / _FILE), "sha256": digest}

    entry, _ = Store().obtain(DOWNLOADED, key, make)
    digest = entry.info.get("sha256", key)  # earlier versions wrote none: all that they had was kept under it
    return _described(reference, entry.info["name"], entry.path / _FILE, _FORMATS[entry.info["format"]], digest)


def _identity_of(reference: Reference) -> str:
    assert reference.file is not None, "what comes from elsewhere is known by its sha256"
    try:
        return _identity(reference.file)
    except OSError as error:
        raise ImageFailed(
            f"{reference.place} cannot be fetched: {error.strerror or error}: {error.filename}"
        ) from error


def _described(reference: Reference, name: str, path: Path, form: DiskFormat, digest: str) -> DiskImage:
    return DiskImage(
        name=name,
        path=path,
        format=form,
        arch=reference.arch,
        firmware=reference.firmware,
        digest=hashlib.sha256(f"{digest} {reference.arch} {reference.firmware}".encode()).hexdigest(),
        serial_shell=reference.serial,
        seed=reference.seed,
        user=reference.user,
    )


def _name(url: str) -> str:
    return url.partition("?")[0].rstrip("/").rpartition("/")[2] or url


def _fetch(reference: Reference, target: Path, tell: Tell) -> str:
    """Its sha256."""
    url, name = reference.place, _name(reference.place)
    tell(f"fetching {url}")
    hashed = hashlib.sha256()
    try:
        with urllib.request.urlopen(url, timeout=_SILENCE) as answer, target.open("wb") as file:
            size = int(answer.headers.get("Content-Length") or 0)
            done, told = 0, time.monotonic()
            while piece := answer.read(_PIECE):
                hashed.update(piece)
                file.write(piece)
                done += len(piece)
                if time.monotonic() - told > _TELL_EVERY:
                    told = time.monotonic()
                    tell(f"{name}: {done / 1e6:.0f} MB" + (f" of {size / 1e6:.0f}" if size else ""))
    except (urllib.error.URLError, HTTPException, TimeoutError, ConnectionError, ValueError) as error:
        words = getattr(error, "reason", None) or error
        if isinstance(error, urllib.error.HTTPError):  # which is an open answer, too
            words = error
            error.close()
        raise ImageFailed(
            f"{url} cannot be fetched: {words}",
            hint="is the address right, and reachable from this machine? A proxy is taken from https_proxy"
            if reference.file is None
            else "is it there, and may this user read it? Spaces and `#` in its name are written %20 and %23",
        ) from error
    if size and done != size:
        raise ImageFailed(
            f"{url}: the connection broke after {done} of {size} bytes", hint="nothing of it was kept: try again"
        )
    if reference.sha256 not in (None, hashed.hexdigest()):
        raise ImageFailed(
            f"{url} has the sha256 {hashed.hexdigest()}, and not {reference.sha256}",
            hint="publishers replace what lies under a name such as `latest`: name a dated one, and its sha256",
        )
    return hashed.hexdigest()


def _format(path: Path) -> DiskFormat:
    """Raises ImageFailed for what no guest can boot from, or what would lead QEMU to other files."""
    with path.open("rb") as file:
        head = file.read(8)
    for magic, kind in _PACKED.items():
        if head.startswith(magic):
            raise ImageFailed(f"{path.name} is packed ({kind})", hint="unpack it, and name the disk itself")
    if shutil.which("qemu-img") is None:
        raise ImageFailed(f"looking into {path.name} needs qemu-img", hint="apt-get install qemu-utils")
    done = subprocess.run(
        ["qemu-img", "info", "--force-share", "--output=json", str(path)], capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise ImageFailed(f"{path.name} is no disk: {done.stderr.strip()[-300:]}")
    told = json.loads(done.stdout)
    form = _FORMATS.get(told["format"])
    if form is None:
        raise ImageFailed(
            f"{path.name} is a disk of the format {told['format']}",
            hint=f"qemu-img convert -O qcow2 {path.name} disk.qcow2",
        )
    if told.get("backing-filename") or told.get("format-specific", {}).get("data", {}).get("data-file"):
        raise ImageFailed(
            f"{path.name} is not whole: it leans on another file",
            hint=f"qemu-img convert -O qcow2 {path.name} disk.qcow2",
        )
    if told["virtual-size"] < 1 << 20:
        raise ImageFailed(f"{path.name} is no disk: it has {told['virtual-size']} bytes")
    return form
