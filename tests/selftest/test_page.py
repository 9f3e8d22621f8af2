"""docs/selftest.md tells of every mutant, and names what really catches it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from harness.models.selftest import SelftestReport
from harness.report.selftest import EXPECTATIONS
from harness.selftest.catalogue import MUTANTS
from harness.verify.conduct.catalogue import KINDS

PROJECT = Path(__file__).parents[2]
REPORT = PROJECT / "build" / "selftest.json"
"""`.ci/run` leaves it there."""


def rows() -> dict[str, tuple[str, set[str]]]:
    """By mutant: what it does wrong, and what catches it."""
    page = (PROJECT / "docs" / "selftest.md").read_text(encoding="utf-8")
    found = re.findall(r"^\| `([\w-]+)` \| (.*?) \| (.*?) \|$", page, re.MULTILINE)
    table = {name: (what, {word.strip("`") for word in caught.split(", ")}) for name, what, caught in found}
    return {name: row for name, row in table.items() if name not in ("run", "task", "idempotence")}


def test_the_page_tells_of_each() -> None:
    assert {name: what for name, (what, _) in rows().items()} == {mutant.name: mutant.what for mutant in MUTANTS}


def test_every_check_of_a_runs_conduct_catches_something() -> None:
    caught = set().union(*(kinds for _, kinds in rows().values()))
    assert {f"conduct.{kind}" for kind in KINDS} <= caught


def test_the_page_names_what_catches_it() -> None:
    if not REPORT.exists():
        pytest.skip(f"no self-test has been run: harness selftest --report-format json --output {REPORT}")
    report = SelftestReport.model_validate_json(REPORT.read_bytes())
    for mutant in report.mutants:
        caught = {EXPECTATIONS if catch.expectation else catch.check for catch in mutant.catches}
        assert rows()[mutant.name][1] <= caught, mutant.name
