# ruff: noqa: E402 (on Windows nothing below the assertion exists)
"""Roles and collections that a scenario needs, fetched by ansible-galaxy or by a command of the scenario's."""

from __future__ import annotations

import hashlib
import json
import os
import re
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

assert sys.platform != "win32"

from filelock import FileLock, Timeout
from pydantic import JsonValue

from harness.ansible.find import find_command, path_with
from harness.ansible.job import AnsibleFailed
from harness.ansible.project import Shelf, environment_of, paths
from harness.atomic import write_atomically
from harness.cancellation import Cancellation
from harness.deadline import Deadline
from harness.models.scenario import AnsibleSettings, Scenario
from harness.tool import ToolRun, run_tool

PROJECT_FILES = (
    "requirements.yml",
    "roles/requirements.yml",
    "collections/requirements.yml",
    "tests/requirements.yml",
    "tests/integration/requirements.yml",
    "tests/unit/requirements.yml",
)
"""Where Molecule's prerun looks in a project (ansible_compat's REQUIREMENT_LOCATIONS)."""

_PAUSES = (1.0, 3.0)
"""Seconds before each further try."""
_LAST_WORDS = 40
"""Lines of a tool's own output that an error carries at most."""
_UNREACHABLE = re.compile(
    r"(name or service not known|name resolution|could not resolve|no address associated|network is unreachable"
    r"|no route to host|connection refused|failed to connect|timed out|unknown error when attempting to call galaxy"
    r"|error when getting available|urlopen error|remote end closed|connection reset)",
    re.IGNORECASE,
)
_OFFLINE = (
    "no server that has it could be reached: name a local folder, archive or repository in the requirements, "
    "set ANSIBLE_GALAXY_SERVER in `dependency.env`, or `dependency: {enabled: false}` where it is installed already"
)
_OF_ROLES, _OF_COLLECTIONS = ("role-file", "roles-path"), ("requirements-file", "collections-path")


@dataclass(frozen=True)
class Errand:
    """What bounds the work, and who is told of it."""

    deadline: Deadline
    cancellation: Cancellation
    on_line: Callable[[str], None] = lambda line: None


@dataclass(frozen=True)
class Told:
    rc: int
    words: str
    """The last lines of what it said, stdout and stderr as they came."""


def fetch(scenario: Scenario, errand: Errand, *, force: bool = False) -> list[str]:
    """Do what `dependency` and the project's own requirements ask for. Returns what was done, a line each; nothing
    where there is nothing to do. Raises AnsibleFailed with Ansible's own last words."""
    settings = scenario.provisioner.ansible or AnsibleSettings()
    done: list[str] = []
    with _alone(scenario, errand.deadline):
        if settings.prerun:
            done += _project_requirements(scenario, errand, force=force)
        if settings.dependency.enabled:
            done += (
                _by_shell(scenario, errand)
                if settings.dependency.name == "shell"
                else _by_galaxy(scenario, errand, force=force)
            )
    return done


def _project_requirements(scenario: Scenario, errand: Errand, *, force: bool) -> list[str]:
    done = []
    for name in PROJECT_FILES:
        file = scenario.ref.project / name
        if file.is_file():
            done += _install(scenario, errand, ["install", "--role-file", str(file)], file, force=force)
    return done


def _by_galaxy(scenario: Scenario, errand: Errand, *, force: bool) -> list[str]:
    """Roles first, then collections, each only where its file is there."""
    dependency = (scenario.provisioner.ansible or AnsibleSettings()).dependency
    options = dict(dependency.options)
    done = []
    for command, own, foreign, default in (
        (["install"], _OF_ROLES, _OF_COLLECTIONS, "requirements.yml"),
        (["collection", "install"], _OF_COLLECTIONS, _OF_ROLES, "collections.yml"),
    ):
        written = options.get(own[0])
        file = scenario.ref.project / str(written) if written else scenario.ref.directory / default
        if not file.is_file():
            if written:
                errand.on_line(f"there is no file {file}; nothing is installed from it")
            continue
        given = {key: value for key, value in options.items() if key not in foreign and key != own[0]}
        arguments = [*command, f"--{own[0]}", str(file), *arguments_of(given)]
        done += _install(scenario, errand, arguments, file, force=force or given.get("force") is True)
    return done


