"""A connection to one kept platform, for `login` and `exec`; what is missing is created first."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager

from harness.connections import open_connection
from harness.connections.base import Connection
from harness.deadline import Deadline
from harness.errors import HarnessError, UsageError
from harness.lifecycle.context import RunOptions
from harness.lifecycle.events import Observer
from harness.lifecycle.fleet import Fleet, Member
from harness.lifecycle.journal import Journal
from harness.lifecycle.run import perform
from harness.lifecycle.workspace import Workspace, new_run_id
from harness.models.scenario import Scenario

_READY = 60.0


def choose_platform(scenario: Scenario, names: Sequence[str]) -> str:
    """The platform meant: the one named, or the only one. Raises UsageError."""
    known = [platform.name for platform in scenario.platforms]
    if not known:
        raise UsageError(
            f"scenario {scenario.name!r} names no platform",
            hint="its hosts are those of its inventory: Ansible knows the way to them, the harness does not",
        )
    if len(names) > 1:
        raise UsageError("one platform at a time", hint=f"one of: {', '.join(known)}")
    if names:
        if names[0] not in known:
            raise UsageError(
                f"scenario {scenario.name!r} has no platform {names[0]!r}", hint=f"it has: {', '.join(known)}"
            )
        return names[0]
    if len(known) > 1:
        raise UsageError(
            f"scenario {scenario.name!r} has several platforms: {', '.join(known)}", hint="name one of them"
        )
    return known[0]


@contextmanager
def reach(scenario: Scenario, platform: str, options: RunOptions, observer: Observer) -> Iterator[Connection]:
    """The scenario's lock is held while things are created, not while the connection is used."""
    with closing(_journal(scenario)) as journal:
        known = journal.kept(scenario.name).get(platform)
    if known is None:
        result = perform(scenario, "create", options, observer)
        if result.exit_code:
            raise HarnessError(f"{platform} could not be created", hint=f"harness create -s {scenario.name} says why")
    with found(scenario, platform, observer) as member:
        endpoint = member.site.wait_ready(member.instance, Deadline(_READY))
        with open_connection(endpoint, name=platform) as connection:
            yield connection


@contextmanager
def found(scenario: Scenario, platform: str, observer: Observer) -> Iterator[Member]:
    """A platform that is kept, whatever its state; nothing is made. Raises HarnessError when there is none."""
    specs = [spec for spec in scenario.platforms if spec.name == platform]
    with (
        closing(_journal(scenario)) as journal,
        Fleet(scenario.ref, specs, new_run_id(), journal, keep=True, owned=True) as fleet,
    ):
        fleet.adopt(lambda message: observer.warning(scenario.name, message))
        member = fleet.members.get(platform)
        if member is None:
            raise HarnessError(f"{platform} does not exist", hint=f"harness create -s {scenario.name} makes it")
        yield member


def _journal(scenario: Scenario) -> Journal:
    workspace = Workspace.of(scenario.ref.project)
    workspace.prepare()
    return Journal.open(workspace.database)
