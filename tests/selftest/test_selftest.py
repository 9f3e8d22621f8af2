"""The self-test itself, in small: that it can fail, what it leaves, and that its stub gets nowhere else."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from harness import registry
from harness.cancellation import Cancellation
from harness.compile import host_target
from harness.compile.base import CompileSettings
from harness.compile.embed import Stub, payload_bytes, trailer
from harness.compile.reference import ReferenceCompiler
from harness.compile.source import source_digest
from harness.compile.store import Store
from harness.compile.targets import known_target
from harness.data import data_dir
from harness.errors import HarnessError
from harness.selftest import run
from harness.selftest.catalogue import BINARY, MUTANTS, Mutant, chosen
from harness.selftest.forge import Order
from harness.selftest.run import SelftestOptions, selftest
from harness.selftest.session import Session
from harness.selftest.stub import MutantPayload, MutantStubs
from tests.compile.conftest import payload_of

pytestmark = [pytest.mark.cargo, pytest.mark.sandbox]
HARNESS = [sys.executable, "-m", "harness"]


@pytest.fixture(scope="module")
def stub() -> Stub:
    try:
        return MutantStubs().stub(host_target(), CompileSettings())[0]
    except HarnessError as error:
        pytest.skip(error.message)


@pytest.fixture(autouse=True)
def _native() -> None:
    problems = registry.driver("native").diagnose()
    if problems:
        pytest.skip(f"no sandbox here: {problems[0]}")


def test_nothing_that_compiles_hands_the_stub_out(stub: Stub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert all("mutant" not in name for name in registry.names(registry.COMPILERS))
    honest = ReferenceCompiler().compile(payload_of("a"), host_target(), CompileSettings()).binary_path.read_bytes()
    names = [mutant.name.encode() for mutant in MUTANTS if mutant not in BINARY]
    assert not any(name in honest for name in names)
    wrong = stub.path.read_bytes()
    assert all(name in wrong for name in names)
    # Where it is the only stub that the store has, and none can be built, there is none.
    store = Store(tmp_path)
    store.obtain(MutantStubs.kind, "0" * 64, lambda folder: _copied(stub, folder))
    monkeypatch.setenv("PATH", "")
    monkeypatch.setenv("CARGO_HOME", str(tmp_path))
    assert MutantStubs(store=store).stub(host_target(), CompileSettings())[0].sha256 == stub.sha256
    monkeypatch.setattr("harness.compile.reference.shipped_stub", lambda *_: None)
    with pytest.raises(HarnessError, match="Rust"):
        ReferenceCompiler(store=store).compile(payload_of("a"), host_target(), CompileSettings())


def _copied(stub: Stub, folder: Path) -> dict[str, str]:
    """As a toolchain that has gone made it of the same sources."""
    (folder / "stub").write_bytes(stub.path.read_bytes())
    flags = " ".join(known_target(host_target()).rustflags)
    sources = source_digest(data_dir("runner"), MutantStubs.features)
    return {"sources": sources, "target": host_target(), "profile": "release", "flags": flags}


def test_an_honest_stub_refuses_a_mutants_payload(stub: Stub) -> None:
    def forge(order: Order) -> bytes:
        payload = payload_bytes(
            MutantPayload.model_validate({**order.payload.model_dump(by_alias=True), "mutant": "hangs"})
        )
        return (
            ReferenceCompiler().stub(host_target(), CompileSettings())[0].path.read_bytes() + payload + trailer(payload)
        )

    with run._project() as project:
        catches = Session(run._scenarios(project)["simple_plan"], Cancellation(), stub, forge).run()
    assert "unknown field `mutant`" in catches[0].observation


def test_mutants_and_honest_runs(tmp_path: Path) -> None:
    """From the command line; all of them are run by `.ci/run`."""
    words = ["--mutant", "wrong-mode", "--mutant", "half-a-binary", "--honest", "2", "--report-format", "json"]
    done = _selftest(*words, "--output", "report.json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr + done.stdout
    found = json.loads((tmp_path / "report.json").read_text())
    assert [one["name"] for one in found["mutants"]] == ["wrong-mode", "half-a-binary"]
    assert "plan.FileMode" in found["mutants"][0]["caught_by"]
    assert (found["honest_runs"], found["false_accusations"]) == (2, 0)
    assert "0 of 2 honest runs accused" in done.stdout
    assert [path.name for path in tmp_path.iterdir()] == ["report.json"]


def _selftest(*words: str, cwd: Path, env: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*HARNESS, "selftest", *words],
        capture_output=True,
        text=True,
        cwd=cwd,
        env={**os.environ, **(env or {})},
        check=False,
    )


def test_a_mutant_that_nothing_catches_and_an_accusation_fail_it(stub: Stub, monkeypatch: pytest.MonkeyPatch) -> None:
    honest = Mutant("blameless", "nothing", lambda order: order.honest.binary_path.read_bytes())
    report = selftest(SelftestOptions(mutants=[honest], honest=0))
    assert (report.survivors, report.passed) == (["blameless"], False), report.mutants

    forge = chosen(["wrong-mode"])[0].forge
    monkeypatch.setattr(
        run, "Session", lambda scenario, cancellation, **_: Session(scenario, cancellation, stub, forge)
    )
    report = selftest(SelftestOptions(mutants=[], honest=1))
    assert (report.false_accusations, report.passed) == (1, False)
    assert report.accusations[0].catches


def test_without_cargo(tmp_path: Path) -> None:
    nowhere = dict.fromkeys(("PATH", "CARGO_HOME", "HOME", "HARNESS_CACHE_DIR"), str(tmp_path))
    done = _selftest("--honest", "0", cwd=tmp_path, env=nowhere)
    assert done.returncode == 2
    assert "cargo" in done.stderr and "hint" in done.stderr and "Traceback" not in done.stderr


def test_ctrl_c_leaves_nothing(tmp_path: Path) -> None:
    command = [*HARNESS, "selftest", "--mutant", "hangs", "--mutant", "crashes", "--honest", "20"]
    env = {**os.environ, "TMPDIR": str(tmp_path)}
    with subprocess.Popen(
        command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=tmp_path, env=env
    ) as process:
        assert process.stderr is not None
        process.stderr.readline()  # the first has ended, others are at work
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in said
    assert list(tmp_path.iterdir()) == []
    records = registry.driver("native").instances()
    assert not [record for record in records if tmp_path in record.project.parents]
