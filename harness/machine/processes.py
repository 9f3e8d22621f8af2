"""The processes of a host, without those that do the looking.

A check for `sh` must not be satisfied by the shell that checks. What looks is the script itself, its
children, and its ancestors up to PID 1 or the ssh server (which was there before we came).
"""

from __future__ import annotations

import re

from harness.machine.model import Process

# head -v writes "==> NAME <==" before each file. A process may vanish in between: no answer, no error.
SCRIPT = (
    '{ echo "$$"; if [ -r /proc/self/stat ]; then head -v -c 65536 /proc/[0-9]*/stat /proc/[0-9]*/cmdline 2>/dev/null; '
    "else echo ps; ps -axww -o pid= -o ppid= -o state= -o args=; fi; true; }"
)

_HEADER = re.compile(rb"(?:^|\n)==> /proc/(\d+)/(stat|cmdline) <==\n")
_CARRIERS = ("sshd", "dropbear", "tinysshd")


def parse(output: bytes) -> tuple[Process, ...] | None:
    """The answer of SCRIPT; None when there is neither /proc nor ps."""
    first, _, rest = output.partition(b"\n")
    if not first.isdigit():
        return None
    found = _from_ps(rest) if rest.startswith(b"ps\n") else _from_proc(rest)
    return _without_ourselves(found, int(first)) if found else None


def matches(process: Process, wanted: str) -> bool:
    """Whether `wanted` is its name, its program or its whole command line. A zombie does not run."""
    if process.state in ("Z", "X", "x"):
        return False
    wanted = wanted.strip()
    line = process.command_line.strip()
    if not process.arguments:
        return process.name == wanted
    program = process.arguments[0]
    base = program.rsplit("/", 1)[-1]
    # The kernel keeps 15 bytes of a name (TASK_COMM_LEN): a longer one is compared through argv.
    names = {process.name, program, base, line, base + line[len(program) :]}
    return wanted in names


def _from_proc(output: bytes) -> list[Process]:
    parts = _HEADER.split(output)
    stats: dict[int, tuple[int, str, str, int]] = {}
    arguments: dict[int, tuple[str, ...]] = {}
    for pid, kind, body in zip(parts[1::3], parts[2::3], parts[3::3], strict=True):
        if kind == b"cmdline":
            # setproctitle leaves padding of NULs at the end
            words = body.rstrip(b"\0").split(b"\0")
            arguments[int(pid)] = tuple(word.decode(errors="replace") for word in words) if body else ()
            continue
        # The name stands in parentheses and may hold any byte, parentheses too (proc(5)).
        name = body[body.find(b"(") + 1 : body.rfind(b")")].decode(errors="replace")
        fields = body[body.rfind(b")") + 2 :].split()
        if len(fields) >= 20:  # the start time is field 22 of the whole line
            stats[int(pid)] = (int(fields[1]), fields[0].decode(), name, int(fields[19]))
    return [
        Process(pid, parent, state, name, arguments.get(pid, ()), started)
        for pid, (parent, state, name, started) in stats.items()
    ]


def _from_ps(output: bytes) -> list[Process]:
    found = []
    for line in output.decode(errors="replace").splitlines()[1:]:
        fields = line.split(None, 3)
        if len(fields) == 4 and fields[0].isdigit():
            words = tuple(fields[3].split())
            found.append(Process(int(fields[0]), int(fields[1]), fields[2][0], words[0].rsplit("/", 1)[-1], words))
    return found


def _without_ourselves(found: list[Process], me: int) -> tuple[Process, ...]:
    by_pid = {process.pid: process for process in found}
    ours = {me}
    current = by_pid.get(me)
    while current is not None and current.pid != 1 and not current.name.startswith(_CARRIERS):
        ours.add(current.pid)
        current = by_pid.get(current.parent)
    below = {me}
    while True:
        more = {process.pid for process in found if process.parent in below} - below
        if not more:
            break
        below |= more
    return tuple(process for process in found if process.pid not in ours | below)
