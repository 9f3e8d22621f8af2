"""Before anything is created: whether this run goes on from a snapshot of what `prepare` made, and from which."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from harness.drivers.base import Capability, Origin, PlatformSpec, Snapshot
from harness.errors import HarnessError
from harness.lifecycle.failures import all_done
from harness.lifecycle.snapshots import inputs, shelf
from harness.lifecycle.snapshots.shelf import Planned, short
from harness.report.text import age

if TYPE_CHECKING:
    from harness.lifecycle.context import Context

_HARMLESS = ("syntax", "dependency", "lint")
"""Steps that may stand between create and prepare: they touch no platform."""


class _Declined(Exception):
    """None is used, and why. `aloud`: somebody asked for one."""

    def __init__(self, reason: str = "", *, aloud: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.aloud = aloud


def choose(context: Context, named: Mapping[str, Snapshot]) -> Planned | None:
    """None where this run prepares its platforms without one. `named` is what `named_bases` found. Raises StepFailed
    for images that cannot be had."""
    try:
        _check_run(context)
        _check_specs(context)
        origins = _origins(context)
        for spec in context.fleet.specs.values():
            _check_origin(spec, origins[spec.name])
        try:
            digests = inputs.digests(context, origins, named)
        except inputs.Unknown as unknown:
            raise _Declined(unknown.reason) from None
        except HarnessError as error:
            return Planned("", {}, fault=error.message)
    except _Declined as declined:
        if declined.reason:
            words = f"what prepare makes is not kept as a snapshot: {declined.reason}"
            context.note(words) if declined.aloud else context.log_line("create", words)
        return None
    planned = Planned(inputs.key_of(digests), digests)
    return planned if context.options.force else look_up(context, planned)


def named_bases(context: Context) -> dict[str, Snapshot]:
    """Of the platforms that are still to be made, those that start from a snapshot a person named. Raises
    HarnessError where there is none of that name."""
    found = {}
    for name in context.fleet.missing:
        spec = context.fleet.specs[name]
        if isinstance(spec.snapshot, str):
            site = context.fleet.site(spec.driver)
            able = Capability.SNAPSHOT in site.capabilities and site.snapshots_outlive
            snapshot = site.find_snapshot(name, spec.snapshot) if able else None
            if snapshot is None:
                raise HarnessError(
                    f"{name}: there is no snapshot {spec.snapshot!r} that it could start from",
                    hint=f"harness snapshot create -s {context.scenario.name} {spec.snapshot} makes it of what is kept",
                )
            found[name] = snapshot
    return found


def look_up(context: Context, planned: Planned) -> Planned:
    """With what is published under its key, if it is all there, whole and not too old."""
    record = shelf.read(planned.key)
    if record is None or set(record.platforms) != set(context.fleet.specs):
        _tell_changes(context, planned)
        return planned
    old = time.time() - record.created
    if old > context.options.snapshot_max_age:
        context.note(f"the snapshot {planned.short} was made {age(old)} ago, which is too long: prepare is run again")
        return planned
    bases: dict[str, Snapshot] = {}
    for part in record.parts:
        snapshot = context.fleet.site(part.driver).find_snapshot(part.platform, part.key)
        if snapshot is None or not part.is_it(snapshot):
            state = "is no longer there" if snapshot is None else "is no longer what it was"
            context.note(f"the snapshot {planned.short} of {part.platform} {state}: prepare is run again")
            return planned
        bases[part.platform] = snapshot
    return replace(planned, found=record, bases=bases)


def _check_run(context: Context) -> None:
    if not context.options.snapshots or inputs.prepare_file(context.scenario) is None:
        raise _Declined
    steps = context.steps
    after = steps[steps.index("create") + 1 :] if "create" in steps else ()
    if next((step for step in after if step not in _HARMLESS), None) != "prepare":
        raise _Declined
    if context.fleet.members:
        raise _Declined(f"{', '.join(context.fleet.members)} existed before, and nobody knows in which state")


def _check_specs(context: Context) -> None:
    """Of several platforms all start from snapshots or none: `prepare` may have them act on one another."""
    for spec in context.fleet.specs.values():
        if spec.snapshot is False:
            raise _Declined(f"{spec.name} says `snapshot: false`")
        site = context.fleet.site(spec.driver)
        if Capability.SNAPSHOT not in site.capabilities:
            raise _Declined(f"{spec.name}: the {spec.driver} driver makes none", aloud=bool(spec.snapshot))
        if not site.snapshots_outlive:
            why = f"{spec.name}: those of the {spec.driver} driver go with the platform itself"
            raise _Declined(why, aloud=bool(spec.snapshot))


def _check_origin(spec: PlatformSpec, origin: Origin) -> None:
    if spec.snapshot:
        return
    if origin.outside:
        raise _Declined(f"{spec.name} has {', '.join(origin.outside)}, which none holds (`snapshot: true` asks for it)")
    if origin.unsure:
        raise _Declined(f"{spec.name}: {origin.unsure} (`snapshot: true` asks for it)")


def _origins(context: Context) -> dict[str, Origin]:
    def origin(name: str) -> Origin:
        spec = context.fleet.specs[name]
        return context.fleet.site(spec.driver).origin(spec)

    return all_done(context.each(list(context.fleet.specs), origin))


def _tell_changes(context: Context, planned: Planned) -> None:
    """Against the newest that this scenario's platforms had."""
    names = tuple(context.fleet.specs)
    owner = (context.scenario.ref.project, context.scenario.name, names)
    before = [one for one in shelf.all_sets() if (one.project, one.scenario, one.platforms) == owner]
    if before:
        then = before[-1].inputs
        changed = [name for name in {**then, **planned.inputs} if then.get(name) != planned.inputs.get(name)]
        context.log_line("create", f"not from snapshot {short(before[-1].key)}: changed since: {', '.join(changed)}")
