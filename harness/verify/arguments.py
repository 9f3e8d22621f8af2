"""The pytest command line of a verify job."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from pydantic import JsonValue

from harness.models.verification import VerifyJob

JUNIT = "junit.xml"
JUNIT_OPTIONS = ("junitxml", "junit-xml", "junit_xml")
"""Of `verifier.options`: pytest writes one such file, which is ours; the user's is a copy of it."""


def pytest_arguments(job: VerifyJob, workdir: Path) -> list[str]:
    """For all tests and checks. The project's own pytest settings hold; nothing is written beside them."""
    nothing = workdir / "no-tests"
    chosen = chosen_tests(job)
    paths: list[Path] = [] if chosen else [*([job.directory] if job.directory.exists() else []), *job.additional]
    if not chosen and not paths:
        # Without a path pytest would collect whatever lies around.
        nothing.mkdir(exist_ok=True)
        paths = [nothing]
    return [
        *("-p", "harness", "-p", "pytest11.testinfra", "-p", "no:cacheprovider"),
        *("--continue-on-collection-errors", "--no-header", "--tb=short"),
        f"--junitxml={workdir / JUNIT}",
        *option_arguments({name: value for name, value in job.options.items() if name not in JUNIT_OPTIONS}),
        *job.pytest_args,
        *(str(path) for path in paths),
    ]


def option_arguments(options: Mapping[str, JsonValue]) -> list[str]:
    """`verifier.options` as Molecule hands them on: `{v: true, sudo: true, k: motd}` is `-k motd --sudo -v`."""
    arguments: list[str] = []
    for name, value in sorted(options.items()):
        if value is None or value is False:
            continue
        repeated = re.fullmatch(r"v+|(.)\1+", name) is not None  # vvv is -vvv, whatever its value
        option = f"-{name}" if repeated or len(name) == 1 else f"--{name.replace('_', '-')}"
        for item in value if isinstance(value, list) else [value]:
            arguments.append(option)
            if item is not True and not repeated:
                arguments.append(str(item))
    return arguments


def chosen_tests(job: VerifyJob) -> list[str]:
    """Those of the pytest arguments that name test files or tests: then nothing else is run."""
    places = [job.cwd or job.directory.parent, job.directory]
    return [argument for argument in job.pytest_args if _names_tests(argument, places)]


def _names_tests(argument: str, places: Sequence[Path]) -> bool:
    file, _, _test = argument.partition("::")
    if argument.startswith("-") or not (file.endswith(".py") or "::" in argument):
        return False
    return any((place / file).exists() for place in places)
