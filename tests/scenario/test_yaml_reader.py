from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import InvalidInput
from harness.scenario.nodes import Node, merge
from harness.scenario.yaml_reader import read_yaml

FILE = Path("file.yml")


def read(text: str) -> Node:
    node, problems = read_yaml(text, FILE)
    assert not problems
    return node


def faults(text: str) -> list[str]:
    try:
        return [str(problem) for problem in read_yaml(text, FILE)[1]]
    except InvalidInput as error:
        return [str(problem) for problem in error.problems]


def test_values_are_those_of_the_safe_loader() -> None:
    text = (
        "a: [1, 2.5, yes, ~, 'x', \"y\\n\", 0x1f, 0o7, 010, 1_000, 1:30]\nb: |\n  text\n  more\nc: {d: }\ne: !!str 5\n"
    )
    assert read(text).plain() == yaml.safe_load(text)


def test_dates_and_keys_stay_text() -> None:
    assert read("on: 2026-01-01\n1: a\nnull: b").plain() == {"on": "2026-01-01", "1": "a", "null": "b"}


def test_anchors_and_merge_keys() -> None:
    text = "x: &x {a: 1, b: 2}\ny: {<<: *x, b: 3}\nz: {<<: [*x, {a: 9, c: 3}], d: 4}\n"
    assert read(text).plain() == yaml.safe_load(text)


def test_every_value_knows_its_line() -> None:
    node = read("a:\n  b:\n    - x\n    - c: 1\n      d: |\n        text\n")
    assert node.where(("a", "b", 1, "d")) == "file.yml:5: a.b[1].d"
    assert node.where(("a", "b", 1, "missing")) == "file.yml:4: a.b[1].missing"
    assert node.where(("a", "b")) == "file.yml:2: a.b"


def test_layers_keep_the_lines_of_their_own_files() -> None:
    base, _ = read_yaml("a: {x: 1, y: 2}\nb: [1]\n", Path("base.yml"))
    over, _ = read_yaml("\na:\n  y: 3\nb: [2, 3]\n", FILE)
    merged = merge(base, over)
    assert merged.plain() == {"a": {"x": 1, "y": 3}, "b": [2, 3]}
    assert merged.where(("a", "x")) == "base.yml:1: a.x"
    assert merged.where(("a", "y")) == "file.yml:3: a.y"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a: 1\nb: 2\na: 3", "file.yml:3: the key 'a' stands here twice; first on line 1"),
        ("", "file.yml:1: the file is empty"),
        ("# only words\n", "file.yml:1: the file is empty"),
        ("--- 1\n--- 2", "file.yml:2: a second document begins here"),
        ("a: [1\nb: 2", "file.yml:2: not YAML"),
        ("a: b: c", "file.yml:1: not YAML: mapping values are not allowed"),
        ("ok: 1\n\tb: 1", "file.yml:2: not YAML: a tab"),
        ("a: 1\nb: \x00", "file.yml:2: not YAML: character"),
        ("a: \ud800", "file.yml:1: a variable's value is not UTF-8 text"),
        ("a: &a [*a]", "*a would contain itself"),
        ("a: *nowhere", "no anchor &nowhere"),
        ("? [a, b]\n: 1", "a key must be plain text"),
        ("a: !!python/object/apply:os.system [id]", "the tag"),
        ("a: !vault x", "the tag '!vault' is not known here"),
        ("a: .inf", "'.inf' is not a finite number"),
        ("a: !!int x", "'x' is no int"),
        ("a: 99999999999999999999", "does not fit in 64 bits"),
        ("a: " + "9" * 6000, "is no int"),
        ("[" * 100_000, "nested more than 60 deep"),
        ("- " * 5_000, "nested more than 60 deep"),
        ("a: {<<: 3}", "<< takes a mapping"),
        ('a: "x\\0"', "a NUL character is not allowed"),
    ],
)
def test_a_fault_names_its_place(text: str, expected: str) -> None:
    found = faults(text)
    assert len(found) == 1
    assert expected in found[0]


def test_a_billion_laughs_are_refused_before_they_are_heard() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 10)]
    assert "more than 50000 values once aliases are expanded" in faults("\n".join(lines))[0]


texts = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=20)
yaml_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=12,
)


@given(yaml_values)
def test_what_pyyaml_writes_is_read_back(value: object) -> None:
    assert read(yaml.safe_dump(value)).plain() == value


@given(st.text(alphabet="ab:-[]{}&*!|>'\"#%@,? \n\t<0.~=\\"))
def test_any_text_is_a_document_or_a_problem_with_a_line(text: str) -> None:
    try:
        read_yaml(text, FILE)[0].plain()
    except InvalidInput as error:
        assert all(problem.where.startswith("file.yml:") for problem in error.problems)
