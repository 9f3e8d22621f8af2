"""All automatic snapshots of this user: listed, pruned, and what a dead run left while it published."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from harness import registry
from harness.drivers.base import Capability, RunId, ScenarioRef, Site, Snapshot
from harness.errors import HarnessError
from harness.lifecycle.snapshots import shelf
from harness.lifecycle.snapshots.shelf import Announcement, Part, SnapshotSet

_KEPT = 3
"""So many of one scenario's stay when a new one is published: those of the branches that one changes between."""

Sites = Callable[[str], Site]


@dataclass(frozen=True)
class Shelved:
    """A set as it is now. `fault`: why no run will use it; `used`: by these instances."""

    record: SnapshotSet
    fault: str | None
    used: tuple[str, ...]


@dataclass
class Pruned:
    """Each in words; `failed` is what could not be removed."""

    removed: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)


class Survey:
    """What the drivers hold, asked once each. `unasked`: those that could not be."""

    def __init__(self, sites: Mapping[str, Site], unasked: Sequence[str]) -> None:
        self.sites = sites
        self.unasked = list(unasked)
        self.held: dict[tuple[str, str, str], Snapshot] = {}
        for name, site in sites.items():
            try:
                found = [one for one in site.snapshots() if one.automatic]
            except HarnessError as error:
                self.unasked.append(f"{name}: {error.message}")
                continue
            self.held |= {(name, one.platform, one.key): one for one in found}

    def of(self, part: Part) -> Snapshot | None:
        return self.held.get((part.driver, part.platform, part.key))

    def forget(self, record: SnapshotSet) -> None:
        for part in record.parts:
            self.held.pop((part.driver, part.platform, part.key), None)

    def shelved(self, record: SnapshotSet, max_age: float) -> Shelved:
        held = [self.of(part) for part in record.parts]
        used = tuple(dict.fromkeys(name for one in held if one is not None for name in one.used))
        return Shelved(record, self._fault(record, held, max_age), used)

    def _fault(self, record: SnapshotSet, held: Sequence[Snapshot | None], max_age: float) -> str | None:
        silent = {line.partition(":")[0] for line in self.unasked}
        for part, snapshot in zip(record.parts, held, strict=True):
            if not part.is_it(snapshot) and part.driver not in silent:
                return f"that of {part.platform} has gone"
        return "too old" if time.time() - record.created > max_age else None


@contextmanager
def surveyed() -> Iterator[Survey]:
    """Every driver that makes snapshots and can be asked."""
    here = ScenarioRef(Path("/"), "snapshots", Path("/"))
    unasked = []
    with ExitStack() as stack:
        sites = {}
        for name in registry.names(registry.DRIVERS):
            try:
                driver = registry.driver(name)
                if Capability.SNAPSHOT not in driver.capabilities:
                    continue
                problems = driver.diagnose()
                if not problems:
                    sites[name] = stack.enter_context(driver.open(here, RunId("snapshots"), keep=True))
                elif name != "fake":
                    unasked.append(f"{name}: {problems[0].message}")
            except HarnessError as error:
                unasked.append(f"{name}: {error.message}")
        yield Survey(sites, unasked)


def prune(survey: Survey, *, max_age: float, everything: bool) -> Pruned:
    """What is too old or incomplete, what a newer one of its scenario has replaced, what no record names; with
    `everything` all. What an instance lies on stays."""
    pruned = Pruned()
    newest: dict[tuple[Path, str, tuple[str, ...]], str] = {}
    records = shelf.all_sets()
    for record in records:
        newest[record.project, record.scenario, record.platforms] = record.key
    for record in records:
        shelved = survey.shelved(record, max_age)
        replaced = newest[record.project, record.scenario, record.platforms] != record.key
        if not (everything or shelved.fault or replaced):
            continue
        told = f"{record.key[:12]} of {record.scenario} in {record.project}"
        if shelved.used:
            pruned.left.append(f"{told}: {', '.join(shelved.used)} lies on it")
            continue
        try:
            shelf.remove(record.key)
            drop_parts(record, survey.sites.__getitem__)
            survey.forget(record)
            pruned.removed.append(f"{told}, {record.size / 1e6:.0f} MB")
        except (HarnessError, OSError, KeyError) as error:
            pruned.failed.append(f"{told}: {error}")
    for told in sweep(survey, pruned.failed):
        pruned.removed.append(told)
    return pruned


def sweep(survey: Survey, failed: list[str]) -> list[str]:
    """What dead runs left while they published, and what no record names: removed, each in words."""
    announcements = shelf.announcements()
    alive = {tuple(one) for item in announcements if not item.is_dead for one in item.planned}
    named = {(part.driver, part.platform, part.key) for record in shelf.all_sets() for part in record.parts}
    removed = []
    for where, snapshot in survey.held.items():
        if where in alive or where in named or snapshot.used:
            continue
        told = f"{snapshot.key[:12]} of {snapshot.platform} ({snapshot.driver}), which nothing refers to"
        try:
            survey.sites[snapshot.driver].delete_snapshot(snapshot)
            removed.append(told)
        except HarnessError as error:
            failed.append(f"{told}: {error.message}")
    for item in announcements:
        if item.is_dead and _clear(item, named, survey, failed):
            shelf.withdraw(item.run)
    return removed


def _clear(item: Announcement, named: set[tuple[str, str, str]], survey: Survey, failed: list[str]) -> bool:
    """Whether nothing is left of what a dead run has begun and a driver tells of to nobody (half of a copy)."""
    for driver, platform, key in item.planned:
        try:
            if (driver, platform, key) not in named:
                survey.sites[driver].delete_snapshot(Snapshot(driver, key, platform, 0.0, 0))
        except KeyError:  # it cannot be asked today
            return False
        except HarnessError as error:
            failed.append(f"{key[:12]} of {platform} ({driver}): {error.message}")
            return False
    return True


def drop_parts(record: SnapshotSet, sites: Sites) -> None:
    """The drivers' snapshots; what an instance lies on stays usable for it. Raises HarnessError."""
    for part in record.parts:
        sites(part.driver).delete_snapshot(Snapshot(part.driver, part.key, part.platform, record.created, part.size))


def drop_former(project: Path, scenario: str, sites: Sites) -> None:
    """All but the newest of a scenario's, and those that an instance lies on. Raises HarnessError."""
    own = [one for one in shelf.all_sets() if (one.project, one.scenario) == (project, scenario)]
    if len(own) <= _KEPT:
        return
    drivers = {part.driver for record in own[:-_KEPT] for part in record.parts}
    used = {(name, one.key) for name in drivers for one in sites(name).snapshots() if one.used}
    for record in own[:-_KEPT]:
        if not any((part.driver, part.key) in used for part in record.parts):
            shelf.remove(record.key)
            drop_parts(record, sites)
