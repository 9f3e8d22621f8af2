"""The options that Ansible takes out of a free form, and what it leaves in."""

from __future__ import annotations

import pytest

from harness.plan.free_form import options_in


@pytest.mark.parametrize(
    ("text", "command", "options"),
    [
        ("touch made creates=made chdir=/srv", "touch made", {"creates": "made", "chdir": "/srv"}),
        ("chdir=/srv\nfor i in 1  2; do\n  echo\ndone", "for i in 1  2; do\n  echo\ndone", {"chdir": "/srv"}),
        ("echo 'creates=x' \"a chdir=/b\" X=creates=y", "echo 'creates=x' \"a chdir=/b\" X=creates=y", {}),
        ("run removes='/a b' stdin=\"x y\"", "run", {"removes": "/a b", "stdin": "x y"}),
        ("run creates={{ base ~ ' x' }}/made {% if a %}b{% endif %}", "run {% if a %}b{% endif %}",
         {"creates": "{{ base ~ ' x' }}/made"}),
        ("echo it's creates=/x", "echo it's", {"creates": "/x"}),
        ("echo creates= ", "echo", {}),
        ("{{ template }} with creates", "{{ template }} with creates", {}),
    ],
)  # fmt: skip
def test_options_are_words_of_their_own(text: str, command: str, options: dict[str, str]) -> None:
    assert options_in(text, shell=False) == (command, options)


def test_only_a_shell_has_an_executable() -> None:
    text = "echo executable=/bin/bash"
    assert options_in(text, shell=True) == ("echo", {"executable": "/bin/bash"})
    assert options_in(text, shell=False) == (text, {})
