# ruff: noqa: E402 (on Windows nothing below the assertion exists)
"""Files and trees to and from a POSIX platform: `cat` for a file, `tar` for a tree, nothing else is needed there.

What is written appears whole or not at all: it is made beside its place, with its mode, and renamed.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import shutil
import stat
import sys
import tarfile
from collections.abc import Iterator
from io import RawIOBase
from pathlib import Path, PurePosixPath
from shlex import quote
from typing import IO, TYPE_CHECKING, Protocol, cast

assert sys.platform != "win32"

from harness.connections.script import parent_of
from harness.errors import HarnessError, TransportFailed

if TYPE_CHECKING:
    from harness.connections.base import Command, Completed
    from harness.connections.stream import StreamProcess

CHUNK = 1 << 20
SMALL = 1 << 20
"""Bytes of a file that is fetched through the persistent shell, all at once."""
BAD = 97
"""Exit status of our own scripts after they have said on stderr what is wrong."""
MISSING = 98

_PUSH_FILE = """
die() {{ printf '%s\\n' "$1" >&2; exit {bad}; }}
umask 022
[ ! -d {target} ] || die 'it is a folder'
mkdir -p -- {parent} || exit {bad}
trap 'rm -f -- {fresh}' EXIT; trap 'exit {bad}' HUP TERM INT
(umask 077; cat >{fresh}) || exit {bad}
[ "$(wc -c <{fresh})" -eq {size} ] || die 'it arrived incomplete'
chmod {mode:04o} {fresh} && mv -f -- {fresh} {target} || exit {bad}
"""
_PUSH_TREE = """
die() {{ printf '%s\\n' "$1" >&2; exit {bad}; }}
command -v tar >/dev/null || die 'there is no tar here, which a whole folder needs'
umask 022
[ ! -e {target} ] || [ -d {target} ] || die 'it exists and is no folder'
mkdir -p -- {parent} && mkdir -m 700 {fresh} || exit {bad}
trap 'rm -rf -- {fresh}' EXIT; trap 'exit {bad}' HUP TERM INT
# GNU tar does not say that the disk is full; this does.
tar -xpf - -C {fresh} || {{ head -c 65536 /dev/zero >{fresh}/full; exit {bad}; }}
[ -e {fresh}/{marker} ] || die 'it arrived incomplete'
rm -f {fresh}/{marker}
if [ -d {target} ]; then cp -a {fresh}/tree/. {target}/ || exit {bad}
else mv {fresh}/tree {target} || exit {bad}; fi
"""
_READ = """
[ -e {path} ] || exit {missing}
[ ! -d {path} ] || {{ echo 'it is a folder' >&2; exit {bad}; }}
exec cat {path}
"""
_LOOK = """
p={path}
if [ -d "$p" ]; then echo folder
elif [ ! -e "$p" ]; then exit {missing}
elif [ -f "$p" ]; then
set -- $(stat -L -c '%a %s' -- "$p" 2>/dev/null || stat -L -f '%Lp %z' -- "$p")
echo "file $1 $2"
else echo other 644 0; fi
"""


class Mover(Protocol):
    """What of a connection is needed here."""

    label: str

    def run(self, command: Command, *, stdin: bytes = ..., timeout: float | None = ...) -> Completed: ...

    def channel(self, command: Command, *, stdin: bool = ...) -> StreamProcess: ...


def push(connection: Mover, source: bytes | Path, destination: str, mode: int | None) -> None:
    target = _remote(destination)
    if isinstance(source, bytes):
        script = _file_script(target, len(source), 0o644 if mode is None else mode)
        _check(connection.run(script, stdin=source), connection, destination)
        return
    try:
        status = source.stat()
        if stat.S_ISDIR(status.st_mode):
            _push_tree(connection, source, destination, target, mode)
        elif stat.S_ISREG(status.st_mode):
            _push_file(connection, source, destination, target, stat.S_IMODE(status.st_mode) if mode is None else mode)
        else:
            raise HarnessError(f"{source} is neither a file nor a folder")
    except OSError as error:
        raise HarnessError(f"{connection.label}: {source} cannot be read: {error.strerror or error}") from error


def _push_file(connection: Mover, source: Path, destination: str, target: str, mode: int) -> None:
    with source.open("rb") as stream:
        size = os.fstat(stream.fileno()).st_size
        with connection.channel(_file_script(target, size, mode), stdin=True) as process:
            with contextlib.suppress(TransportFailed):  # it gave up early: its words come below
                while data := stream.read(CHUNK):
                    process.write(data)
            process.close_stdin()
            _check(process.wait(), connection, destination)


def _push_tree(connection: Mover, source: Path, destination: str, target: str, mode: int | None) -> None:
    marker = secrets.token_hex(8)
    fresh = _beside(target)
    script = _PUSH_TREE.format(
        target=quote(target), parent=quote(parent_of(target)), fresh=quote(fresh), marker=marker, bad=BAD
    )
    with connection.channel(script, stdin=True) as process:
        sink = cast("IO[bytes]", _Sink(process))
        # GNU's format: busybox knows its long names, and not those of POSIX 2001.
        with (
            contextlib.suppress(TransportFailed),  # it gave up early: its words come below
            tarfile.open(mode="w|", fileobj=sink, format=tarfile.GNU_FORMAT) as archive,
        ):
            archive.add(source.resolve(), "tree", filter=lambda member: _as_root(member, mode))
            archive.addfile(tarfile.TarInfo(marker))
        process.close_stdin()
        _check(process.wait(), connection, destination)


def _as_root(member: tarfile.TarInfo, mode: int | None) -> tarfile.TarInfo:
    """Our users' numbers mean nothing there."""
    member.uid = member.gid = 0
    member.uname = member.gname = ""
    if mode is not None and member.name == "tree":
        member.mode = mode
    return member


