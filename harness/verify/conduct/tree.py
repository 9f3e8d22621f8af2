"""Every file of the machine: nothing was written, made or removed that no task explains."""

from __future__ import annotations

from collections.abc import Iterator

from harness.verify.conduct.evidence import Evidence, Finding, Tree
from harness.verify.conduct.explained import Explained
from harness.verify.conduct.named import deeds
from harness.verify.conduct.strangers import differs, is_earlier, opaque_from


def tree(evidence: Evidence) -> Iterator[Finding]:
    if evidence.trees is None:
        return
    before, after = evidence.trees
    found = deeds(evidence)
    known, until = Explained(found, evidence), opaque_from(found, evidence)
    for path, told in _touched(before, after):
        was, now = before.files.get(path), after.files.get(path)
        if is_earlier(now, until) and not known.covers(path, was, now):
            yield Finding("tree", "", "no file is touched that no task names", f"{path}: {told}")


def _touched(before: Tree, after: Tree) -> Iterator[tuple[str, str]]:
    for path in sorted(before.files.keys() | after.files.keys() | _newly_written(before, after)):
        was, now = before.files.get(path), after.files.get(path)
        if was is not None and now is not None:
            if told := differs(was, now):
                yield path, told
        elif was is not None:
            yield path, f"is gone: it was {was}"
        elif now is None:
            yield path, "is gone"
        elif after.written is None or path not in after.written:
            yield path, f"appeared: {now}"
        elif now.kind != "directory":  # a folder counts as written when something in it is
            yield path, f"was written: {now}"


def _newly_written(before: Tree, after: Tree) -> frozenset[str]:
    return (after.written or frozenset()) - (before.written or frozenset())
