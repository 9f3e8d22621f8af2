"""The reference compiler: one Rust stub per (sources, toolchain, target, profile), the plan embedded as data."""

from __future__ import annotations

import contextlib
import hashlib
import json
import shutil
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import ClassVar, Literal, Self

import harness
from harness.compile.base import Compiler, CompileSettings, Honours
from harness.compile.embed import Stub, embed, payload_bytes
from harness.compile.honours import read_honours
from harness.compile.inspect import check_binary
from harness.compile.result import result_of
from harness.compile.source import source_digest
from harness.compile.store import Entry, Store, locked, sha256_of
from harness.compile.targets import Target, known_target, require_supported
from harness.compile.toolchain import Toolchain, find_linker, find_toolchain, require_std
from harness.data import data_dir
from harness.errors import CompileFailed, HarnessError, Problem, ToolchainMissing, UsageError
from harness.models.results import CompilationResult
from harness.models.runner import Payload
from harness.models.serde import StrictModel

PROFILES = ("release", "debug")
STUB = "stub"
CHANGES_BORNE = 3
"""How often a build begins anew because an editor saved in the midst of it."""


class SourcesChanged(Exception):
    """What was compiled is not what the store's key says."""


class ReferenceOptions(StrictModel):
    profile: Literal["release", "debug"] | None = None


