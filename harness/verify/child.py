"""A verify step: one pytest child process, and what it found."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from harness.atomic import write_atomically
from harness.cancellation import Cancellation
from harness.deadline import Deadline
from harness.errors import InvalidInput, Problem
from harness.models.verification import VerifyJob, VerifyOutcome
from harness.secrets import Mask
from harness.verify import JOB
from harness.verify.arguments import JUNIT, JUNIT_OPTIONS, chosen_tests, pytest_arguments
from harness.verify.findings import outcome_of
from harness.verify.plan_checks import checks_of, unchecked_of
from harness.verify.process import Child, Standby
from harness.verify.records import RECORDS

LOG = "verify.log"
_IN_ATTRIBUTES = {'"': "&quot;", "\n": "&#10;", "\r": "&#13;", "\t": "&#09;"}
"""As xml.etree writes an attribute."""
_OURS = ("PYTEST_CURRENT_TEST", "PYTEST_XDIST_WORKER", "PYTEST_XDIST_WORKER_COUNT", "PYTEST_XDIST_TESTRUNUID")
"""What another pytest around this one leaves in the environment: not for the child."""


def run_verify(
    job: VerifyJob,
    *,
    workdir: Path,
    on_line: Callable[[str], None] | None = None,
    deadline: Deadline | None = None,
    cancellation: Cancellation | None = None,
    standby: Standby | None = None,
) -> VerifyOutcome:
    """Run `job` in one pytest child process; its records, `verify.log` and `junit.xml` stay in `workdir`.

    `on_line` gets every line of output as it comes, secrets masked. When `deadline` passes, or `cancellation` is
    called, pytest is interrupted and what was found so far comes back. `standby` is a child that was started
    before. Raises InvalidInput for expectations that cannot be met and tests that are missing, HarnessError when
    pytest refuses its arguments.
    """
    job = _completed(job)
    checks = checks_of(job)
    workdir.mkdir(parents=True, exist_ok=True)
    (workdir / RECORDS).unlink(missing_ok=True)
    with _job_file(job, workdir) as path:
        ended = _child(job, standby).run(
            pytest_arguments(job, workdir),
            _environment(job, path),
            _folder(job, workdir),
            log=workdir / LOG,
            mask=Mask(job.secrets),
            on_line=on_line,
            deadline=deadline,
            cancellation=cancellation,
        )
    _mask_junit(workdir / JUNIT, job.secrets)
    _copy_junit(workdir / JUNIT, job, _folder(job, workdir))
    return outcome_of(
        workdir,
        rc=ended.rc,
        tail=ended.tail,
        stopped=ended.stopped,
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
    return {**environment, **job.env, JOB: str(path)}


def _child(job: VerifyJob, standby: Standby | None) -> Child:
    """What Python reads as it starts (PYTHONPATH) has to be there then: the interpreter itself is told no later."""
    if any(name.startswith("PYTHON") for name in job.env):
        return Child({**os.environ, **job.env})
    return standby.take() if standby is not None else Child()


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


def _copy_junit(path: Path, job: VerifyJob, folder: Path) -> None:
    """To where the scenario wants it, relative to where pytest runs; masked, as ours is."""
    for name in JUNIT_OPTIONS:
        wanted = job.options.get(name)
        if isinstance(wanted, str) and path.exists():
            write_atomically(folder / wanted, path.read_text(encoding="utf-8"))


def _mask_junit(path: Path, secrets: list[str]) -> None:
    """pytest's own XML file is masked after it is written; values may stand in it escaped."""
    if not secrets or not path.exists():
        return
    from xml.sax.saxutils import escape  # it imports urllib and, with it, ssl

    forms = [form for value in secrets for form in (value, escape(value), escape(value, _IN_ATTRIBUTES))]
    masked = Mask(forms).text(path.read_text(encoding="utf-8"))
    write_atomically(path, masked)
