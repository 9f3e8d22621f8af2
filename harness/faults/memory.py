"""Memory runs out, and the kernel kills what needs it."""

from __future__ import annotations

from shlex import quote

from harness.faults.target import Target, Undo
from harness.models.fault import Fault

# A runner is told its host's name by `--host NAME` as its first arguments (docs/runner-contract.md).
_KILL = """
found=
for process in /proc/[0-9]*; do
words=$(tr '\\0' '\\n' <"$process/cmdline" 2>/dev/null | sed -n 2,3p | tr '\\n' ' ')
[ "$words" = "--host "{name}" " ] || continue
kill -9 "${{process#/proc/}}" 2>/dev/null && found=1
done
[ "$found" ] || {{ echo "no runner is at work there" >&2; exit 1; }}
"""


def exhausted(target: Target, fault: Fault) -> Undo:
    """What the OOM killer does: SIGKILL to the runner, without a word. (Memory itself is left alone: a limit low
    enough to be met at once would hit whichever process came first.)"""
    target.do(fault, _KILL.format(name=quote(target.name)))
    return lambda: None
