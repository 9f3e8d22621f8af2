"""Valid inputs, broken at random: the documents of the fuzz tests."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from typing import Any

from hypothesis import strategies as st

from harness.models.config import ArtifactCheck, ExpectedOutcome, TaskExpectation
from harness.models.plan import Batch, Handler, Plan, PlanMetadata, Play, Task
from harness.scenario.outcomes import Outcomes

JUNK: list[Any] = [
    None,
    True,
    False,
    0,
    -1,
    1,
    3.5,
    1e308,
    2**63,
    10**30,
    float("nan"),
    float("-inf"),
    "",
    " ",
    "all",
    "{{",
    "{{ x }}",
    "{% raw %}",
    "{{ " + "(" * 3000,
    "a" * 2000,
    "\0",
    "\x1b[2J",
    "\ud800",
    "ünïcødé 😀",
    "../../etc/passwd",
    "~(",
    "web[0:99999]",
    "!&:",
    [],
    [[]],
    [None],
    ["a", 1, {}],
    {},
    {"": ""},
    {"When": {"expression": "x"}},
    {"secs": -1, "nanos": "x"},
    {"a": {"b": {"c": [{"d": 1}]}}},
    {"cls": 1, "self": 2, "_fields_set": 3, "model_config": 4},
]
NAMES = sorted(
    {
        *(name for model in (Task, Handler, Batch, Play, Plan, PlanMetadata) for name in model.model_fields),
        *(name for model in (ExpectedOutcome, TaskExpectation, ArtifactCheck, Outcomes) for name in model.model_fields),
        *("id", "register", "target_hosts", "inventory", "retry_policy", "failure_policy", "variables", "children"),
        *("whne", "with_items", "delegate_to", "block", "run_once", "planning_options"),
    }
)

Mutation = tuple[int, int, int]
"""What to do, where, and with what: each is taken modulo what there is."""

mutations = st.lists(st.tuples(st.integers(0, 9), st.integers(0, 10_000), st.integers(0, 10_000)), max_size=6)
bytes_mutations = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 100_000), st.integers(0, 255)), max_size=3)


def mutated(document: Any, changes: list[Mutation], bytes_changes: list[Mutation]) -> bytes:
    """A deep copy of `document` after the changes, as the bytes of a file."""
    holder = {"document": copy.deepcopy(document)}
    for change in changes:
        _change(holder, *change)
    data = json.dumps(holder.get("document")).encode()
    for what, where, byte in bytes_changes:
        at = where % (len(data) + 1)
        if what == 0:
            data = data[:at]
        elif what == 1:
            data = data[:at] + bytes([byte]) + data[at + 1 :]
        elif what == 2:
            data = data[:at] + bytes([byte]) + data[at:]
        else:
            data = data[:at] + data[at + 1 + byte % 20 :]
    return data


def _change(holder: dict[str, Any], what: int, where: int, which: int) -> None:
    places = list(_places(holder))
    if not places:
        return
    owner, key = places[where % len(places)]
    value = owner[key]
    junk = copy.deepcopy(JUNK[which % len(JUNK)])
    if what == 0:
        del owner[key]
    elif what in (1, 2, 3):
        owner[key] = junk
    elif what == 4 and isinstance(owner, dict):
        owner[NAMES[which % len(NAMES)]] = owner.pop(key)
    elif what == 5 and isinstance(value, list) and value:
        value.insert(which % (len(value) + 1), copy.deepcopy(value[which % len(value)]))
    elif what == 5 and isinstance(value, dict):
        value[NAMES[which % len(NAMES)]] = junk
    elif what == 6:
        other, other_key = places[which % len(places)]
        owner[key] = copy.deepcopy(other[other_key])
    elif what == 7:
        owner[key] = [value]
    elif what == 8:
        for _ in range(which % 150):
            value = {"x": value} if which % 2 else [value]
        owner[key] = value
    elif what == 9 and isinstance(value, str):
        owner[key] = value[: which % (len(value) + 1)]


def _places(owner: Any) -> Iterator[tuple[Any, Any]]:
    """Every value of a document with what holds it."""
    waiting = [owner]
    while waiting:
        holder = waiting.pop()
        keys = list(holder) if isinstance(holder, dict) else range(len(holder))
        for key in keys:
            yield holder, key
            if isinstance(holder[key], dict | list):
                waiting.append(holder[key])
