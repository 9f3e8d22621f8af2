"""What the plan's tasks have promised so far, and what later tasks take back."""

from __future__ import annotations

import posixpath
import re
from collections import defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field

from harness.verify.checks import Question

_WORDS = re.compile(r"[^\s;|&<>()'\"=,{}]+")
_GLOB = re.compile(r"[*?\[]")


@dataclass(frozen=True)
class Claim:
    """`kind`: path, service, package, user, group. `aspect` is what a later task may change by itself
    (mode, content, lines, ...); `absent` is the promise that there is nothing."""

    task_id: str
    task_name: str
    kind: str
    name: str
    aspect: str
    question: Question


@dataclass
class Ledger:
    """Later tasks win: whatever may have been changed since is forgotten, so that nobody is accused falsely.

    Claims are found by name, by any folder above them and by their last part: a plan may have thousands.
    """

    texts: dict[str, str] = field(default_factory=dict)
    """Known contents of files the plan wrote: a script or unit that runs later is read like a command."""
    _claims: dict[tuple[str, str], list[Claim]] = field(default_factory=dict)
    _below: defaultdict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    _last: defaultdict[str, set[str]] = field(default_factory=lambda: defaultdict(set))

    def claims(self) -> list[Claim]:
        return [claim for claims in self._claims.values() for claim in claims]

    def add(self, claim: Claim) -> None:
        """A newer claim on the same aspect replaces the older one; lines are claimed one by one."""
        if claim.aspect != "lines":
            self._forget(claim.kind, claim.name, (claim.aspect,))
        self._claims.setdefault((claim.kind, claim.name), []).append(claim)
        if claim.kind == "path":
            for folder in _above(claim.name):
                self._below[folder].add(claim.name)
            self._last[posixpath.basename(claim.name)].add(claim.name)

    def lines(self, path: str) -> list[Claim]:
        return [claim for claim in self._claims.get(("path", path), ()) if claim.aspect == "lines"]

    def drop(self, claim: Claim) -> None:
        self._claims[claim.kind, claim.name].remove(claim)

    def made(self, path: str) -> None:
        """Something exists at `path` now, hence also above it."""
        for folder in _above(path):
            self._forget("path", folder, ("absent",))

    def replaced(self, path: str, aspects: Collection[str] | None = None) -> None:
        """All (or these aspects) of what was promised of `path` no longer holds."""
        self._forget("path", path, aspects)

    def removed(self, path: str, aspects: Collection[str] | None = None) -> None:
        """The same, for `path` and everything below it."""
        for name in tuple(self._below.get(path, ())):
            self._forget("path", name, aspects)

    def touched(self, path: str) -> None:
        """Something unknown happened at `path` or below it; an absence above it is in doubt too."""
        self.removed(path)
        self.made(path)

    def named(self, kind: str, name: str) -> None:
        self._forget(kind, name, None)

    def mentioned(self, text: str) -> None:
        """A command ran: what it names, by path or by name, is in doubt; with variables in it, every path is."""
        seen: set[str] = set()
        waiting = [text]
        while waiting:
            current = waiting.pop()
            if re.search(r"[$`~]", current):
                self.removed("/")
            for word in _WORDS.findall(current):
                self._word(word)
                path = posixpath.normpath(word)
                if path in self.texts and path not in seen:
                    seen.add(path)
                    waiting.append(self.texts[path])

    def started(self, service: str) -> None:
        """A service runs: what its unit, or the scripts the unit names, mention may have been written to since."""
        unit = service if "." in service else f"{service}.service"
        units = [text for path, text in self.texts.items() if path.endswith((f"/{unit}", f"/init.d/{service}"))]
        for word in _words(units):
            scripts = [self.texts.get(posixpath.normpath(word), "")]
            for path in [word, *_words(scripts)]:
                if path.startswith("/"):
                    self.removed(posixpath.normpath(path), ("content", "lines", "absent"))

    def _word(self, word: str) -> None:
        if word.startswith("/"):
            stem = _GLOB.split(word, maxsplit=1)[0]
            self.touched(posixpath.normpath(stem if stem == word else stem.rsplit("/", 1)[0] or "/"))
            return
        relative = "/" + posixpath.normpath(word)
        for path in tuple(self._last.get(posixpath.basename(relative), ())):
            if path.endswith(relative):
                self._forget("path", path, None)
        for kind in ("service", "package", "user", "group"):
            self._forget(kind, word, None)
            self._forget(kind, word.removesuffix(".service"), None)

    def _forget(self, kind: str, name: str, aspects: Collection[str] | None) -> None:
        claims = self._claims.get((kind, name))
        if claims:
            claims[:] = [claim for claim in claims if aspects is not None and claim.aspect not in aspects]


def _words(texts: Iterable[str]) -> list[str]:
    return [word for text in texts for word in _WORDS.findall(text)]


def _above(path: str) -> list[str]:
    """The path itself and every folder above it, `/` included."""
    parts = [path]
    while parts[-1] not in ("/", ""):
        parts.append(posixpath.dirname(parts[-1]))
    return parts
