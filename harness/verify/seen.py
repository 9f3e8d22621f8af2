"""What checks want to know about a host, and what was seen there.

All checks of a host say first what they `Wanted`; one script answers (see `harness.verify.probe`), and
every check then judges what was `Seen`.
"""

from __future__ import annotations

import stat
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypeVar

from harness.connections.base import Completed
from harness.machine.model import Process, kind_of

T = TypeVar("T")


@dataclass
class Wanted:
    """Grows while the checks of a host are asked; `contents` maps a path to the bytes needed of it."""

    paths: set[str] = field(default_factory=set)
    contents: dict[str, int] = field(default_factory=dict)
    links: set[str] = field(default_factory=set)
    services: set[str] = field(default_factory=set)
    packages: set[str] = field(default_factory=set)
    users: set[str] = field(default_factory=set)
    groups: set[str] = field(default_factory=set)
    processes: bool = False

    def path(self, path: str) -> None:
        self.paths.add(path)

    def content(self, path: str, limit: int) -> None:
        """At least `limit` bytes from the start of the file, and its attributes."""
        self.paths.add(path)
        self.contents[path] = max(limit, self.contents.get(path, 0))


@dataclass(frozen=True)
class Stat:
    """One file's attributes as stat(1) tells them; `mode` holds the type bits too."""

    mode: int
    uid: int
    gid: int
    size: int
    inode: int
    user: str
    group: str

    @property
    def permissions(self) -> int:
        return stat.S_IMODE(self.mode)

    @property
    def octal(self) -> str:
        return f"{self.permissions:04o}"

    @property
    def kind(self) -> str:
        """In words: file, directory, symbolic link, ..."""
        return kind_of(self.mode)

    def __str__(self) -> str:
        size = f", {self.size} bytes" if self.kind == "file" else ""
        return f"a {self.kind}, mode {self.octal}, {self.user}:{self.group}{size}"


@dataclass(frozen=True)
class Path:
    """`itself` is the entry (a link is a link), `target` what it leads to; None where there is none.
    `trouble` is the host's own words when it could not be looked at (permission denied, a loop)."""

    itself: Stat | None = None
    target: Stat | None = None
    trouble: str | None = None


@dataclass(frozen=True)
class Content:
    """`data` is the start of the file, up to what was asked; `trouble` says why it could not be read."""

    data: bytes = b""
    trouble: str | None = None


class Init(StrEnum):
    SYSTEMD = "systemd"
    OPENRC = "openrc"
    SYSVINIT = "sysvinit"
    NONE = "none"


@dataclass(frozen=True)
class Service:
    """A service in the words that expectations use.

    `states`: of running, stopped, failed, starting, enabled, disabled, masked, static, not-found.
    `detail` is what the init system itself said. `finished`: a oneshot unit that ran and succeeded.
    """

    init: Init
    states: frozenset[str]
    detail: str
    finished: bool = False


@dataclass(frozen=True)
class Account:
    """A line of passwd or group; `home` and `shell` are empty for a group."""

    number: int
    home: str = ""
    shell: str = ""


@dataclass(frozen=True)
class Package:
    """`version` is None when it is not installed; `provider` names an installed package that provides it.
    `manager` is empty where no package manager that we know was found."""

    manager: str
    version: str | None
    provider: str | None = None


@dataclass
class Seen:
    """The answers for one host; `run` runs a command there now."""

    run: Callable[[str], Completed]
    paths: dict[str, Path] = field(default_factory=dict)
    contents: dict[str, Content] = field(default_factory=dict)
    links: dict[str, str] = field(default_factory=dict)
    services: dict[str, Service] = field(default_factory=dict)
    packages: dict[str, Package] = field(default_factory=dict)
    users: dict[str, Account | None] = field(default_factory=dict)
    groups: dict[str, Account | None] = field(default_factory=dict)
    processes: tuple[Process, ...] | None = None
    """Without what belongs to the checking itself; None when they could not be listed."""

    def path(self, path: str) -> Path:
        return _answer(self.paths, path, "path")

    def content(self, path: str) -> Content:
        return _answer(self.contents, path, "content")

    def service(self, name: str) -> Service:
        return _answer(self.services, name, "service")


def _answer(answers: Mapping[str, T], key: str, kind: str) -> T:
    if key not in answers:
        # A check that asks for what it did not announce in `wants` is a defect of that check, never a verdict.
        raise LookupError(f"{kind} {key!r} was not asked of the host")
    return answers[key]
