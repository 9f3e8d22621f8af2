"""The published schemas: up to date, and of the same mind as the loader."""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from harness.scenario.json_schema import scenario_schema, settings_schema
from harness.scenario.skeleton import init_scenario
from tests.scenario.conftest import MINIMAL
from tests.scenario.test_load import FULL
from tests.scenario.test_settings import SPECIFICATION

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def validator() -> jsonschema.Draft202012Validator:
    schema = scenario_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


@pytest.mark.parametrize(("which", "make"), [("scenario", scenario_schema), ("settings", settings_schema)])
def test_the_published_file_is_up_to_date(which: str, make: Any) -> None:
    published = json.loads((ROOT / "docs" / "schema" / f"{which}.json").read_text())
    assert published == make(), f"run: harness schema {which} > docs/schema/{which}.json"


def test_the_verb_prints_it() -> None:
    command = [sys.executable, "-m", "harness", "schema", "settings"]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert json.loads(printed) == settings_schema()


@pytest.mark.parametrize("file", sorted((ROOT / "molecule").glob("*/molecule.yml")), ids=lambda file: file.parent.name)
def test_every_scenario_of_ours_is_valid(validator: jsonschema.Draft202012Validator, file: Path) -> None:
    validator.validate(yaml.safe_load(file.read_text()))


def test_what_init_makes_is_valid(validator: jsonschema.Draft202012Validator, project: Path) -> None:
    init_scenario(project, "web", image="debian-12")
    validator.validate(yaml.safe_load((project / "molecule/web/molecule.yml").read_text()))


@pytest.mark.parametrize(
    ("text", "valid"),
    [
        (MINIMAL, True),
        # `faults` are keys of the fake driver, which no editor need know.
        (FULL.replace(", faults: {create: slow}", ""), True),
        (MINIMAL.replace("name: node1", "name: node1\n    network: host"), True),
        (MINIMAL.replace("name: node1", "name: node1\n    netwrk: host"), False),
        (MINIMAL.replace("name: node1", "groups: [a]"), False),
        (MINIMAL.replace("binary}", "binary, strategy: fast}"), False),
        (MINIMAL + "verifier: {direcotry: x}\n", False),
        (MINIMAL + "expect: {stage: run}\n", False),
        ("platforms: [{name: a, privileged: true}]", True),
        ("platforms: [{name: a}]\nprovisioner: {name: ansible, playbooks: {}}", True),
        ("platforms: [{name: a}]\nverifer: {}", False),
        ("provisioner: {name: chef}", False),
    ],
)
def test_it_agrees_with_the_loader(validator: jsonschema.Draft202012Validator, text: str, valid: bool) -> None:
    assert validator.is_valid(yaml.safe_load(text)) is valid


def test_the_settings_of_the_specification_are_valid() -> None:
    schema = settings_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    checker = jsonschema.Draft202012Validator(schema)
    assert checker.is_valid(tomllib.loads(SPECIFICATION))
    assert not checker.is_valid({"docker": {"network": "x"}})
