"""Push a binary to a host, check it there, run it, and take its folder away again."""

from __future__ import annotations

import json
import struct
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from harness.cancellation import Cancellation
from harness.connections.base import Connection, Process
from harness.deadline import Deadline
from harness.deploy.delivery import Delivery
from harness.deploy.records import Ending, Transcript
from harness.errors import CommandTimedOut, DeployFailed, HarnessError, TransportFailed
from harness.models.results import CompilationResult, HostExecutionResult
from harness.models.runner import Payload, StateRecord, TaskRecord

if TYPE_CHECKING:
    from harness.deploy.foreign import Overheard

_TAIL = 30.0
"""Seconds for the clean-up on the host."""
_LATE = 2.0
"""Seconds for anything there after the deadline of the run itself: the host may stand still."""


@dataclass(frozen=True)
class BinaryRun:
    """One binary for one host. `mask` hides secrets in a JSON value; `secrets` go to the runner's stdin."""

    host: str
    connection: Connection
    binary: CompilationResult
    arguments: tuple[str, ...] = ()
    secrets: Mapping[str, str] = field(default_factory=dict)
    env: Mapping[str, str] = field(default_factory=dict)
    mask: Callable[[Any], Any] = lambda value: value
    on_event: Callable[[str], None] = lambda message: None
    on_pushing: Callable[[], None] = lambda: None
    on_start: Callable[[str], None] = lambda task_id: None
    on_record: Callable[[TaskRecord], None] = lambda record: None
    on_state: Callable[[StateRecord], None] | None = None
    """When set, the runner tells what each task leaves to later ones, whole: it is shown to nobody."""
    part: Mapping[str, Any] | None = field(default=None, repr=False)
    """Only this of the plan (docs/runner-contract.md, "Parts"); wants `on_state`."""
    on_interrupted: Callable[[str], None] = lambda task_id: None
    """Told the task that had begun and not ended when the runner did."""
    records: bool = False
    """The runner is to keep what it writes on the host, until it has been heard to its end."""
    on_ended: Callable[[Ending], None] = lambda ending: None
    """Told how a runner of our contract ended, once it has."""
    on_left: Callable[[str], None] = lambda folder: None
    """Told the folder on the host in which the runner may still be at work, before that is removed."""
    again: bool = True
    """Whether this run may want the same binary there once more."""
    payload: Payload | None = None
    """What it carries; a runner that is not ours tells less than that."""
    on_line: Callable[[str], None] = lambda line: None
    """Told what such a runner writes."""


def run_binary(job: BinaryRun, *, deadline: Deadline, cancellation: Cancellation) -> HostExecutionResult:
    """Do it. Raises DeployFailed when the binary could not be brought there whole; the rest is in the result."""
    delivery = Delivery(
        host=job.host,
        connection=job.connection,
        binary=job.binary,
        arguments=["--host", job.host, *_state(job), *job.arguments] if job.binary.results == "runner" else [],
        stdin=bool(_frames(job)),
        env=job.env,
        on_pushing=job.on_pushing,
        records=job.records,
        keep=job.again,
        watched=job.binary.results != "runner",
    )
    try:
        with (
            _hearing(job, deadline, cancellation) as hearing,
            _begun(job, delivery, deadline) as process,
            _killed_at(deadline, process) as late,
            cancellation.stopping(process.kill),
        ):
            _settle(job, delivery, process, late, deadline)
            return _run(job, delivery, process, late, deadline, hearing)
    finally:
        if delivery.loose:
            job.on_left(delivery.folder)
        delivery.close(min(_TAIL, max(_LATE, deadline.remaining())))


def _hearing(
    job: BinaryRun, deadline: Deadline, cancellation: Cancellation
) -> AbstractContextManager[Transcript | Overheard]:
    """What makes results of what the binary tells."""
    if job.binary.results == "runner":
        return nullcontext(Transcript(mask=job.mask, on_state=job.on_state or (lambda record: None)))
    from harness.deploy.foreign import overheard

    assert job.payload is not None
    return overheard(
        job.payload,
        job.connection,
        job.binary.report_url,
        mask=job.mask,
        on_line=job.on_line,
        on_record=job.on_record,
        on_event=job.on_event,
        deadline=deadline,
        cancellation=cancellation,
    )


def _begun(job: BinaryRun, delivery: Delivery, deadline: Deadline) -> Process:
    try:
        _within(deadline)
        return delivery.begin()
    except HarnessError as error:
        raise _unpushed(job, error) from error


def _unpushed(job: BinaryRun, error: HarnessError) -> DeployFailed:
    return DeployFailed(f"{job.host}: the binary could not be pushed: {error.of(job.host)}", hint=error.hint)


