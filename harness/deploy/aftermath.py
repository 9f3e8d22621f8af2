"""What a runner that nobody hears any more has left on its host: it is ended there, and its records are read."""

from __future__ import annotations

import time

from harness.cancellation import Cancellation
from harness.connections import open_connection
from harness.connections.ending import LOOK
from harness.deadline import Deadline
from harness.errors import DeployFailed, HarnessError
from harness.models.endpoint import Endpoint

_PATIENCE = 30.0
"""Seconds for a host to be reached again."""
_PAUSE = 1.0
_SCRIPT = f"""{LOOK}
folder=$1 n=0
real=$(cd "$folder" 2>/dev/null && pwd -P) || real=$folder
runners() {{
    ls -l /proc/[0-9]*/exe 2>/dev/null | while read -r line; do
        case $line in *" -> $real/runner" | *" -> $real/runner (deleted)")
            line=${{line% -> *}} line=${{line%/exe}}
            printf '%s ' "${{line##*/}}" ;;
        esac
    done
    grep -lF -e "$folder/runner" /proc/[0-9]*/cmdline 2>/dev/null |
    while IFS=/ read -r _ _ p _; do printf '%s ' "$p"; done
}}
kin_by_proc() {{
    kin=" $(runners) " sessions=" " grew=1
    look $$ && own=$session
    left=$own
    {{ read -r left <"$folder/session"; }} 2>/dev/null
    [ "$left" = "$own" ] || sessions=" $left "
    while [ -n "$grew" ]; do
        grew=
        for f in /proc/[0-9]*; do
            p=${{f#/proc/}}
            case $kin in *" $p "*) continue ;; esac
            look "$p" && [ "$session" != "$own" ] || continue
            case $kin in *" $parent "*) ;; *) case $sessions in *" $session "*) ;; *) continue ;; esac ;; esac
            grew=1 kin="$kin$p "
        done
    done
    for p in $kin; do look "$p" && printf '%s ' "$p"; done
}}
below() {{ for p; do printf '%s ' "$p"; below $(pgrep -P "$p"); done; }}
if [ -r /proc/self/stat ]; then find_kin=kin_by_proc
elif command -v pgrep >/dev/null; then find_kin='eval below $(pgrep -f "^$folder/runner")'
else echo 'no /proc and no pgrep to find it by'; exit 1; fi
while kin=$($find_kin); [ -n "$kin" ]; do
    [ $n -lt 12 ] || {{ echo "it does not end (processes $kin)"; exit 1; }}
    kill -9 $kin 2>/dev/null
    n=$((n + 1))
    [ $n -lt 3 ] || sleep 1
done
[ ! -f "$folder/records" ] || {{ echo records; cat "$folder/records"; }}
"""
"""SIGKILL to whatever runs out of the folder, to all below it and in its session, until there is nobody. Found by the
kernel's link to the executable, which holds when the file is gone, and by the command line: an emulator's link is to
itself."""


def end_what_is_left(
    endpoint: Endpoint, host: str, folder: str, *, deadline: Deadline, cancellation: Cancellation
) -> list[bytes] | None:
    """Over a connection of its own, as often as it takes. Returns the lines that the runner wrote, None where it kept
    none. Raises DeployFailed when nobody can say that it has ended.
    """
    patience = Deadline(min(_PATIENCE, deadline.remaining()))
    while True:
        try:
            return _end(endpoint, host, folder, max(patience.remaining(), 1.0))
        except HarnessError as error:
            if patience.remaining() < _PAUSE or cancellation.called or isinstance(error, DeployFailed):
                words = error.of(host)
                raise DeployFailed(f"whether the runner has ended there is not known: {words}") from error
        time.sleep(_PAUSE)


def _end(endpoint: Endpoint, host: str, folder: str, seconds: float) -> list[bytes] | None:
    with open_connection(endpoint, name=host) as connection:
        done = connection.run(["/bin/sh", "-c", _SCRIPT, "harness", folder], timeout=seconds)
    if not done.ok:
        raise DeployFailed(done.out.strip() or done.err.strip() or f"exit status {done.rc}")
    mark, _, records = done.stdout.partition(b"\n")
    # What follows the last newline is half a line: the runner was killed as it wrote.
    return [line + b"\n" for line in records.split(b"\n")[:-1]] if mark == b"records" else None
