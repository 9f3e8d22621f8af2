"""Verify: testinfra over harness connections, checks from expectations and from the plan.

`run_verify` is the way in. Nothing heavy is imported here: every pytest run of this environment passes by.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from harness.models.verification import VerifyJob, VerifyOutcome


def run_verify(job: VerifyJob, *, workdir: Path, on_line: Callable[[str], None] | None = None) -> VerifyOutcome:
    """Run one pytest child process over `job`; see `harness.verify.child.run_verify`."""
    from harness.verify import child

    return child.run_verify(job, workdir=workdir, on_line=on_line)
