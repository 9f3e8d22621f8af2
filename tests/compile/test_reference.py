"""The reference compiler, on a crate of one line: real cargo, real binaries."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import psutil
import pytest

from harness.cancellation import Cancellation
from harness.compile import host_target
from harness.compile.base import CompileSettings
from harness.compile.embed import extract, payload_bytes
from harness.compile.reference import ReferenceCompiler
from harness.compile.source import source_digest
from harness.compile.store import Store
from harness.compile.toolchain import find_toolchain
from harness.data import data_dir
from harness.deadline import Deadline, poll
from harness.errors import CompileFailed, HarnessError, Interrupted, ToolchainMissing, UsageError
from tests.compile.conftest import payload_of, write_crate

SETTINGS = CompileSettings()


@pytest.fixture
def compiler(crate: Path, store: Store) -> ReferenceCompiler:
    try:
        find_toolchain(crate)
    except HarnessError as error:
        pytest.skip(error.message)
    return ReferenceCompiler(crate, store)


@pytest.mark.cargo
def test_from_sources_to_a_binary_that_runs(compiler: ReferenceCompiler, crate: Path, store: Store) -> None:
    lines: list[str] = []
    first = compiler.compile(payload_of("a"), host_target(), CompileSettings(progress=lines.append))
    assert not first.cache_hit
    assert any("Compiling runner-stub" in line for line in lines)
    assert first.binary_path.stat().st_mode & 0o777 == 0o755
    assert first.binary_size == first.binary_path.stat().st_size
    assert extract(first.binary_path) == payload_bytes(payload_of("a"))
    assert json.loads(extract(first.binary_path) or b"")["schema"] == 1
    said = subprocess.run([first.binary_path], capture_output=True, check=True).stdout
    assert said == b"hello\n"
    assert str(crate).encode() not in first.binary_path.read_bytes()

    other = compiler.compile(payload_of("b"), host_target(), SETTINGS)
    assert other.cache_hit
    assert other.sha256 != first.sha256
    again = ReferenceCompiler(crate, store).compile(payload_of("a"), host_target(), SETTINGS)
    assert again.cache_hit
    assert (again.sha256, again.binary_path) == (first.sha256, first.binary_path)
    stub = next(store.entries("stub")).path / "stub"
    assert extract(stub) is None

    # A stub that rotted is built again, and is the same.
    content = bytearray(stub.read_bytes())
    content[len(content) // 2] ^= 1
    stub.write_bytes(content)
    with pytest.raises(CompileFailed, match="changed since it was found whole"):
        compiler.compile(payload_of("c"), host_target(), SETTINGS)
    rebuilt = ReferenceCompiler(crate, store).compile(payload_of("a"), host_target(), SETTINGS)
    assert not rebuilt.cache_hit
    assert rebuilt.sha256 == first.sha256

    # Without a toolchain, what is in the store still serves; changed sources do not.
    empty = {"PATH": "", "CARGO_HOME": str(crate / "none")}
    with pytest.MonkeyPatch.context() as patch:
        for name, value in empty.items():
            patch.setenv(name, value)
        assert ReferenceCompiler(crate, store).compile(payload_of("d"), host_target(), SETTINGS).cache_hit
        write_crate(crate, "fn main() {}\n")
        with pytest.raises(ToolchainMissing):
            ReferenceCompiler(crate, store).compile(payload_of("a"), host_target(), SETTINGS)


@pytest.mark.cargo
def test_rust_errors_are_told_in_rustcs_words(compiler: ReferenceCompiler, crate: Path, store: Store) -> None:
    write_crate(crate, "fn main() { undefined_function(); }\n")
    with pytest.raises(CompileFailed, match="cannot find function `undefined_function`") as caught:
        compiler.compile(payload_of("a"), host_target(), SETTINGS)
    assert "src/main.rs:1:13" in caught.value.message
    assert list(store.entries("stub")) == []


@pytest.mark.cargo
def test_a_crate_that_cannot_be_fetched(
    compiler: ReferenceCompiler, crate: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with (crate / "Cargo.toml").open("a") as manifest:
        manifest.write('\n[dependencies]\ncfg-if = "=1.0.0"\n')
    with (crate / "Cargo.lock").open("w") as lock:
        lock.write(
            'version = 3\n\n[[package]]\nname = "cfg-if"\nversion = "1.0.0"\n'
            'source = "registry+https://github.com/rust-lang/crates.io-index"\n'
            'checksum = "baf1de4339761588bc0619e3cbc0120ee582ebb74b53b4efbf79117bd2da40fd"\n\n'
            '[[package]]\nname = "runner-stub"\nversion = "0.1.0"\ndependencies = ["cfg-if"]\n'
        )
    toolchain = find_toolchain(crate)
    monkeypatch.setenv("PATH", f"{toolchain.cargo.parent}:{os.environ['PATH']}")
    monkeypatch.setenv("RUSTUP_HOME", os.environ.get("RUSTUP_HOME", str(Path("~/.rustup").expanduser())))
    monkeypatch.setenv("CARGO_HOME", str(tmp_path / "cargo-home"))
    monkeypatch.setenv("CARGO_NET_OFFLINE", "true")
    with pytest.raises(CompileFailed, match="cfg-if") as caught:
        compiler.compile(payload_of("a"), host_target(), SETTINGS)
    assert "could not fetch" in str(caught.value.hint)


@pytest.mark.cargo
def test_sources_that_change_in_the_midst_are_compiled_again(compiler: ReferenceCompiler, crate: Path) -> None:
    def edit(line: str) -> None:
        if line.startswith("building") and "hello" in (crate / "src" / "main.rs").read_text():
            write_crate(crate, 'fn main() { println!("edited"); }\n')

    result = compiler.compile(payload_of("a"), host_target(), CompileSettings(progress=edit))
    assert subprocess.run([result.binary_path], capture_output=True, check=True).stdout == b"edited\n"
    assert ReferenceCompiler(crate, compiler.store).compile(payload_of("a"), host_target(), SETTINGS).cache_hit


@pytest.mark.cargo
def test_a_build_that_takes_too_long_is_stopped(compiler: ReferenceCompiler, crate: Path) -> None:
    (crate / "build.rs").write_text(
        "fn main() { std::thread::sleep(std::time::Duration::from_secs(600)); }\n", encoding="utf-8"
    )
    with pytest.raises(CompileFailed, match="did not finish within 2 seconds"):
        compiler.compile(payload_of("a"), host_target(), CompileSettings(timeout=2))


@pytest.mark.cargo
def test_a_build_can_be_called_off(compiler: ReferenceCompiler, crate: Path, tmp_path: Path) -> None:
    began = tmp_path / "began"
    (crate / "build.rs").write_text(
        f"fn main() {{ std::fs::write({json.dumps(str(began))}, std::process::id().to_string()).unwrap();"
        " std::thread::sleep(std::time::Duration::from_secs(600)); }\n",
        encoding="utf-8",
    )
    cancellation = Cancellation()
    ended: list[str] = []

    def build() -> None:
        with pytest.raises(Interrupted) as caught:
            compiler.compile(payload_of("a"), host_target(), CompileSettings(cancellation=cancellation))
        ended.append(caught.value.message)

    thread = threading.Thread(target=build)
    thread.start()
    assert poll(lambda last: began.read_text() if began.exists() and began.read_text() else None, Deadline(60))
    cancellation.call()
    thread.join(10)
    assert ended == ["cargo was called off"]
    # Killed with cargo; init takes its time to reap it.
    pid = int(began.read_text())
    assert poll(lambda last: None if psutil.pid_exists(pid) else True, Deadline(10))


@pytest.mark.cargo
def test_threads_share_one_build(compiler: ReferenceCompiler, store: Store) -> None:
    hits: list[bool] = []

    def one(text: str) -> None:
        hits.append(compiler.compile(payload_of(text), host_target(), SETTINGS).cache_hit)

    threads = [threading.Thread(target=one, args=(text,)) for text in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(hits) == [False, True, True, True]
    assert len(list(store.entries("binary"))) == 4


def test_no_toolchain_at_all(crate: Path, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.setenv("CARGO_HOME", str(tmp_path / "none"))
    compiler = ReferenceCompiler(crate, store)
    with pytest.raises(ToolchainMissing):
        compiler.compile(payload_of("a"), host_target(), SETTINGS)
    problems = compiler.diagnose(host_target())
    assert len(problems) == 1
    assert problems[0].hint


def test_diagnose_touches_nothing(crate: Path, store: Store) -> None:
    ReferenceCompiler(crate, store).diagnose(host_target())
    assert not store.root.exists()
    problems = ReferenceCompiler(crate, store).diagnose("sparc-sun-solaris")
    assert "sparc-sun-solaris" in problems[0].message


def test_an_unknown_profile(crate: Path, store: Store) -> None:
    with pytest.raises(UsageError, match="fastest"):
        ReferenceCompiler(crate, store).compile(payload_of("a"), host_target(), CompileSettings(profile="fastest"))


@pytest.mark.cargo
def test_the_profile_of_a_scenario(crate: Path, store: Store) -> None:
    ReferenceCompiler(crate, store, profile="debug").stub(host_target(), CompileSettings())
    assert [entry.info["profile"] for entry in store.entries("stub")] == ["debug"]


def test_text_that_no_utf8_can_hold() -> None:
    with pytest.raises(CompileFailed, match="UTF-8"):
        payload_bytes(payload_of("\ud800"))


def test_the_payload_is_always_the_same_bytes() -> None:
    assert payload_bytes(payload_of("a", "ü")) == payload_bytes(payload_of("a", "ü"))
    assert b'"schema":1' in payload_bytes(payload_of("a"))


def test_the_digest_follows_the_sources_and_nothing_else(crate: Path) -> None:
    before = source_digest(crate)
    for folder in ("target", "tests"):
        (crate / folder).mkdir()
        (crate / folder / "x.rs").write_text("x")
    (crate / "README.md").write_text("x")
    assert source_digest(crate) == before
    (crate / "src" / "tests").mkdir()
    (crate / "src" / "tests" / "x.rs").write_text("x")
    changed = source_digest(crate)
    assert changed != before
    (crate / "src" / "tests" / "x.rs").rename(crate / "src" / "tests" / "y.rs")
    assert source_digest(crate) not in (before, changed)


def test_honours_are_the_runners() -> None:
    honours = ReferenceCompiler().honours()
    document = json.loads((data_dir("runner") / "honours.json").read_text())
    assert set(document["modules"]) == set(honours.modules)
    assert "content" in honours.modules["copy"].arguments
    assert honours.modules["file"].aliases["dest"] == "path"
    assert frozenset({"path"}) in honours.modules["file"].required
    assert "register" in honours.keywords
    assert "no_such_module" not in honours.modules


@pytest.mark.cargo
@pytest.mark.skipif(sys.platform != "linux", reason="runs a Linux binary")
def test_a_shipped_stub_needs_no_toolchain(
    compiler: ReferenceCompiler, crate: Path, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    built, _ = compiler.stub(host_target(), SETTINGS)
    package = tmp_path / "package"
    folder = package / "_data" / "stub" / host_target()
    folder.mkdir(parents=True)
    shutil.copy(built.path, folder / "stub")
    about = {"sources": source_digest(crate), "target": host_target(), "profile": "release", "sha256": built.sha256}
    (folder / "stub.json").write_text(json.dumps(about))
    monkeypatch.setattr("harness.__file__", str(package / "__init__.py"))
    monkeypatch.setenv("PATH", "")
    monkeypatch.setenv("CARGO_HOME", str(tmp_path / "none"))
    result = ReferenceCompiler(crate, Store(tmp_path / "other")).compile(payload_of("a"), host_target(), SETTINGS)
    assert result.cache_hit
    assert ReferenceCompiler(crate, store).diagnose(host_target()) == []
    # Not of these sources, or not whole: as if it were not there.
    (folder / "stub").write_bytes(built.path.read_bytes()[:-1])
    with pytest.raises(ToolchainMissing):
        ReferenceCompiler(crate, Store(tmp_path / "third")).compile(payload_of("a"), host_target(), SETTINGS)
