"""The ways of running a plan that are compared: variants of the scenario, checked before anything is made."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from harness import registry
from harness.drivers.base import Capability
from harness.errors import HarnessError, InvalidInput, Problem, UsageError
from harness.lifecycle.plans import slices_of
from harness.models.problems import unknown
from harness.models.scenario import CompareSide, CompilerChoice, Scenario
from harness.scenario.file import STRATEGIES


@dataclass(frozen=True)
class Way:
    """One side of a comparison: its name, and the scenario as it is run on that side. `aliases`: what the scenario's
    allow-list may call it."""

    name: str
    scenario: Scenario
    aliases: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Asked:
    """What the command line asks for: names of one of the three kinds; none: the scenario's own sides."""

    compilers: tuple[str, ...] = ()
    strategies: tuple[str, ...] = ()
    sides: tuple[str, ...] = ()


def ways_of(scenario: Scenario, asked: Asked) -> list[Way]:
    """At least two. Raises UsageError where that cannot be, InvalidInput with all that keeps one from being run."""
    named = _named(scenario, asked)
    if len(named) < 2:
        raise UsageError(
            "a comparison takes two sides at least",
            hint="--compilers A,B or --strategies A,B; or `compare: {sides: ...}` in the scenario",
        )
    total, seen = Counter(name for name, _ in named), Counter[str]()
    ways = []
    for name, side in named:
        seen[name] += 1
        own = name if total[name] == 1 else f"{name} #{seen[name]}"
        ways.append(Way(own, _variant(scenario, side), frozenset({own, name})))
    if problems := _problems(ways):
        raise InvalidInput(f"scenario {scenario.name!r} cannot be compared", problems)
    return ways


def _named(scenario: Scenario, asked: Asked) -> list[tuple[str, CompareSide]]:
    given = [name for name in ("compilers", "strategies", "sides") if getattr(asked, name)]
    if len(given) > 1:
        raise UsageError(
            f"{' and '.join(f'--{name}' for name in given)} exclude one another",
            hint="sides that differ in both are written as `compare: {sides: ...}` in the scenario",
        )
    own, compilers = scenario.compare.sides, registry.names(registry.COMPILERS)
    if asked.compilers:
        _check_names(asked.compilers, compilers, "compiler")
        return [(name, CompareSide(compiler=_choice(scenario, name))) for name in asked.compilers]
    if asked.strategies:
        _check_names(asked.strategies, list(STRATEGIES), "strategy")
        return [(name, CompareSide(strategy=STRATEGIES[name])) for name in asked.strategies]
    _check_names(asked.sides, list(own), "side in the scenario")
    return [(name, own[name]) for name in asked.sides or own]


def _check_names(names: Sequence[str], known: Sequence[str], what: str) -> None:
    wrong = [Problem("", unknown(name, known, what=f"there is no {what} {name!r}")) for name in names]
    wrong = [problem for problem, name in zip(wrong, names, strict=True) if name not in known]
    if wrong:
        raise InvalidInput("what is to be compared", wrong)


def _choice(scenario: Scenario, name: str) -> CompilerChoice:
    """With the scenario's options where it is the scenario's own."""
    own = scenario.provisioner.compiler
    return own if own.name == name else CompilerChoice(name, folder=scenario.ref.directory)


def _variant(scenario: Scenario, side: CompareSide) -> Scenario:
    """The scenario on this side. Faults would strike the sides at different moments, and an expected failure ends a
    run: neither has a place here."""
    provisioner = replace(scenario.provisioner, faults=())
    platforms = scenario.platforms
    if side.compiler is not None:
        provisioner = replace(provisioner, compiler=side.compiler)
    if side.strategy is not None:
        provisioner = replace(provisioner, strategy=side.strategy)
        platforms = tuple(replace(one, strategy=None) for one in platforms)
    return replace(scenario, provisioner=provisioner, platforms=platforms, expect=None)


def _problems(ways: Sequence[Way]) -> list[Problem]:
    """Of the platforms once, of the plan for every side."""
    found = [*_not_ours(ways[0].scenario)]
    for way in ways:
        try:
            if way.scenario.provisioner.validate_plan:
                slices_of(way.scenario, list(way.scenario.provisioner.secrets))
        except InvalidInput as error:
            found += [replace(problem, where=f"{way.name}: {problem.where}") for problem in error.problems]
        except HarnessError as error:
            found.append(Problem(way.name, error.message, error.hint))
    return found


def _not_ours(scenario: Scenario) -> list[Problem]:
    found = []
    for spec in scenario.platforms:
        if Capability.OWNED not in registry.driver(spec.driver).capabilities:
            words = f"the driver {spec.driver} cannot make it anew, and each side needs a machine as the other's was"
            found.append(Problem(f"platform {spec.name}", words, "use native, docker or a virtual machine"))
    return found
