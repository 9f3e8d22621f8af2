from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import TypeAdapter, ValidationError

from harness.drivers.shares import Shared, ShareText, shared


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("/data", Shared(Path("/data"), "/data", writable=False)),
        ("/data:rw", Shared(Path("/data"), "/data", writable=True)),
        ("/data:/srv/", Shared(Path("/data"), "/srv", writable=False)),
        ("../files:/srv:ro", Shared(Path("/project/molecule/files"), "/srv", writable=False)),
        ("files:rw", Shared(Path("/project/molecule/web/files"), "/project/molecule/web/files", writable=True)),
    ],
)
def test_what_is_seen_where(text: str, meant: Shared) -> None:
    assert TypeAdapter(ShareText).validate_python(text) == text
    assert shared(text, Path("/project/molecule/web")) == meant


@pytest.mark.parametrize("text", ["", ":/srv", "/data:srv", "/data:/srv:rx", "/data:/srv:/other"])
def test_what_is_no_share_is_refused(text: str) -> None:
    with pytest.raises(ValidationError, match="is not SOURCE"):
        TypeAdapter(ShareText).validate_python(text)
