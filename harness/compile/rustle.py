"""rustle-deploy, an executable that somebody has: HARNESS_RUSTLE_DEPLOY or the scenario names it, we ship none.

What is known of it was found by driving it: docs/compilers.md.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
from collections import deque
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import ClassVar, Literal, Self

from pydantic import Field

from harness.cache import cache_dir
from harness.compile.base import Compiler, CompileSettings, Honours
from harness.compile.cargo import LAST_WORDS, cure
from harness.compile.embed import BINARY
from harness.compile.executable import require_program, where_is
from harness.compile.inspect import check_binary
from harness.compile.report_url import report_url
from harness.compile.result import result_of
from harness.compile.rustle_honours import HONOURS
from harness.compile.rustle_plan import Deployment, rustle_plan
from harness.compile.store import Store, locked, sha256_of
from harness.compile.targets import host_target, known_target
from harness.compile.toolchain import described
from harness.errors import CompileFailed, HarnessError, Problem, ToolchainMissing
from harness.models.results import CompilationResult
from harness.models.runner import Payload
from harness.models.serde import StrictModel
from harness.tool import ToolRun, run_tool

VARIABLE = "HARNESS_RUSTLE_DEPLOY"
KIND = "rustle-deploy"
_PROGRAMS = ("cargo", "rustc", "rustup")
_ITS_OUTPUT = "rustle-runner"
_QUIET = {"RUST_LOG": "warn", "NO_COLOR": "1"}
"""At its own level a runner writes the whole plan with every line of its log."""
_INSTALL_RUST = "rustle-deploy builds with cargo and asks rustup for targets: install Rust by rustup, https://rustup.rs"
_STATIC = "it links OpenSSL statically: apt-get install libssl-dev pkg-config"
_NAME_ONE = f"build or install rustle-deploy and name it: {VARIABLE}, or `compiler: {{name: rustle-deploy, path: ...}}`"


class RustleDeployOptions(StrictModel):
    path: str | None = Field(default=None, description=f"the executable; {VARIABLE} wins over it")
    optimization: Literal["debug", "release", "aggressive"] | None = Field(
        default=None, description="its --optimization; the profile if absent"
    )
    results: Literal["report", "exit-status"] = Field(default="report", description="how its runners tell")
    delete_itself: bool = Field(default=False, description="whether its runners do so at their end")
    environment: dict[str, str] = Field(default_factory=dict, description="of rustle-deploy and the cargo below it")
    timeout_seconds: float | None = Field(default=None, gt=0, description="for one compilation")


class RustleDeploy(Compiler):
    """`store` is the user's cache unless another is given; relative paths are meant from `folder`."""

    name: ClassVar[str] = "rustle-deploy"
    compiler_options: ClassVar[type[StrictModel]] = RustleDeployOptions

    def __init__(self, options: RustleDeployOptions, folder: Path = Path(), store: Store | None = None) -> None:
        self._options = options
        self._folder = folder
        self._store = store

    @classmethod
    def configured(cls, options: StrictModel | None, folder: Path) -> Self:
        return cls(options if isinstance(options, RustleDeployOptions) else RustleDeployOptions(), folder)

    def honours(self) -> Honours:
        return HONOURS

    def diagnose(self, target: str) -> list[Problem]:
        problems = []
        try:
            self.executable()
        except HarnessError as error:
            problems.append(Problem("rustle-deploy", error.message, error.hint))
        if missing := _missing():
            problems.append(Problem("rustle-deploy", f"{', '.join(missing)}: not on PATH", _INSTALL_RUST))
        try:
            self._require(target)
        except HarnessError as error:
            problems.append(Problem("rustle-deploy", error.message, error.hint))
        return problems

    def executable(self) -> Path:
        """Raises ToolchainMissing where none is named, or what is named cannot be one."""
        named = os.environ.get(VARIABLE)
        if named:
            return require_program(Path(named).absolute(), f"rustle-deploy ({VARIABLE})")
        if self._options.path is None:
            raise ToolchainMissing("no rustle-deploy is named", hint=_NAME_ONE)
        return require_program(where_is(self._options.path, self._folder), "rustle-deploy (path)")

    def warm_up(self) -> None:
        with suppress(HarnessError):
            self._rustc()

    def _rustc(self) -> str:
        """Which compiler it is that cargo will call; asked where its work will be, since rustup's choice depends on
        the folder."""
        rustc = shutil.which("rustc")
        if rustc is None:
            raise ToolchainMissing("rustc: not on PATH", hint=_INSTALL_RUST)
        return _asked(rustc, tuple(sorted({**os.environ, **self._options.environment}.items())))

    def plan(self, payload: Payload, target: str) -> bytes:
        """Exactly what it is given for this slice."""
        deployment = Deployment(target=target, nonce="", delete_itself=self._options.delete_itself)
        draft = rustle_plan(payload, HONOURS, deployment)
        nonce = hashlib.sha256(draft + self._options.results.encode()).hexdigest()[:32]
        url = report_url(nonce) if self._options.results == "report" else None
        return rustle_plan(payload, HONOURS, replace(deployment, nonce=nonce, report_url=url))

    def compile(self, payload: Payload, target: str, settings: CompileSettings) -> CompilationResult:
        """Its own cache is not believed: what it makes lies in ours, once it was found to hold this very plan."""
        began = time.perf_counter()
        self._require(target)
        if missing := _missing():
            raise ToolchainMissing(f"{', '.join(missing)}: not on PATH", hint=_INSTALL_RUST)
        settings = replace(settings, timeout=self._options.timeout_seconds or settings.timeout)
        executable = self.executable()
        optimization = self._options.optimization or settings.profile
        plan = self.plan(payload, target)
        identity = {
            "plan": hashlib.sha256(plan).hexdigest(),
            "executable": sha256_of(executable),
            "optimization": optimization,
            "target": target,
            "environment": json.dumps(_environment(self._options.environment, target), sort_keys=True),
            "rustc": self._rustc(),
        }

        def make(folder: Path) -> Mapping[str, str]:
            job = _Job(executable, plan, target, optimization, self._options.environment, settings)
            job.run(folder / BINARY)
            return identity

        key = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()
        entry, made = (self._store or Store()).obtain(KIND, key, make, cancellation=settings.cancellation)
        return result_of(
            entry,
            target,
            began=began,
            cache_hit=not made,
            results=self._options.results,
            report_url=url_in(plan),
            environment=_QUIET,
        )

    @staticmethod
    def _require(target: str) -> None:
        if known_target(target).triple != host_target():
            raise ToolchainMissing(
                f"rustle-deploy is driven for this machine's own target only ({host_target()}), not for {target}",
                hint="other targets want their own OpenSSL and linker",
            )


