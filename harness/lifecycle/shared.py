"""Molecule's `shared_state`: the scenario `default` makes the platforms once, all others work on them, and it destroys
them at the end. Scenarios of the driver `default` alone: a driver of ours makes each scenario its own in a moment.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from harness.errors import UsageError
from harness.models.scenario import Scenario
from harness.scenario.project import DEFAULT

_OF_THE_HOST = ("create", "destroy")


@dataclass(frozen=True)
class Shared:
    """What is done before and after the scenarios of one call: nothing where none shares its state."""

    making: tuple[Scenario, ...] = ()
    unmaking: tuple[Scenario, ...] = ()

    @classmethod
    def of(cls, hosts: Iterable[Scenario | None], verb: str) -> Shared:
        """As Molecule: where the host's own sequence for the verb has the step."""
        host = next((host for host in hosts if host is not None), None)
        if host is None:
            return cls()
        narrowed = replace(host, sequences={**host.sequences, **{step: (step,) for step in _OF_THE_HOST}})
        making, unmaking = ((narrowed,) if step in host.sequences[verb] else () for step in _OF_THE_HOST)
        return cls(making, unmaking)


def host_of(scenario: Scenario, load: Callable[[str], Scenario]) -> Scenario | None:
    """None where the scenario shares nothing, or there is no scenario `default` to do it. Raises InvalidInput."""
    settings = scenario.provisioner.ansible
    if settings is None or not settings.shared_state:
        return None
    try:
        return scenario if scenario.name == DEFAULT else load(DEFAULT)
    except UsageError:
        return None


def as_guest(scenario: Scenario) -> Scenario:
    """It takes the platforms as they are, and what create.yml has written stays."""
    settings = scenario.provisioner.ansible
    assert settings is not None
    playbooks = {step: path for step, path in settings.playbooks.items() if step not in _OF_THE_HOST}
    ansible = replace(settings, playbooks=playbooks, safe_files=("*",))
    return replace(scenario, provisioner=replace(scenario.provisioner, ansible=ansible))


def has_work(scenario: Scenario, verb: str) -> bool:
    """Whether anything but what the host does is in its sequence."""
    return any(step.split()[0] not in _OF_THE_HOST for step in scenario.sequences[verb])