def read(connection: Mover, source: str) -> bytes:
    path = quote(_remote(source))
    script = _READ.format(path=path, missing=MISSING, bad=BAD)
    return _check(connection.run(script), connection, source, "read").stdout


def pull(connection: Mover, source: str, destination: Path) -> None:
    path = _remote(source)
    looked = _check(connection.run(_LOOK.format(path=quote(path), missing=MISSING)), connection, source, "read")
    kind, *numbers = looked.out.split()
    try:
        destination.parent.mkdir(parents=True, exist_ok=True)
        if kind == "folder":
            _pull_tree(connection, path, destination)
        elif destination.is_dir():
            raise HarnessError(f"{connection.label}: {source} cannot be written to {destination}: it is a folder")
        else:
            _pull_file(connection, source, path, destination, int(numbers[0], 8), int(numbers[1]))
    except OSError as error:
        name = error.filename or destination
        raise HarnessError(f"{connection.label}: {name} cannot be written: {error.strerror or error}") from error


def _pull_file(connection: Mover, source: str, path: str, destination: Path, mode: int, size: int) -> None:
    with _fresh(destination) as fresh:
        with fresh.open("xb") as stream:
            if size <= SMALL:
                stream.write(read(connection, source))
            else:
                with connection.channel(["cat", path]) as process:
                    for piece in process.chunks():
                        stream.write(piece)
                    _check(process.wait(), connection, source, "read")
        fresh.chmod(mode & 0o777)
        fresh.replace(destination)


def _pull_tree(connection: Mover, path: str, destination: Path) -> None:
    if destination.exists() and not destination.is_dir():
        raise HarnessError(f"{connection.label}: {path} is a folder and {destination} is none")
    with _fresh(destination) as fresh:
        fresh.mkdir()
        with connection.channel(["tar", "-cf", "-", "-C", path, "."]) as process:
            failure: Exception | None = None
            try:
                with tarfile.open(mode="r|", fileobj=_Source(process), errorlevel=2) as archive:
                    _extract(archive, fresh, f"{connection.label}: {path}")
            except tarfile.TarError as error:
                failure = error
            for _ in process.chunks():
                pass
            done = process.wait()
            if failure or done.rc not in (0, 1):  # 1: a file changed while it was read (GNU tar)
                words = done.err.strip() or str(failure or f"tar ended with status {done.rc}")
                raise HarnessError(f"{connection.label}: {path} cannot be read: {words}")
        if destination.is_dir():
            shutil.copytree(fresh, destination, symlinks=True, dirs_exist_ok=True)
        else:
            fresh.rename(destination)


