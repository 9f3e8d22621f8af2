"""A plan for people and for programs: a tree, and its graph as text, Graphviz, Mermaid and JSON."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from harness.models.plan import Handler, Plan, Play, Task
from harness.plan.order import Graph, Node, ordered
from harness.report.text import plural, printable

if TYPE_CHECKING:
    from rich.tree import Tree

NAMED_HOSTS = 4
"""Hosts that are named before the rest is counted."""


def show(plan: Plan) -> None:
    """Print the tree: folded and in colour on a terminal, one line a task anywhere else."""
    from rich.console import Console

    console = Console()
    if not console.is_terminal:
        console = Console(width=1000)
    console.print(tree(plan))


def tree(plan: Plan) -> Tree:
    """Plays, their tasks in the order of the run, and their handlers."""
    from rich.text import Text
    from rich.tree import Tree

    count = sum(len(batch.tasks) for play in plan.plays for batch in play.batches)
    head = Text.assemble(("plan ", "bold"), printable(plan.metadata.plan_id), f"  {plural(count, 'task')}, ")
    head.append(f"{_hosts(plan.hosts)}  ({plan.source_format})")
    root = Tree(head, guide_style="dim")
    for index, play in enumerate(plan.plays):
        branch = root.add(Text.assemble(("play ", "bold"), printable(play.name or play.play_id)))
        batch_branch, last = branch, -1
        for spot in ordered(plan, index):
            batch = play.batches[spot.batch]
            if len(play.batches) > 1 and spot.batch != last:
                batch_branch = branch.add(Text.assemble(("batch ", "bold"), printable(batch.batch_id)))
            last = spot.batch
            batch_branch.add(_task(spot.task, play))
        for handler in play.handlers:
            branch.add(_handler(handler))
    return root


def _task(task: Task, play: Play) -> Any:
    from rich.text import Text

    line = Text.assemble((printable(task.task_id), "cyan"), f"  {printable(task.module)}")
    if task.name:
        line.append(f"  {printable(task.name)}", "bold")
    notes = []
    if task.hosts != play.hosts:
        notes.append(f"on {_hosts(task.hosts)}")
    if task.dependencies:
        notes.append(f"after {', '.join(task.dependencies)}")
    if task.when:
        notes.append(f"when {' and '.join(str(condition) for condition in task.when)}")
    if task.loop is not None:
        notes.append(f"loop of {len(task.loop)}" if isinstance(task.loop, list) else f"loop over {task.loop}")
    if task.notify:
        notes.append(f"notifies {', '.join(task.notify)}")
    if task.tags:
        notes.append(f"tags {', '.join(task.tags)}")
    if notes:
        line.append(f"  {printable('; '.join(notes))}", "dim")
    return line


def _handler(handler: Handler) -> Any:
    from rich.text import Text

    name = handler.name or handler.handler_id
    line = Text.assemble(("handler ", "bold"), printable(f"{name}  {handler.module}"))
    if handler.listen:
        line.append(printable(f"  listens to {', '.join(handler.listen)}"), "dim")
    return line


def _hosts(hosts: Sequence[str]) -> str:
    if len(hosts) <= NAMED_HOSTS:
        return printable(", ".join(hosts)) or "no host"
    return f"{printable(', '.join(hosts[: NAMED_HOSTS - 1]))} and {len(hosts) - NAMED_HOSTS + 1} more hosts"


def graph_text(graph: Graph) -> str:
    """One line a task, in the order of the run, with what it waits for."""
    waits: dict[str, list[str]] = {}
    for task, before in graph.edges:
        waits.setdefault(task, []).append(before)
    lines = []
    play = None
    for node in graph.nodes:
        if node.play != play:
            play = node.play
            lines.append(printable(f"{play}:"))
        after = f" <- {', '.join(waits[node.task_id])}" if node.task_id in waits else ""
        lines.append(printable(f"  {node.task_id}{after}  [{node.module}] {_hosts(node.hosts)}"))
    return "\n".join(lines)


def graph_dot(graph: Graph) -> str:
    """For Graphviz; an arrow goes from a task to the one that waits for it."""
    lines = ["digraph plan {", "  rankdir=LR;", "  node [shape=box];"]
    for number, (play, nodes) in enumerate(_by_play(graph).items()):
        lines += [f"  subgraph cluster_{number} {{", f"    label={json.dumps(play)};"]
        lines += [f"    {json.dumps(node.task_id)} [label={json.dumps(_label(node))}];" for node in nodes]
        lines.append("  }")
    lines += [f"  {json.dumps(before)} -> {json.dumps(task)};" for task, before in graph.edges]
    return "\n".join([*lines, "}"])


def graph_mermaid(graph: Graph) -> str:
    names = {node.task_id: f"t{index}" for index, node in enumerate(graph.nodes)}
    lines = ["flowchart LR"]
    for number, (play, nodes) in enumerate(_by_play(graph).items()):
        lines.append(f'  subgraph p{number}["{_mermaid(play)}"]')
        lines += [f'    {names[node.task_id]}["{_mermaid(_label(node))}"]' for node in nodes]
        lines.append("  end")
    lines += [f"  {names[before]} --> {names[task]}" for task, before in graph.edges if before in names]
    return "\n".join(lines)


def graph_json(graph: Graph) -> str:
    nodes = [
        {
            "task_id": node.task_id,
            "name": node.name,
            "module": node.module,
            "play": node.play,
            "batch": node.batch,
            "hosts": list(node.hosts),
        }
        for node in graph.nodes
    ]
    edges = [{"task": task, "depends_on": before} for task, before in graph.edges]
    return json.dumps({"nodes": nodes, "edges": edges}, indent=2, ensure_ascii=False)


GRAPHS: dict[str, Callable[[Graph], str]] = {
    "text": graph_text,
    "dot": graph_dot,
    "mermaid": graph_mermaid,
    "json": graph_json,
}


def _by_play(graph: Graph) -> dict[str, list[Node]]:
    plays: dict[str, list[Node]] = {}
    for node in graph.nodes:
        plays.setdefault(node.play, []).append(node)
    return plays


def _label(node: Node) -> str:
    return printable(f"{node.task_id}: {node.module}" + (f"\n{node.name}" if node.name else ""))


def _mermaid(text: str) -> str:
    """Mermaid reads entities in quoted labels (https://mermaid.js.org/syntax/flowchart.html#entity-codes-to-escape)."""
    return re.sub(r'["#<>&`]', lambda found: f"#{ord(found[0])};", printable(text)).replace("\n", "<br/>")
