"""What a check is: a question about one host, and the judgement of what was seen there.

A question says first what it `wants` to know, so that all questions of a host travel together, and judges
afterwards. A judgement that cannot be made (the file may not be read, no init system) is a failure with
words: nothing passes because it could not be looked at.
"""

from __future__ import annotations

import difflib
import re
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Literal

from harness.errors import CommandTimedOut
from harness.machine import processes
from harness.verify.seen import Init, Path, Seen, Stat, Wanted

REGEX_LIMIT = 16 * 1024 * 1024
"""Bytes of a file that a regular expression is looked for in; a longer file fails with words."""

_SHOWN = 400


@dataclass(frozen=True)
class Verdict:
    """`command` is what a person can run on the host to see it; `detail` a difference of several lines."""

    outcome: Literal["passed", "failed", "skipped"]
    expected: str
    actual: str
    command: str | None = None
    hint: str | None = None
    detail: str = ""

    @property
    def passed(self) -> bool:
        return self.outcome == "passed"


def verdict(
    passed: bool, expected: str, actual: str, *, command: str | None = None, hint: str | None = None, detail: str = ""
) -> Verdict:
    """A verdict that passed needs no hint and no detail."""
    if passed:
        return Verdict("passed", expected, actual, command)
    return Verdict("failed", expected, actual, command, hint, detail)


class Question(ABC):
    """`label` and `subject` make the readable id: FileMode[/etc/motd]."""

    @property
    @abstractmethod
    def label(self) -> str: ...

    @property
    @abstractmethod
    def subject(self) -> str: ...

    def wants(self, wanted: Wanted) -> None:
        """Nothing, unless a question says otherwise."""
        return

    @abstractmethod
    def judge(self, seen: Seen) -> Verdict: ...


@dataclass(frozen=True)
class Check:
    """A question about one host, for one task (`task_id` is empty where it belongs to none)."""

    host: str
    task_id: str
    task_name: str
    question: Question

    @property
    def id(self) -> str:
        """Readable, on one line, at most about a hundred characters; not yet unique."""
        subject = " ".join(self.question.subject.split())
        if len(subject) > 80:
            subject = subject[:77] + "..."
        label = f"{self.question.label}[{subject}]" if subject else self.question.label
        return "::".join(part for part in (self.host, self.task_id, label) if part)


def shown(text: str) -> str:
    """Text as a message holds it: its control characters escaped, not too long."""
    short = text if len(text) <= _SHOWN else f"{text[:_SHOWN]}... ({len(text)} characters)"
    return repr(short)


def unreachable(path: Path) -> str:
    """Why `target` is None, in words."""
    if path.trouble:
        return f"cannot be looked at: {path.trouble}"
    if path.itself is not None:
        return "a symbolic link that leads nowhere"
    return "does not exist"


def present(path: Path) -> str:
    found = path.target or path.itself
    return str(found) if found else unreachable(path)


@dataclass(frozen=True)
class OfPath(Question):
    """About what lies at a path."""

    path: str

    @property
    def subject(self) -> str:
        return self.path

    def wants(self, wanted: Wanted) -> None:
        wanted.path(self.path)


@dataclass(frozen=True)
class FileExists(OfPath):
    """An entry of that name exists, whatever its kind; a symbolic link that leads nowhere exists."""

    wanted: bool
    label = "FileExists"

    def judge(self, seen: Seen) -> Verdict:
        path = seen.path(self.path)
        expected = "exists" if self.wanted else "does not exist"
        actual = str(path.itself) if path.itself else unreachable(path)
        if path.trouble:
            return verdict(False, expected, actual, command=f"ls -ld {self.path}")
        hint = None
        if path.itself is not None and path.target is None:
            hint = "the link itself exists, its target does not"
        return verdict(
            (path.itself is not None) is self.wanted, expected, actual, command=f"ls -ld {self.path}", hint=hint
        )


