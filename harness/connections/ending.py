"""How a command on a far platform is ended, and how its end is heard: texts for its shell, a mark in its streams."""

from __future__ import annotations

# proc(5), stat: after the name, which may hold anything, come state, ppid, pgrp and session. Zombies count as gone.
LOOK = """
look() {
l=; { read -r l <"/proc/$1/stat"; } 2>/dev/null || return 1
set -- ${l##*) }; parent=$2 group=$3 session=$4
case $1 in Z | X) return 1;; esac
}
"""
"""`look PID`: whether it lives; sets parent, group and session."""
KILL_BELOW = f"""{LOOK}
root=$1 own= n=0; look "$root" && own=$session
kin=" $root " sessions=" " begun=
while [ $n -lt 200 ]; do
n=$((n + 1)) grew=1 found=
while [ -n "$grew" ]; do
grew=
for f in /proc/[0-9]*; do
p=${{f#/proc/}}
case $kin in *" $p "*) continue;; esac
[ "$p" != $$ ] && look "$p" || continue
[ -z "$begun" ] || [ "$parent" != "$root" ] || continue
case $kin in *" $parent "*) ;; *) case $sessions in *" $session "*) ;; *) continue;; esac;; esac
grew=1 kin="$kin$p "
[ "$session" = "$own" ] || sessions="$sessions$session "
done
done
for name in STOP KILL; do
for p in $kin; do
if [ "$p" != "$root" ] && look "$p"; then found=1; kill -$name "$p" 2>/dev/null; fi
done
done
[ -n "$found" ] || break
begun=1
done
"""
"""SIGKILL to all below the process $1 and to all in their sessions, except its own, until there is nobody.

They are stopped first, so that no shell among them tells that its child was killed. A shell that has lost what it ran
goes on: children that it has only then are its own helpers, and left alone."""
KILL_SESSION = f"""{LOOK}
root=$1 n=0
while [ $n -lt 200 ]; do
n=$((n + 1)) found=
for f in /proc/[0-9]*; do
p=${{f#/proc/}}
look "$p" || continue
if [ "$session" = "$root" ] || [ "$p" = "$root" ]; then found=1; kill -9 "$p" 2>/dev/null; fi
done
[ -n "$found" ] || break
done
"""
SIGNAL_GROUP = f"""{LOOK}
look "$1" && kill -"$2" "-$group" 2>/dev/null
"""
"""Signal $2 to the process group of $1."""


class Marked:
    """Lets a stream pass up to the mark; `status` is what follows it."""

    def __init__(self, mark: bytes) -> None:
        self._mark = mark
        self._held = bytearray()
        self._found = False
        self.status: int | None = None

    def feed(self, data: bytes, *, last: bool = False) -> bytes:
        """What of it, and of what was held back, is surely the command's."""
        self._held += data
        if self._found:
            self._read_status()
            return b""
        at = self._held.find(self._mark)
        if at < 0 and not last:
            longest = min(len(self._mark) - 1, len(self._held))
            kept = next((size for size in range(longest, 0, -1) if self._held.endswith(self._mark[:size])), 0)
            at = len(self._held) - kept
        elif at < 0:
            at = len(self._held)
        else:
            self._found = True
        passed = bytes(self._held[:at])
        del self._held[: at + (len(self._mark) if self._found else 0)]
        if self._found:
            self._read_status()
        return passed

    def _read_status(self) -> None:
        if self.status is None and b"\n" in self._held:
            self.status = int(self._held.split(b"\n", 1)[0])


def marked_text(text: str, mark: str) -> str:
    """`text`, and then on both streams the mark and the status of its last command.

    In two halves: the list of processes must not show the mark.
    """
    say = f"printf '%s%s %s\\n' {mark[:16]} {mark[16:]} $_h_r"
    return f"{text}_h_r=$?\n{say}\n{say} >&2\nexit $_h_r"
