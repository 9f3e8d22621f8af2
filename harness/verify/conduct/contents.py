"""Whether files hold what the plan's templates make of the variables, those that earlier tasks registered included."""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Iterator, Sequence

from harness.verify.conduct.evidence import Evidence, Finding
from harness.verify.conduct.expressions import Unknown, Variables
from harness.verify.conduct.named import Deed, deeds, path_of

_ADJUST = ("force", "newline_sequence", "validate", "remote_src", "checksum")
"""Arguments that make more of the content than what it says."""


def contents(evidence: Evidence) -> Iterator[Finding]:
    if evidence.after is None:
        return
    found = deeds(evidence)
    for number, deed in enumerate(found):
        for path, wanted in _wanted(deed) if _is_written(deed) else ():
            entry = evidence.after.files.get(path)
            if entry is None or entry.kind != "file" or entry.sha256 is None:
                continue
            if entry.sha256 == hashlib.sha256(wanted).hexdigest() or _touched(found[number + 1 :], path):
                continue
            yield Finding(
                "contents",
                deed.task_id,
                f"{path}: {len(wanted)} bytes, {_shown(wanted)}",
                f"{path}: {entry.size} bytes, other than that (sha256 {entry.sha256[:12]}...)",
            )


def _shown(data: bytes) -> str:
    text = data.decode(errors="backslashreplace")
    return repr(text if len(text) <= 200 else f"{text[:200]}...")


def _is_written(deed: Deed) -> bool:
    args = deed.turn.task.args
    if deed.turn.module not in ("copy", "template") or not deed.turn.succeeded or deed.turn.check_mode:
        return False
    if deed.turn.task.failed_when is not None or "delegate_to" in deed.turn.task.beyond:
        return False
    return not any(args.get(name) is not None for name in _ADJUST) and not any(
        name.endswith("_string") for name in args
    )


def _touched(later: Sequence[Deed], path: str) -> bool:
    """By a task after it, or by what one of those started."""
    return any(deed.changed and deed.works_on(path) for deed in later)


def _wanted(deed: Deed) -> Iterator[tuple[str, bytes]]:
    turn = deed.turn
    try:
        layers = turn.items()
    except Unknown:
        return
    if turn.task.when and turn.task.loop is not None:
        return  # which of its items ran is not known here
    for layer in layers:
        own = turn.variables.with_layer(layer)
        path = path_of(turn.task.args.get("dest"), own)
        try:
            content = _content(deed, own)
        except (Unknown, binascii.Error):
            continue
        if path is not None and content is not None and not str(turn.task.args.get("dest")).endswith("/"):
            yield path, content


def _content(deed: Deed, variables: Variables) -> bytes | None:
    """Raises Unknown, binascii.Error."""
    args = deed.turn.task.args
    if isinstance(encoded := args.get("content_b64"), str):
        return base64.b64decode(encoded, validate=True) if deed.turn.module == "copy" else None
    content = args.get("content")
    if not isinstance(content, str) or "\r" in content:
        return None
    text = variables.render(content)
    # Ansible makes values of these, and writes them in its own way.
    return None if text != content and (text[:1] in ("{", "[") or text in ("True", "False")) else text.encode()
