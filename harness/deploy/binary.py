"""Push a binary to a host, check it there, run it, and take its folder away again."""

from __future__ import annotations

import hashlib
import json
import shlex
import struct
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from harness.cancellation import Cancellation
from harness.connections.base import Connection, Process
from harness.deadline import Deadline
from harness.deploy.records import Transcript
from harness.errors import CommandTimedOut, DeployFailed, HarnessError, TransportFailed
from harness.models.results import CompilationResult, HostExecutionResult
from harness.models.runner import StateRecord, TaskRecord

_FOLDER_SCRIPT = """
umask 077
why=
for base in "${TMPDIR:-/tmp}" /var/tmp /run "${HOME:-/root}"; do
    folder=$(mktemp -d "$base/harness-XXXXXXXXXX" 2>&1) || { why="$why, $base: ${folder##*: }"; continue; }
    probe=$folder/probe
    said=$({ printf '#!/bin/sh\\nexit 0\\n' | cat > "$probe" && chmod 700 "$probe" && "$probe"; } 2>&1) && {
        rm -f "$probe"; printf %s "$folder"; exit 0; }
    why="$why, $base: ${said##*: }"
    rm -rf "$folder"
done
echo "nowhere may a program be written and run (${why#, })" >&2
exit 1
"""
"""/tmp is often mounted noexec: a folder counts once a program has run in it."""

_TAIL = 30.0
"""Seconds for the clean-up on the host."""
_LATE = 3.0
"""Seconds for anything there after the deadline of the run itself: the host may stand still."""


@dataclass(frozen=True, slots=True)
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


def run_binary(job: BinaryRun, *, deadline: Deadline, cancellation: Cancellation) -> HostExecutionResult:
    """Do it. Raises DeployFailed when the binary could not be brought there whole; the rest is in the result."""
    with _folder(job, deadline) as folder:
        path = f"{folder}/runner"
        _push(job, path, deadline)
        return _run(job, path, deadline, cancellation)


@contextmanager
def _folder(job: BinaryRun, deadline: Deadline) -> Iterator[str]:
    """An unguessable folder of mode 0700 on the host, removed with all that is in it whatever happens."""
    try:
        made = job.connection.run(["/bin/sh", "-c", _FOLDER_SCRIPT], timeout=_within(deadline))
    except HarnessError as error:
        raise DeployFailed(f"{job.host}: no folder for the binary: {error.message}", hint=error.hint) from error
    folder = made.out.strip()
    if not made.ok or not folder.startswith("/"):
        raise DeployFailed(
            f"{job.host}: no folder for the binary: {made.err.strip() or f'exit status {made.rc}'}",
            hint="give the platform a folder that is writable and not mounted noexec, or set TMPDIR in it",
        )
    try:
        yield folder
    finally:
        # The host may be gone by now; then the folder is gone with it, or the first failure has already said so.
        with suppress(HarnessError):
            job.connection.run(["rm", "-rf", folder], timeout=_LATE if deadline.expired() else _TAIL)


def _push(job: BinaryRun, path: str, deadline: Deadline) -> None:
    size = job.binary.binary_size
    started = time.monotonic()
    job.on_pushing()
    try:
        job.connection.push(job.binary.binary_path, path, mode=0o700)
        arrived = _sha256(job.connection, path, deadline)
    except (HarnessError, OSError) as error:
        hint = error.hint if isinstance(error, HarnessError) else None
        raise DeployFailed(f"{job.host}: the binary ({size} bytes) could not be pushed: {error}", hint=hint) from error
    if arrived != job.binary.sha256:
        raise DeployFailed(
            f"{job.host}: the binary arrived damaged: sha256 {arrived}, but {job.binary.sha256} was sent",
            hint="something between here and the host changes files; nothing was run",
        )
    job.on_event(f"pushed {size / 1e6:.1f} MB in {(time.monotonic() - started) * 1000:.0f} ms")


def _sha256(connection: Connection, path: str, deadline: Deadline) -> str:
    quoted = shlex.quote(path)
    command = (
        f"sha256sum {quoted} 2>/dev/null || shasum -a 256 {quoted} 2>/dev/null || openssl dgst -r -sha256 {quoted}"
    )
    told = connection.run(["/bin/sh", "-c", command], timeout=_within(deadline))
    digest = told.out.split()[0].lstrip("\\") if told.ok and told.out.split() else ""
    # A host without any of the three: fetch it back and look at it here.
    return digest if len(digest) == 64 else hashlib.sha256(connection.read(path)).hexdigest()


def _run(job: BinaryRun, path: str, deadline: Deadline, cancellation: Cancellation) -> HostExecutionResult:
    transcript = Transcript(mask=job.mask, on_state=job.on_state or (lambda record: None))
    started = time.monotonic()
    error: str | None
    try:
        process = job.connection.start(
            [path, "--host", job.host, *_state(job), *job.arguments],
            stdin=bool(job.secrets) or job.part is not None,
            env=job.env or None,
            cwd="/",
        )
        with process, _killed_at(deadline, process) as late, cancellation.stopping(process.kill):
            job.on_event("running")
            rc, stderr = _listen(job, process, transcript)
            error = transcript.verdict(rc, str(job.mask(stderr)))
        if late.is_set():
            where = f" in task {transcript.running!r}" if transcript.running else ""
            error = f"not done after {deadline}{where}: the runner was killed"
        if error is not None and transcript.report is None:
            error += _silence(job)
    except TransportFailed as failure:
        error = f"the connection broke while the runner was at work: {failure.message}"
        if not transcript.tasks and transcript.running is None:
            raise
    if transcript.running is not None:
        job.on_interrupted(transcript.running)
    return HostExecutionResult(
        host=job.host,
        task_results=transcript.results(),
        deployment_method="binary",
        execution_time=time.monotonic() - started,
        error=error,
    )


def _silence(job: BinaryRun) -> str:
    """What is to be said of a host that has not brought its run to an end: nothing while it answers."""
    try:
        job.connection.run(["true"], timeout=_LATE)
    except CommandTimedOut:
        return "\nthe platform does not answer any more: it stands still, or nothing gets through to it"
    except HarnessError as error:
        return f"\nthe platform cannot be reached any more: {error.message}"
    return ""


def _listen(job: BinaryRun, process: Process, transcript: Transcript) -> tuple[int, str]:
    frames = [one for one in (job.secrets or None, job.part) if one is not None]
    if frames:
        # A runner that ended before it read them tells why by its exit status.
        with suppress(TransportFailed):
            process.write(b"".join(_frame(one) for one in frames))
            process.close_stdin()
    for line in process.lines():
        record = transcript.feed(line)
        if record is not None:
            job.on_record(record)
        elif transcript.running is not None:
            job.on_start(transcript.running)
    ended = process.wait(_TAIL)
    return ended.rc, ended.err


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
