"""Fixtures: plans with the outcomes they must have. See docs/fixtures.md."""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.atomic import write_atomically
from harness.data import data_dir
from harness.errors import HarnessError, InvalidInput, Problem, UsageError
from harness.models.problems import nearest
from harness.scenario.fixture import ComplexityLevel, TestFixture
from harness.scenario.large_scale import make
from harness.scenario.outcomes import Outcomes, check_outcomes, read_outcomes

if TYPE_CHECKING:
    from harness.compile.base import Honours
    from harness.models.config import TargetPlatform
    from harness.models.plan import Plan

PLANS = "execution_plans"
OUTCOMES = "expected_outcomes"
PREPARE = "prepare"


class TestFixtureManager:
    """Finds fixtures in a folder of one's own first, then among those that ship with the harness."""

    __test__ = False

    def __init__(self, fixtures_dir: Path | str | None = None) -> None:
        self.folders = [*([Path(fixtures_dir).absolute()] if fixtures_dir is not None else []), data_dir("fixtures")]

    def list_fixtures(self) -> list[str]:
        """The names of all, sorted."""
        return sorted({path.stem for folder in self.folders for path in (folder / PLANS).glob("*.json")})

    def plan_path(self, name: str) -> Path:
        """`name` with or without `.json`. Raises UsageError where there is none of that name."""
        stem = name.removesuffix(".json")
        if stem and Path(stem).name == stem:
            for folder in self.folders:
                path = folder / PLANS / f"{stem}.json"
                if path.is_file():
                    return path
        known = self.list_fixtures()
        meant = nearest(stem, known)
        hint = f"did you mean {meant}?" if meant else f"fixtures: {', '.join(known) or 'none'}"
        raise UsageError(f"there is no fixture named {name!r}", hint=hint)

    def outcomes_path(self, name: str) -> Path | None:
        """The outcomes beside the plan: `NAME_outcomes.json`, or for `multi_host_plan` also `multi_host_outcomes.json`
        (both are in specification 110)."""
        plan = self.plan_path(name)
        folder = plan.parent.parent / OUTCOMES
        for stem in dict.fromkeys((plan.stem, plan.stem.removesuffix("_plan"))):
            path = folder / f"{stem}_outcomes.json"
            if path.is_file():
                return path
        return None

    def prepare_path(self, name: str) -> Path | None:
        """What is done to each platform before the plan runs: `NAME_prepare.json` (a plan) or `NAME_prepare.sh`."""
        plan = self.plan_path(name)
        folder = plan.parent.parent / PREPARE
        candidates = (folder / f"{plan.stem}_prepare{suffix}" for suffix in (".json", ".sh"))
        return next((path for path in candidates if path.is_file()), None)

    def outcomes(self, name: str) -> Outcomes:
        """Raises InvalidInput with all that is wrong with them; none at all are none expected."""
        path = self.outcomes_path(name)
        return read_outcomes(path) if path is not None else Outcomes(expected_outcomes=[])

    def load_fixture(self, name: str) -> TestFixture:
        """Raises UsageError where there is none of that name, InvalidInput with all that is wrong with its plan or
        its outcomes."""
        from harness.plan import read_plan
        from harness.plan.document import read_document

        path = self.plan_path(name)
        plan, outcomes = read_plan(path), self.outcomes(name)
        return TestFixture(
            name=path.stem,
            execution_plan=read_document(path).value,
            expected_hosts=plan.hosts,
            expected_tasks=_count(plan),
            description=outcomes.description,
            complexity=ComplexityLevel(outcomes.complexity) if outcomes.complexity else _guess(plan),
            outcomes=outcomes,
            path=path,
        )

    def validate_fixture(self, fixture: TestFixture, *, honours: Honours | None = None) -> None:
        """Raises InvalidInput with all that is wrong with the plan, and with how plan and outcomes fit each other.

        `honours`: what the compiler can do (None: the reference compiler's).
        """
        from harness import registry
        from harness.plan.check import check_plan
        from harness.plan.read import draft_of

        source = fixture.path or self.folders[0] / PLANS / f"{fixture.name}.json"
        draft = draft_of(copy.deepcopy(dict(fixture.execution_plan)), _digest(fixture.execution_plan), source)
        honours = honours or registry.compiler("reference").honours()
        problems = [*draft.problems]
        problems += check_plan(draft.plan, honours=honours, platforms=None, source=source, secrets=())
        problems += check_outcomes(fixture.outcomes.expected_outcomes, draft.plan, source=self._outcomes_file(source))
        if draft.plan.hosts != fixture.expected_hosts:
            problems.append(Problem(source.name, f"the plan's hosts are not the expected {fixture.expected_hosts}"))
        if _count(draft.plan) != fixture.expected_tasks:
            words = f"the plan has {_count(draft.plan)} tasks, not the expected {fixture.expected_tasks}"
            problems.append(Problem(source.name, words))
        if problems:
            raise InvalidInput(f"fixture {fixture.name}", list(dict.fromkeys(problems)))

    def generate_large_scale_fixture(
        self, host_count: int, platforms: Sequence[TargetPlatform] = (), *, tasks: int = 10
    ) -> TestFixture:
        """A plan for `host_count` hosts, shared out evenly among the platforms' architectures (this machine's when
        there are none), `tasks` tasks each. Raises UsageError for counts below 1 and for Windows."""
        return make(host_count, platforms, tasks)

    def write(self, fixture: TestFixture, folder: Path, *, replace: bool = False) -> tuple[Path, Path]:
        """The plan's and the outcomes' files, written whole or not at all. Raises UsageError where one exists that
        says something else."""
        plan = json.dumps(fixture.execution_plan, indent=1, ensure_ascii=False) + "\n"
        data = fixture.outcomes.model_dump(mode="json", exclude_none=True)
        outcomes = json.dumps(data, indent=1, ensure_ascii=False) + "\n"
        paths = (
            folder / PLANS / f"{fixture.name}.json",
            folder / OUTCOMES / f"{fixture.name}_outcomes.json",
        )
        for path, text in zip(paths, (plan, outcomes), strict=True):
            if not replace and path.exists() and path.read_text(encoding="utf-8", errors="replace") != text:
                raise UsageError(f"{path} exists already", hint="name another folder, or --force to replace it")
        for path, text in zip(paths, (plan, outcomes), strict=True):
            _write(path, text)
        return paths

    def _outcomes_file(self, plan: Path) -> Path:
        try:
            return self.outcomes_path(plan.stem) or plan
        except UsageError:
            return plan


def _write(path: Path, text: str) -> None:
    try:
        write_atomically(path, text)
    except OSError as error:
        raise HarnessError(
            f"{path} cannot be written: {error.strerror or error}", hint="name another folder with --output"
        ) from error


def _count(plan: Plan) -> int:
    return sum(len(batch.tasks) for play in plan.plays for batch in play.batches)


def _guess(plan: Plan) -> ComplexityLevel:
    if len(plan.hosts) >= 20 or _count(plan) >= 200:
        return ComplexityLevel.COMPLEX
    return ComplexityLevel.SIMPLE if len(plan.hosts) == 1 else ComplexityLevel.MEDIUM


def _digest(value: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