class ReferenceCompiler(Compiler):
    """`crate` and `store` are the shipped sources and the user's cache unless others are given."""

    name: ClassVar[str] = "reference"
    compiler_options: ClassVar[type[StrictModel]] = ReferenceOptions
    kind: ClassVar[str] = STUB
    """What the store keeps its stubs as."""
    features: ClassVar[tuple[str, ...]] = ()
    """The features of cargo that its stubs are built with."""

    def __init__(self, crate: Path | None = None, store: Store | None = None, profile: str | None = None) -> None:
        self._crate = crate
        self._store = store
        self._profile = profile
        self._stubs: dict[tuple[str, str], Stub] = {}
        self._have: set[str] = set()
        """Targets whose stub was seen to be there."""
        self._toolchain: Toolchain | None = None
        self._lock = threading.Lock()

    @classmethod
    def configured(cls, options: StrictModel | None, folder: Path) -> Self:
        return cls(profile=options.profile if isinstance(options, ReferenceOptions) else None)

    @property
    def crate(self) -> Path:
        """The folder of the runner's sources."""
        return self._crate or data_dir("runner")

    @property
    def store(self) -> Store:
        # Looked up late: making a compiler touches nothing.
        self._store = self._store or Store()
        return self._store

    def diagnose(self, target: str) -> list[Problem]:
        problems: list[Problem] = []
        try:
            require_supported(target)
            if target in self._have:
                return []
            if self._shipped_stub(target, "release") or self._stored_stub(target, "release"):
                self._have.add(target)
            else:
                toolchain = find_toolchain(self.crate)
                find_linker()
                require_std(toolchain, target, self.crate)
        except HarnessError as error:
            problems.append(Problem("the reference compiler", error.message, error.hint))
        return problems

    def honours(self) -> Honours:
        return replace(read_honours(data_dir("runner") / "honours.json"), parts=True, sudo=False)

    def warm_up(self) -> None:
        """rustup takes a tenth of a second to say which compiler it stands for."""
        with self._lock, contextlib.suppress(HarnessError):
            self._toolchain = find_toolchain(self.crate)

    def compile(self, payload: Payload, target: str, settings: CompileSettings) -> CompilationResult:
        """`cache_hit` tells that nothing had to be built: embedding a plan in a stub is no build."""
        started = time.perf_counter()
        stub, built = self.stub(target, settings)
        entry = embed(self.store, stub, payload_bytes(payload))
        return result_of(
            entry,
            target,
            began=started,
            cache_hit=not built,
        )

    def stub(self, triple: str, settings: CompileSettings) -> tuple[Stub, bool]:
        """The runner without a payload: the shipped one, the store's, or one built now; also tells whether it was.

        Raises ToolchainMissing, CompileFailed.
        """
        target = require_supported(triple)
        settings = replace(settings, profile=self._profile or settings.profile)
        if settings.profile not in PROFILES:
            raise UsageError(f"there is no profile {settings.profile!r}", hint=f"known: {', '.join(PROFILES)}")
        with self._lock:
            known = self._stubs.get((triple, settings.profile))
            if known is not None:
                return known, False
            stub, built = self._find_stub(target, settings)
            self._stubs[triple, settings.profile] = stub
            return stub, built

    def _find_stub(self, target: Target, settings: CompileSettings) -> tuple[Stub, bool]:
        shipped = self._shipped_stub(target.triple, settings.profile)
        if shipped is not None:
            return shipped, False
        for _ in range(CHANGES_BORNE):
            with contextlib.suppress(SourcesChanged):
                return self._built_stub(target, settings)
        raise CompileFailed(
            f"the sources in {self.crate} change while they are compiled", hint="compile again when they have settled"
        )

    def _shipped_stub(self, triple: str, profile: str) -> Stub | None:
        return None if self.features else shipped_stub(self.crate, triple, profile)

    def _built_stub(self, target: Target, settings: CompileSettings) -> tuple[Stub, bool]:
        identity = self._identity(target, settings.profile)
        try:
            toolchain = self._toolchain or find_toolchain(self.crate)
        except ToolchainMissing:
            stored = self._stored_stub(target.triple, settings.profile)
            if stored is not None:
                return stored, False
            raise
        identity["toolchain"] = toolchain.version
        key = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()

        def make(folder: Path) -> dict[str, str]:
            self._build(target, toolchain, settings, identity["sources"], folder / STUB)
            return identity

        entry, built = self.store.obtain(self.kind, key, make, cancellation=settings.cancellation)
        return _stub_of(entry), built

    def _identity(self, target: Target, profile: str) -> dict[str, str]:
        """What a stub is made of, but for the toolchain."""
        return {
            "sources": source_digest(self.crate, self.features),
            "target": target.triple,
            "profile": profile,
            "flags": " ".join(target.rustflags),
        }

    def _stored_stub(self, triple: str, profile: str) -> Stub | None:
        """What another toolchain made of the same sources serves as well as what cannot be built."""
        identity = self._identity(known_target(triple), profile)
        for entry in self.store.entries(self.kind):
            if entry.info.items() >= identity.items():
                return _stub_of(entry)
        return None

    def _build(
        self, target: Target, toolchain: Toolchain, settings: CompileSettings, sources: str, destination: Path
    ) -> None:
        from harness.compile.cargo import BuildJob, build

        if settings.progress is not None:
            settings.progress(f"building the runner for {target.triple}, once for its sources and {toolchain.version}")
        work = self.store.root / "cargo"
        work.mkdir(mode=0o700, parents=True, exist_ok=True)
        # One build at a time: cargo names its output by target and profile only, and two builds of different sources
        # in one folder could each fetch the other's.
        with locked(work.with_suffix(".lock"), settings.cancellation):
            made = build(
                BuildJob(
                    crate=self.crate,
                    target=target,
                    toolchain=toolchain,
                    profile=settings.profile,
                    target_dir=work,
                    timeout=settings.timeout,
                    features=self.features,
                    on_line=_telling(settings.progress),
                    cancellation=settings.cancellation,
                )
            )
            shutil.copyfile(made, destination)
        destination.chmod(0o755)
        check_binary(destination, target.triple)
        if source_digest(self.crate, self.features) != sources:
            raise SourcesChanged


def shipped_stub(crate: Path, triple: str, profile: str) -> Stub | None:
    """The stub that came with the wheel, when it was made of just these sources and is whole."""
    folder = Path(harness.__file__).resolve().parent / "_data" / "stub" / triple
    try:
        about = json.loads((folder / "stub.json").read_text(encoding="utf-8"))
        stub = Stub(folder / STUB, str(about["sha256"]))
        fits = (about["target"], about["profile"]) == (triple, profile) and about["sources"] == source_digest(crate)
        return stub if fits and sha256_of(stub.path) == stub.sha256 else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _stub_of(entry: Entry) -> Stub:
    return Stub(entry.path / STUB, entry.files[STUB].sha256)


def _telling(progress: Callable[[str], None] | None) -> Callable[[str], None] | None:
    """cargo's own progress lines, without its warnings."""
    if progress is None:
        return None

    def tell(line: str) -> None:
        if line.startswith(("Compiling", "Downloading", "Downloaded", "Finished", "Blocking")):
            progress(line)

    return tell