def _install(scenario: Scenario, errand: Errand, arguments: list[str], file: Path, *, force: bool) -> list[str]:
    """What has been installed from the same file before is not asked for again."""
    record = Shelf.of(scenario).root / "installed.json"
    known = _read_record(record)
    mark = hashlib.sha256("\0".join([*arguments, file.read_text(errors="replace")]).encode()).hexdigest()
    name = os.path.relpath(file, scenario.ref.project)
    if not force and known.get(name) == mark:
        return [f"{name}: unchanged since it was installed"]
    told = _patiently(scenario, errand, [str(find_command("ansible-galaxy")), *arguments])
    if told.rc != 0:
        hint = _OFFLINE if _UNREACHABLE.search(told.words) else f"is {file} right? See docs/molecule.md"
        raise AnsibleFailed(f"{name}: ansible-galaxy ended with status {told.rc}\n{_reasons(told.words)}", hint=hint)
    record.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(record, json.dumps({**known, name: mark}, indent=1))
    return [f"{name}: installed"]


def _reasons(words: str) -> str:
    """Its warnings and errors; all it said where there are none."""
    lines = words.splitlines()
    found = [line for line in lines if line.startswith(("[WARNING]", "[ERROR]", "ERROR", "usage:", "ansible-galaxy:"))]
    return "\n".join(dict.fromkeys(found or lines))


def _by_shell(scenario: Scenario, errand: Errand) -> list[str]:
    command = (scenario.provisioner.ansible or AnsibleSettings()).dependency.command or ""
    told = _patiently(scenario, errand, command)
    if told.rc != 0:
        raise AnsibleFailed(f"the dependency's command ended with status {told.rc}: {command}\n{told.words}")
    return [command]


def _patiently(scenario: Scenario, errand: Errand, command: list[str] | str) -> Told:
    """Again after a while where a server could not be reached; a command of the scenario's, whatever its reason."""
    env = _environment(scenario)
    for pause in (*_PAUSES, None):
        told = _run(command, env, scenario.ref.project, errand)
        worth = isinstance(command, str) or _UNREACHABLE.search(told.words)
        if told.rc == 0 or pause is None or not worth or errand.deadline.remaining() < pause:
            break
        errand.on_line(f"it ended with status {told.rc}; once more in {pause:.0f} s")
        _pause(pause, errand)
    return told


def _run(command: Sequence[str] | str, env: Mapping[str, str], cwd: Path, errand: Errand) -> Told:
    last: deque[str] = deque(maxlen=_LAST_WORDS)

    def hear(line: str) -> None:
        last.append(line.rstrip())
        errand.on_line(line.rstrip())

    rc = run_tool(
        ToolRun(
            name=command.split()[0] if isinstance(command, str) else Path(command[0]).name,
            command=command,
            env=env,
            cwd=cwd,
            timeout=errand.deadline.remaining(),
            on_stdout=hear,
            cancellation=errand.cancellation,
            failure=AnsibleFailed,
        )
    )
    return Told(rc, "\n".join(line for line in last if line))


def _pause(seconds: float, errand: Errand) -> None:
    until = time.monotonic() + seconds
    while time.monotonic() < until and not errand.cancellation.called:
        time.sleep(0.05)


def _environment(scenario: Scenario) -> dict[str, str]:
    """What is first in the paths is where ansible-galaxy installs. Provisioner.env is for playbooks alone."""
    dependency = (scenario.provisioner.ansible or AnsibleSettings()).dependency
    shelf = Shelf.of(scenario)
    for folder in (shelf.roles, shelf.collections):
        folder.mkdir(parents=True, exist_ok=True)
    molecule = {name: value for name, value in environment_of(scenario).items() if name.startswith("MOLECULE_")}
    quiet = {"ANSIBLE_NOCOLOR": "1", "PYTHONUNBUFFERED": "1", "PATH": path_with(find_command("ansible-galaxy"))}
    return {**os.environ, **molecule, **paths(scenario), **quiet, **dependency.env}


def arguments_of(options: Mapping[str, JsonValue]) -> list[str]:
    """`{force: true, roles-path: x, vv: true}` is `--force --roles-path x -vv`, as Molecule hands options on."""
    arguments = []
    for name, value in sorted(options.items()):
        if value is None or value is False:
            continue
        verbose = re.fullmatch(r"v+", name) is not None
        option = f"-{name}" if len(name) == 1 or verbose else f"--{name.replace('_', '-')}"
        for item in value if isinstance(value, list) else [value]:
            arguments.append(option)
            if item is not True and not verbose:
                arguments.append(str(item))
    return arguments


def _read_record(path: Path) -> dict[str, str]:
    try:
        found = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


@contextmanager
def _alone(scenario: Scenario, deadline: Deadline) -> Iterator[None]:
    """Two scenarios of one project install into the same place."""
    path = Shelf.of(scenario).root / "lock"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(str(path)).acquire(timeout=deadline.remaining())
    except Timeout as error:
        raise AnsibleFailed(
            "another run is still installing roles and collections for this project",
            hint="once it has ended, the same command goes on from what it has installed",
        ) from error
    except OSError as error:
        raise AnsibleFailed(f"cannot write {path}: {error.strerror or error}") from error
    with lock:
        yield
