"""What differs between two honest runs: one rule each, with its reason. docs/compare.md lists them.

A rule never looks before it is needed: everything is compared as it is, and only a difference is asked whether a rule
explains it. What a rule has explained is counted and told in the report.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from harness.compare import texts
from harness.models.compare import Difference


@dataclass(frozen=True)
class Circumstances:
    """`methods`: how the host was deployed on the two sides (binary, ssh, hybrid). `touched`: a run has done something
    to it, on either side; always so for a task."""

    methods: frozenset[str]
    touched: bool


Explains = Callable[[Difference, Circumstances], bool]


@dataclass(frozen=True)
class Rule:
    """`explains` is asked about one difference, and how the two sides came to it."""

    name: str
    reason: str
    explains: Explains


def explained(difference: Difference, circumstances: Circumstances) -> Rule | None:
    """The first rule that explains it."""
    return next((rule for rule in RULES if rule.explains(difference, circumstances)), None)


# --- texts: what tasks say and return, what small files hold --------------------------------------------------------

_SAID: tuple[tuple[str, str, tuple[texts.Chance, ...]], ...] = (
    ("times", "dates about now; in what tools say clock times and durations, too", texts.TIMES),
    ("process ids", "a process id is another one each time", texts.PIDS),
    ("temporary names", "folders and files that tools name at random", texts.TEMPORARY),
)


def _without(chances: Sequence[texts.Chance]) -> Explains:
    """Texts that are alike once these are taken out."""

    def explains(difference: Difference, circumstances: Circumstances) -> bool:
        in_file = (difference.kind, difference.field) == ("file", "content")
        if not in_file and not _is_said(difference):
            return False
        first, second = (
            texts.without(text or "", chances, in_file=in_file) for text in (difference.first, difference.second)
        )
        return first == second

    return explains


def _is_said(difference: Difference) -> bool:
    return difference.kind == "task" and difference.field not in ("status", "rc")


_TEXT_RULES = [
    # Each takes in what those before it have taken out, so that a text with both is explained by the last one needed.
    Rule(name, reason, _without([one for _, _, chances in _SAID[: number + 1] for one in chances]))
    for number, (name, reason, _) in enumerate(_SAID)
]


def _returned(*leaves: str) -> Explains:
    wanted = re.compile(rf"result(\[\d+\]|\.[\w-]+)*\.({'|'.join(leaves)})(\..*)?")
    return lambda difference, _: difference.kind == "task" and wanted.fullmatch(difference.field) is not None


# --- files, by their paths ------------------------------------------------------------------------------------------


def _below(*patterns: str, field: str | None = None, by_ssh: bool = False) -> Explains:
    """Files whose paths match a pattern, or one field of theirs; `by_ssh`: where Ansible had a part in it."""

    def explains(difference: Difference, circumstances: Circumstances) -> bool:
        if difference.kind != "file" or (field is not None and difference.field != field):
            return False
        if by_ssh and circumstances.methods.isdisjoint(_BY_ANSIBLE):
            return False
        return any(fnmatchcase(difference.name, pattern) for pattern in patterns)

    return explains


_BY_ANSIBLE = ("ssh", "hybrid")

_FILE_RULES = [
    Rule(
        "before the plan",
        "no run has touched it: the platforms were not alike when the plan came",
        lambda difference, circumstances: not circumstances.touched,
    ),
    Rule(
        "Ansible's own files",
        "Ansible keeps its temporary folder in the home of whom it works as",
        _below("*/.ansible", "*/.ansible/*", "*/.ansible_async", "*/.ansible_async/*", by_ssh=True),
    ),
    Rule(
        "bytecode",
        "Python keeps what it has compiled beside its modules",
        _below("*/__pycache__", "*/__pycache__/*", "*.pyc"),
    ),
    Rule("logs", "logs tell times, process ids and the tool that wrote them", _below("/var/log/*", field="content")),
    Rule("journal", "systemd names it after the machine's id", _below("/var/log/journal/*", "/run/log/*")),
    Rule(
        "caches",
        "indexes and caches of tools hold times, inodes and the order of work",
        _below("/var/cache/*", "/var/lib/apt/lists/*", "/var/lib/dpkg/*-old", "/var/lib/systemd/*", field="content"),
    ),
    Rule("running state", "what runs keeps times and process ids in /run", _below("/run/*", field="content")),
    Rule(
        "systemd's state",
        "which units and sessions there are stands here under numbers; units are compared by themselves",
        _below("/run/systemd/*", "/run/user/*", "/run/utmp", "/run/sudo/*"),
    ),
    Rule(
        "services' own folders",
        "systemd names what it gives a service (PrivateTmp) at random",
        _below("/tmp/systemd-private-*", "/var/tmp/systemd-private-*"),
    ),
    Rule(
        "identity",
        "made at random for each machine",
        _below("/etc/machine-id", "/var/lib/dbus/machine-id", "/etc/ssh/ssh_host_*", field="content"),
    ),
]


def _is_way_in(difference: Difference, circumstances: Circumstances) -> bool:
    """Processes and units of sessions, where one side came in by sshd."""
    if difference.kind not in ("process", "service") or circumstances.methods.isdisjoint(_BY_ANSIBLE):
        return False
    return _WAY_IN.match(difference.name) is not None


_WAY_IN = re.compile(r"sshd(-session)?: |\(sd-pam\)|/lib/systemd/systemd --user|(user|user-runtime-dir)@\d+\.service")

RULES: tuple[Rule, ...] = (
    *_FILE_RULES,
    *_TEXT_RULES,
    Rule("inodes", "numbers that the file system gives", _returned("inode", "dev", "device_type")),
    Rule(
        "facts of the moment",
        "how a machine does just then, and the surroundings a task is run in",
        _returned("ansible_date_time", r"ansible_env", r"ansible_\w*(free|uptime|loadavg)\w*", "ansible_memory_mb"),
    ),
    Rule("the way in", "sessions that sshd opens for whoever comes in by it", _is_way_in),
)
