"""Kinds of values that scenarios and settings have in common."""

from __future__ import annotations

from typing import Annotated

from pydantic import BeforeValidator, Field

from harness.models.problems import shown


def _not_bool(value: object) -> object:
    """pydantic takes true for 1."""
    if isinstance(value, bool):
        raise ValueError(f"should be a number, not {shown(value)}")
    return value


Text = Annotated[str, Field(min_length=1)]
Whole = Annotated[int, BeforeValidator(_not_bool), Field(ge=1)]
Positive = Annotated[float, BeforeValidator(_not_bool), Field(gt=0, allow_inf_nan=False)]
