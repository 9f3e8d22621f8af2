"""Which user and group ids a sandbox has: the host's own, or a user name space's."""

from __future__ import annotations

import sys

assert sys.platform == "linux"

import os
import pwd
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.sandbox.command import program

ROOTS_RANGE = 0x6F000000
"""Where root puts the ids of a sandbox that needs a user name space (systemd as PID 1): far from what distributions
and systemd-nspawn (524288 to 1878982656, systemd's UIDS-GIDS.md) hand out by default."""
COUNT = 65536

Range = tuple[int, int, int]


@dataclass(frozen=True)
class UserMap:
    """Ranges of (inside, outside, count). `helper`: written by newuidmap and newgidmap. `single`: only root inside."""

    users: tuple[Range, ...]
    groups: tuple[Range, ...]
    helper: bool

    @property
    def single(self) -> bool:
        return sum(count for _, _, count in self.users) == 1

    @property
    def key(self) -> str:
        """Names the mapping: trees unpacked under one make no sense under another."""
        return "-".join(f"{outside}+{count}" for _, outside, count in self.users)


def for_root() -> UserMap:
    return UserMap(((0, ROOTS_RANGE, COUNT),), ((0, ROOTS_RANGE, COUNT),), helper=False)


def for_this_user() -> UserMap:
    """Root inside is this user; the rest comes from /etc/subuid and /etc/subgid where newuidmap is installed."""
    users = _subordinate("/etc/subuid")
    groups = _subordinate("/etc/subgid")
    own = ((0, os.geteuid(), 1), (0, os.getegid(), 1))
    if not users or not groups or missing_helper():
        return UserMap((own[0],), (own[1],), helper=False)
    return UserMap((own[0], (1, *users)), (own[1], (1, *groups)), helper=True)


def missing_helper() -> bool:
    return not (shutil.which("newuidmap") and shutil.which("newgidmap"))


def _subordinate(path: str) -> tuple[int, int] | None:
    """The first range of this user, as (first, count) (subuid(5))."""
    names = {str(os.geteuid())}
    try:
        names.add(pwd.getpwuid(os.geteuid()).pw_name)
        lines = Path(path).read_text().splitlines()
    except (OSError, KeyError):
        return None
    for line in lines:
        name, _, rest = line.partition(":")
        first, _, count = rest.partition(":")
        if name in names and first.isdigit() and count.isdigit() and int(count) > 0:
            return int(first), int(count)
    return None


def mapped_command(users: UserMap, argv: Sequence[str]) -> list[str]:
    """The argument vector that runs `argv` as root of a user name space of these ids."""
    options = ["--helper"] if users.helper else []
    for name, ranges in (("--user", users.users), ("--group", users.groups)):
        for entry in ranges:
            options += [name, ",".join(str(number) for number in entry)]
    return program("mapped", [*options, "--", *argv])
