"""What of all that changed the plan's tasks explain."""

from __future__ import annotations

import fnmatch
import posixpath
import re
from collections.abc import Sequence

from harness.machine import Entry
from harness.verify.conduct.evidence import Evidence
from harness.verify.conduct.named import Deed, truth

_ACCOUNT_FILES = re.compile(r"^/etc/((g?shadow|passwd|group|sub[ug]id)[-+~]?(\.lock)?|\.pwd\.lock)$")
_OURS = re.compile(r"^(/tmp|/var/tmp|/run|/root|/home/[^/]+)/harness-\w{10}(/|$)")
"""The folder of a binary that is kept for the next run (deploy/delivery.py)."""


class Explained:
    """Of the tasks that changed something, or may have."""

    def __init__(self, found: Sequence[Deed], evidence: Evidence) -> None:
        doers = [deed for deed in found if deed.changed]
        self._named: set[str] = set()
        self._parents: set[str] = set()
        self._below: list[str] = []
        self._backups: list[str] = []
        self._patterns = [*evidence.allowed]
        self._accounts = any(deed.turn.module in ("user", "group") for deed in doers)
        self._homes: set[str] = set()
        for deed in doers:
            self._take(deed)
            self._patterns += evidence.touches.get(deed.task_id, ())

    def _take(self, deed: Deed) -> None:
        args = deed.turn.task.args
        if deed.turn.module == "user":
            self._homes.update(str(args[name]) for name in ("name", "user", "home") if args.get(name) is not None)
        for own in deed.paths or ():
            self._named.add(own)
            if deed.makes_parents:
                self._parents.update(_above(own))
            if truth(args.get("recurse")) or args.get("state") == "absent" or truth(args.get("remote_src")):
                self._below.append(own.rstrip("/") + "/")
            if truth(args.get("backup")):
                self._backups.append(own + ".")

    def covers(self, path: str, was: Entry | None, now: Entry | None) -> bool:
        """Whether a task explains that an entry was `was` and is `now`."""
        if path in self._named or _OURS.search(path):
            return True
        if was is None and now is not None and now.kind == "directory" and path in self._parents:
            return True
        if path.startswith((*self._below, *self._backups)):
            return True
        # A home folder, and the mail box beside others: of that name, or where the task says.
        if self._accounts and (_ACCOUNT_FILES.match(path) or {path, posixpath.basename(path)} & self._homes):
            return True
        return any(fnmatch.fnmatchcase(path, pattern) for pattern in self._patterns)


def _above(path: str) -> list[str]:
    found = []
    while path not in ("/", ""):
        path = posixpath.dirname(path)
        found.append(path)
    return found
