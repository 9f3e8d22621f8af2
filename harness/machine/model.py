"""What is asked of a machine, and what was seen there."""

from __future__ import annotations

import stat
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field

_KINDS = {
    stat.S_IFREG: "file",
    stat.S_IFDIR: "directory",
    stat.S_IFLNK: "symbolic link",
    stat.S_IFIFO: "named pipe",
    stat.S_IFSOCK: "socket",
    stat.S_IFBLK: "block device",
    stat.S_IFCHR: "character device",
}


def kind_of(mode: int) -> str:
    """`mode` with its type bits, in words: file, directory, symbolic link, ..."""
    return _KINDS.get(stat.S_IFMT(mode), "special file")


@dataclass(frozen=True)
class Entry:
    """One entry of the file system, links not followed. `mode`: the permission bits. Times in seconds since the epoch,
    as exact as the machine tells them. `user` and `group` are names, or numbers where they have none."""

    kind: str
    mode: int
    uid: int
    gid: int
    user: str
    group: str
    size: int
    inode: int
    links: int
    mtime: float
    ctime: float
    target: str | None = None
    sha256: str | None = None
    """Of a regular file among the `Look.paths`, links followed; None where it was not asked for or cannot be read."""

    @property
    def octal(self) -> str:
        return f"{self.mode:04o}"

    def unlike(self, other: Entry) -> Iterator[tuple[str, str | None, str | None]]:
        """Which attributes are not the same, and both their values; times and content are not looked at."""
        for what, mine, theirs in (
            ("kind", self.kind, other.kind),
            ("mode", self.octal, other.octal),
            ("owner", self.user, other.user),
            ("group", self.group, other.group),
            ("target", self.target, other.target),
        ):
            if mine != theirs:
                yield what, mine, theirs

    def __str__(self) -> str:
        size = f", {self.size} bytes" if self.kind == "file" else ""
        leads = f" to {self.target}" if self.target is not None else ""
        return f"a {self.kind}{leads}, mode {self.octal}, {self.user}:{self.group}{size}"


@dataclass(frozen=True)
class Process:
    """`started`: clock ticks since the machine's boot, 0 where it is not known."""

    pid: int
    parent: int
    state: str
    name: str
    arguments: tuple[str, ...]
    started: int = 0

    @property
    def command_line(self) -> str:
        return " ".join(self.arguments)

    def __str__(self) -> str:
        return f"{self.pid} {self.command_line or f'[{self.name}]'}"


@dataclass(frozen=True, order=True)
class Socket:
    """Something that waits to be reached. `protocol`: tcp, tcp6, udp, udp6. `address` as the kernel writes it for
    people (127.0.0.1, ::1); all zeros is any."""

    protocol: str
    address: str
    port: int

    def __str__(self) -> str:
        host = f"[{self.address}]" if ":" in self.address else self.address
        return f"{self.protocol} {host}:{self.port}"


@dataclass(frozen=True)
class Look:
    """What is asked. Paths are absolute.

    `paths`: these entries, with the sha256 of regular files; `folders`: what lies directly in these; `trees`: what lies
    below these on the same file system, themselves included; `everything`: every file system there that can be written
    to and is of the machine's own.
    """

    paths: Collection[str] = ()
    folders: Collection[str] = ()
    trees: Collection[str] = ()
    everything: bool = False
    largest: int | None = None
    """Bytes; the sha256 of a larger file is not asked for."""
    processes: bool = False
    sockets: bool = False
    accounts: bool = False
    packages: bool = False
    units: bool = False
    services: bool = False
    traffic: bool = False
    """And how many sockets are in use; `sockets` lists those that wait to be reached, which takes the kernel longer."""


@dataclass
class Machine:
    """What was seen. `clock`: the machine's own, seconds since the epoch, as the look began. What was not asked for is
    empty, what could not be told is None."""

    clock: float = 0.0
    boot: str = ""
    """Another one after a reboot."""
    umask: int = 0
    """Of the shell that looked."""
    files: dict[str, Entry] = field(default_factory=dict)
    looked_for: frozenset[str] = frozenset()
    """The `Look.paths`: one of these that is not among `files` does not exist (or may not be seen)."""
    processes: tuple[Process, ...] | None = None
    """Without those that did the looking."""
    sockets: frozenset[Socket] | None = None
    users: Mapping[str, str] = field(default_factory=dict)
    """The line of /etc/passwd behind each name."""
    groups: Mapping[str, str] = field(default_factory=dict)
    packages: Mapping[str, str] = field(default_factory=dict)
    """Version and status by name."""
    units: Mapping[str, str] = field(default_factory=dict)
    """Whether each unit file is enabled."""
    services: Mapping[str, str] = field(default_factory=dict)
    """What each service that is loaded is doing: `active running`."""
    sockets_in_use: int | None = None
    traffic: Mapping[str, int] | None = None
    """What went out of the machine's network name space since it was made, by the kernel's own names:
    `Tcp.ActiveOpens`, `Udp.OutDatagrams`, `Ip.OutNoRoutes` ..."""
