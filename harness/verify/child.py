"""The one pytest child process of a verify step: started, listened to, ended, and what it found."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO
from xml.sax.saxutils import escape

from harness.cancellation import Cancellation
from harness.deadline import Deadline
from harness.errors import HarnessError, InvalidInput, Problem
from harness.lifecycle.secrets import Mask
from harness.models.verification import VerifyJob, VerifyOutcome
from harness.verify.arguments import JUNIT, chosen_tests, command_line
from harness.verify.findings import outcome_of
from harness.verify.plan_checks import checks_of, unchecked_of
from harness.verify.records import RECORDS
from harness.verify.session import JOB, LIFELINE

LOG = "verify.log"
_IN_ATTRIBUTES = {'"': "&quot;", "\n": "&#10;", "\r": "&#13;", "\t": "&#09;"}
"""As xml.etree writes an attribute."""
_GRACE = 5.0
"""Seconds that pytest has to end by itself after an interrupt."""

_OURS = ("PYTEST_CURRENT_TEST", "PYTEST_XDIST_WORKER", "PYTEST_XDIST_WORKER_COUNT", "PYTEST_XDIST_TESTRUNUID")
"""What another pytest around this one leaves in the environment: not for the child."""


def run_verify(
    job: VerifyJob,
    *,
    workdir: Path,
    on_line: Callable[[str], None] | None = None,
    deadline: Deadline | None = None,
    cancellation: Cancellation | None = None,
) -> VerifyOutcome:
    """Run `job` in one pytest child process; its records, `verify.log` and `junit.xml` stay in `workdir`.

    `on_line` gets every line of output as it comes, secrets masked. When `deadline` passes, or `cancellation` is
    called, pytest is interrupted and what was found so far comes back. Raises InvalidInput for expectations that
    cannot be met and tests that are missing, HarnessError when pytest refuses its arguments.
    """
    job = _completed(job)
    checks = checks_of(job)
    workdir.mkdir(parents=True, exist_ok=True)
    mask = Mask(job.secrets)
    (workdir / RECORDS).unlink(missing_ok=True)
    with _job_file(job, workdir) as path:
        child = _Child(command_line(job, workdir), _environment(job, path), _folder(job, workdir))
        tail = child.listen(workdir / LOG, mask, on_line, deadline, cancellation)
    _mask_junit(workdir / JUNIT, job.secrets)
    return outcome_of(
        workdir,
        rc=child.rc,
        tail=tail,
        stopped=child.stopped,
        unchecked=unchecked_of(job, checks),
    )


def _completed(job: VerifyJob) -> VerifyJob:
    """Absolute paths, and without the checks where only certain tests were asked for."""
    missing = [path for path in job.additional if not path.exists()]
    if missing:
        problems = [Problem("verifier.additional_files_or_dirs", f"{path} does not exist") for path in missing]
        raise InvalidInput("tests to run", problems)
    update: dict[str, object] = {
        "directory": job.directory.absolute(),
        "additional": [path.absolute() for path in job.additional],
    }
    if chosen_tests(job):
        update |= {"expected": [], "derive_from_plan": False}
    return job.model_copy(update=update)


def _folder(job: VerifyJob, workdir: Path) -> Path:
    candidates = [job.cwd, job.directory.parent, workdir]
    return next(folder for folder in candidates if folder is not None and folder.is_dir())


def _environment(job: VerifyJob, path: Path) -> dict[str, str]:
    environment = {name: value for name, value in os.environ.items() if name not in _OURS}
    return {**environment, **job.env, JOB: str(path), "PYTHONUNBUFFERED": "1"}


@contextmanager
def _job_file(job: VerifyJob, workdir: Path) -> Iterator[Path]:
    """The job as JSON; it may hold secrets, so nobody else reads it, and it goes when pytest has ended."""
    path = workdir.absolute() / "verify-job.json"
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(job.model_dump_json(by_alias=True))
    try:
        yield path
    finally:
        path.unlink(missing_ok=True)


class _Child:
    """pytest in a session of its own: a Ctrl-C at the terminal reaches it through us, once, and it takes all
    that its tests started with it."""

    def __init__(self, command: list[str], environment: dict[str, str], folder: Path) -> None:
        self.stopped: str | None = None
        """Why it was stopped before its end, in words."""
        self.rc = 0
        self._held: int | None = None
        handed: tuple[int, ...] = ()
        if sys.platform != "win32":
            ours, self._held = os.pipe()
            handed = (ours,)
            environment = {**environment, LIFELINE: str(ours)}
        try:
            self._process = subprocess.Popen(
                command,
                cwd=folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                start_new_session=sys.platform != "win32",
                pass_fds=handed,
            )
        except OSError as error:
            raise HarnessError(f"pytest could not be started: {error}") from error
        finally:
            for descriptor in handed:
                os.close(descriptor)

    def listen(
        self,
        log: Path,
        mask: Mask,
        on_line: Callable[[str], None] | None,
        deadline: Deadline | None,
        cancellation: Cancellation | None,
    ) -> str:
        """Until it ends; returns its last words. Whatever is raised here ends it first."""
        with ExitStack() as stack:
            stack.callback(self._close)
            output = stack.enter_context(log.open("w", encoding="utf-8"))
            if deadline is not None:
                timer = threading.Timer(
                    deadline.remaining(), lambda: self.stop(f"it did not end within {deadline.seconds:g} seconds")
                )
                timer.daemon = True
                timer.start()
                stack.callback(timer.cancel)
            if cancellation is not None:
                stack.enter_context(cancellation.stopping(lambda: self.stop("it was called off")))
            assert self._process.stdout is not None
            return self._read(self._process.stdout, output, mask, on_line)

    def stop(self, why: str) -> None:
        """Interrupt it; kill it when it has not ended after the grace."""
        if self.stopped is None:
            self.stopped = why
            self._signal("SIGINT")
            killer = threading.Timer(_GRACE, lambda: self._signal("SIGKILL"))
            killer.daemon = True
            killer.start()

    def _read(self, stdout: IO[bytes], output: IO[str], mask: Mask, on_line: Callable[[str], None] | None) -> str:
        tail: list[str] = []
        for raw in stdout:
            line = mask.text(raw.decode(errors="backslashreplace").rstrip("\r\n"))
            output.write(line + "\n")
            tail = [*tail[-79:], line]
            if on_line is not None:
                on_line(line)
        self.rc = self._process.wait()
        return "\n".join(tail)

    def _close(self) -> None:
        """Nothing of it is left when this returns."""
        if self._process.poll() is None:
            self.stop("it was interrupted")
            try:
                self._process.wait(_GRACE)
            except subprocess.TimeoutExpired:
                self._signal("SIGKILL")
                self._process.wait()
        self.rc = self._process.returncode
        if self._process.stdout is not None:
            self._process.stdout.close()
        if self._held is not None:
            os.close(self._held)
            self._held = None

    def _signal(self, name: str) -> None:
        if sys.platform == "win32":
            self._process.terminate()
            return
        if self._process.returncode is None:
            try:
                os.killpg(self._process.pid, signal.Signals[name])
            except ProcessLookupError:
                return


def _mask_junit(path: Path, secrets: list[str]) -> None:
    """pytest's own XML file is masked after it is written; values may stand in it escaped."""
    if not secrets or not path.exists():
        return
    forms = [form for value in secrets for form in (value, escape(value), escape(value, _IN_ATTRIBUTES))]
    masked = Mask(forms).text(path.read_text(encoding="utf-8"))
    temporary = path.with_suffix(".new")
    temporary.write_text(masked, encoding="utf-8")
    temporary.replace(path)
