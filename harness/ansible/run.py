"""What others call to run a playbook, and what it takes and gives."""

from __future__ import annotations

import sys

from harness.ansible.job import AnsibleFailed, AnsibleHost, HostStats, PlaybookJob, PlaybookRun, TaskEvent, TaskOutcome

if sys.platform != "win32":
    from harness.ansible.playbook import run_playbook
else:
    from collections.abc import Callable

    from harness.cancellation import Cancellation
    from harness.deadline import Deadline

    def run_playbook(
        job: PlaybookJob,
        *,
        deadline: Deadline,
        cancellation: Cancellation,
        on_event: Callable[[TaskEvent], None] = lambda event: None,
        on_line: Callable[[str], None] = lambda line: None,
    ) -> PlaybookRun:
        raise AnsibleFailed("Ansible does not run on Windows", hint="run the harness in WSL")


__all__ = [
    "AnsibleFailed",
    "AnsibleHost",
    "HostStats",
    "PlaybookJob",
    "PlaybookRun",
    "TaskEvent",
    "TaskOutcome",
    "run_playbook",
]
