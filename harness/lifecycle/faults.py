"""The faults of one run: when each strikes, and that each is undone."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from harness.errors import HarnessError
from harness.faults.kinds import KINDS
from harness.faults.target import Target, Undo
from harness.lifecycle.fleet import Fleet
from harness.models.fault import Fault, Moment
from harness.models.plan import Plan
from harness.models.shaping import Shaping

_MIDWAY = 64_000
"""Bytes after which something is under way: more than what setting up a session takes."""
_AT_CONVERGE: tuple[Moment, ...] = ("converge", "push", "run")


def ways_wanted(specs: Mapping[str, Shaping | None], faults: Sequence[Fault]) -> dict[str, Shaping]:
    """The platforms that need a proxy before their sshd, and what the way shall be like."""
    wanted = {name: shaping for name, shaping in specs.items() if shaping is not None}
    for fault in faults:
        # A fault that strikes while the binary travels is set off by the bytes that pass.
        if KINDS[fault.kind].fronted or (KINDS[fault.kind].through_sshd and fault.during == "push"):
            for name in fault.platforms or specs:
                if name in specs:
                    wanted.setdefault(name, Shaping())
    return wanted


@dataclass
class _Case:
    """One fault on one platform."""

    fault: Fault
    host: str
    struck: bool = False
    undo: Undo | None = None
    timer: threading.Timer | None = None
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def words(self) -> str:
        return f"{self.fault.kind} ({KINDS[self.fault.kind].words(self.fault)})"


class Faults:
    """All methods may be called from several threads."""

    def __init__(self, faults: Sequence[Fault], fleet: Fleet) -> None:
        self._fleet = fleet
        self._tell: Callable[[str, str], None] = lambda host, words: None
        self._warn: Callable[[str], None] = lambda words: None
        self._cases = [_Case(fault, name) for fault in faults for name in fault.platforms or fleet.specs]
        self._broken: list[HarnessError] = []

    def tell_to(self, tell: Callable[[str, str], None], warn: Callable[[str], None]) -> None:
        """`tell` is told, with the host's name, what is done; `warn` what did not come about."""
        self._tell, self._warn = tell, warn

    def unknown_tasks(self, plan: Plan) -> list[str]:
        """What is wrong with `after_task`, in words."""
        known = {task.task_id for play in plan.plays for batch in play.batches for task in batch.tasks}
        known |= {handler.handler_id for play in plan.plays for handler in play.handlers}
        asked = {case.fault.after_task for case in self._cases if case.fault.after_task is not None}
        return [f"a fault waits for the task {name!r}, which the plan does not have" for name in sorted(asked - known)]

    def has(self, moment: Moment) -> bool:
        return any(case.fault.during == moment for case in self._cases)

    def clock_was_set(self, host: str) -> bool:
        """Whether a clock has been set there while the step converge was at work."""
        cases = [case for case in self._cases if case.host == host and case.fault.during in _AT_CONVERGE]
        return any(case.struck and KINDS[case.fault.kind].sets_clock for case in cases)

    def strike(self, moment: Moment) -> None:
        """All of that moment, now; those with `seconds` are waited for in a side effect. Raises HarnessError."""
        for case in self._of(moment):
            self._strike(case)
        if moment == "side_effect":
            held = [case for case in self._of(moment) if case.undo is not None and case.fault.seconds is not None]
            for case in sorted(held, key=lambda case: case.fault.seconds or 0.0):
                if case.timer is not None:
                    case.timer.join()

    def pushing(self, host: str) -> None:
        """The binary is about to travel to this host."""
        for case in self._of("push", host):
            front = self._fleet.ways.front(host)
            if front is None:
                self._attempt(case)
            else:
                front.after(_MIDWAY, lambda case=case: self._attempt(case))  # type: ignore[misc]

    def task_started(self, host: str) -> None:
        for case in self._of("run", host):
            if case.fault.after_task is None:
                self._attempt(case)

    def task_ended(self, host: str, task_id: str) -> None:
        for case in self._of("run", host):
            if case.fault.after_task == task_id:
                self._attempt(case)

    def end_converge(self) -> None:
        """Undo what belongs to the step; what has not come about is told. Raises what a fault could not do."""
        for case in reversed(self._cases):
            if case.fault.during in _AT_CONVERGE:
                if not case.struck and case.host in self._fleet.members:
                    self._warn(f"{case.host}: the fault {case.fault.kind} did not strike: {_why_not(case.fault)}")
                    case.struck = True
                self._undo(case)
        if self._broken:
            raise self._broken.pop()

    def end(self) -> None:
        """Undo all that is still there, the last first; nothing strikes any more. A second call does nothing."""
        self._broken.clear()
        for case in reversed(self._cases):
            case.struck = True
            self._undo(case)

    def _of(self, moment: Moment, host: str | None = None) -> list[_Case]:
        """Those that may strike now: a side effect each time that its step is walked, the others once."""
        return [
            case
            for case in self._cases
            if case.fault.during == moment
            and case.host in self._fleet.members
            and host in (None, case.host)
            and (moment == "side_effect" or not case.struck)
        ]

    def _attempt(self, case: _Case) -> None:
        """While others are at work: what it raises is raised at the end of the step."""
        try:
            self._strike(case)
        except HarnessError as error:
            self._broken.append(error)

    def _strike(self, case: _Case) -> None:
        with case.lock:
            if case.struck and case.fault.during != "side_effect":
                return
            case.struck = True
            self._tell(case.host, f"fault: {case.words}")
            started = time.monotonic()
            case.undo = self._in_force(case) or KINDS[case.fault.kind].inject(self._target(case.host), case.fault)
            if case.fault.seconds is not None:
                left = max(0.0, case.fault.seconds - (time.monotonic() - started))
                case.timer = threading.Timer(left, self._undo, (case,))
                case.timer.daemon = True
                case.timer.start()

    def _in_force(self, case: _Case) -> Undo | None:
        """What undoes another fault of this kind there, where two of them are no more than one."""
        if not KINDS[case.fault.kind].state:
            return None
        others = (other for other in self._cases if other is not case and other.host == case.host)
        return next((other.undo for other in others if other.fault.kind == case.fault.kind and other.undo), None)

    def _undo(self, case: _Case) -> None:
        """What cannot be undone when its `seconds` are over (another fault is in the way) is tried again at the end."""
        with case.lock:
            undo, case.undo = case.undo, None
            timer, case.timer = case.timer, None
        in_time = timer is threading.current_thread()
        if timer is not None and not in_time:
            timer.cancel()
        if undo is None or self._in_force(case) is not None:
            return
        try:
            undo()
            self._tell(case.host, f"fault undone: {case.fault.kind}")
        except HarnessError as error:
            if in_time:
                case.undo = undo
                return
            with suppress(HarnessError):
                self._warn(f"{case.host}: the fault {case.fault.kind} could not be undone: {error.of(case.host)}")

    def _target(self, host: str) -> Target:
        member = self._fleet.members[host]
        endpoint = member.endpoint
        assert endpoint is not None, f"{host} has been made ready"
        return Target(
            name=host,
            site=member.site,
            instance=member.instance,
            endpoint=endpoint,
            front=self._fleet.ways.front(host),
            redirect=lambda other: self._fleet.redirect(host, other),
            folder=lambda: self._fleet.ways.folder,
        )


def _why_not(fault: Fault) -> str:
    if fault.during == "push":
        return "nothing was pushed (the host may have had the binary already)"
    return f"the task {fault.after_task!r} did not end there" if fault.after_task else "no task was begun there"
