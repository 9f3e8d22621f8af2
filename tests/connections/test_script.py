from __future__ import annotations

import subprocess

import pytest

from harness.connections.base import Command
from harness.connections.script import Invocation, in_shell, plain_command


@pytest.mark.parametrize(
    ("command", "plain"),
    [
        ("stat -c %a /etc/passwd", "stat -c %a /etc/passwd"),
        (["/usr/bin/id", "-u"], "/usr/bin/id -u"),
        ("ls --color=never", "ls --color=never"),
        ("echo x", None),
        (["kill", "1"], None),
        ("A=b id", None),
        ("-c x", None),
        ("stat *", None),
        ("stat  x", None),
        ("stat 'a b'", None),
        (["stat", "a b"], None),
        ("stat $HOME", None),
        ("stat ~", None),
        ("id\nid", None),
        ("id #x", None),
        ("id; id", None),
        ("id >x", None),
        ("", None),
    ],
)
def test_what_needs_no_shell(command: Command, plain: str | None) -> None:
    assert plain_command(command) == plain


@pytest.mark.parametrize(
    "command", ["id -u", "no-such-program x", "stat /no/such/file", ["id", "-u"], ["no-such", "x"]]
)
def test_it_ends_as_in_a_shell(command: Command) -> None:
    """The same status and the same words, with and without the short way."""
    ended = [
        subprocess.run(
            ["sh", "-c", in_shell(Invocation(command, env=env), session="setsid")], capture_output=True, check=False
        )
        for env in ({}, {"UNUSED": "x"})
    ]
    assert ended[0].returncode == ended[1].returncode
    assert (ended[0].stdout, ended[0].stderr) == (ended[1].stdout, ended[1].stderr)
