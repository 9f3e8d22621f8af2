"""What `harness selftest` found out."""

from __future__ import annotations

from datetime import datetime

from pydantic import Field

from harness.models.serde import Model


class Catch(Model):
    """One check that accused a runner. `expectation`: it came from a file of expected outcomes."""

    check: str
    host: str
    observation: str
    expectation: bool = False


class MutantOutcome(Model):
    """`caught_by`: the kinds of checks that accused it; empty where none did. `catches`: what each kind saw first,
    those that need no expectations before the others. `without_expectations`: there is one such. `seconds` of its whole
    run."""

    name: str
    what: str
    scenario: str
    caught_by: list[str]
    without_expectations: bool
    catches: list[Catch]
    seconds: float


class Accusation(Model):
    """An honest runner that was accused: a defect of the harness."""

    scenario: str
    run: int
    catches: list[Catch]


class SelftestReport(Model):
    """`honest_runs`: how often an honest runner ran a whole scenario; `false_accusations`: in how many of these it was
    accused. `seconds` of the whole test, `building` of it in cargo."""

    mutants: list[MutantOutcome]
    honest_runs: int
    false_accusations: int
    accusations: list[Accusation] = Field(default_factory=list)
    started: datetime
    seconds: float
    building: float

    @property
    def survivors(self) -> list[str]:
        """The mutants that nothing caught."""
        return [mutant.name for mutant in self.mutants if not mutant.caught_by]

    @property
    def passed(self) -> bool:
        return not self.survivors and not self.false_accusations