def _extract(archive: tarfile.TarFile, folder: Path, what: str) -> None:
    """Symbolic links are made last, so that nothing is ever written through one; devices and pipes are left out.

    By hand, since tarfile's `data` filter refuses every absolute link, changes modes, and is missing before 3.11.4.
    """
    links: list[tuple[Path, str]] = []
    folders: list[tuple[Path, int]] = []
    for member in archive:
        place = folder / _inside(member.name, folder, what)
        if member.issym():
            links.append((place, member.linkname))
        elif member.isdir():
            place.mkdir(parents=True, exist_ok=True)
            folders.append((place, member.mode))
        elif member.islnk():
            place.hardlink_to(folder / _inside(member.linkname, folder, what))
        elif member.isreg() and (content := archive.extractfile(member)):
            place.parent.mkdir(parents=True, exist_ok=True)
            with place.open("xb") as stream:
                shutil.copyfileobj(content, stream, CHUNK)
            place.chmod(member.mode & 0o777)
    for place, target in links:
        place.parent.mkdir(parents=True, exist_ok=True)
        place.symlink_to(target)
    for place, mode in reversed(folders):
        place.chmod(mode & 0o777)


def _inside(name: str, folder: Path, what: str) -> PurePosixPath:
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts:
        raise HarnessError(f"{what}: refused, since {name!r} in it leads out of {folder}")
    return path


def _file_script(target: str, size: int, mode: int) -> str:
    return _PUSH_FILE.format(
        target=quote(target),
        parent=quote(parent_of(target)),
        fresh=quote(_beside(target)),
        size=size,
        mode=mode,
        bad=BAD,
    )


def _remote(path: str) -> str:
    """So that no tool takes it for an option."""
    if "\0" in path or not path:
        raise HarnessError(f"{path!r} is no path")
    return path.rstrip("/") or "/" if path.startswith("/") else "./" + (path.rstrip("/") or ".")


def _beside(target: str) -> str:
    return f"{parent_of(target)}/.harness-{secrets.token_hex(8)}"


@contextlib.contextmanager
def _fresh(destination: Path) -> Iterator[Path]:
    """A name beside it; what is left under that name at the end is removed."""
    fresh = destination.with_name(f".harness-{secrets.token_hex(8)}")
    try:
        yield fresh
    finally:
        if fresh.is_dir():
            shutil.rmtree(fresh, ignore_errors=True)
        else:
            fresh.unlink(missing_ok=True)


def _check(done: Completed, connection: Mover, path: str, verb: str = "written") -> Completed:
    if done.rc == MISSING:
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)
    if done.rc:
        words = done.err.strip() or f"status {done.rc}"
        raise HarnessError(f"{connection.label}: {path} cannot be {verb}: {words}")
    return done


class _Sink:
    """What tarfile writes to."""

    def __init__(self, process: StreamProcess) -> None:
        self._process = process

    def write(self, data: bytes) -> int:
        self._process.write(data)
        return len(data)


class _Source(RawIOBase):
    """What tarfile reads from."""

    def __init__(self, process: StreamProcess) -> None:
        self._pieces = process.chunks()
        self._left = memoryview(b"")

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        found = bytearray()
        while size < 0 or len(found) < size:
            if not self._left:
                piece = next(self._pieces, None)
                if piece is None:
                    break
                self._left = memoryview(piece)
            take = self._left[: size - len(found)] if size >= 0 else self._left
            found += take
            self._left = self._left[len(take) :]
        return bytes(found)
