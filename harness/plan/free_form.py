"""What Ansible takes out of the free form of command and shell where it reads a play: `touch /x creates=/x`."""

from __future__ import annotations

import re

_OPTIONS = ("chdir", "creates", "removes", "stdin", "stdin_add_newline", "strip_empty_ends")
_PIECE = re.compile(r"""(?:\{\{.*?\}\}|\{%.*?%\}|\{\#.*?\#\}|\\.|'[^']*'|"(?:\\.|[^"\\])*"|\S)+\s*|\s+""", re.DOTALL)
"""A word with the white space behind it. Quotes and templates hold theirs together."""


def options_in(text: str, *, shell: bool) -> tuple[str, dict[str, str]]:
    """The command that is left of `text`, and the module's options that stood in it."""
    names = (*_OPTIONS, "executable") if shell else _OPTIONS
    if not any(f"{name}=" in text for name in names):
        return text, {}
    found: dict[str, str] = {}
    kept = ""
    for piece in _PIECE.findall(text):
        name, equals, value = piece.partition("=")
        if equals and name in names:
            found[name] = _unquoted(value.strip())
        else:
            kept += piece
    return kept.strip(), {name: value for name, value in found.items() if value}


def _unquoted(value: str) -> str:
    quoted = len(value) > 1 and value[0] == value[-1] and value[0] in "'\""
    return value[1:-1] if quoted else value
