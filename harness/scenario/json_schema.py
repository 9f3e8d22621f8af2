"""The JSON schemas that editors use, made from the models that judge the files. See docs/schema/."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from harness import registry
from harness.errors import HarnessError
from harness.scenario.file import BinaryFile
from harness.scenario.molecule_file import AnsibleFile
from harness.scenario.settings import Settings

_DIALECT = "https://json-schema.org/draft/2020-12/schema"
DISTRIBUTION = "harness-e2e"
_HIDDEN_DRIVERS = ("fake",)
"""In-tree and for tests only."""


def scenario_schema() -> dict[str, Any]:
    """Of molecule.yml: ours where the provisioner is `binary`, Molecule's otherwise."""
    binary, ansible = _of(BinaryFile), _of(AnsibleFile)
    definitions = {**ansible.pop("$defs"), **binary.pop("$defs")}
    _add_driver_keys(definitions)
    _add_compiler_keys(definitions)
    definitions |= {"binary": binary, "ansible": ansible}
    return {
        "$schema": _DIALECT,
        "title": "molecule.yml",
        "description": "A scenario of harness-e2e",
        "if": {
            "type": "object",
            "properties": {"provisioner": {"properties": {"name": {"const": "binary"}}, "required": ["name"]}},
            "required": ["provisioner"],
        },
        "then": {"$ref": "#/$defs/binary"},
        "else": {"$ref": "#/$defs/ansible"},
        "$defs": dict(sorted(definitions.items())),
    }


def settings_schema() -> dict[str, Any]:
    """Of harness.toml."""
    return {
        "$schema": _DIALECT,
        **_of(Settings),
        "title": "harness.toml",
        "description": "Settings of harness-e2e",
    }


def _add_driver_keys(definitions: dict[str, Any]) -> None:
    """The keys of the drivers that come with the harness, those of all of them on every platform: an editor helps
    with a superset, `harness` knows which belong to which."""
    keys: dict[str, Any] = {}
    for name in _ours(registry.DRIVERS):
        model = _options(name)
        if model is None:
            continue
        schema = _of(model)
        definitions |= schema.pop("$defs", {})
        for key, body in schema.get("properties", {}).items():
            known = keys.setdefault(key, body)
            if known != body:
                keys[key] = {"anyOf": [known, body]}
    for section in ("PlatformSection", "DriverSection"):
        definitions[section]["properties"] |= keys
        definitions[section]["additionalProperties"] = False


def _add_compiler_keys(definitions: dict[str, Any]) -> None:
    """Those of the compilers that come with the harness; others may have others."""
    for name in _ours(registry.COMPILERS):
        schema = _of(registry.compiler_class(name).compiler_options)
        definitions |= schema.pop("$defs", {})
        for key, body in schema.get("properties", {}).items():
            definitions["CompilerSection"]["properties"].setdefault(key, body)


def _ours(group: str) -> list[str]:
    points = registry.points(group)
    return sorted(point.name for point in points if point.dist is not None and point.dist.name == DISTRIBUTION)


def _options(driver: str) -> type[BaseModel] | None:
    if driver in _HIDDEN_DRIVERS:
        return None
    try:
        return registry.driver(driver).platform_options
    except HarnessError:  # what it stands on is not installed here
        return None


def _of(model: type[BaseModel]) -> dict[str, Any]:
    schema = model.model_json_schema(mode="validation")
    cleaned = _without_titles(schema)
    assert isinstance(cleaned, dict)
    return cleaned


def _without_titles(schema: Any) -> Any:
    """pydantic titles every property with its own name, which tells an editor nothing."""
    if isinstance(schema, list):
        return [_without_titles(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    return {
        key: {name: _without_titles(body) for name, body in value.items()}
        if key in ("properties", "$defs") and isinstance(value, dict)
        else _without_titles(value)
        for key, value in schema.items()
        if key != "title" or not isinstance(value, str)
    }