@dataclass(frozen=True)
class FileMode(OfPath):
    """The permission bits, set-uid, set-gid and sticky included, of what the path leads to."""

    mode: int
    label = "FileMode"

    def judge(self, seen: Seen) -> Verdict:
        path = seen.path(self.path)
        actual = path.target.octal if path.target else unreachable(path)
        passed = path.target is not None and path.target.permissions == self.mode
        hint = f"it is {path.target}" if path.target else None
        return verdict(passed, f"{self.mode:04o}", actual, command=f"stat -Lc %a {self.path}", hint=hint)


@dataclass(frozen=True)
class FileSize(OfPath):
    """Bytes of a regular file (links followed), at least `minimum` and at most `maximum`, both included."""

    minimum: int | None
    maximum: int | None
    label = "FileSize"

    def judge(self, seen: Seen) -> Verdict:
        path = seen.path(self.path)
        command = f"stat -Lc %s {self.path}"
        if path.target is None or path.target.kind != "file":
            return verdict(False, self._expected(), present(path), command=command)
        size = path.target.size
        passed = (self.minimum is None or size >= self.minimum) and (self.maximum is None or size <= self.maximum)
        return verdict(passed, self._expected(), f"{size} bytes", command=command)

    def _expected(self) -> str:
        if self.minimum == self.maximum:
            return f"{self.minimum} bytes"
        if self.maximum is None:
            return f"at least {self.minimum} bytes"
        if self.minimum is None:
            return f"at most {self.maximum} bytes"
        return f"{self.minimum} to {self.maximum} bytes"


@dataclass(frozen=True)
class FileContent(OfPath):
    """The whole content, byte for byte: a newline at the end counts."""

    content: bytes
    label = "FileContent"

    def wants(self, wanted: Wanted) -> None:
        # One byte more than expected shows that there is more; the excess makes a longer difference readable.
        wanted.content(self.path, len(self.content) + 4096)

    def judge(self, seen: Seen) -> Verdict:
        command = f"cat {self.path}"
        expected = self.content.decode(errors="backslashreplace")
        found = _file(seen.path(self.path))
        if isinstance(found, str):
            return verdict(False, shown(expected), found, command=command)
        content = seen.content(self.path)
        if content.trouble:
            return verdict(False, shown(expected), f"cannot be read: {content.trouble}", command=command)
        passed = content.data == self.content
        actual = content.data.decode(errors="backslashreplace")
        return verdict(
            passed,
            shown(expected),
            shown(actual) + (f" ({found.size} bytes in all)" if found.size > len(content.data) else ""),
            command=command,
            hint=_content_hint(self.content, content.data),
            detail=_difference(expected, actual),
        )


@dataclass(frozen=True)
class FileMatches(OfPath):
    """A regular expression is found in the content; `^` and `$` match at every line."""

    pattern: str
    label = "FileContent"

    @property
    def subject(self) -> str:
        return f"{self.path} ~ {self.pattern}"

    def wants(self, wanted: Wanted) -> None:
        wanted.content(self.path, REGEX_LIMIT)

    def judge(self, seen: Seen) -> Verdict:
        command = f"grep -E {shown(self.pattern)} {self.path}"
        expected = f"a match of {self.pattern!r}"
        found = _file(seen.path(self.path))
        if isinstance(found, str):
            return verdict(False, expected, found, command=command)
        content = seen.content(self.path)
        if content.trouble:
            return verdict(False, expected, f"cannot be read: {content.trouble}", command=command)
        if found.size > REGEX_LIMIT:
            words = f"{found.size} bytes; an expression is looked for in files up to {REGEX_LIMIT} bytes"
            return verdict(False, expected, words, command=command, hint="use a validation command with grep")
        text = content.data.decode(errors="surrogateescape")
        passed = re.search(self.pattern, text, re.MULTILINE) is not None
        return verdict(passed, expected, "no match in " + shown(text) if not passed else "matches", command=command)


