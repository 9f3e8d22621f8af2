"""sshd goes away, with every session it has."""

from __future__ import annotations

from harness.deadline import Deadline
from harness.faults.target import Target, Undo
from harness.models.fault import Fault

_STOP = """
systemctl stop harness-sshd ssh sshd 2>/dev/null
for try in 1 2 3; do for process in /proc/[0-9]*; do
read -r name 2>/dev/null <"$process/comm" || continue
case $name in sshd|sshd-session|sshd-auth) kill -9 "${process#/proc/}" 2>/dev/null;; esac
done; done
exit 0
"""
_START_SECONDS = 30.0


def stop(target: Target, fault: Fault) -> Undo:
    target.do(fault, _STOP)

    def undo() -> None:
        # Whoever offers sshd there starts it where it does not run.
        target.site.wait_ready(target.instance, Deadline(_START_SECONDS))
        if target.front is not None:
            target.front.knock()

    return undo
