"""Questions that only the plan itself asks: owner, kind, link target, lines, services, packages, accounts.

They are more lenient than expectations: where a task may have kept its promise, they pass.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from harness.verify.checks import (
    REGEX_LIMIT,
    OfPath,
    OfService,
    Question,
    Verdict,
    present,
    shown,
    unreachable,
    verdict,
)
from harness.verify.seen import Account, Init, Seen, Wanted


@dataclass(frozen=True)
class Planned(Question):
    """A question derived from a task's arguments; its id says so: plan.FileMode[/etc/motd]."""

    question: Question

    @property
    def label(self) -> str:
        return f"plan.{self.question.label}"

    @property
    def subject(self) -> str:
        return self.question.subject

    def wants(self, wanted: Wanted) -> None:
        self.question.wants(wanted)

    def judge(self, seen: Seen) -> Verdict:
        found = self.question.judge(seen)
        if found.passed:
            return found
        trouble = self._trouble(seen)
        if trouble:
            # The plan may have run as another user than this connection: not being allowed to look proves nothing.
            return Verdict("skipped", found.expected, trouble, found.command)
        hint = "; ".join(filter(None, [found.hint, "the task succeeded, so its arguments promise this"]))
        return Verdict(found.outcome, found.expected, found.actual, found.command, hint, found.detail)

    def _trouble(self, seen: Seen) -> str | None:
        path = getattr(self.question, "path", None)
        if not isinstance(path, str):
            return None
        content = seen.contents.get(path)
        found = seen.path(path)
        is_file = found.target is not None and found.target.kind == "file"
        return found.trouble or (content.trouble if content and is_file else None)


@dataclass(frozen=True)
class Kind(OfPath):
    """What the path leads to is of this kind (`file`, `directory`)."""

    kind: str
    label = "FileKind"

    def judge(self, seen: Seen) -> Verdict:
        path = seen.path(self.path)
        passed = path.target is not None and path.target.kind == self.kind
        return verdict(passed, f"a {self.kind}", present(path), command=f"ls -ld {self.path}")


@dataclass(frozen=True)
class Owner(OfPath):
    """User or group of what the path leads to, by name or by number. `who`: user, group."""

    who: str
    wanted: str

    @property
    def label(self) -> str:
        return "FileOwner" if self.who == "user" else "FileGroup"

    def judge(self, seen: Seen) -> Verdict:
        path = seen.path(self.path)
        if path.target is None:
            return verdict(False, self.wanted, unreachable(path))
        user = self.who == "user"
        name, number = (path.target.user, path.target.uid) if user else (path.target.group, path.target.gid)
        command = f"stat -Lc %{'U' if user else 'G'} {self.path}"
        return verdict(self.wanted in (name, str(number)), self.wanted, f"{name} ({number})", command=command)


@dataclass(frozen=True)
class LinkTarget(OfPath):
    target: str
    label = "LinkTarget"

    def wants(self, wanted: Wanted) -> None:
        wanted.path(self.path)
        wanted.links.add(self.path)

    def judge(self, seen: Seen) -> Verdict:
        expected = f"a symbolic link to {self.target}"
        target = seen.links.get(self.path)
        actual = f"a symbolic link to {target}" if target is not None else present(seen.path(self.path))
        return verdict(target == self.target, expected, actual, command=f"readlink {self.path}")


@dataclass(frozen=True)
class Lines(OfPath):
    """A file has (or has not) a line that equals `line`, or that matches `pattern`."""

    wanted: bool
    line: str | None = None
    pattern: str | None = None

    @property
    def label(self) -> str:
        return "LinePresent" if self.wanted else "LineAbsent"

    @property
    def subject(self) -> str:
        return f"{self.path} {self.line if self.line is not None else self.pattern}"

    def wants(self, wanted: Wanted) -> None:
        wanted.content(self.path, REGEX_LIMIT)

    def judge(self, seen: Seen) -> Verdict:
        what = f"line {self.line!r}" if self.line is not None else f"line that matches {self.pattern!r}"
        expected = f"a {what}" if self.wanted else f"no {what}"
        path = seen.path(self.path)
        if path.itself is None and not path.trouble and not self.wanted:
            return verdict(True, expected, "the file does not exist")
        content = seen.content(self.path)
        if content.trouble or path.target is None:
            return verdict(False, expected, content.trouble or unreachable(path))
        if path.target.size > REGEX_LIMIT:
            return Verdict("skipped", expected, f"{path.target.size} bytes are too many to look through")
        text = content.data.decode(errors="surrogateescape")
        found = [line for line in text.split("\n") if self._fits(line.removesuffix("\r"))]
        actual = f"the line {found[0]!r}" if found else "no such line in " + shown(text)
        return verdict(bool(found) is self.wanted, expected, actual, command=f"cat {self.path}")

    def _fits(self, line: str) -> bool:
        if self.line is not None:
            return line == self.line
        return self.pattern is not None and re.search(self.pattern, line) is not None


