"""Where Ansible is."""

from __future__ import annotations

import os
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


def path_with(command: Path) -> str:
    """PATH for what Ansible or a command of the scenario's starts: where Ansible is, its other tools are found, also
    where the harness was started without its virtual environment being active."""
    folders = os.environ.get("PATH", os.defpath).split(os.pathsep)
    own = str(command.parent)
    return os.pathsep.join(folders if own in folders else [own, *folders])
