"""A crate of one line, so that what is tested is our way of building and not the runner."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.compile.store import Store
from harness.models.runner import Payload, PayloadPlay, PayloadTask
from tests.tools import static_program, tool

__all__ = ["crate", "payload_of", "static_program", "store", "tool", "write_crate"]

MANIFEST = '[package]\nname = "runner-stub"\nversion = "0.1.0"\nedition = "2021"\nrust-version = "1.70"\n'
LOCK = 'version = 3\n\n[[package]]\nname = "runner-stub"\nversion = "0.1.0"\n'


def write_crate(folder: Path, source: str = 'fn main() { println!("hello"); }\n') -> Path:
    (folder / "src").mkdir(parents=True, exist_ok=True)
    (folder / "Cargo.toml").write_text(MANIFEST, encoding="utf-8")
    (folder / "Cargo.lock").write_text(LOCK, encoding="utf-8")
    (folder / "src" / "main.rs").write_text(source, encoding="utf-8")
    return folder


def payload_of(*texts: str) -> Payload:
    tasks = [PayloadTask(task_id=f"t{number}", module="debug", args={"msg": text}) for number, text in enumerate(texts)]
    return Payload(plan_id="p", run_on=["node1"], hosts={"node1": {}}, plays=[PayloadPlay(tasks=tasks)])


@pytest.fixture
def crate(tmp_path: Path) -> Path:
    return write_crate(tmp_path / "crate")


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "cache")
