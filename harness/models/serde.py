"""The JSON that Rust's serde writes: externally tagged enums and `{"secs", "nanos"}` durations.

Source: https://serde.rs/enum-representations.html (externally tagged is serde's default).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    GetCoreSchemaHandler,
    PlainSerializer,
    WithJsonSchema,
)
from pydantic_core import core_schema


class Model(BaseModel):
    """A frozen model whose unknown fields are ignored, as serde ignores them."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class StrictModel(BaseModel):
    """A frozen model whose unknown fields are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Variant(Model):
    """One variant of an externally tagged enum; `tag` is its name in JSON."""

    tag: ClassVar[str]


class ExternallyTagged:
    """Annotation for a union of `Variant`s: `"Tag"` without fields, `{"Tag": {...}}` with them.

    A unit variant is also accepted as `{"Tag": {}}` and `{"Tag": null}`.
    """

    def __init__(self, *variants: type[Variant]) -> None:
        self.variants = {variant.tag: variant for variant in variants}

    def decode(self, value: object) -> Variant:
        if isinstance(value, Variant):
            if type(value) not in self.variants.values():
                raise ValueError(f"expected one of {', '.join(self.variants)}")
            return value
        body: object = {}
        if isinstance(value, str):
            tag = value
        elif isinstance(value, Mapping) and len(value) == 1:
            tag, body = next(iter(value.items()))
        else:
            raise ValueError(f'expected one of {", ".join(self.variants)}, as "Name" or {{"Name": {{...}}}}')
        if not isinstance(tag, str) or tag not in self.variants:
            raise ValueError(f"unknown variant {str(tag)[:80]!r}; expected one of {', '.join(self.variants)}")
        return self.variants[tag].model_validate({} if body is None else body)

    @staticmethod
    def encode(value: Variant) -> str | dict[str, Any]:
        if not type(value).model_fields:
            return value.tag
        return {value.tag: value.model_dump(mode="json")}

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        return core_schema.no_info_plain_validator_function(
            self.decode,
            serialization=core_schema.plain_serializer_function_ser_schema(self.encode),
        )

    def __get_pydantic_json_schema__(self, schema: Any, handler: Any) -> dict[str, Any]:
        return {
            "oneOf": [
                *({"const": tag} for tag in self.variants),
                *(
                    {
                        "type": "object",
                        "properties": {tag: {"type": "object"}},
                        "required": [tag],
                        "additionalProperties": False,
                    }
                    for tag in self.variants
                ),
            ]
        }


def _seconds(value: object) -> object:
    if isinstance(value, Mapping):
        if set(value) != {"secs", "nanos"}:
            raise ValueError('expected {"secs": N, "nanos": N}')
        secs, nanos = value["secs"], value["nanos"]
        if not all(isinstance(part, int) and not isinstance(part, bool) and part >= 0 for part in (secs, nanos)):
            raise ValueError("secs and nanos are whole numbers, zero or more")
        if secs >= 2**63:
            raise ValueError("secs is too large")
        value = secs + nanos / 1e9
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError('expected {"secs": N, "nanos": N} or a number of seconds')
    if not math.isfinite(value) or value < 0:
        raise ValueError("a duration is finite and not negative")
    return float(value)


def _secs_nanos(value: float) -> dict[str, int]:
    nanos = round(value * 1e9)
    return {"secs": nanos // 1_000_000_000, "nanos": nanos % 1_000_000_000}


Duration = Annotated[
    float,
    BeforeValidator(_seconds),
    PlainSerializer(_secs_nanos),
    WithJsonSchema({"type": "object", "properties": {"secs": {"type": "integer"}, "nanos": {"type": "integer"}}}),
]
"""Seconds as a float in Python; `{"secs", "nanos"}` (or a plain number, when read) in JSON."""
