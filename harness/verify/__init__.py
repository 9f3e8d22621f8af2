"""Verify: testinfra over harness connections, checks from expectations and from the plan.

`run_verify` is the way in. Nothing heavy is imported here: every pytest run of this environment passes by.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from harness.cancellation import Cancellation
    from harness.deadline import Deadline
    from harness.models.verification import VerifyJob, VerifyOutcome
    from harness.verify.process import Standby

JOB = "HARNESS_VERIFY_JOB"
"""The environment variable that tells a verify child its job."""


def run_verify(
    job: VerifyJob,
    *,
    workdir: Path,
    on_line: Callable[[str], None] | None = None,
    deadline: Deadline | None = None,
    cancellation: Cancellation | None = None,
    standby: Standby | None = None,
) -> VerifyOutcome:
    """Run one pytest child process over `job`; see `harness.verify.child.run_verify`."""
    from harness.verify.child import run_verify as run

    return run(job, workdir=workdir, on_line=on_line, deadline=deadline, cancellation=cancellation, standby=standby)
