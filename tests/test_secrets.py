from __future__ import annotations

import base64
import json
import shlex
import urllib.parse
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import InvalidInput
from harness.models.scenario import SecretSource
from harness.secrets import MASK, Mask, read_secrets


def test_all_missing_secrets_are_named_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_SUCH_VARIABLE", raising=False)
    sources = {
        "A": SecretSource(env="NO_SUCH_VARIABLE"),
        "B": SecretSource(file=tmp_path / "none"),
        "C": SecretSource(env="HOME"),
    }
    with pytest.raises(InvalidInput) as caught:
        read_secrets(sources, scenario="default")
    assert [problem.where for problem in caught.value.problems] == ["secrets.A", "secrets.B"]


def test_the_newline_at_the_end_of_a_file_is_not_part_of_the_secret(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("s3cret\n")
    assert read_secrets({"T": SecretSource(file=tmp_path / "token")}, scenario="default") == {"T": "s3cret"}


def test_keys_and_values_of_a_tree_are_masked() -> None:
    mask = Mask(["s3cret", 'a"b'])
    assert mask.tree({"s3cret": ["x s3cret y", 1, None]}) == {MASK: [f"x {MASK} y", 1, None]}
    assert mask.text('{"v": "a\\"b"}') == f'{{"v": "{MASK}"}}'
    assert Mask([""]).text("abc") == "abc"


@pytest.mark.parametrize(
    "form",
    [
        shlex.quote,
        lambda value: value.replace("'", "'\\''"),
        lambda value: repr([value]),
        lambda value: repr([value + "'\""]),
        urllib.parse.quote,
        urllib.parse.quote_plus,
        lambda value: json.dumps({"cmd": f"echo {shlex.quote(value)}"}),
        lambda value: json.dumps(json.dumps([value])),
        lambda value: base64.b64encode(f"x{value}y".encode()).decode(),
        lambda value: base64.b64encode(f"me:{value}".encode()).decode(),
    ],
)
def test_quoted_and_encoded_values_are_masked(form: Callable[[str], str]) -> None:
    value = 'it\'s a "p/s\\s" wörd'
    masked = Mask([value]).text(form(value))
    assert MASK in masked
    assert len(masked) < 40, "nothing of it is left"


@given(st.lists(st.text(min_size=1), max_size=3), st.text())
def test_no_value_is_left_in_a_text(values: list[str], noise: str) -> None:
    text = noise.join(values)
    masked = Mask(values).text(text)
    # Only what the mask itself is made of could still be found.
    assert all(value not in masked.replace(MASK, "") or set(value) <= {"*"} or value in noise for value in values)