def _settle(job: BinaryRun, delivery: Delivery, process: Process, late: threading.Event, deadline: Deadline) -> None:
    started = time.monotonic()
    try:
        delivery.settle(process)
    except HarnessError as error:
        if late.is_set():
            words = f"{job.host}: the binary ({job.binary.binary_size} bytes) could not be pushed"
            raise DeployFailed(f"{words}: not done after {deadline}{_silence(job)}") from error
        told = error if isinstance(error, DeployFailed) else _unpushed(job, error)
        raise DeployFailed(f"{told.message}{_silence(job)}", hint=told.hint) from error
    took = f"{(time.monotonic() - started) * 1000:.0f} ms"
    if delivery.skipped:
        job.on_event(f"the very same binary is there already (checked in {took})")
    else:
        job.on_event(f"pushed {job.binary.binary_size / 1e6:.1f} MB in {took}")


def _run(
    job: BinaryRun,
    delivery: Delivery,
    process: Process,
    late: threading.Event,
    deadline: Deadline,
    transcript: Transcript | Overheard,
) -> HostExecutionResult:
    started = time.monotonic()
    error: str | None
    try:
        job.on_event("running")
        rc, stderr = _listen(job, delivery, process, transcript)
        if rc < 128:  # else it may have been killed with its script
            delivery.ended()
        error = transcript.verdict(rc, str(job.mask(stderr)))
        if isinstance(transcript, Transcript):
            leaks = [*transcript.leaks, *(["its stderr"] if job.mask(stderr) != stderr else [])]
            job.on_ended(Ending(rc, transcript.report, tuple(leaks)))
    except TransportFailed as failure:
        words = failure.of(job.host)
        why = words.rpartition(" ran: ")[2] if words.startswith("the connection broke while ") else words
        error = f"the connection broke while the runner was at work: {why}"
        if not transcript.tasks and transcript.running is None and not late.is_set():
            raise
    if late.is_set():
        where = f" in task {transcript.running!r}" if transcript.running else ""
        error = f"not done after {deadline}{where}: the runner was killed"
    if error is not None:
        error += "" if transcript.complete else _silence(job)
        error += "\nit had deleted itself" if delivery.gone else ""
    elif delivery.gone:
        job.on_event("the runner deleted itself")
    if transcript.running is not None:
        job.on_interrupted(transcript.running)
    return HostExecutionResult(
        host=job.host,
        task_results=transcript.results(),
        deployment_method="binary",
        execution_time=time.monotonic() - started,
        error=error,
        results=job.binary.results,
    )


def _silence(job: BinaryRun) -> str:
    """What is to be said of a host that has not brought its run to an end: nothing while it answers."""
    try:
        job.connection.run(["true"], timeout=_LATE)
    except CommandTimedOut:
        return "\nthe platform does not answer any more: it stands still, or nothing gets through to it"
    except HarnessError as error:
        return f"\nthe platform cannot be reached any more: {error.of(job.host)}"
    return ""


def _listen(
    job: BinaryRun, delivery: Delivery, process: Process, transcript: Transcript | Overheard
) -> tuple[int, str]:
    frames = _frames(job)
    if frames:
        # A runner that ended before it read them tells why by its exit status.
        with suppress(TransportFailed):
            process.write(b"".join(_frame(one) for one in frames))
            if not job.records:
                process.close_stdin()
    for line in process.lines():
        if delivery.heard(line, process):
            continue
        record = transcript.feed(line)
        if record is not None:
            job.on_record(record)
        elif transcript.running:
            job.on_start(transcript.running)
    ended = process.wait(_TAIL)
    return ended.rc, ended.err


def _frames(job: BinaryRun) -> list[Mapping[str, Any]]:
    """What the runner is given on its stdin."""
    return [one for one in (job.secrets or None, job.part) if one is not None]


def _state(job: BinaryRun) -> list[str]:
    if job.part is not None:
        return ["--part"]
    return ["--state"] if job.on_state is not None else []


def _frame(value: Mapping[str, Any]) -> bytes:
    data = json.dumps(dict(value)).encode()
    return struct.pack(">I", len(data)) + data


@contextmanager
def _killed_at(deadline: Deadline, process: Process) -> Iterator[threading.Event]:
    """Kill the process when the deadline passes; the event tells whether that was so."""
    late = threading.Event()

    def kill() -> None:
        late.set()
        process.kill()

    timer = threading.Timer(deadline.remaining(), kill)
    timer.daemon = True
    timer.start()
    try:
        yield late
    finally:
        timer.cancel()


def _within(deadline: Deadline) -> float:
    if deadline.expired():
        raise CommandTimedOut(f"no time is left of {deadline}")
    return deadline.remaining()
