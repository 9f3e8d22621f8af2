"""What a compiler honours, as a JSON file says it: runner/honours.json is one."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pydantic import Field, JsonValue, ValidationError, field_validator

from harness.compile.base import Honours, ModuleSupport
from harness.errors import InvalidInput, Problem
from harness.models.problems import path_text, problems_of, shown
from harness.models.serde import StrictModel
from harness.plan.expressions import is_template
from harness.plan.fields import Wrong


class ModuleEntry(StrictModel):
    """As ModuleSupport has it. `matches`: regular expressions that each text of an argument fits as a whole."""

    arguments: list[str] = Field(default_factory=list)
    aliases: dict[str, str] = Field(default_factory=dict)
    required: list[list[str]] = Field(default_factory=list)
    choices: dict[str, list[str]] = Field(default_factory=dict)
    matches: dict[str, str] = Field(default_factory=dict)
    free_form: bool = False
    any_arguments: bool = False

    @field_validator("matches")
    @classmethod
    def _compiles(cls, matches: dict[str, str]) -> dict[str, str]:
        for pattern in matches.values():
            try:
                re.compile(pattern)
            except re.error as error:
                raise ValueError(f"{pattern!r} is no regular expression: {error}") from None
        return matches


class HonoursFile(StrictModel):
    """As Honours has it."""

    modules: dict[str, ModuleEntry]
    keywords: list[str] = Field(default_factory=list)
    secrets: bool = True
    templates: bool = True
    selection: bool = True


def read_honours(file: Path) -> Honours:
    """Raises InvalidInput with all that is wrong."""
    try:
        document = json.loads(file.read_bytes())
        found = HonoursFile.model_validate(document)
    except OSError as error:
        raise InvalidInput(str(file), [Problem("", f"cannot be read: {error.strerror or error}")]) from error
    except ValidationError as error:
        problems = problems_of(error, document, model=HonoursFile, where=path_text)
        raise InvalidInput(str(file), problems) from error
    except (ValueError, RecursionError) as error:
        raise InvalidInput(str(file), [Problem("", f"is no JSON: {error}")]) from error
    modules = {
        name: ModuleSupport(
            arguments=frozenset(entry.arguments),
            aliases=entry.aliases,
            required=tuple(frozenset(choice) for choice in entry.required),
            choices={argument: frozenset(values) for argument, values in entry.choices.items()},
            free_form=entry.free_form,
            any_arguments=entry.any_arguments,
            readers={argument: _fitting(pattern) for argument, pattern in entry.matches.items()},
        )
        for name, entry in found.modules.items()
    }
    return Honours(
        modules, frozenset(found.keywords), found.secrets, templates=found.templates, selection=found.selection
    )


def _fitting(pattern: str) -> Callable[[Any], JsonValue]:
    def read(value: Any) -> JsonValue:
        for at, item in enumerate(value if isinstance(value, list) else [value]):
            text = str(item)
            if not is_template(text) and not re.fullmatch(pattern, text):
                keys = (at,) if isinstance(value, list) else ()
                raise Wrong(f"{shown(item)} is not honoured", keys=keys, hint=f"what is honoured fits {pattern}")
        return value  # type: ignore[no-any-return]

    return read
