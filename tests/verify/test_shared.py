"""The shared suite passes on a healthy platform, and each of its tests notices what it is there for."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.connections.base import Connection
from harness.models.endpoint import Endpoint
from harness.models.verification import VerifyHost, VerifyJob
from harness.verify import run_verify

SUITE = Path(__file__).parents[2] / "verify" / "test_common.py"

HARM = """
touch /etc/open; chmod 0666 /etc/open
chmod 0644 /etc/shadow
echo toor:x:0:0::/root:/bin/sh >> /etc/passwd
chmod 0777 /tmp
"""


@pytest.mark.sandbox
def test_healthy_and_harmed(sandboxes: dict[str, Endpoint], sandbox: Connection, tmp_path: Path) -> None:
    job = VerifyJob(
        scenario="default",
        hosts=[VerifyHost(platform=name, endpoint=endpoint) for name, endpoint in sandboxes.items()],
        directory=tmp_path / "none",
        additional=[SUITE],
    )
    assert sandbox.run(HARM).ok
    outcome = run_verify(job, workdir=tmp_path / "work")
    found = {result.check.split("::")[-1]: result.outcome for result in outcome.suite}
    assert [name for name, state in found.items() if state == "failed"] == [
        "test_etc_is_not_writable_for_everybody[node1]",
        "test_secrets_of_accounts_are_not_readable_for_everybody[node1]",
        "test_every_account_has_its_own_number[node1]",
        "test_temporary_folders_are_sticky[node1]",
    ]
    healthy = {name: state for name, state in found.items() if "[node2]" in name}
    assert set(healthy.values()) <= {"passed", "skipped"}, outcome.suite
    assert "passed" in healthy.values()
