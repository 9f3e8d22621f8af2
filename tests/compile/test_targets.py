from __future__ import annotations

import platform
import sys

import pytest

from harness.compile import host_target, target_for
from harness.compile.targets import TARGETS, known_target, require_supported
from harness.errors import ToolchainMissing, UsageError
from harness.models.facts import Facts


def test_this_machine_has_a_target() -> None:
    triple = host_target()
    assert require_supported(triple).triple == triple
    if sys.platform == "linux":
        assert triple.startswith(platform.machine())


@pytest.mark.parametrize(
    ("facts", "triple"),
    [
        (Facts(os="linux", arch="x86_64", libc="gnu"), "x86_64-unknown-linux-gnu"),
        (Facts(os="linux", arch="x86_64", libc="musl"), "x86_64-unknown-linux-gnu"),
        (Facts(os="linux", arch="amd64"), "x86_64-unknown-linux-gnu"),
        (Facts(os="linux", arch="arm64"), "aarch64-unknown-linux-musl"),
        (Facts(os="macos", arch="arm64"), "aarch64-apple-darwin"),
        (Facts(os="windows", arch="AMD64"), "x86_64-pc-windows-gnu"),
    ],
)
def test_facts_to_triple(facts: Facts, triple: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harness.compile.targets.host_target", lambda: "x86_64-unknown-linux-gnu")
    assert target_for(facts) == triple


def test_a_machine_that_has_none() -> None:
    with pytest.raises(ToolchainMissing, match="no target triple is known for plan9 on mips"):
        target_for(Facts(os="plan9", arch="mips"))


def test_a_misspelt_target_names_the_nearest() -> None:
    with pytest.raises(UsageError, match="x86_64-unknown-linux-gun") as caught:
        known_target("x86_64-unknown-linux-gun")
    assert "did you mean x86_64-unknown-linux-gnu?" in str(caught.value.hint)


def test_another_machines_target_says_what_it_would_need() -> None:
    other = next(target for target in TARGETS.values() if target.os != known_target(host_target()).os)
    with pytest.raises(ToolchainMissing, match=f"cannot compile for {other.triple}") as caught:
        require_supported(other.triple)
    assert "standard library and a linker" in str(caught.value.hint)
