"""What of this host a platform sees as it is: `SOURCE[:/TARGET][:ro|rw]`, at the same place unless TARGET names one."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator

FORM = "SOURCE[:/TARGET][:ro|rw]"
_SHARE = re.compile(r"^[^:]+(:/[^:]*)?(:(ro|rw))?$")


def _checked(text: str) -> str:
    if not _SHARE.match(text):
        raise ValueError(f"{text!r} is not {FORM}")
    return text


ShareText = Annotated[str, AfterValidator(_checked)]


@dataclass(frozen=True)
class Shared:
    """`source` of this host, `target` in the platform; both are absolute."""

    source: Path
    target: str
    writable: bool


def shared(text: str, directory: Path) -> Shared:
    """A relative source is taken from `directory`, the scenario's."""
    source, *rest = text.split(":")
    path = Path(os.path.normpath(directory / Path(source).expanduser()))
    target = next((part for part in rest if part.startswith("/")), str(path))
    return Shared(path, os.path.normpath(target), rest[-1:] == ["rw"])
