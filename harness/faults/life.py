"""A platform that dies, or stands still."""

from __future__ import annotations

from harness.faults.target import Target, Undo
from harness.models.fault import Fault


def killed(target: Target, fault: Fault) -> Undo:
    target.site.kill(target.instance)

    def undo() -> None:
        target.site.start(target.instance)
        target.redirect(None)

    return undo


def frozen(target: Target, fault: Fault) -> Undo:
    target.site.freeze(target.instance)
    return lambda: target.site.thaw(target.instance)
