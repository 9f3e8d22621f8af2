"""What Molecule takes for granted (its constants.py), and the document that it hands to playbooks."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from pydantic import JsonValue

from harness.scenario.sequences import DEFAULTS

DEFAULT_PLAYBOOKS = {
    "cleanup": "cleanup.yml",
    "create": "create.yml",
    "converge": "converge.yml",
    "destroy": "destroy.yml",
    "prepare": "prepare.yml",
    "side_effect": "side_effect.yml",
    "verify": "verify.yml",
}

_WITH_DEFAULTS = ("check", "cleanup", "converge", "create", "destroy", "test")
"""The sequences that stand in Molecule's defaults."""

_DOCUMENT: dict[str, Any] = {
    "ansible": {
        "cfg": {},
        "executor": {"backend": "ansible-playbook", "args": {"ansible_navigator": [], "ansible_playbook": []}},
        "env": {},
        "playbooks": DEFAULT_PLAYBOOKS,
    },
    "dependency": {"name": "galaxy", "command": None, "enabled": True, "options": {}, "env": {}},
    "driver": {
        "name": "default",
        "provider": {"name": None},
        "options": {"managed": True},
        "ssh_connection_options": [],
        "safe_files": [],
    },
    "platforms": [],
    "prerun": True,
    "role_name_check": 0,
    "shared_state": False,
    "provisioner": {
        "name": "ansible",
        "config_options": {},
        "ansible_args": [],
        "env": {},
        "playbooks": DEFAULT_PLAYBOOKS,
        "connection_options": {},
        "options": {},
        "inventory": {"hosts": {}, "host_vars": {}, "group_vars": {}, "links": {}},
        "children": {},
        "log": True,
    },
    "scenario": {f"{verb}_sequence": list(DEFAULTS[verb]) for verb in _WITH_DEFAULTS},
    "verifier": {"name": "ansible", "enabled": True, "options": {}, "env": {}, "additional_files_or_dirs": []},
}

_MOVED = {
    ("config_options",): ("cfg",),
    ("env",): ("env",),
    ("playbooks",): ("playbooks",),
    ("ansible_args",): ("executor", "args", "ansible_playbook"),
}
"""From `provisioner` to `ansible`: playbooks of older and of newer Molecule find each in its own place."""


def document_of(data: Mapping[str, JsonValue], scenario: str, driver: str) -> dict[str, JsonValue]:
    """The scenario as `molecule_yml` shows it to playbooks: with every default, under old and new names."""
    written = copy.deepcopy(dict(data))
    for old, new in _MOVED.items():
        _copy(written, ("provisioner", *old), ("ansible", *new))  # the older one wins where both are there
        _copy(written, ("ansible", *new), ("provisioner", *old))
    document = _laid(copy.deepcopy(_DOCUMENT), written)
    document["scenario"]["name"] = scenario
    document["driver"]["name"] = driver
    return document


def _copy(document: dict[str, Any], source: tuple[str, ...], target: tuple[str, ...]) -> None:
    value: Any = document
    for key in source:
        if not isinstance(value, dict) or key not in value:
            return
        value = value[key]
    place: Any = document
    for key in target[:-1]:
        if not isinstance(place.get(key), dict):
            place[key] = {}
        place = place[key]
    place[target[-1]] = copy.deepcopy(value)


def _laid(base: dict[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Mappings key by key, everything else replaced. A section that is none leaves the defaults: an empty one, and one
    whose type the scenario's reader refuses."""
    for key, value in over.items():
        own = base.get(key)
        if isinstance(own, dict) and isinstance(value, Mapping):
            base[key] = _laid(own, value)
        elif not isinstance(own, dict):
            base[key] = copy.deepcopy(value)
    return base
