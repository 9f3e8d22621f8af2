from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from harness.deadline import Deadline
from harness.drivers.base import Driver, Instance, PlatformSpec, RunId, ScenarioRef, Site
from harness.drivers.fake import FakeDriver, FakeOptions
from harness.errors import DriverFailed, NotReady

if sys.platform == "win32":
    pytest.skip("needs POSIX", allow_module_level=True)


@pytest.fixture(autouse=True)
def system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HARNESS_FAKE", "1")
    monkeypatch.setenv("HARNESS_FAKE_DIR", str(tmp_path / "system"))
    return tmp_path / "system"


def spec(name: str, **faults: object) -> PlatformSpec:
    return PlatformSpec(name, "fake", options=FakeOptions.model_validate({"faults": faults}))


def site(run: str = "run") -> Site:
    folder = Path("/nonexistent/project")
    return FakeDriver().open(ScenarioRef(folder, "faults", folder), RunId(run), keep=True)


def listed(driver: Driver | None = None) -> list[str]:
    return [record.platform for record in (driver or FakeDriver()).instances()]


def test_it_is_refused_unless_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HARNESS_FAKE")
    [problem] = FakeDriver().diagnose()
    assert "HARNESS_FAKE=1" in (problem.hint or "")
    with pytest.raises(DriverFailed, match="isolates nothing"):
        site()


def test_faults_in_short() -> None:
    faults = FakeOptions.model_validate({"faults": {"create": "words", "destroy": 2, "ready": "hang"}}).faults
    assert (faults["create"].kind, faults["create"].message) == ("fail", "words")
    assert (faults["destroy"].kind, faults["destroy"].times) == ("fail", 2)
    assert faults["ready"].kind == "hang"
    with pytest.raises(ValueError, match="destory"):
        FakeOptions.model_validate({"faults": {"destory": 1}})


def test_create_fails_for_the_second() -> None:
    with site() as opened:
        with pytest.raises(DriverFailed, match="two: create failed: no space"):
            opened.create([spec("one"), spec("two", create="no space")], {})
        assert listed() == []


def test_times_are_counted_across_processes() -> None:
    for run in ("a", "b"):
        with site(run) as opened, pytest.raises(DriverFailed):
            opened.create([spec("one", create=2)], {})
    with site("c") as opened:
        assert opened.create([spec("one", create=2)], {})


def test_ready_never_comes() -> None:
    with site() as opened:
        [instance] = opened.create([spec("one", ready="hang")], {})
        with pytest.raises(NotReady, match=r"one: not ready after 0\.1 s; last seen: "):
            opened.wait_ready(instance, Deadline(0.1))


def test_destroy_fails_once() -> None:
    with site() as opened:
        [instance] = opened.create([spec("one", destroy=1)], {})
        with pytest.raises(DriverFailed, match="one: destroy failed"):
            opened.destroy(instance)
        assert listed() == ["one"]
        opened.destroy(instance)
        assert listed() == []


def crashed(program: str) -> None:
    text = (
        "from tests.drivers.test_fake import *\n"
        f"with site('crashed') as opened:\n    {program}\n    raise SystemExit('it went on')"
    )
    done = subprocess.run([sys.executable, "-c", text], cwd=Path(__file__).parents[2], check=False, timeout=60)
    assert done.returncode == -signal.SIGKILL


@pytest.mark.parametrize(("at", "left"), [("start", ["one"]), ("middle", ["one", "two"])])
def test_crash_within_create_leaves_what_reap_removes(at: str, left: list[str]) -> None:
    crashed(f"opened.create([spec('one'), spec('two', create={{'kind': 'crash', 'at': {at!r}}})], {{}})")
    assert listed() == left
    assert {record.status for record in FakeDriver().instances() if record.platform == "two"} <= {"creating"}
    for record in FakeDriver().instances():
        FakeDriver().reap(record)
    assert listed() == []


def test_half_a_snapshot_is_never_seen() -> None:
    crashed("opened.snapshot(opened.create([spec('one', snapshot='crash')], {})[0], 'key')")
    [record] = FakeDriver().instances()
    with site() as opened:
        assert opened.snapshots() == []
        instance = opened.adopt(spec("one"), record)
        assert opened.snapshot(instance, "key") in opened.snapshots()


def test_revert_that_fails_changes_nothing() -> None:
    with site() as opened:
        [instance] = opened.create([spec("one", revert=1)], {})
        root = files(opened, instance)
        (root / "file").write_text("then")
        snapshot = opened.snapshot(instance, "key")
        (root / "file").write_text("now")
        with pytest.raises(DriverFailed):
            opened.revert(instance, snapshot, Deadline(1))
        assert (root / "file").read_text() == "now"
        opened.revert(instance, snapshot, Deadline(1))
        assert (root / "file").read_text() == "then"


def test_slow_is_only_slow() -> None:
    with site() as opened:
        began = time.monotonic()
        [instance] = opened.create([spec("one", create={"kind": "slow", "seconds": 0.2})], {})
        assert time.monotonic() - began >= 0.2
        assert files(opened, instance).is_dir()


def files(opened: Site, instance: Instance) -> Path:
    endpoint = opened.wait_ready(instance, Deadline(1))
    assert endpoint.kind == "local"
    assert endpoint.directory
    return Path(endpoint.directory)


def test_its_processes_are_found_by_their_environment(system: Path) -> None:
    with site() as opened:
        [instance] = opened.create([spec("one")], {})
        root = files(opened, instance)
        process = subprocess.Popen(["sleep", "1000"], env={**os.environ, "HARNESS_INSTANCE": str(root)})
        opened.destroy(instance)
        assert process.wait(10) == -signal.SIGKILL
    assert not list((system / "instances").iterdir())
