"""What a compiler returns of a binary that lies in the store."""

from __future__ import annotations

import time
from typing import Any

from harness.compile.embed import BINARY
from harness.compile.store import Entry
from harness.compile.targets import known_target
from harness.models.config import TargetPlatform
from harness.models.results import CompilationResult


def result_of(entry: Entry, target: str, *, began: float, cache_hit: bool, **told: Any) -> CompilationResult:
    """Of the binary in `entry`. `began` by time.perf_counter; `told`: how its runner tells what it does."""
    platform, binary = known_target(target), entry.files[BINARY]
    return CompilationResult(
        binary_path=entry.path / BINARY,
        compilation_time=time.perf_counter() - began,
        binary_size=binary.size,
        target_platforms=[TargetPlatform(arch=platform.arch, os=platform.os)],
        cache_hit=cache_hit,
        sha256=binary.sha256,
        target=target,
        **told,
    )
