"""Which modules the Ansible of this machine has."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Collection
from pathlib import Path

from harness.ansible.environment import environment
from harness.ansible.find import find_command
from harness.ansible.job import AnsibleFailed

_SECONDS = 120.0


def unknown_modules(names: Collection[str]) -> set[str]:
    """Those of `names` that no playbook could call here. Raises AnsibleFailed where Ansible is missing or mute."""
    with tempfile.TemporaryDirectory(prefix="harness-doc-") as folder:
        try:
            done = subprocess.run(
                [find_command("ansible-doc"), "--type", "module", "--json", *sorted(names)],
                env=environment(Path(folder), {}),
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=_SECONDS,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise AnsibleFailed(f"ansible-doc could not tell which modules there are: {error}") from error
    # An unknown module is a warning there, not an error; one that has no documentation is known all the same.
    said = " ".join(done.stderr.split())
    return {name for name in names if f" {name} was not found" in said}
