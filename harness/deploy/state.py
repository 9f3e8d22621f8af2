"""What a host's tasks have left to later ones: it travels between a runner and Ansible, both ways."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from harness.models.runner import StateRecord


@dataclass
class HostState:
    """`registered`: registered results and what set_fact set. `facts`: by the names `ansible_...`. `notified`: the
    ids of handlers, each once, in the order in which they were notified. It may hold secrets."""

    registered: dict[str, Any] = field(default_factory=dict, repr=False)
    facts: dict[str, Any] = field(default_factory=dict, repr=False)
    notified: dict[str, None] = field(default_factory=dict)

    def take(self, record: StateRecord) -> None:
        """What a runner told after a task."""
        self.registered.update(record.registered)
        self.facts.update(record.facts)
        self.notified.update(dict.fromkeys(record.notified))


def without_templates(value: Any) -> Any:
    """As Ansible's JSON marks text in which it is not to look for templates: what tasks left is data."""
    if isinstance(value, str):
        return {"__ansible_unsafe": value} if "{" in value else value
    if isinstance(value, Mapping):
        return {key: without_templates(item) for key, item in value.items()}
    if isinstance(value, list):
        return [without_templates(item) for item in value]
    return value
