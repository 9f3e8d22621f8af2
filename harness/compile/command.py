"""Any plan compiler: a command that is given a plan and leaves a binary."""

from __future__ import annotations

import hashlib
import json
import os
import shlex
import shutil
import tempfile
import time
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from glob import glob
from pathlib import Path
from string import Formatter
from typing import Annotated, ClassVar, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from harness.compile.base import Compiler, CompileSettings, Honours
from harness.compile.embed import BINARY, payload_bytes
from harness.compile.executable import require_program, where_is
from harness.compile.honours import read_honours
from harness.compile.inspect import check_binary
from harness.compile.report_url import report_url
from harness.compile.result import result_of
from harness.compile.rustle_plan import Deployment, rustle_plan
from harness.compile.store import Entry, Maker, Store, sha256_of
from harness.compile.targets import known_target
from harness.data import data_dir
from harness.errors import CompileFailed, HarnessError, Problem, ToolchainMissing
from harness.models.results import CompilationResult, ResultsBy
from harness.models.runner import Payload
from harness.models.serde import StrictModel
from harness.scratch import scratch
from harness.tool import ToolRun, run_tool

KIND = "command"
PLACEHOLDERS = {
    "plan": "the file that holds the plan of one slice",
    "output": "where the binary is to be",
    "target": "the target triple",
    "arch": "its architecture, as in the triple",
    "os": "its operating system: linux, macos, windows",
    "profile": "release or debug",
    "report_url": "where the binary is to report, with `results: report`",
    "scenario": "the scenario's folder",
}
_LAST_WORDS = 40
_UNSET = 'give the compiler its command: `compiler: {name: command, command: "... {plan} ... {output}"}`'


def _words_of(command: str | Sequence[str]) -> list[str]:
    return shlex.split(command) if isinstance(command, str) else list(command)


def _names_in(word: str) -> Iterator[str]:
    for _, name, form, conversion in Formatter().parse(word):
        if form or conversion:
            raise ValueError(f"{{{name}}}: no format is taken here; a brace of your own is written twice")
        if name is not None:
            yield name


def _checked(command: str | list[str]) -> str | list[str]:
    """Raises ValueError, which pydantic tells as a fault of this key."""
    try:
        words = _words_of(command)
        used = {name for word in words for name in _names_in(word)}
    except ValueError as error:
        raise ValueError(f"cannot be read: {error}") from error
    if not words:
        raise ValueError("is empty")
    for name in sorted(used - PLACEHOLDERS.keys()):
        raise ValueError(f"there is no placeholder {{{name}}}; known: {', '.join(PLACEHOLDERS)}")
    missing = [f"{{{name}}}" for name in ("plan", "output") if name not in used]
    if missing:
        raise ValueError(f"lacks {' and '.join(missing)}")
    return command


class CommandOptions(StrictModel):
    command: Annotated[str | list[str], AfterValidator(_checked)] = Field(
        description="words with placeholders such as {plan} and {output}; no shell reads it"
    )
    results: ResultsBy = Field(default="runner", description="how its binaries tell what they did")
    plan_format: Literal["rustle-plan", "payload"] = Field(
        default="rustle-plan", description="what {plan} holds: rustle-plan's format, or the payload of our own runner"
    )
    honours: str | None = Field(
        default=None, description="a file like runner/honours.json: what it can do; all that our runner can if absent"
    )
    inputs: list[Annotated[str, Field(min_length=1)]] = Field(
        default_factory=list,
        description="files, folders and patterns its binaries are made of; without any, nothing is kept between runs",
    )
    environment: dict[str, str] = Field(default_factory=dict, description="added to the command's environment")
    cwd: str | None = Field(default=None, description="where it runs; the scenario's folder if absent")
    timeout_seconds: float = Field(default=600.0, gt=0)

    @model_validator(mode="after")
    def _reports_somewhere(self) -> CommandOptions:
        used = {name for word in _words_of(self.command) for name in _names_in(word)}
        if "report_url" in used and self.results != "report":
            raise ValueError("{report_url} is for `results: report`")
        if self.results == "report" and "report_url" not in used and self.plan_format == "payload":
            raise ValueError(
                "with `results: report` the command must be told {report_url}: a payload has no place for it"
            )
        return self


