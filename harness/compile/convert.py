"""A plan of either format as the plans that rustle-deploy is given: one for each distinct list of tasks."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from harness.compile.rustle import RustleDeploy, RustleDeployOptions
from harness.compile.targets import host_target, known_target
from harness.errors import InvalidInput, Problem, UsageError
from harness.models.problems import nearest
from harness.models.runner import Payload
from harness.plan import check_file, read_plan, slices


def converted(
    file: Path, *, hosts: Sequence[str], target: str | None, output: Path | None, validate: bool
) -> list[tuple[Path | None, bytes]]:
    """Each plan with the place it is for (None: stdout). Raises InvalidInput with all that cannot be converted."""
    compiler = RustleDeploy(RustleDeployOptions())
    triple = known_target(target or host_target()).triple
    if validate:
        checked = check_file(file, honours=compiler.honours(), secrets=())
        if checked.errors:
            raise InvalidInput(str(file), checked.errors)
        plan = checked.plan
    else:
        plan = read_plan(file)
    for host in hosts:
        if host not in plan.hosts:
            near = nearest(host, plan.hosts)
            raise UsageError(f"the plan has no host {host!r}", hint=f"did you mean {near}?" if near else None)
    payloads = slices(plan, source=file, hosts=hosts or None)
    if not payloads:
        raise InvalidInput(str(file), [Problem("plays", "no host has a task: there is nothing to convert")])
    found = [(payload, compiler.plan(payload, triple)) for payload in payloads]
    if len(found) == 1 and (output is None or not output.is_dir()):
        return [(output, found[0][1])]
    if output is None or output.is_file():
        lists = "; ".join(", ".join(payload.run_on[:3]) for payload in payloads)
        raise UsageError(
            f"the hosts have {len(found)} different lists of tasks ({lists}), and each wants a plan of its own",
            hint="name a folder with --output, or one host with --host",
        )
    return [(output / f"{_name(payload)}.json", data) for payload, data in found]


def _name(payload: Payload) -> str:
    return payload.run_on[0] if len(payload.run_on) == 1 else f"{payload.run_on[0]}-and-{len(payload.run_on) - 1}-more"
