"""What is published: one record for all platforms of a scenario, in the cache folder that all projects share.

    snapshots/sets/KEY.json          which snapshots of which drivers belong together; renamed into place
    snapshots/publishing/RUN.json    what a run is about to make, written before it is made
    snapshots/locks/KEY.lock         held by the run that publishes
    snapshots/secret                 the key of all digests of inputs

A driver's snapshots have keys of their own, new ones each time: whoever reads a record finds all that it names, as it
was, or sees that it is no longer there. Only the rename of the record makes one take another's place.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import Field, ValidationError

from harness.atomic import write_atomically
from harness.cache import cache_dir
from harness.drivers.base import Snapshot
from harness.errors import HarnessError
from harness.lifecycle.locks import Lock, is_free
from harness.models.serde import StrictModel


class Part(StrictModel):
    """One platform's snapshot."""

    driver: str
    platform: str
    key: str
    digest: str
    size: int
    missing: tuple[str, ...] = ()
    lost: tuple[str, ...] = ()
    """What `prepare` left on the platform and is not in it: processes and files by name."""

    def is_it(self, snapshot: Snapshot | None) -> bool:
        return snapshot is not None and (snapshot.key, snapshot.digest) == (self.key, self.digest)


class SnapshotSet(StrictModel):
    """`key` of what made it; `project` and `scenario` are those of the run that did. `created` in Unix seconds."""

    key: str
    project: Path
    scenario: str
    run: str
    created: float
    inputs: dict[str, str]
    parts: tuple[Part, ...]

    @property
    def size(self) -> int:
        return sum(part.size for part in self.parts)

    @property
    def platforms(self) -> tuple[str, ...]:
        return tuple(part.platform for part in self.parts)


@dataclass(frozen=True)
class Planned:
    """This run goes on from the snapshots under `key`: from `found`, or from those that it will make itself."""

    key: str
    inputs: Mapping[str, str]
    found: SnapshotSet | None = None
    bases: Mapping[str, Snapshot] = field(default_factory=dict)
    """What `found` names, by platform."""
    fault: str | None = None
    """Why none can be made, where one is due: then the run goes on as if from one all the same."""

    @property
    def short(self) -> str:
        return short(self.key)


def short(key: str) -> str:
    return key[:12] if len(key) == 64 else key


class Announcement(StrictModel):
    """What a run is about to make. `lock`: free once the run has ended."""

    run: str
    lock: Path
    planned: list[tuple[str, str, str]] = Field(default_factory=list)
    """Driver, platform and key."""

    @property
    def is_dead(self) -> bool:
        return is_free(self.lock)


def home() -> Path:
    return cache_dir() / "snapshots"


def secret() -> bytes:
    """The key of all digests, made when it is first asked for. Raises HarnessError."""
    path = home() / "secret"
    fresh = path.with_name(f".secret-{secrets.token_hex(8)}")
    try:
        home().mkdir(mode=0o700, parents=True, exist_ok=True)
        if not path.exists():
            with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                file.write(secrets.token_bytes(32))
            with suppress(FileExistsError):  # another process was first
                os.link(fresh, path)
        return path.read_bytes()
    except OSError as error:
        raise _unwritable(error) from error
    finally:
        with suppress(OSError):
            fresh.unlink(missing_ok=True)


def lock(key: str) -> Lock:
    """Spares two runs the same work. Should both publish all the same, the later record is the one."""
    return Lock(home() / "locks" / f"{key}.lock", remove=True)


def read(key: str) -> SnapshotSet | None:
    """None where there is none, or one that cannot be read."""
    return _read(home() / "sets" / f"{key}.json")


def _read(path: Path) -> SnapshotSet | None:
    try:
        found = SnapshotSet.model_validate_json(path.read_text(encoding="utf-8"))
    except (OSError, ValidationError, UnicodeDecodeError):
        return None
    return found if path.stem == found.key else None


def all_sets() -> list[SnapshotSet]:
    """Oldest first."""
    found = (_read(path) for path in sorted((home() / "sets").glob("*.json")))
    return sorted((one for one in found if one is not None), key=lambda one: one.created)


def put(one: SnapshotSet) -> None:
    """From now on it is the one. Raises HarnessError."""
    try:
        write_atomically(home() / "sets" / f"{one.key}.json", one.model_dump_json(indent=1))
    except OSError as error:
        raise _unwritable(error) from error


def remove(key: str) -> None:
    """A second call does nothing."""
    (home() / "sets" / f"{key}.json").unlink(missing_ok=True)


def announce(one: Announcement) -> None:
    """Raises HarnessError."""
    try:
        write_atomically(home() / "publishing" / f"{one.run}.json", one.model_dump_json())
    except OSError as error:
        raise _unwritable(error) from error


def withdraw(run: str) -> None:
    with suppress(OSError):
        (home() / "publishing" / f"{run}.json").unlink(missing_ok=True)


def announcements() -> list[Announcement]:
    found = []
    for path in sorted((home() / "publishing").glob("*.json")):
        with suppress(OSError, ValidationError):
            found.append(Announcement.model_validate_json(path.read_text(encoding="utf-8")))
    return found


def _unwritable(error: OSError) -> HarnessError:
    return HarnessError(
        f"snapshots cannot be kept in {home()}: {error.strerror or error}",
        hint="free space there, or set HARNESS_CACHE_DIR to a folder that you may write to",
    )
