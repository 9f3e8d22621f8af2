"""Snapshots that a person makes of a scenario's kept platforms, under a name of that scenario's own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from harness import registry
from harness.cancellation import Cancellation
from harness.deadline import Deadline
from harness.drivers.base import Capability, RunId, ScenarioRef, Snapshot
from harness.errors import HarnessError, Unsupported
from harness.lifecycle.context import RunOptions
from harness.lifecycle.crew import side_by_side
from harness.lifecycle.failures import describe_all, raise_defects
from harness.lifecycle.fleet import Fleet, Member
from harness.lifecycle.journal import Journal
from harness.lifecycle.locks import Holder
from harness.lifecycle.signals import Signals
from harness.lifecycle.workspace import Workspace, new_run_id
from harness.models.scenario import Scenario

_SECONDS = 600.0

Tell = Callable[[str], None]


@dataclass(frozen=True)
class Kept:
    """A scenario's kept platforms, under its lock."""

    scenario: Scenario
    fleet: Fleet
    journal: Journal
    options: RunOptions
    deadline: Deadline

    def each(self, work: Callable[[Member], Snapshot]) -> dict[str, Snapshot]:
        """Side by side. Raises HarnessError with what all of them said."""
        outcome = side_by_side(
            list(self.fleet.members),
            lambda name: work(self.fleet.members[name]),
            workers=self.options.workers,
            deadline=self.deadline,
            cancellation=Cancellation(),
        )
        raise_defects(outcome)
        if outcome.failed:
            raise HarnessError(describe_all(outcome.failed))
        return outcome.done


@contextmanager
def kept(scenario: Scenario, verb: str, options: RunOptions, tell: Tell) -> Iterator[Kept]:
    """Raises HarnessError when none of the platforms asked for exists, or one's driver makes no snapshots."""
    workspace = Workspace.of(scenario.ref.project)
    workspace.prepare()
    specs = [spec for spec in scenario.platforms if not options.platforms or spec.name in options.platforms]

    def waiting(holder: Holder | None) -> None:
        tell(f"waiting for {holder or 'another process'} to be done with this scenario")

    with (
        Signals(lambda: "Its platforms are as they are: `harness list --live` shows them."),
        workspace.scenario_lock(scenario.name).acquire(verb, timeout=options.lock_timeout, on_wait=waiting),
        closing(Journal.open(workspace.database)) as journal,
        Fleet(scenario.ref, specs, new_run_id(), journal, keep=True, owned=True) as fleet,
    ):
        fleet.adopt(tell)
        if not fleet.members:
            raise HarnessError(
                f"no platform of scenario {scenario.name!r} is kept", hint=f"harness create -s {scenario.name}"
            )
        for member in fleet.members.values():
            if Capability.SNAPSHOT not in member.site.capabilities:
                raise Unsupported(Capability.SNAPSHOT.value, by=f"{member.spec.name}: the {member.spec.driver} driver")
        yield Kept(scenario, fleet, journal, options, Deadline(_SECONDS))


def create(here: Kept, name: str) -> dict[str, Snapshot]:
    """Of every kept platform, as it is now; one of that name is replaced."""

    def take(member: Member) -> Snapshot:
        snapshot = member.site.snapshot(member.instance, name)
        row = here.journal.kept(here.scenario.name)[member.spec.name]
        here.journal.snapshot_made(here.scenario.name, snapshot, row)
        return snapshot

    return here.each(take)


def restore(here: Kept, name: str) -> dict[str, Snapshot]:
    """All of them, or none where one has no snapshot of that name; what had been done by then has been done."""
    found: dict[str, Snapshot] = {}
    for platform, member in here.fleet.members.items():
        snapshot = member.site.find_snapshot(platform, name)
        if snapshot is None:
            raise HarnessError(f"{platform}: there is no snapshot {name!r}", hint="harness snapshot list")
        found[platform] = snapshot

    def revert(member: Member) -> Snapshot:
        snapshot = found[member.spec.name]
        member.site.revert(member.instance, snapshot, here.deadline)
        here.journal.restored(member.run, here.scenario.name, member.spec.name, name)
        return snapshot

    return here.each(revert)


def delete(scenario: Scenario, name: str, journal: Journal) -> list[Snapshot]:
    """Of all its platforms; what an instance lies on stays usable for it."""
    removed = []
    for driver_name in _drivers(scenario):
        with registry.driver(driver_name).open(scenario.ref, RunId("snapshots"), keep=True) as site:
            for snapshot in site.snapshots():
                if snapshot.key == name and not snapshot.automatic:
                    site.delete_snapshot(snapshot)
                    journal.snapshot_deleted(scenario.name, snapshot)
                    removed.append(snapshot)
    return removed


def listed(ref: ScenarioRef, drivers: list[str]) -> Iterator[Snapshot]:
    """Those that people made of this scenario's platforms."""
    for name in drivers:
        with registry.driver(name).open(ref, RunId("snapshots"), keep=True) as site:
            yield from (snapshot for snapshot in site.snapshots() if not snapshot.automatic)


def _drivers(scenario: Scenario) -> list[str]:
    names = dict.fromkeys(spec.driver for spec in scenario.platforms)
    return [name for name in names if Capability.SNAPSHOT in registry.driver(name).capabilities]


def of_project(project: Path, scenarios: list[Scenario]) -> list[tuple[str, Snapshot]]:
    """Scenario and snapshot."""
    return [(one.name, snapshot) for one in scenarios for snapshot in listed(one.ref, _drivers(one))]
