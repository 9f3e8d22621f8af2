"""Secrets: read at the start of a run, masked in everything that is written."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from typing import Any

from harness.errors import InvalidInput, Problem
from harness.models.scenario import SecretSource

MASK = "********"


def read_secrets(sources: Mapping[str, SecretSource], *, scenario: str, all_of_them: bool = True) -> dict[str, str]:
    """The values. A file's last newline does not belong to it. Raises InvalidInput naming ALL that are missing, unless
    those that are there will do."""
    values: dict[str, str] = {}
    problems: list[Problem] = []
    for name, source in sources.items():
        where = f"secrets.{name}"
        if source.env is not None:
            value = os.environ.get(source.env)
            if value is None:
                hint = f"set it: export {source.env}=..."
                problems.append(Problem(where, f"the environment variable {source.env} is not set", hint))
            else:
                values[name] = value
        elif source.file is not None:
            try:
                values[name] = source.file.read_text(encoding="utf-8").removesuffix("\n")
            except OSError as error:
                problems.append(Problem(where, f"cannot read {source.file}: {error.strerror or error}"))
            except UnicodeDecodeError:
                problems.append(Problem(where, f"{source.file} is not UTF-8 text"))
    if problems and all_of_them:
        raise InvalidInput(f"secrets of scenario {scenario!r}", problems)
    return values


class Mask:
    """Replaces every known value. An empty value is no secret; of several, the longest goes first."""

    def __init__(self, values: Iterable[str]) -> None:
        known = {value for value in values if value}
        # As a value looks inside JSON or a shell's or Python's repr, where that differs.
        escaped = {json.dumps(value)[1:-1] for value in known} | {repr(value)[1:-1] for value in known}
        # A value of several lines is also written line by line.
        lines = {line for value in known for line in value.splitlines() if len(line.strip()) >= 6}
        self._values = sorted(known | escaped | lines, key=len, reverse=True)

    def text(self, text: str) -> str:
        for value in self._values:
            text = text.replace(value, MASK)
        return text

    def tree(self, value: Any) -> Any:
        """The same in every string (keys too) of a JSON value."""
        if not self._values:
            return value
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, list):
            return [self.tree(item) for item in value]
        if isinstance(value, dict):
            return {self.text(str(key)): self.tree(item) for key, item in value.items()}
        return value

    def __bool__(self) -> bool:
        return bool(self._values)