@dataclass(frozen=True)
class ProcessRunning(Question):
    """A process whose name, program or whole command line is `process`; the checking itself never counts."""

    process: str
    wanted: bool
    label = "ProcessRunning"

    @property
    def subject(self) -> str:
        return self.process

    def wants(self, wanted: Wanted) -> None:
        wanted.processes = True

    def judge(self, seen: Seen) -> Verdict:
        expected = "running" if self.wanted else "not running"
        if seen.processes is None:
            return verdict(False, expected, "the processes of this host cannot be listed (no /proc, no ps)")
        found = [process for process in seen.processes if processes.matches(process, self.process)]
        actual = "not running"
        if found:
            actual = "running: " + ", ".join(f"{process.pid} {process.command_line[:80]}" for process in found[:5])
        near = [p for p in seen.processes if self.process in p.command_line and p not in found]
        hint = None
        if not found and near:
            hint = f"name or whole command line must be equal; near: {', '.join(p.command_line[:80] for p in near[:3])}"
        return verdict(bool(found) is self.wanted, expected, actual, command="ps axww", hint=hint)


@dataclass(frozen=True)
class OfService(Question):
    """About what the init system tells of a service."""

    service: str

    @property
    def subject(self) -> str:
        return self.service

    def wants(self, wanted: Wanted) -> None:
        wanted.services.add(self.service)


@dataclass(frozen=True)
class ServiceStatus(OfService):
    """The service is in every one of `states` (the words of `harness.verify.services`)."""

    states: tuple[str, ...]
    label = "ServiceStatus"

    def judge(self, seen: Seen) -> Verdict:
        service = seen.service(self.service)
        expected = ", ".join(self.states)
        command = (
            f"systemctl status {self.service}" if service.init is Init.SYSTEMD else f"service {self.service} status"
        )
        if service.init is Init.NONE:
            return verdict(
                False,
                expected,
                service.detail,
                hint="give the platform an init system (native: `init: systemd` with an image)",
            )
        passed = all(state in service.states for state in self.states)
        return verdict(passed, expected, service.detail, command=command)


@dataclass(frozen=True)
class CommandSucceeds(Question):
    """A validation command ends with exit status 0."""

    command: str
    label = "command"

    @property
    def subject(self) -> str:
        return self.command

    def judge(self, seen: Seen) -> Verdict:
        try:
            completed = seen.run(self.command)
        except CommandTimedOut as error:
            said = (error.stdout + error.stderr).decode(errors="backslashreplace")[-4000:]
            return verdict(False, "exit status 0", error.message, command=self.command, hint=error.hint, detail=said)
        said = "\n".join(part for part in (completed.out.rstrip(), completed.err.rstrip()) if part)
        return verdict(
            completed.rc == 0,
            "exit status 0",
            f"exit status {completed.rc}",
            command=self.command,
            hint=_command_hint(completed.rc),
            detail=said[-4000:],
        )


def _command_hint(rc: int) -> str | None:
    return {126: "it was found but may not be executed", 127: "a command in it was not found on the host"}.get(rc)


def _file(path: Path) -> Stat | str:
    """The regular file that the path leads to, or what is there instead, in words."""
    if path.target is None:
        return unreachable(path)
    return path.target if path.target.kind == "file" else str(path.target)


def _content_hint(expected: bytes, actual: bytes) -> str | None:
    if expected == actual:
        return None
    if expected == actual + b"\n":
        return 'the file lacks the newline at its end that is expected: drop "\\n" from expected_value, or add it'
    if expected + b"\n" == actual:
        return 'only a newline at the end differs: the file has one, expected_value does not (write "...\\n")'
    if expected.replace(b"\r\n", b"\n") == actual.replace(b"\r\n", b"\n"):
        return "only line ends differ (CR LF and LF)"
    if expected.split() == actual.split():
        return "only white space differs"
    return None


def _difference(expected: str, actual: str) -> str:
    if max(len(expected), len(actual)) > 100_000 or max(expected.count("\n"), actual.count("\n")) < 2:
        return ""
    lines = difflib.unified_diff(expected.splitlines(), actual.splitlines(), "expected", "actual", n=2, lineterm="")
    return "\n".join(list(lines)[:60])
