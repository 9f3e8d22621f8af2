"""Where Ansible is."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from harness.ansible.job import AnsibleFailed

HINT = "pip install 'harness-e2e[ansible]'"


def find_command(name: str) -> Path:
    """`ansible-playbook`, `ansible-galaxy` ...: beside our own Python, then on PATH. Raises AnsibleFailed."""
    beside = Path(sys.executable).parent / name
    found = str(beside) if beside.is_file() else shutil.which(name)
    if found is None:
        raise AnsibleFailed(f"there is no {name}, neither beside {sys.executable} nor on PATH", hint=HINT)
    return Path(found).absolute()