@cache
def _asked(rustc: str, environment: tuple[tuple[str, str], ...]) -> str:
    return described(Path(rustc), cache_dir(), dict(environment))


def _missing() -> list[str]:
    return [program for program in _PROGRAMS if shutil.which(program) is None]


def url_in(plan: bytes) -> str | None:
    """The address to which the binary of this plan reports."""
    url = json.loads(plan)["binary_deployments"][0]["controller_endpoint"]
    return url if isinstance(url, str) else None


class _Job:
    """One call of it, alone in the build folder that all calls share: dependencies are compiled once."""

    def __init__(
        self,
        executable: Path,
        plan: bytes,
        target: str,
        optimization: str,
        environment: Mapping[str, str],
        settings: CompileSettings,
    ) -> None:
        self._executable = executable
        self._plan = plan
        self._target = target
        self._optimization = optimization
        self._environment = environment
        self._settings = settings
        self._root = cache_dir() / KIND

    def run(self, destination: Path) -> None:
        """Leaves the binary at `destination`. Raises CompileFailed."""
        self._root.mkdir(mode=0o700, exist_ok=True)
        work = self._root / "work"
        # Two calls in one build folder brought each other's binaries.
        with locked(self._root / "build.lock", self._settings.cancellation):
            shutil.rmtree(work, ignore_errors=True)  # of a call that was killed
            try:
                for name in ("home", "tmp", "out"):
                    (work / name).mkdir(parents=True, mode=0o700)
                self._forget_runners()
                self._call(work)
                made = work / "out" / _ITS_OUTPUT
                self._prove(made)
                check_binary(made, self._target)
                shutil.move(made, destination)
            finally:
                shutil.rmtree(work, ignore_errors=True)
        destination.chmod(0o755)

    def _forget_runners(self) -> None:
        """cargo tells plans apart by the time of their files alone: every runner has the same name and hash."""
        for left in (self._root / "build").glob("*/*/.fingerprint/rustle-runner-*"):
            shutil.rmtree(left, ignore_errors=True)

    def _call(self, work: Path) -> None:
        plan = work / "plan.json"
        plan.write_bytes(self._plan)
        told: deque[str] = deque(maxlen=400)
        errors: deque[str] = deque(maxlen=400)
        if self._settings.progress is not None:
            self._settings.progress(f"rustle-deploy builds a runner for {self._target}")
        status = run_tool(
            ToolRun(
                name="rustle-deploy",
                command=[
                    *(str(self._executable), str(plan), "--compile-only", "--output-dir", str(work / "out")),
                    *("--optimization", self._optimization),
                ],
                env=self._whole_environment(work),
                cwd=work,
                timeout=self._settings.timeout,
                on_stdout=lambda line: told.append(line.rstrip()),
                on_stderr=lambda line: errors.append(line.rstrip()),
                cancellation=self._settings.cancellation,
                failure=CompileFailed,
            )
        )
        if status != 0:
            raise self._failed(f"rustle-deploy ended with exit status {status}", errors or told)
        if not (work / "out" / _ITS_OUTPUT).is_file():
            raise self._failed("rustle-deploy ended with exit status 0 and left no binary", errors or told)

    def _whole_environment(self, work: Path) -> dict[str, str]:
        """This process's, but for what would make it another build than the store's key says, or lead to its home."""
        home = Path("~").expanduser()
        others = {
            key: value
            for key, value in os.environ.items()
            if key not in ("CARGO_TARGET_DIR", "CARGO_BUILD_TARGET_DIR", "CARGO_BUILD_TARGET", "RUSTFLAGS", "RUST_LOG")
            and key not in ("CARGO_ENCODED_RUSTFLAGS", "CARGO_BUILD_RUSTFLAGS")
            and not key.startswith("CARGO_PROFILE_")
        }
        return {
            "CARGO_HOME": str(home / ".cargo"),
            "RUSTUP_HOME": str(home / ".rustup"),
            **others,
            "HOME": str(work / "home"),
            "TMPDIR": str(work / "tmp"),
            "CARGO_BUILD_BUILD_DIR": str(self._root / "build"),
            "NO_COLOR": "1",
            "CARGO_TERM_COLOR": "never",
            **_environment(self._environment, self._target),
        }

    def _prove(self, made: Path) -> None:
        """The plan's own marks are in the binary: it is not another plan's."""
        data = made.read_bytes()
        nonce = json.loads(self._plan)["metadata"]["playbook_hash"]
        marks = [f'"playbook_hash":"{nonce}"', *filter(None, [url_in(self._plan)])]
        if not all(mark.encode() in data for mark in marks):
            raise CompileFailed(
                "rustle-deploy delivered a binary that does not hold this plan",
                hint=f"its build folder {self._root / 'build'} may be damaged: remove it and compile again",
            )

    @staticmethod
    def _failed(what: str, words: Iterable[str]) -> CompileFailed:
        text = "\n".join([line for line in words if line][-LAST_WORDS:])
        hint = _STATIC if "openssl" in text.lower() else cure(text)
        return CompileFailed(f"{what}:\n{text}" if text else what, hint=hint)


def _environment(wanted: Mapping[str, str], target: str) -> dict[str, str]:
    """A runner that needs nothing on its host; the scenario's own words come last."""
    static = {"OPENSSL_STATIC": "1", "RUSTFLAGS": "-C target-feature=+crt-static"}
    return {**(static if known_target(target).static else {}), **wanted}
