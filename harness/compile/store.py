"""The content-addressed store: what was built once, by anyone, is not built again.

An entry is a folder of files with a `meta.json` that tells their sizes and hashes. It is made aside and published by
one rename, so that a reader sees all of it or nothing. Builders of one key wait for each other.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Container, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from harness.cache import cache_dir
from harness.cancellation import Cancellation
from harness.errors import HarnessError, Interrupted

META = "meta.json"
SCHEMA = 1
HASHED_ON_READ = 64 * 1024 * 1024
"""Bytes: smaller files are hashed whenever they are read (about 1 ms a megabyte); of larger ones size and
modification time are compared first and the hash only where these differ."""

Maker = Callable[[Path], Mapping[str, str]]
"""Fills the empty folder it is given; returns what is to be remembered of the entry."""


@dataclass(frozen=True)
class StoredFile:
    """`size` in bytes, `mtime_ns` as the file had it when the entry was published."""

    size: int
    sha256: str
    mtime_ns: int


@dataclass(frozen=True)
class Entry:
    """A verified entry. `info` is what its maker wanted remembered."""

    kind: str
    key: str
    path: Path
    files: Mapping[str, StoredFile]
    info: Mapping[str, str]

    @property
    def size(self) -> int:
        """Bytes of all its files."""
        return sum(file.size for file in self.files.values())

    @property
    def last_used(self) -> float:
        """Unix time in seconds."""
        return self.path.stat().st_mtime


class Store:
    """`root` is the user's cache folder unless another one is given."""

    def __init__(self, root: Path | None = None) -> None:
        # What lies in it is told by its true path: a link to another disk, or to a shared store, stays one store.
        self.root = ((root or cache_dir()) / "store").resolve()

    def get(self, kind: str, key: str) -> Entry | None:
        """The entry, when it is there and whole; a corrupted one counts as missing. Marks it as used."""
        entry = _read(self._place(kind, key), kind, key)
        if entry is not None:
            # A read-only cache can still be read.
            with contextlib.suppress(OSError):
                os.utime(entry.path)
        return entry

    def obtain(
        self, kind: str, key: str, make: Maker, *, cancellation: Cancellation | None = None
    ) -> tuple[Entry, bool]:
        """The entry, made now when it is missing or corrupted; also tells whether it was made.

        Raises HarnessError when the cache cannot be written or its disk is full, and Interrupted when the wait for
        another maker was called off; nothing half-written is left.
        """
        entry = self.get(kind, key)
        if entry is not None:
            return entry, False
        try:
            with self._locked(kind, key, cancellation or Cancellation()):
                # Another process may have made it while this one waited.
                entry = self.get(kind, key)
                if entry is not None:
                    return entry, False
                return self._make(kind, key, make), True
        except OSError as error:
            raise self._explain(error) from error

    def entries(self, kind: str) -> Iterator[Entry]:
        """All whole entries of a kind, by key."""
        for place in sorted((self.root / kind).glob("??/*")):
            entry = _read(place, kind, place.name)
            if entry is not None:
                yield entry

    def refer(self, entry: Entry, owner: Path) -> None:
        """Keep `prune` from the entry for as long as the file or folder `owner` exists."""
        folder = self.root / "refs" / entry.kind / entry.key
        try:
            folder.mkdir(parents=True, exist_ok=True)
            name = hashlib.sha256(os.fsencode(owner.absolute())).hexdigest()[:32]
            (folder / name).write_text(str(owner.absolute()), encoding="utf-8")
        except OSError as error:
            raise self._explain(error) from error

    def referred(self, kind: str, key: str) -> bool:
        """Whether an owner of the entry still exists."""
        owners = (self.root / "refs" / kind / key).glob("*")
        return any(Path(owner.read_text(encoding="utf-8")).exists() for owner in owners)

    def prune(self, kind: str, *, unused_for: float, keys: Container[str] | None = None) -> list[Entry]:
        """Remove entries (of these `keys` only, where some are given) that no owner refers to and that were not used
        for so many seconds; returns these."""
        removed = []
        for entry in list(self.entries(kind)):
            if keys is not None and entry.key not in keys:
                continue
            try:
                with self._locked(kind, entry.key, Cancellation()):
                    if time.time() - entry.last_used >= unused_for and not self.referred(kind, entry.key):
                        self._discard(kind, entry.key)
                        shutil.rmtree(self.root / "refs" / kind / entry.key, ignore_errors=True)
                        removed.append(entry)
            except OSError as error:
                raise self._explain(error) from error
        return removed

    def discard(self, kind: str, key: str) -> None:
        """Remove an entry that has turned out to be of no use; a second call does nothing."""
        try:
            with self._locked(kind, key, Cancellation()):
                self._discard(kind, key)
        except OSError as error:
            raise self._explain(error) from error

    def _make(self, kind: str, key: str, make: Maker) -> Entry:
        self._discard(kind, key)
        work = Path(tempfile.mkdtemp(dir=self._workshop(kind, key)))
        try:
            info = dict(make(work))
            files = {file.name: _stored(file) for file in sorted(work.iterdir())}
            meta = {"schema": SCHEMA, "kind": kind, "key": key, "info": info}
            meta["files"] = {name: [file.size, file.sha256, file.mtime_ns] for name, file in files.items()}
            (work / META).write_text(json.dumps(meta), encoding="utf-8")
            place = self._place(kind, key)
            place.parent.mkdir(parents=True, exist_ok=True)
            work.rename(place)
            return Entry(kind, key, place, files, info)
        finally:
            shutil.rmtree(work, ignore_errors=True)

    def _discard(self, kind: str, key: str) -> None:
        """Move an entry aside, so that no reader sees half of it, and remove it with what a killed maker left."""
        workshop = self._workshop(kind, key)
        with contextlib.suppress(FileNotFoundError):
            self._place(kind, key).rename(Path(tempfile.mkdtemp(dir=workshop)) / "old")
        # The lock is ours, so nobody works here now.
        for left in workshop.iterdir():
            shutil.rmtree(left, ignore_errors=True)

    def _place(self, kind: str, key: str) -> Path:
        return self.root / kind / key[:2] / key

    def _workshop(self, kind: str, key: str) -> Path:
        """Where the holder of the key's lock works: beside the entries, as a rename stays within one file system."""
        folder = self.root / "work" / f"{kind}-{key[:2]}"
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return folder

    @contextlib.contextmanager
    def _locked(self, kind: str, key: str, cancellation: Cancellation) -> Iterator[None]:
        # One lock for every key with the same first two digits: their number stays bounded, none is ever removed.
        locks = self.root / "locks"
        locks.mkdir(mode=0o700, parents=True, exist_ok=True)
        with locked(locks / f"{kind}-{key[:2]}.lock", cancellation):
            yield

    def _explain(self, error: OSError) -> HarnessError:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            return HarnessError(
                f"the disk is full: nothing more fits into the cache {self.root}",
                hint="free some space, or set HARNESS_CACHE_DIR to a folder on another disk",
            )
        return HarnessError(
            f"the cache {self.root} cannot be used: {error.strerror or error}"
            + (f" ({error.filename})" if error.filename else ""),
            hint="set HARNESS_CACHE_DIR to a folder that you may write to",
        )


