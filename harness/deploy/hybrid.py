"""The strategy hybrid: what the compiler honours by binary, the rest by Ansible, as if it were one run.

The hosts of a slice go from segment to segment together. Between segments each host's state travels: registered
results, facts, notified handlers. A host that fails is out of all further segments.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import groupby

from harness.deploy import binary_only, force_ssh
from harness.deploy.ansible_playbook import Excerpt
from harness.deploy.ansible_run import route, run_by_ansible
from harness.deploy.binary import run_binary
from harness.deploy.binary_only import binary_run
from harness.deploy.force_ssh import by_slice
from harness.deploy.means import Deployed, HostWork, Means
from harness.deploy.records import task_result
from harness.deploy.segments import Carrier, Segment, segments_of
from harness.deploy.state import HostState
from harness.errors import HarnessError, Interrupted, message_of
from harness.models.results import DecisionRecord, HostExecutionResult
from harness.models.runner import Payload, PayloadPlay, TaskRecord


def deploy(works: Sequence[HostWork], means: Means) -> Deployed:
    """Hosts that need but one method go by that; of the others, each slice by itself, all side by side."""
    jobs: dict[str, Callable[[], Deployed]] = {}
    for method, one_method in (("binary", binary_only.deploy), ("ssh", force_ssh.deploy)):
        chosen = [work for work in works if work.decision.method == method]
        if chosen:
            jobs[f"by {method}"] = partial(one_method, chosen, means)
    for name, group in by_slice([work for work in works if work.decision.method == "hybrid"]).items():
        jobs[f"from {name} on"] = _Slice(group, means).deploy
    done, failed = means.each(list(jobs), lambda name: jobs[name]())
    for error in failed.values():
        raise error  # each tells of its own hosts' failures in what it returns
    whole = Deployed({}, {})
    for deployed in done.values():
        whole.results.update(deployed.results)
        whole.failed.update(deployed.failed)
    return whole


@dataclass
class _Journey:
    """One host on its way through the segments."""

    work: HostWork
    state: HostState = field(default_factory=HostState)
    records: list[TaskRecord] = field(default_factory=list)
    error: str | None = None
    refused: BaseException | None = None
    """What kept the first segment from beginning."""
    seconds: float = 0.0
    handled: set[str] = field(default_factory=set)
    """The handlers of the present play that have run."""

    @property
    def goes_on(self) -> bool:
        if self.error is not None or self.refused is not None:
            return False
        return not any(record.status == "failed" and not record.ignored for record in self.records)

    def fail(self, error: BaseException) -> None:
        if not self.records and isinstance(error, HarnessError):
            self.refused = error
        else:
            self.error = message_of(error, self.work.host)


class _Slice:
    """The hosts of one slice."""

    def __init__(self, works: Sequence[HostWork], means: Means) -> None:
        self._journeys = {work.host: _Journey(work) for work in works}
        self._payload: Payload = works[0].payload
        self._means = means

    def deploy(self) -> Deployed:
        for play, segments in groupby(segments_of(self._payload), key=lambda segment: segment.play):
            for segment in segments:
                if segment.tasks:
                    self._run(segment, self._on_their_way())
            self._run_handlers(play, self._payload.plays[play])
        deployed = Deployed({}, {})
        for host, journey in self._journeys.items():
            if journey.refused is not None:
                deployed.failed[host] = journey.refused
            else:
                deployed.results[host] = _result(journey)
        return deployed

    def _on_their_way(self) -> list[_Journey]:
        return [journey for journey in self._journeys.values() if journey.goes_on]

    def _run_handlers(self, index: int, play: PayloadPlay) -> None:
        """Those that were notified, in the order in which they are defined; hosts may differ in which."""
        while True:
            steps: dict[tuple[Carrier, tuple[str, ...]], list[_Journey]] = {}
            for journey in self._on_their_way():
                step = next_handlers(play, journey.state.notified, journey.handled)
                if step is not None:
                    steps.setdefault(step, []).append(journey)
                    journey.handled.update(step[1])
            if not steps:
                break
            for (method, handlers), journeys in steps.items():
                self._run(Segment(method, index, handlers=handlers), journeys)
        for journey in self._journeys.values():
            journey.handled.clear()
            journey.state.notified.clear()

    def _run(self, segment: Segment, journeys: Sequence[_Journey]) -> None:
        if not journeys:
            return
        (self._by_ansible if segment.method == "ssh" else self._by_binary)(segment, journeys)

    def _by_binary(self, segment: Segment, journeys: Sequence[_Journey]) -> None:
        of_host = {journey.work.host: journey for journey in journeys}
        _, failed = self._means.each(list(of_host), lambda host: self._part(segment, of_host[host]))
        for host, error in failed.items():
            of_host[host].fail(error)

    def _part(self, segment: Segment, journey: _Journey) -> None:
        work, means = journey.work, self._means
        assert work.binary is not None
        part = {
            "play": segment.play,
            "tasks": list(segment.tasks),
            "handlers": list(segment.handlers),
            "registered": journey.state.registered,
            "facts": journey.state.facts,
        }

        def recorded(record: TaskRecord) -> None:
            journey.records.append(record)
            means.on_record(work.host, record)

        job = replace(binary_run(work, means), part=part, on_state=journey.state.take, on_record=recorded, again=True)
        started = time.monotonic()
        result = run_binary(job, deadline=means.deadline, cancellation=means.cancellation)
        journey.seconds += time.monotonic() - started
        journey.error = result.error

    def _by_ansible(self, segment: Segment, journeys: Sequence[_Journey]) -> None:
        whole = bool(segment.tasks and segment.handlers)
        excerpt = Excerpt(
            segment.play,
            frozenset(segment.tasks),
            frozenset(segment.handlers) if whole else frozenset(),
            () if whole else segment.handlers,
        )
        states = {journey.work.host: journey.state for journey in journeys}
        try:
            runs = run_by_ansible(
                [journey.work for journey in journeys], self._means, excerpts=[excerpt], states=states
            )
        except Interrupted:
            raise
        except HarnessError as error:
            for journey in journeys:
                journey.fail(error)
            return
        for journey in journeys:
            run = runs[journey.work.host]
            journey.records += run.records
            journey.error = run.error
            journey.seconds += run.seconds


def next_handlers(
    play: PayloadPlay, notified: dict[str, None], handled: set[str]
) -> tuple[Carrier, tuple[str, ...]] | None:
    """The handlers to run next, by one method. Behind one that may notify others it has to be asked again."""
    waiting = [one for one in play.handlers if one.task_id in notified and one.task_id not in handled]
    chosen: list[str] = []
    carrier: Carrier = "binary"
    for handler in waiting:
        own: Carrier = "ssh" if handler.lacking else "binary"
        if chosen and own != carrier:
            break
        carrier = own
        chosen.append(handler.task_id)
        if handler.notify:
            break
    return (carrier, tuple(chosen)) if chosen else None


def _result(journey: _Journey) -> HostExecutionResult:
    work = journey.work
    decision = DecisionRecord(method="hybrid", reasons=list(work.decision.reasons), route=route(work))
    return HostExecutionResult(
        host=work.host,
        task_results=[task_result(record) for record in journey.records],
        deployment_method="hybrid",
        execution_time=journey.seconds,
        error=journey.error,
        decisions=[decision],
    )
