"""A plan against what is to carry it out: a compiler, platforms, files beside it, secrets of the scenario."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.errors import Problem
from harness.models.plan import Plan, Play, Task
from harness.models.problems import Keys, nearest, shown
from harness.plan import arguments, order
from harness.plan.expressions import Parser, secrets_of_task, strings
from harness.plan.fields import Faults, Wrong
from harness.plan.files import embedded, has_own_marks, template_text
from harness.plan.read import Draft, read_draft
from harness.plan.structure import everything, of_play

if TYPE_CHECKING:
    from harness.compile.base import Honours


@dataclass(frozen=True)
class Checked:
    """`plan` is complete where `errors` is empty."""

    plan: Plan
    errors: tuple[Problem, ...]
    warnings: tuple[Problem, ...]


@dataclass(frozen=True)
class RunOptions:
    """What the plan itself asks for (`metadata.planning_options`); the scenario and the command line may add."""

    tags: tuple[str, ...]
    skip_tags: tuple[str, ...]
    check_mode: bool
    diff_mode: bool


def run_options(plan: Plan) -> RunOptions:
    meta = plan.metadata
    return RunOptions(tuple(meta.run_tags), tuple(meta.skip_tags), meta.check_mode, meta.diff_mode)


def check_file(
    path: Path,
    *,
    honours: Honours | None = None,
    platforms: Collection[str] | None = None,
    secrets: Collection[str] | None = None,
    by_ansible: Collection[str] = (),
) -> Checked:
    """Everything at once: what `read_plan` finds and what `check_plan` finds in as much as could be read.

    Raises InvalidInput only where the file holds no plan at all.
    """
    draft: Draft = read_draft(path)
    errors = [*draft.problems]
    told = {problem.where for problem in errors}
    found = check_plan(
        draft.plan, honours=honours, platforms=platforms, source=path, secrets=secrets, by_ansible=by_ansible
    )
    for problem in found:
        if problem.where not in told:
            errors.append(problem)
    warnings = plan_warnings(draft.plan, honours=honours, platforms=platforms, source=path)
    return Checked(draft.plan, tuple(errors), tuple(warnings) if not draft.problems else ())


def check_plan(
    plan: Plan,
    *,
    honours: Honours | None,
    platforms: Collection[str] | None,
    source: Path,
    secrets: Collection[str] | None = None,
    by_ansible: Collection[str] = (),
) -> list[Problem]:
    """What stands against carrying out a plan that `read_plan` has read from `source`; empty when nothing does.

    `honours`: what the compiler can do. `platforms`: the scenario's. `secrets`: the names it declares. None leaves
    that out. `by_ansible`: the hosts whose strategy lets Ansible do what the compiler lacks.
    """
    faults = Faults(source.name)
    if platforms is not None:
        _check_hosts(plan, platforms, faults)
    if honours is not None:
        _check_honours(plan, honours, by_ansible, faults, hybrid=platforms is not None and honours.parts)
    _check_files(plan, source, faults)
    if secrets is not None:
        _check_secrets(plan, secrets, source, faults)
    return faults.problems


def plan_warnings(
    plan: Plan, *, honours: Honours | None = None, platforms: Collection[str] | None = None, source: Path
) -> list[Problem]:
    """What is probably not meant, but does not stand against the run."""
    faults = Faults(source.name)
    named = {host for _, task in _tasks(plan) for host in task.hosts}
    for platform in sorted(set(platforms or ()) - named):
        faults.add((), f"no task is for the platform {shown(platform)}")
    for host in plan.hosts:
        if host not in named and (platforms is None or host not in platforms):
            faults.add((), f"no task is for the host {shown(host)}")
    count = sum(1 for _ in _tasks(plan))
    if plan.total_tasks != count:
        faults.add(("total_tasks",), f"says {plan.total_tasks}, but the plan has {count} tasks")
    for keys, task in _tasks(plan):
        if not task.hosts:
            faults.add((*keys, "hosts"), f"the task {shown(task.task_id)} is for no host: it never runs")
    for index, play in enumerate(plan.plays):
        _warn_of_play(plan, play, index, faults)
    return faults.problems


def secrets_of(plan: Plan, source: Path) -> dict[str, Keys]:
    """The secrets that a plan and the templates beside it name, each with the first place."""
    parser = Parser()
    found: dict[str, Keys] = {}
    for keys, task in everything(plan):
        for inner, name in secrets_of_task(task, parser):
            found.setdefault(name, (*keys, *inner))
        try:
            file = embedded(task, source)
        except Wrong:
            continue
        text = template_text(task, file) if file is not None else None
        for name in parser.secrets(text) if text is not None else ():
            found.setdefault(name, (*keys, "args", "src"))
    for keys, value in _variables(plan):
        for inner, text in strings(value, keys):
            for name in parser.secrets(text):
                found.setdefault(name, inner)
    return found


def _variables(plan: Plan) -> Iterator[tuple[Keys, Any]]:
    older = plan.source_format == "execution-plan"
    for index, play in enumerate(plan.plays):
        yield ("plays", index, "vars"), play.vars
    for group, variables in plan.group_vars.items():
        yield ("inventory", "groups", group, "variables") if older else ("group_vars", group), variables
    for host, variables in plan.hosts_vars.items():
        yield ("inventory", "hosts", host, "variables") if older else ("hosts_vars", host), variables


def _tasks(plan: Plan) -> Iterator[tuple[Keys, Any]]:
    for index, play in enumerate(plan.plays):
        for spot in order.spots(play, index):
            yield order.keys_of(plan, spot), spot.task


def _check_hosts(plan: Plan, platforms: Collection[str], faults: Faults) -> None:
    older = plan.source_format == "execution-plan"
    for index, host in enumerate(plan.hosts):
        if host in platforms:
            continue
        meant = faults.suggestions.nearest(host, platforms)
        words = f"the host {shown(host)} has no platform of that name"
        hint = f"did you mean {shown(meant)}?" if meant else f"platforms: {', '.join(sorted(platforms)) or 'none'}"
        faults.add(("inventory", "hosts", host) if older else ("hosts", index), words, hint)


def _check_honours(plan: Plan, honours: Honours, by_ansible: Collection[str], faults: Faults, *, hybrid: bool) -> None:
    """What the compiler lacks is refused where some host takes the task by binary alone. `hybrid`: a scenario may say
    that Ansible shall do it."""

    def refuse(hosts: Collection[str], where: Keys, fault: arguments.Fault) -> None:
        if fault.lacking and set(hosts) <= set(by_ansible):
            return
        cure = "`strategy: hybrid` has Ansible do this task" if hybrid and fault.by_ansible else None
        faults.add(where, fault.words, "; ".join(filter(None, [fault.hint, cure])) or None)

    if not honours.selection:
        for name in ("tags", "skip_tags", "check_mode", "diff_mode"):
            if getattr(run_options(plan), name):
                words = "is not honoured: the compiler's runners take neither tags nor a dry run"
                faults.add(("metadata", "planning_options", name), words)
    for index, play in enumerate(plan.plays):
        for keys, task in of_play(plan, play, index):
            hosts = task.hosts if isinstance(task, Task) else _hosts(play)
            for fault in arguments.refused(task, honours, faults.suggestions):
                refuse(hosts, (*keys, *fault.keys), fault)
        for fault in arguments.refused_of_play(play.model_extra or {}, honours):
            refuse(_hosts(play), ("plays", index, *fault.keys), fault)


def _hosts(play: Play) -> set[str]:
    return {host for batch in play.batches for task in batch.tasks for host in task.hosts}


def _check_files(plan: Plan, source: Path, faults: Faults) -> None:
    parser = Parser()
    for keys, task in everything(plan):
        try:
            file = embedded(task, source)
        except Wrong as wrong:
            faults.add((*keys, "args", "src"), wrong.words, wrong.hint)
            continue
        text = template_text(task, file) if file is not None and not has_own_marks(task) else None
        if file is not None and text is not None and (error := parser.template(text).error):
            faults.add((*keys, "args", "src"), f"{file.path} {error}")


def _check_secrets(plan: Plan, declared: Collection[str], source: Path, faults: Faults) -> None:
    for name, keys in secrets_of(plan, source).items():
        if name not in declared:
            words = f"the secret {shown(name)} is not declared"
            meant = nearest(name, declared)
            cure = f"provisioner: {{secrets: {{{name}: {{env: {name}}}}}}} in molecule.yml says where it comes from"
            faults.add(keys, words, f"did you mean {shown(meant)}?" if meant else cure)


def _warn_of_play(plan: Plan, play: Play, index: int, faults: Faults) -> None:
    keys: Keys = ("plays", index)
    if not any(batch.tasks for batch in play.batches):
        faults.add(() if plan.source_format == "execution-plan" else keys, "has no tasks")
    if play.serial is not None or (isinstance(play.strategy, dict) and "Rolling" in play.strategy):
        words = "hosts are worked on side by side: the order from host to host is not kept"
        faults.add((*keys, "serial" if play.serial is not None else "strategy"), words)
    for spot in order.spots(play, index):
        batch = play.batches[spot.batch]
        stray = [host for host in spot.task.hosts if host not in batch.hosts] if spot.task.hosts != batch.hosts else []
        if stray:
            words = f"{', '.join(map(shown, stray[:5]))}: not among the hosts of its batch, but it runs there"
            faults.add((*order.keys_of(plan, spot), "hosts"), words)
    _warn_of_handlers(plan, play, index, faults)


def _warn_of_handlers(plan: Plan, play: Play, index: int, faults: Faults) -> None:
    notified = {name for spot in order.spots(play, index) for name in spot.task.notify}
    notified.update(name for handler in play.handlers for name in handler.notify)
    if any("{{" in name for name in notified):
        return
    for at, handler in enumerate(play.handlers):
        if notified.isdisjoint({handler.name, handler.handler_id, *handler.listen}):
            name = handler.name or handler.handler_id
            faults.add(order.handler_keys(plan, index, at), f"nothing notifies the handler {shown(name)}")
