from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.scenario.interpolation import interpolate

VARIABLES = {"A": "1", "EMPTY": "", "LINES": "x\ny", "DOLLAR": "$A"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("$A ${A}", "1 1"),
        ("$A-b $A:-b", "1-b 1:-b"),
        ("${UNSET}|$UNSET", "|"),
        ("${EMPTY:-d} ${EMPTY-d} ${UNSET-d} ${UNSET:-d}", "d  d d"),
        ("${UNSET:-}", ""),
        ("${UNSET:-a b: c}", "a b: c"),
        ("${UNSET:-$A} ${UNSET:-${A}} ${UNSET:-${EMPTY:-x$A}y}", "1 1 x1y"),
        ("$$A $${A} $$$A", "$A ${A} $1"),
        ("$DOLLAR", "$A"),
        ("${A:?words} ${A?words} ${EMPTY?words}", "1 1 "),
        ("# costs $5 ${UNSET:?x}\n  # ${", "# costs $5 ${UNSET:?x}\n  # ${"),
        ("{{ jinja }}", "{{ jinja }}"),
        ("${A:-${UNSET:?not needed}}", "1"),
    ],
)
def test_as_molecule_and_compose_do_it(text: str, expected: str) -> None:
    result = interpolate(text, VARIABLES)
    assert result.text == expected
    assert not result.faults


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("costs $5", "'$5'"),
        ("a $", "'$'"),
        ("${}", "expected ${NAME}"),
        ("${A", "expected ${NAME}"),
        ("${A:-b", "closing brace"),
        ("${A:-b\n}", "closing brace"),
        ("${1A}", "expected ${NAME}"),
        ("${A:x}", "expected ${NAME}"),
        ("${UNSET:?say who}", "UNSET: say who"),
        ("${EMPTY:?}", "EMPTY: is not set"),
        ("${UNSET?no ${A}}", "UNSET: no 1"),
        ("${A:-" * 40 + "}" * 40, "nested"),
    ],
)
def test_a_fault_names_its_line_and_what_is_wrong(text: str, words: str) -> None:
    faults = interpolate(f"first\n{text}", VARIABLES).faults
    assert faults[0][0] == 2
    assert words in faults[0][1]


def test_all_faults_are_found() -> None:
    faults = interpolate("$5\nok\n${X:?a} ${Y:?b}", VARIABLES).faults
    assert [line for line, _ in faults] == [1, 3, 3]


def test_lines_lead_back_to_the_original() -> None:
    result = interpolate("a: $LINES\nb: 1\r\nc: 2", VARIABLES)
    assert result.text == "a: x\ny\nb: 1\r\nc: 2"
    assert result.lines == [1, 1, 2, 3]


def test_what_is_not_set_is_remembered() -> None:
    assert interpolate("a\n$ONE ${TWO:-x} ${A:-$THREE} ${FOUR:-$FIVE}", VARIABLES).unset == {"ONE": 2, "FIVE": 2}


def test_a_huge_variable_does_not_make_a_huge_document() -> None:
    result = interpolate("$HUGE\n" * 1000, {"HUGE": "x" * 10_000})
    assert len(result.text) < 2_000_000
    assert result.faults


@given(
    st.text(alphabet="ab${}:-?# \n\r\x85A_1"), st.dictionaries(st.sampled_from(["A", "b", "_"]), st.text(max_size=5))
)
def test_it_never_raises_and_every_line_has_an_origin(text: str, variables: dict[str, str]) -> None:
    result = interpolate(text, variables)
    assert all(1 <= line <= text.count("\n") + text.count("\r") + text.count("\x85") + 1 for line in result.lines)
    assert result.lines == sorted(result.lines)


@given(st.text())
def test_text_without_a_dollar_sign_stays_as_it_is(text: str) -> None:
    plain = text.replace("$", "")
    assert interpolate(plain, {}).text == plain


@given(st.text(alphabet=st.characters(exclude_characters="#\n\r\x85\u2028\u2029", codec="utf-8")))
def test_escaping_every_dollar_sign_gives_the_text_back(text: str) -> None:
    assert interpolate(text.replace("$", "$$"), {}).text == text
