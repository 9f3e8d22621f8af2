"""Every kind of drift is found and named; what did not drift is not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from harness.connections.base import Connection
from harness.machine import Look, Machine, capture, differences
from harness.models.plan import Plan
from harness.verify.state import take_state


def drift(local: Connection, paths: list[Path], change: Callable[[], object]) -> list[str]:
    names = [str(path) for path in paths]
    before = capture(local, Look(paths=names))
    assert differences(before, capture(local, Look(paths=names))) == []
    change()
    found = differences(before, capture(local, Look(paths=names)))
    return [str(change).replace(f"{paths[0].parent}/", "") for change in found]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "with 'odd' name").write_text("12345")
    (tmp_path / "with 'odd' name").chmod(0o644)
    return tmp_path / "with 'odd' name"


def test_content_of_the_same_size(local: Connection, file: Path) -> None:
    assert drift(local, [file], lambda: file.write_text("54321")) == [
        f"{file.name}: content changed (5 bytes -> 5 bytes)"
    ]


def test_mode(local: Connection, file: Path) -> None:
    assert drift(local, [file], lambda: file.chmod(0o4644)) == [f"{file.name}: mode 0644 -> 4644"]


def test_gone_and_appeared(local: Connection, file: Path) -> None:
    other = file.parent / "new"
    owners = f"{file.owner()}:{file.group()}"
    assert drift(local, [file, other], lambda: file.rename(other)) == [
        f"new: appeared (a file, mode 0644, {owners}, 5 bytes)",
        f"{file.name}: is gone",
    ]


def test_target_of_a_link(local: Connection, tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to("a")

    def change() -> None:
        link.unlink()
        link.symlink_to("b")

    assert drift(local, [link], change) == ["link: target a -> b"]


def test_kind(local: Connection, file: Path) -> None:
    def change() -> None:
        file.unlink()
        file.mkdir(0o644)

    assert drift(local, [file], change) == [f"{file.name}: kind file -> directory"]


def test_written_again_with_the_same_content_is_no_drift(local: Connection, file: Path) -> None:
    def change() -> None:
        text = file.read_text()
        file.unlink()
        file.write_text(text)
        file.chmod(0o644)

    assert drift(local, [file], change) == []


def test_services_units_and_packages() -> None:
    before = Machine(
        services={"web": "active"}, units={"a.service": "enabled"}, packages={"tree:amd64": "1.0 installed"}
    )
    after = Machine(
        services={"web": "failed"}, units={"b.service": "enabled"}, packages={"tree:amd64": "1.1 installed"}
    )
    assert [str(change) for change in differences(before, after)] == [
        "package tree:amd64: 1.0 installed -> 1.1 installed",
        "service web: active -> failed",
        "unit a.service: enabled -> gone",
        "unit b.service: was not there -> enabled",
    ]


@pytest.mark.sandbox
def test_accounts_and_packages_of_a_platform(sandbox: Connection) -> None:
    plan = Plan.model_validate({"metadata": {}, "hosts": ["node1"], "plays": []})
    before = take_state(sandbox, plan, "node1")
    assert before.files["/etc/passwd"].sha256
    assert sandbox.run("echo drifter:x:4711:4711::/:/bin/sh >> /etc/passwd").ok
    after = take_state(sandbox, plan, "node1")
    assert [str(change).split(" (")[0] for change in differences(before, after)] == ["/etc/passwd: content changed"]
    if sandbox.run("command -v dpkg").ok:
        assert any(name.startswith("dpkg:") for name in before.packages)


@pytest.mark.sandbox
def test_units_that_are_enabled_or_masked(sandbox: Connection) -> None:
    plan = Plan.model_validate({"metadata": {}, "hosts": ["node1"], "plays": []})
    before = take_state(sandbox, plan, "node1")
    folder = "/etc/systemd/system"
    done = sandbox.run(
        f"mkdir -p {folder}/drift.target.wants && cd {folder} && ln -s /dev/null masked.service && "
        "ln -s /lib/systemd/system/drift.service drift.target.wants/drift.service"
    )
    assert done.ok, done.err
    changed = {change.name for change in differences(before, take_state(sandbox, plan, "node1"))}
    assert {f"{folder}/masked.service", f"{folder}/drift.target.wants/drift.service"} <= changed


def test_many_files_and_strange_names(local: Connection, tmp_path: Path) -> None:
    """More than one process sums, and sha256sum escapes a backslash."""
    names = [*(f"f{number}" for number in range(150)), r"back\slash", "two  blanks", "-dash", r"\begins", "*"]
    for name in names:
        (tmp_path / name).write_text("one")
    paths = [str(tmp_path / name) for name in names]
    before = capture(local, Look(paths=paths))
    assert all(before.files[path].sha256 for path in paths)
    for path in paths:
        Path(path).write_text("two")
    assert len(differences(before, capture(local, Look(paths=paths)))) == len(names)
