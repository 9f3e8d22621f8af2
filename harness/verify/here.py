"""The checks of a job judged in this very process: without pytest, and so without tests of the user's own."""

from __future__ import annotations

from collections.abc import Callable

from harness.connections.base import Connection
from harness.models.verification import VerifyJob
from harness.verify.checks import Check, Verdict
from harness.verify.looks import Looks
from harness.verify.plan_checks import checks_of


def judge(job: VerifyJob, connect: Callable[[str], Connection]) -> list[tuple[Check, Verdict]]:
    """Every check with its verdict. `connect` gives the connection to a host.

    Raises InvalidInput for expectations that cannot be met, TransportFailed for a host that cannot be reached."""
    checks = checks_of(job)
    looks = Looks(checks, connect)
    looks.begin(check.host for check in checks)
    return [(check, check.question.judge(looks.of(check.host))) for check in checks]
