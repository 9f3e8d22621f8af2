"""What each host has to do, as the payload that its binary carries. Hosts with the same tasks share one payload."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import JsonValue

from harness.errors import InvalidInput, Problem
from harness.models.plan import Handler, Plan, Play, Task
from harness.models.problems import Keys, shown
from harness.models.runner import Payload, PayloadPlay, PayloadTask
from harness.plan import arguments, fields, order
from harness.plan.arguments import octal_mode
from harness.plan.check import run_options
from harness.plan.expressions import Parser, secrets_of_task, strings
from harness.plan.fields import Faults, Wrong
from harness.plan.files import embedded, module_name, with_content
from harness.plan.free_form import options_in
from harness.plan.inventory import Variables, merged
from harness.plan.keywords import OTHERS, PLAY_OTHERS
from harness.plan.order import Spot

if TYPE_CHECKING:
    from harness.compile.base import Honours
    from harness.models.scenario import Inventory

_COPIED = [
    "when",
    "vars",
    "environment",
    "loop",
    "loop_control",
    "become",
    "become_user",
    "changed_when",
    "failed_when",
    "ignore_errors",
    "until",
    "retries",
    "delay",
    "timeout",
    "no_log",
    "listen",
    "check_mode",
    "diff",
    "tags",
]


def slices(
    plan: Plan,
    *,
    source: Path,
    inventory: Inventory | None = None,
    groups: Mapping[str, list[str]] | None = None,
    hosts: Sequence[str] | None = None,
    secrets: Collection[str] = (),
    tags: Collection[str] | None = None,
    honours: Honours | None = None,
) -> list[Payload]:
    """One payload for each distinct list of tasks, its hosts in `run_on`; a host without a task is in none.

    `source` is the plan's file: what `copy` and `template` name beside it is embedded. `inventory` and `groups` are the
    scenario's, `hosts` limits the result, `secrets` are the names that the scenario declares, `tags` those of the run
    (None: the plan's own). With `honours` each task and play says what of it the compiler lacks.
    Raises InvalidInput for files and secrets that are missing, and for a cycle.
    """
    faults = Faults(source.name)
    maker = _Maker(plan, source, faults, run_options(plan).tags if tags is None else tuple(tags), honours)
    known = _all_groups(plan, groups or {})
    variables = _variables(plan, inventory, known)
    payloads = [maker.payload(run_on, known, variables) for run_on in _alike(plan, hosts)]
    missing = {name for payload in payloads for name in payload.secrets} - set(secrets)
    problems = faults.problems
    problems.extend(
        Problem(source.name, f"the secret {shown(name)} is not declared", "declare it under provisioner: secrets")
        for name in sorted(missing)
    )
    if problems:
        raise InvalidInput(str(source), problems)
    return payloads


def _alike(plan: Plan, wanted: Sequence[str] | None) -> list[list[str]]:
    """The hosts that have tasks, those with the very same tasks together, in the plan's order."""
    targets: dict[tuple[str, ...], int] = {}
    of_host: dict[str, set[int]] = {host: set() for host in plan.hosts}
    for index, play in enumerate(plan.plays):
        for spot in order.spots(play, index):
            key = tuple(spot.task.hosts)
            if key not in targets:
                targets[key] = len(targets)
                for host in key:
                    of_host.setdefault(host, set()).add(targets[key])
    alike: dict[frozenset[int], list[str]] = {}
    for host, numbers in of_host.items():
        if numbers and (wanted is None or host in wanted):
            alike.setdefault(frozenset(numbers), []).append(host)
    return list(alike.values())


def host_variables(plan: Plan, inventory: Inventory | None, groups: Mapping[str, list[str]]) -> dict[str, Variables]:
    """The variables of every host as a runner gets them; `groups` are the scenario's."""
    return _variables(plan, inventory, _all_groups(plan, groups))


def _all_groups(plan: Plan, scenario: Mapping[str, list[str]]) -> dict[str, list[str]]:
    found = {name: list(members) for name, members in plan.groups.items()}
    for name, members in scenario.items():
        found[name] = list(dict.fromkeys([*found.get(name, ()), *members]))
    found["all"] = list(dict.fromkeys([*plan.hosts, *(host for members in found.values() for host in members)]))
    return found


def _variables(plan: Plan, inventory: Inventory | None, groups: Mapping[str, list[str]]) -> dict[str, Variables]:
    """Of every host, the strongest last: the plan's groups, the scenario's groups, the plan's host, the scenario's."""
    group_vars, hosts_vars = (inventory.group_vars, inventory.hosts_vars) if inventory else ({}, {})
    layers = (plan.group_vars, group_vars)
    return {
        host: merged(host, groups, layers) | plan.hosts_vars.get(host, {}) | hosts_vars.get(host, {})
        for host in groups["all"]
    }


def _from_host_to_host(play: Play) -> dict[str, JsonValue]:
    """The order that a binary, which knows one host, cannot keep, under Ansible's names."""
    if play.serial is not None:
        return {"serial": play.serial}
    if isinstance(play.strategy, dict) and isinstance(rolling := play.strategy.get("Rolling"), dict):
        size = rolling.get("batch_size")
        return {"serial": size} if isinstance(size, int) else {}
    named = {"Free": "free", "HostPinned": "host_pinned"}
    return {"strategy": named[play.strategy]} if isinstance(play.strategy, str) and play.strategy in named else {}


@dataclass
class _Maker:
    """Turns tasks into what the runner reads, each once however many slices it is in."""

    plan: Plan
    source: Path
    faults: Faults
    tags: tuple[str, ...]
    honours: Honours | None = None
    parser: Parser = field(default_factory=Parser)
    _arguments: dict[int, dict[str, JsonValue]] = field(default_factory=dict)
    _orders: dict[int, list[Spot]] = field(default_factory=dict)

    def payload(self, run_on: list[str], groups: dict[str, list[str]], hosts: dict[str, Variables]) -> Payload:
        secrets: set[str] = set()
        present: set[str] = set()
        plays = []
        for index, play in enumerate(self.plan.plays):
            made = self._play(play, index, run_on[0], present, secrets)
            if made is not None:
                plays.append(made)
        secrets.update(self._secrets_in(hosts), *(self._secrets_in(play.vars) for play in plays))
        options = run_options(self.plan)
        return Payload.model_construct(
            schema_=1,
            plan_id=self.plan.metadata.plan_id,
            run_on=run_on,
            hosts=hosts,
            groups=groups,
            secrets=sorted(secrets),
            check_mode=options.check_mode,
            diff=options.diff_mode,
            plays=plays,
        )

    def _play(self, play: Play, index: int, host: str, present: set[str], secrets: set[str]) -> PayloadPlay | None:
        names = {handler.handler_id: handler.name or handler.handler_id for handler in play.handlers}
        taken = set(names.values()) | {topic for handler in play.handlers for topic in handler.listen}
        tasks = []
        for spot in self._order(index):
            task = spot.task
            if host in task.hosts:
                made = self._task(task, task.task_id, order.keys_of(self.plan, spot), names, taken, secrets)
                # A dependency on a task that is not for this host is fulfilled.
                made.dependencies.extend(name for name in task.dependencies if name in present)
                tasks.append(made)
                present.add(task.task_id)
        if not tasks:
            return None
        handlers = []
        if any(task.notify for task in tasks):
            ranked = sorted(enumerate(play.handlers), key=lambda item: (item[1].execution_order, item[0]))
            for at, handler in ranked:
                keys = order.handler_keys(self.plan, index, at)
                handlers.append(self._task(handler, handler.handler_id, keys, names, taken, secrets))
        extras = {key: value for key, value in (play.model_extra or {}).items() if key in PLAY_OTHERS}
        lacking = arguments.refused_of_play(extras, self.honours) if self.honours is not None else ()
        beyond = {**_from_host_to_host(play), **extras}
        words = tuple(fault.words for fault in lacking)
        return PayloadPlay.model_construct(
            name=play.name, vars=play.vars, tasks=tasks, handlers=handlers, beyond=beyond, lacking=words
        )

    def _order(self, index: int) -> list[Spot]:
        if index not in self._orders:
            self._orders[index] = order.ordered(self.plan, index)
        return self._orders[index]

    def _task(
        self, task: Task | Handler, name: str, keys: Keys, names: dict[str, str], taken: set[str], secrets: set[str]
    ) -> PayloadTask:
        values: dict[str, Any] = {key: getattr(task, key) for key in _COPIED}
        if self._is_skipped(task):
            values["when"] = [*task.when, False]
        secrets.update(name for _, name in secrets_of_task(task, self.parser))
        args = self._args(task, keys)
        if module_name(task.module) == "template" and isinstance(text := args.get("content"), str):
            secrets.update(self.parser.secrets(text))
        values.update(
            task_id=name,
            name=task.name or (name if isinstance(task, Handler) else ""),
            module=task.module,
            args=args,
            notify=[names[topic] if topic in names and topic not in taken else topic for topic in task.notify],
            register_=task.register_,
            **self._for_ansible(task, keys),
        )
        return fields.build(PayloadTask, values)

    def _for_ansible(self, task: Task | Handler, keys: Keys) -> dict[str, Any]:
        extras = task.model_extra or {}
        beyond = {key: value for key, value in extras.items() if key in OTHERS or key.startswith("with_")}
        lacking: tuple[str, ...] = ()
        if self.honours is not None:
            lacking = tuple(fault.words for fault in arguments.refused(task, self.honours, self.faults.suggestions))
        rerun = False
        try:
            rerun = extras.get("rerun") is not None and fields.truth(extras["rerun"])
        except Wrong as wrong:
            self.faults.add((*keys, "rerun"), wrong.words, wrong.hint)
        return {"beyond": beyond, "lacking": lacking, "rerun": rerun}

    def _args(self, task: Task | Handler, keys: Keys) -> dict[str, JsonValue]:
        found = self._arguments.get(id(task))
        if found is None:
            found = self._arguments[id(task)] = self._made_args(task, keys)
        return found

    def _made_args(self, task: Task | Handler, keys: Keys) -> dict[str, JsonValue]:
        args = task.args
        module = module_name(task.module)
        raw = args.get("_raw_params")
        if module in ("command", "shell") and isinstance(raw, str):
            command, options = options_in(raw, shell=module == "shell")
            args = {**args, "_raw_params": command, **options}
        try:
            file = embedded(task, self.source)
            if file is not None:
                args = with_content(task, file)
        except Wrong as wrong:
            self.faults.add((*keys, "args", "src"), wrong.words, wrong.hint)
        if any(value is None or key.endswith("mode") for key, value in args.items()):
            keep_null = module == "set_fact"
            args = {
                key: octal_mode(value) or value if key in ("mode", "directory_mode") else value
                for key, value in args.items()
                if value is not None or keep_null
            }
        return args

    def _is_skipped(self, task: Task | Handler) -> bool:
        """SkipTag: not in a run that asks for one of these tags."""
        if not self.tags:
            return False
        for condition in task.conditions:
            body = condition.get("SkipTag") if isinstance(condition, dict) else None
            if isinstance(body, dict) and not set(self.tags).isdisjoint(fields.tags(body["tags"])):
                return True
        return False

    def _secrets_in(self, value: Any) -> set[str]:
        return {name for _, text in strings(value, ()) for name in self.parser.secrets(text)}
