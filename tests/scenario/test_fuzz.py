"""Mutated scenarios and settings end in a scenario or in words, never in a traceback.

`HARNESS_FUZZ=N` tries N of each.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.errors import HarnessError, InvalidInput
from harness.scenario import load_scenario, load_settings, scenario_from_config
from tests.scenario.test_load import FULL
from tests.scenario.test_settings import SPECIFICATION

EXAMPLES = int(os.environ.get("HARNESS_FUZZ", "60"))
fuzz = settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
TOKENS = (
    *(
        "{",
        "}",
        "[",
        "]",
        ":",
        ": ",
        "- ",
        "\n",
        "\n  ",
        ",",
        "'",
        '"',
        "#",
        "&a ",
        "*a",
        "<<: ",
        "!x ",
        "|",
        ">",
        "%",
        "?",
    ),
    *(
        "$",
        "${A",
        "${A:-",
        "${A:?x}",
        "\t",
        "\x00",
        "\x85",
        "\ufeff",
        "\ud800",
        "ä",
        "~",
        "true",
        "-1",
        "1e999",
        ".nan",
    ),
    *("name", "platforms", "provisioner", "binary", "[[[[", "{}", "null", "=", "[harness]", "''' ", '"""', "9" * 30),
)
CONFIG = """\
{"test_name": "a", "execution_plan_path": "molecule/web/plan.json", "target_platforms": [{"arch": "x86_64",
 "os": "linux", "environment": {"Docker": {"image": "a", "volumes": []}}}], "deployment_strategy": "BinaryOnly",
 "expected_outcomes": [{"host": "node1", "tasks": [{"task_id": "t", "artifacts": [{"path": "/a",
 "check_type": {"FileSize": {"min": 1}}, "expected_value": ""}]}]}], "timeout_seconds": 3, "use_containers": true}
"""


@st.composite
def mutated(draw: st.DrawFn, text: str) -> bytes:
    """The text with pieces cut out, doubled, replaced or put in."""
    for _ in range(draw(st.integers(1, 5))):
        start = draw(st.integers(0, len(text)))
        end = min(len(text), start + draw(st.integers(0, 40)))
        piece = draw(st.sampled_from(TOKENS) | st.just(text[start:end] * 2) | st.text(max_size=4))
        text = text[:start] + piece + text[end:]
    data = text.encode(errors="surrogatepass")
    cut = draw(st.none() | st.integers(0, len(data)))
    return data[:cut]


@pytest.fixture
def prepared(project: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = project / "molecule" / "web"
    (folder / "checks").mkdir(parents=True)
    for name in ("plan.json", "outcomes.json", "again.sh", "../shared.json", "checks/test_a.py"):
        (folder / name).write_text('[{"host": "web1"}]' if name == "outcomes.json" else "{}")
    monkeypatch.setenv("A", "a\nb: [")
    return project


def judged(problems: InvalidInput) -> None:
    assert problems.problems
    for problem in problems.problems:
        assert problem.where and problem.message
        assert "\n" not in problem.where
        str(problem).encode()


@fuzz
@given(mutated(FULL))
def test_a_scenario(prepared: Path, data: bytes) -> None:
    (prepared / "molecule/web/molecule.yml").write_bytes(data)
    try:
        load_scenario(prepared, "web", settings=load_settings(prepared))
    except InvalidInput as error:
        judged(error)


@fuzz
@given(mutated("A: 1\nB: [x]\nC: yes\n"))
def test_an_env_file(prepared: Path, data: bytes) -> None:
    (prepared / "molecule/web/molecule.yml").write_text("platforms: [{name: a}]")
    (prepared / ".env.yml").write_bytes(data)
    try:
        load_scenario(prepared, "web", settings=load_settings(prepared))
    except InvalidInput as error:
        judged(error)


@fuzz
@given(mutated(SPECIFICATION))
def test_settings(prepared: Path, data: bytes) -> None:
    (prepared / "harness.toml").write_bytes(data)
    try:
        load_settings(prepared).rows()
    except InvalidInput as error:
        judged(error)


@fuzz
@given(mutated(CONFIG))
def test_a_config(prepared: Path, data: bytes) -> None:
    (prepared / "config.json").write_bytes(data)
    try:
        scenario_from_config(prepared / "config.json", load_settings(prepared))
    except InvalidInput as error:
        judged(error)
    except HarnessError as error:
        assert error.message


@fuzz
@given(st.binary(max_size=200))
def test_bytes_that_mean_nothing(prepared: Path, data: bytes) -> None:
    (prepared / "molecule/web/molecule.yml").write_bytes(data)
    try:
        scenario = load_scenario(prepared, "web", settings=load_settings(prepared))
    except InvalidInput as error:
        judged(error)
    else:
        assert scenario.platforms == ()  # nothing but comments and white space is all defaults