@dataclass(frozen=True)
class ServiceIs(OfService):
    """`word`: running, stopped, enabled, disabled. Not judged where no init system can tell."""

    word: str

    @property
    def label(self) -> str:
        return f"Service{self.word.capitalize()}"

    def judge(self, seen: Seen) -> Verdict:
        service = seen.service(self.service)
        if service.init is Init.NONE or not service.states:
            return Verdict("skipped", self.word, service.detail)
        states = service.states
        passed = {
            # A oneshot unit that has done its work was started, and is inactive now.
            "running": bool({"running", "starting"} & states) or service.finished,
            "stopped": not {"running", "starting"} & states,
            "enabled": not {"disabled", "masked", "not-found"} & states,
            "disabled": "enabled" not in states,
        }[self.word]
        if not passed and service.init is not Init.SYSTEMD:
            # Many init scripts know no `status`, and answer 3 ("unimplemented") or 1 to it.
            return Verdict("skipped", self.word, service.detail)
        return verdict(passed, self.word, service.detail, command=f"systemctl status {self.service}")


@dataclass(frozen=True)
class PackageIs(Question):
    """Installed itself or through one that provides it; for absence only itself counts."""

    package: str
    installed: bool

    @property
    def label(self) -> str:
        return "PackageInstalled" if self.installed else "PackageAbsent"

    @property
    def subject(self) -> str:
        return self.package

    def wants(self, wanted: Wanted) -> None:
        wanted.packages.add(self.package)

    def judge(self, seen: Seen) -> Verdict:
        package = seen.packages[self.package]
        expected = "installed" if self.installed else "not installed"
        if not package.manager:
            return Verdict("skipped", expected, "there is no package manager here")
        actual = f"version {package.version} is installed" if package.version else "not installed"
        passed = (package.version is not None) is self.installed
        if self.installed and package.provider:
            passed, actual = True, f"provided by {package.provider}"
        return verdict(
            passed, expected, actual, command=f"dpkg -s {self.package}" if package.manager == "dpkg" else None
        )


@dataclass(frozen=True)
class AccountIs(Question):
    """A user or group exists (with these attributes where given) or does not. `database`: user, group."""

    database: str
    name: str
    wanted: bool
    number: int | None = None
    home: str | None = None
    shell: str | None = None

    @property
    def label(self) -> str:
        return f"{self.database.capitalize()}{'Exists' if self.wanted else 'Absent'}"

    @property
    def subject(self) -> str:
        return self.name

    def wants(self, wanted: Wanted) -> None:
        (wanted.users if self.database == "user" else wanted.groups).add(self.name)

    def judge(self, seen: Seen) -> Verdict:
        account = (seen.users if self.database == "user" else seen.groups)[self.name]
        command = f"getent {'passwd' if self.database == 'user' else 'group'} {self.name}"
        if account is None:
            return verdict(not self.wanted, self._words(None), "does not exist", command=command)
        asked = ((self.number, account.number), (self.home, account.home), (self.shell, account.shell))
        passed = self.wanted and all(wanted is None or wanted == actual for wanted, actual in asked)
        return verdict(passed, self._words(None), self._words(account), command=command)

    def _words(self, account: Account | None) -> str:
        if account is None and not self.wanted:
            return "does not exist"
        values = (account or self).number, (account or self).home, (account or self).shell
        names = ("id", "home", "shell")
        asked = (self.number, self.home, self.shell)
        told = [f"{n} {v}" for n, v, a in zip(names, values, asked, strict=True) if a is not None]
        return "exists" + (f" with {', '.join(told)}" if told else "")
