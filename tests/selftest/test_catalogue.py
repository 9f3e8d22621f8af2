"""The table of mutants and the runner's own list of them are the same."""

from __future__ import annotations

import re

import pytest

from harness.data import data_dir
from harness.errors import UsageError
from harness.selftest.catalogue import BINARY, MUTANTS, chosen


def test_there_are_enough_and_each_has_its_own_name() -> None:
    assert len(MUTANTS) >= 40
    assert len({mutant.name for mutant in MUTANTS}) == len({mutant.what for mutant in MUTANTS}) == len(MUTANTS)


def test_the_stub_knows_exactly_these() -> None:
    source = (data_dir("runner") / "engine" / "mutants" / "mod.rs").read_text(encoding="utf-8")
    [listed] = re.findall(r"pub enum Mutant \{(.*?)\n\}", source, re.DOTALL)
    variants = re.findall(r"^    (\w+),$", listed, re.MULTILINE)
    names = {re.sub(r"(?<=[a-z])(?=[A-Z])", "-", variant).lower() for variant in variants}
    assert names == {mutant.name for mutant in MUTANTS if mutant not in BINARY}


def test_chosen_by_name() -> None:
    assert chosen(()) == MUTANTS
    assert [mutant.name for mutant in chosen(["hangs", "crashes", "hangs"])] == ["hangs", "crashes"]
    with pytest.raises(UsageError, match="did you mean crashes"):
        chosen(["crashs"])
