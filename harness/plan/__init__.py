"""Read (both plan formats), validate, dependency graph, slice per host.

`read_plan` gives a plan or InvalidInput with all that is wrong with it; `check_plan` holds it against a compiler,
platforms, files and secrets; `check_file` does both in one go; `slices` makes the payloads.
"""

from harness.plan.check import Checked, RunOptions, check_file, check_plan, plan_warnings, run_options, secrets_of
from harness.plan.order import Graph, Node, dependency_graph, ordered_tasks
from harness.plan.read import read_plan
from harness.plan.slice import slices

__all__ = [
    "Checked",
    "Graph",
    "Node",
    "RunOptions",
    "check_file",
    "check_plan",
    "dependency_graph",
    "ordered_tasks",
    "plan_warnings",
    "read_plan",
    "run_options",
    "secrets_of",
    "slices",
]
