"""Playbooks of a scenario, run on its platforms as a step: what is handed to Ansible, and what came of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from harness.ansible.ephemeral import config_of, inventory_folder, settings_of, write_ephemeral
from harness.ansible.inventory import Variables, host_variables
from harness.ansible.job import AnsibleHost, PlaybookJob, PlaybookRun, TaskEvent
from harness.ansible.project import environment_of, make_known
from harness.ansible.records import FACTS, Records
from harness.deadline import Deadline
from harness.deploy.records import task_result
from harness.errors import HarnessError
from harness.lifecycle.context import Context
from harness.lifecycle.failures import StepFailed, describe, raise_defects
from harness.models.results import HostExecutionResult
from harness.models.runner import TaskRecord
from harness.verify.arguments import option_arguments

DELEGATED = "default"
METHOD = "ansible"
_GRACE = 15.0
"""Seconds that Ansible is given to end after the deadline, so that what it did is known."""
_SKIPPED = ("molecule-notest", "notest")
_SKIPPED_AGAIN = "molecule-idempotence-notest"
_WITHOUT_OPTIONS = ("create", "destroy")
"""Steps for which `provisioner.options` are not meant."""


@dataclass(frozen=True)
class Played:
    """One playbook as it went: `records` by host, those of hosts that are no platform (localhost) among them."""

    playbook: Path
    run: PlaybookRun
    records: Mapping[str, Sequence[TaskRecord]]

    def results(self) -> dict[str, HostExecutionResult]:
        """By host; one that could not be reached has an error."""
        unreachable = {event.host for event in self.run.events if event.outcome == "unreachable"}
        return {
            host: HostExecutionResult(
                host=host,
                task_results=[task_result(record) for record in records],
                deployment_method=METHOD,
                execution_time=self.run.ended - self.run.started,
                error=records[-1].msg if host in unreachable and records else None,
            )
            for host, records in self.records.items()
        }

    @property
    def tasks(self) -> int:
        """Tasks of any host that did more than look."""
        return sum(1 for records in self.records.values() for record in records if record.module not in FACTS)


def playbook_of(context: Context, step: str) -> Path | None:
    return settings_of(context.scenario).playbooks.get(step)


def play(
    context: Context,
    step: str,
    playbook: Path,
    *,
    arguments: Sequence[str] = (),
    env: Mapping[str, str] | None = None,
    platforms: bool = True,
) -> Played:
    """Run it for `step`. Without `platforms` they need not exist yet (or any more). Raises StepFailed where Ansible
    could not do its part; failed tasks are in the result (see `judge`)."""
    hosts = reached_hosts(context, step) if platforms else []
    write_folder(context, hosts, lenient=not platforms)
    job = PlaybookJob(
        playbook=playbook,
        hosts=hosts,
        inventory=inventory_folder(context.scenario),
        env={**environment_of(context.scenario), **(env or {})},
        config=config_of(context.scenario),
        config_file=settings_of(context.scenario).ephemeral / "ansible.cfg",
        arguments=(*_arguments(context, step, playbook), *arguments),
        cwd=context.scenario.ref.directory,
    )
    return _play(context, step, job)


def _play(context: Context, step: str, job: PlaybookJob) -> Played:
    """In a thread of its own, so that a signal is met at once."""
    from harness.ansible.run import run_playbook

    records = Records(context.mask.tree)
    by_host: dict[str, list[TaskRecord]] = {}
    silent = step in _WITHOUT_OPTIONS and not settings_of(context.scenario).log

    def on_event(event: TaskEvent) -> None:
        record = records.take(event)
        by_host.setdefault(event.host, []).append(record)
        context.task(event.host, record)

    def on_line(line: str) -> None:
        if not silent:
            context.log_line(step, context.mask.text(line))

    def work(_: str) -> PlaybookRun:
        return run_playbook(
            job, deadline=context.deadline, cancellation=context.cancellation, on_event=on_event, on_line=on_line
        )

    patient = replace(context, deadline=Deadline(context.deadline.remaining() + _GRACE))
    outcome = patient.each([job.playbook.name], work)
    raise_defects(outcome)
    for error in outcome.failed.values():
        raise StepFailed(describe(error), outcome="error", stage="run")
    run = outcome.done[job.playbook.name]
    played = Played(job.playbook, run, _after_rescues(context, by_host, run))
    for name in run.unmatched:
        tell = context.warn if step in ("converge", "verify") else context.note
        tell(f"{job.playbook.name}: the play {name!r} is for no platform of this run")
    return played


def _after_rescues(
    context: Context, by_host: Mapping[str, list[TaskRecord]], run: PlaybookRun
) -> dict[str, list[TaskRecord]]:
    """Whether a failure was rescued is known at the end only; events and records stand in the same order."""
    found: dict[str, list[TaskRecord]] = {}
    at: dict[str, int] = {}
    for event in run.events:
        number = at.get(event.host, 0)
        at[event.host] = number + 1
        record = by_host[event.host][number]
        if event.outcome == "ignored" and not record.ignored:
            record = record.model_copy(update={"ignored": True})
            context.task(event.host, record)
        found.setdefault(event.host, []).append(record)
    return found


def reached_hosts(context: Context, step: str) -> list[AnsibleHost]:
    """Platforms of ours over their connections; those of the driver `default` Ansible reaches by itself."""
    if context.scenario.driver == DELEGATED:
        return []
    connections = context.connections(step)
    found = []
    for name in context.hosts:
        endpoint = context.fleet.members[name].endpoint
        assert endpoint is not None
        found.append(AnsibleHost(name, endpoint, connections[name]))
    return found


def write_folder(context: Context, hosts: Sequence[AnsibleHost] = (), *, lenient: bool = False) -> None:
    """`lenient`: for playbooks that reach no platform, so that destroy.yml runs whatever create.yml has written."""
    reached: dict[str, Variables] = {name: {} for name in context.hosts or context.fleet.specs}
    reached |= {host.name: host_variables(host) for host in hosts}
    if context.scenario.driver == DELEGATED:
        from harness.drivers.delegated import variables_of

        try:
            reached = {name: variables_of(context.fleet.specs[name]) for name in reached}
        except HarnessError as error:
            if not lenient:
                raise
            context.note(error.message)
    notes = make_known(context.scenario) if settings_of(context.scenario).prerun else []
    for note in [*notes, *write_ephemeral(context.scenario, reached)]:
        context.note(note)


def _arguments(context: Context, step: str, playbook: Path) -> list[str]:
    settings = settings_of(context.scenario)
    skipped = [*_SKIPPED, *([_SKIPPED_AGAIN] if step == "idempotence" else [])]
    options = {"skip-tags": ",".join(skipped)}
    if step not in _WITHOUT_OPTIONS:
        options |= {name.replace("_", "-"): value for name, value in settings.options.items()}  # type: ignore[misc]
    if playbook != settings.playbooks.get("converge"):
        options.pop("become", None)  # Molecule means it for what is under test alone
    return [*option_arguments(options), *settings.ansible_args, *context.ansible_arguments]


def judge_run(played: Played) -> None:
    """Raises StepFailed where Ansible ended badly and no task says why."""
    if played.run.error is not None:
        raise StepFailed(f"{played.playbook.name}: {played.run.error}", outcome="error", stage="run")