class CommandCompiler(Compiler):
    """Relative paths in its options are meant from `folder`; `store` is the user's cache unless another is given."""

    name: ClassVar[str] = "command"
    compiler_options: ClassVar[type[StrictModel]] = CommandOptions

    def __init__(self, options: CommandOptions | None, folder: Path = Path(), store: Store | None = None) -> None:
        self._options = options
        self._folder = folder.absolute()
        self._store = store

    @classmethod
    def configured(cls, options: StrictModel | None, folder: Path) -> Self:
        return cls(options if isinstance(options, CommandOptions) else None, folder)

    def honours(self) -> Honours:
        file = self._options.honours if self._options is not None else None
        found = read_honours(data_dir("runner") / "honours.json" if file is None else self._folder / file)
        ours = self._options is None or self._options.results == "runner"
        return found if ours else replace(found, secrets=False, selection=False)

    def diagnose(self, target: str) -> list[Problem]:
        try:
            known_target(target)
            if self._options is not None:  # else nothing of this machine stands against it
                self._program(target, "release")
        except HarnessError as error:
            return [Problem("the command compiler", error.message, error.hint)]
        return []

    def compile(self, payload: Payload, target: str, settings: CompileSettings) -> CompilationResult:
        """`cache_hit` needs `inputs`: else nobody knows whether the command would make the same again."""
        try:
            return self._compile(payload, target, settings)
        except OSError as error:
            where = f" ({error.filename})" if error.filename else ""
            raise CompileFailed(
                f"the command compiler: {error.strerror or error}{where}", hint="see the disk, and the rights there"
            ) from error

    def _compile(self, payload: Payload, target: str, settings: CompileSettings) -> CompilationResult:
        began = time.perf_counter()
        options = self._required()
        program = self._program(target, settings.profile)
        made_of = self._made_of(payload, target, settings.profile)
        identity = self._identity(made_of, program)
        store = self._store or Store()

        def make(folder: Path) -> Mapping[str, str]:
            self._run(made_of, program, folder, settings)
            return {"target": target}

        if options.inputs:
            key = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()
            entry, made = store.obtain(KIND, key, make, cancellation=settings.cancellation)
        else:
            entry, made = self._unkept(store, make, settings), True
        return result_of(
            entry,
            target,
            began=began,
            cache_hit=not made,
            results=options.results,
            report_url=made_of.report_url,
        )

    @staticmethod
    def _unkept(store: Store, make: Maker, settings: CompileSettings) -> Entry:
        """Made anew; it lies under its own digest, so that what is the same is there once."""
        with scratch("compile") as made:
            info = make(made)

            def keep(folder: Path) -> Mapping[str, str]:
                shutil.move(made / BINARY, folder / BINARY)
                return info

            entry, _ = store.obtain(KIND, sha256_of(made / BINARY), keep, cancellation=settings.cancellation)
            return entry

    def _required(self) -> CommandOptions:
        if self._options is None:
            raise ToolchainMissing("the compiler `command` has no command", hint=_UNSET)
        return self._options

    def _program(self, target: str, profile: str) -> Path:
        word = self._filled(_MadeOf(b"", target, profile, None), Path(), Path())[0]
        return require_program(where_is(word, self._folder), "its command")

    def _made_of(self, payload: Payload, target: str, profile: str) -> _MadeOf:
        options = self._required()

        def plan(nonce: str, url: str | None) -> bytes:
            if options.plan_format == "payload":
                return payload_bytes(payload)
            return rustle_plan(payload, self.honours(), Deployment(target, nonce, url))

        nonce = hashlib.sha256(plan("", None) + f"{target} {profile}".encode()).hexdigest()[:32]
        url = report_url(nonce) if options.results == "report" else None
        return _MadeOf(plan(nonce, url), target, profile, url)

    def _identity(self, made_of: _MadeOf, program: Path) -> dict[str, object]:
        options = self._required()
        return {
            "plan": hashlib.sha256(made_of.plan).hexdigest(),
            "target": made_of.target,
            "profile": made_of.profile,
            "report_url": made_of.report_url,
            "program": sha256_of(program),
            "command": _words_of(options.command),
            "environment": options.environment,
            "inputs": list(_digests(options.inputs, self._folder)),
        }

    def _run(self, made_of: _MadeOf, program: Path, folder: Path, settings: CompileSettings) -> None:
        """Leaves the binary in the folder. Raises CompileFailed."""
        options = self._required()
        cwd = self._folder / options.cwd if options.cwd is not None else self._folder
        if not cwd.is_dir():
            raise CompileFailed(
                f"there is no folder {cwd} to compile in", hint="`cwd` is meant from the scenario's folder"
            )
        # Within the folder: what a killed harness leaves there goes with it.
        with tempfile.TemporaryDirectory(prefix="work-", dir=folder) as name:
            plan, output = Path(name) / "plan.json", Path(name) / "output" / "runner"
            plan.write_bytes(made_of.plan)
            output.parent.mkdir()
            argv = self._filled(made_of, plan, output)
            said: deque[str] = deque(maxlen=400)
            if settings.progress is not None:
                settings.progress(f"{shlex.join(argv)}")
            status = run_tool(
                ToolRun(
                    name=program.name,
                    command=[str(program), *argv[1:]],
                    env={**os.environ, "TMPDIR": name, **options.environment},
                    cwd=cwd,
                    timeout=min(options.timeout_seconds, settings.timeout),
                    on_stdout=lambda line: said.append(line.rstrip()),
                    cancellation=settings.cancellation,
                    failure=CompileFailed,
                )
            )
            if status != 0:
                raise _failed(f"{shlex.join(argv)}\nended with exit status {status}", said)
            if not output.is_file() or output.is_symlink():
                raise _failed(f"{shlex.join(argv)}\nended with exit status 0, but left no file at {{output}}", said)
            check_binary(output, made_of.target)
            shutil.move(output, folder / BINARY)
        (folder / BINARY).chmod(0o755)

    def _filled(self, made_of: _MadeOf, plan: Path, output: Path) -> list[str]:
        target = known_target(made_of.target)
        values = {
            "plan": str(plan),
            "output": str(output),
            "target": target.triple,
            "arch": target.arch,
            "os": target.os,
            "profile": made_of.profile,
            "report_url": made_of.report_url or "",
            "scenario": str(self._folder),
        }
        return [word.format_map(values) for word in _words_of(self._required().command)]


@dataclass(frozen=True)
class _MadeOf:
    plan: bytes
    target: str
    profile: str
    report_url: str | None


def _digests(patterns: Iterable[str], folder: Path) -> Iterator[tuple[str, str]]:
    """Name and sha256 of every file that is meant. Raises CompileFailed for a pattern that means none."""
    for pattern in patterns:
        # Path.glob takes neither an absolute pattern nor `.`.
        meant = glob(pattern, root_dir=folder, recursive=True, include_hidden=True)  # noqa: PTH207
        named = sorted(folder / name for name in meant)
        files = [file for one in named for file in (sorted(one.rglob("*")) if one.is_dir() else [one])]
        found = [(str(file), sha256_of(file)) for file in files if file.is_file()]
        if not found:
            raise CompileFailed(
                f"the input {pattern!r} names no file", hint="inputs are meant from the scenario's folder"
            )
        yield from found


def _failed(what: str, said: Iterable[str]) -> CompileFailed:
    words = [line for line in said if line][-_LAST_WORDS:]
    return CompileFailed("\n".join([what, *words]))