@contextlib.contextmanager
def locked(file: Path, cancellation: Cancellation) -> Iterator[None]:
    """Hold a lock file against other processes and threads. Raises Interrupted when the wait was called off."""
    from filelock import FileLock, Timeout

    lock = FileLock(file, is_singleton=False)
    while True:
        if cancellation.called:
            raise Interrupted("waiting for another process was called off")
        with contextlib.suppress(Timeout):
            lock.acquire(timeout=0.5)
            break
    try:
        yield
    finally:
        lock.release()


def sha256_of(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _stored(file: Path) -> StoredFile:
    status = file.stat()
    return StoredFile(status.st_size, sha256_of(file), status.st_mtime_ns)


def _read(place: Path, kind: str, key: str) -> Entry | None:
    try:
        meta = json.loads((place / META).read_bytes())
        if (meta["schema"], meta["kind"], meta["key"]) != (SCHEMA, kind, key):
            return None
        files = {str(name): StoredFile(*stored) for name, stored in meta["files"].items()}
        info = {str(name): str(value) for name, value in meta["info"].items()}
        if all(_whole(place / name, stored) for name, stored in files.items()):
            return Entry(kind, key, place, files, info)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        # Truncated, flipped, missing or unreadable: all the same as not there.
        return None
    return None


def _whole(file: Path, stored: StoredFile) -> bool:
    status = file.stat()
    if status.st_size != stored.size:
        return False
    if stored.size > HASHED_ON_READ and status.st_mtime_ns == stored.mtime_ns:
        return True
    return sha256_of(file) == stored.sha256
