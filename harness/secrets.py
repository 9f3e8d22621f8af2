"""Secrets: read at the start of a run, masked in everything that is written."""

from __future__ import annotations

import base64
import json
import os
import urllib.parse
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from harness.errors import InvalidInput, Problem
from harness.models.scenario import SecretSource

MASK = "********"
_SHORTEST = 4
"""Letters. A line of a long secret that is shorter is no secret of its own ("}" of a JSON key file)."""
_SHORTEST_CORE = 6
"""What base64 makes of a secret within a longer text is told from other text by no fewer letters."""


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
    """Replaces every known value, also as it looks quoted or encoded (docs/runner-contract.md, "Command line").
    An empty value is no secret; of several forms, the longest goes first."""

    def __init__(self, values: Iterable[str]) -> None:
        known = {part for value in values for part in (value, value.strip())}
        # A value of several lines is also written line by line.
        known |= {line.strip() for value in known for line in value.splitlines() if len(line.strip()) >= _SHORTEST}
        forms = known | {form for value in known for form in (*_quoted(value), *_base64(value))}
        for _ in range(2):  # JSON, and JSON within JSON
            forms |= {json.dumps(form, ensure_ascii=ascii)[1:-1] for form in forms for ascii in (True, False)}
        self._values = sorted(forms - {""}, key=lambda form: (-len(form), form))

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


def _quoted(value: str) -> Iterator[str]:
    """As it stands between the quotes of shells and of Python, and in addresses."""
    yield value.replace("'", "'\"'\"'")  # shlex.quote, and the filter `quote`
    yield value.replace("'", "'\\''")  # by hand
    yield repr(value)[1:-1]
    yield repr(value + "'\"")[1:-4]  # in a text that has quotes of both kinds
    for safe in ("", "/"):
        encoded = urllib.parse.quote(value, safe=safe, errors="surrogatepass")
        yield encoded
        yield encoded.replace("%20", "+")


def _base64(value: str) -> Iterator[str]:
    """Whole, and what of it depends on nothing around it when it stands in a longer text."""
    data = value.encode(errors="surrogatepass")
    if len(data) >= _SHORTEST:
        yield base64.b64encode(data).decode().rstrip("=")
    for offset in range(3):
        encoded = base64.b64encode(bytes(offset) + data).decode()
        core = encoded[-(-offset * 8 // 6) : (offset + len(data)) * 8 // 6]
        if len(core) >= _SHORTEST_CORE:
            yield core
