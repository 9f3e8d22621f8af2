"""The environment and the configuration file that one run of Ansible sees."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path

from pydantic import JsonValue

import harness
from harness.ansible.find import HINT, find_command, path_with
from harness.ansible.job import AnsibleFailed
from harness.atomic import write_atomically

PLUGINS = Path(harness.__file__).resolve().parent / "ansible" / "plugins"

_DEFAULTS: Mapping[str, JsonValue] = {
    "interpreter_python": "auto_silent",
    "localhost_warning": False,
    # Ansible's own defaults: with ANSIBLE_HOME in a run's folder they would lie there, too.
    "roles_path": "~/.ansible/roles:/usr/share/ansible/roles:/etc/ansible/roles",
    "collections_path": "~/.ansible/collections:/usr/share/ansible/collections",
}
_LARGEST_RESULT = 64 << 20
"""Characters of a result that the callback tells whole; ansible-runner's own limit drops what is larger."""


def environment(folder: Path, extra: Mapping[str, str]) -> dict[str, str]:
    """This process's own environment without its ANSIBLE_* variables, `extra`, and what keeps everything that a run
    writes in `folder`. Raises AnsibleFailed where ansible-runner is missing."""
    env = {name: value for name, value in os.environ.items() if not name.startswith(("ANSIBLE_", "HARNESS_ANSIBLE_"))}
    env |= {
        "PATH": path_with(find_command("ansible-playbook")),
        "ANSIBLE_HOME": str(folder / "home"),
        "ANSIBLE_LOCAL_TEMP": str(folder / "tmp"),
        "ANSIBLE_SSH_CONTROL_PATH_DIR": str(folder / "cp"),
        "ANSIBLE_PERSISTENT_CONTROL_PATH_DIR": str(folder / "pc"),
        "ANSIBLE_GALAXY_CACHE_DIR": str(folder / "galaxy"),
    }
    env |= extra
    env |= {
        "ANSIBLE_NOCOLOR": "1",
        "ANSIBLE_FORCE_COLOR": "0",
        "ANSIBLE_NOCOWS": "1",
        "ANSIBLE_RETRY_FILES_ENABLED": "False",
        "ANSIBLE_STDOUT_CALLBACK": "awx_display",
        "ANSIBLE_CALLBACK_PLUGINS": _joined(extra.get("ANSIBLE_CALLBACK_PLUGINS"), _callbacks()),
        "ANSIBLE_CONNECTION_PLUGINS": _joined(extra.get("ANSIBLE_CONNECTION_PLUGINS"), str(PLUGINS / "connection")),
        "AWX_ISOLATED_DATA_DIR": str(_artifacts(folder)),
        "MAX_EVENT_RES": str(_LARGEST_RESULT),
        "PYTHONUNBUFFERED": "1",
    }
    if sys.platform == "linux":
        env["LC_ALL"] = "C.UTF-8"  # Ansible refuses to start where the encoding is another; and its words stay the same
    return env


def write_config(path: Path, sections: Mapping[str, Mapping[str, JsonValue]]) -> None:
    """An ansible.cfg; the sections win over our few defaults. Raises AnsibleFailed for what none can hold."""
    lines = []
    for section, values in {**sections, "defaults": {**_DEFAULTS, **sections.get("defaults", {})}}.items():
        lines.append(f"[{section}]")
        for name, value in values.items():
            text = _text(value)
            if "\n" in text or "\n" in name:
                raise AnsibleFailed(
                    f"ansible.cfg cannot hold a value of several lines: [{section}] {name}",
                    hint="write it on one line of `config_options`",
                )
            lines.append(f"{name} = {text}")
        lines.append("")
    write_atomically(path, "\n".join(lines))


def _text(value: JsonValue) -> str:
    if isinstance(value, list):
        return ",".join(_text(item) for item in value)
    return "" if value is None else str(value)


def _callbacks() -> str:
    try:
        import ansible_runner
    except ImportError as error:
        raise AnsibleFailed(f"ansible-runner is not installed: {error}", hint=HINT) from error
    return str(Path(ansible_runner.__file__).parent / "display_callback" / "callback")


def _artifacts(folder: Path) -> Path:
    path = folder / "artifacts" / "run"
    (path / "job_events").mkdir(parents=True, exist_ok=True, mode=0o700)
    return path


def _joined(*paths: str | None) -> str:
    return ":".join(path for path in paths if path)
