"""`harness compile`: a plan's slices for each target, and the binaries where the user wants them."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness import registry
from harness.compile.base import CompileSettings, Honours
from harness.compile.targets import host_target, known_target
from harness.errors import HarnessError, InvalidInput, Problem, UsageError
from harness.models.results import CompilationResult
from harness.models.runner import Payload


@dataclass(frozen=True)
class Compiled:
    """One binary: for which hosts, and where it was put."""

    hosts: tuple[str, ...]
    path: Path
    result: CompilationResult

    def to_json(self) -> dict[str, object]:
        """The CompilationResult with `run_on` beside it; `binary_path` is where the binary was put."""
        delivered = self.result.model_copy(update={"binary_path": self.path})
        return {"run_on": list(self.hosts), **delivered.model_dump(mode="json")}


def compile_plan(
    file: Path,
    *,
    targets: Sequence[str],
    compiler: str,
    settings: CompileSettings,
    output: Path | None,
    on_warning: Callable[[str], None],
) -> list[Compiled]:
    """Check the plan and compile all its slices for all targets; `output` is a file when that makes one binary, else a
    folder. Raises InvalidInput with all problems, UsageError, ToolchainMissing, CompileFailed."""
    triples = [known_target(target).triple for target in dict.fromkeys(targets or [host_target()])]
    chosen = registry.compiler(compiler)
    payloads = _slices(file, chosen.honours(), on_warning)
    if output is not None and output.exists() and output.samefile(file):
        raise UsageError(f"{output} is the plan itself", hint="name another place with --output")
    several = len(payloads) * len(triples) > 1
    if several and output is not None and output.exists() and not output.is_dir():
        raise UsageError(
            f"{output} is a file, but {len(payloads) * len(triples)} binaries are to be written",
            hint="name a folder with --output",
        )
    compiled = []
    for triple in triples:
        for payload in payloads:
            result = chosen.compile(payload, triple, settings)
            path = result.binary_path
            if output is not None:
                name = _name(payload, result) + (f"-{triple}" if len(triples) > 1 else "")
                suffix = ".exe" if known_target(triple).os == "windows" else ""
                path = _copy(path, output / f"{name}{suffix}" if several or output.is_dir() else output)
            compiled.append(Compiled(tuple(payload.run_on), path, result))
    return compiled


def _slices(file: Path, honours: Honours, on_warning: Callable[[str], None]) -> list[Payload]:
    from harness.plan import check_file, secrets_of, slices

    checked = check_file(file, honours=honours)
    if checked.errors:
        raise InvalidInput(str(file), checked.errors)
    for warning in checked.warnings:
        on_warning(str(warning))
    # No scenario stands behind a plan alone, so whatever secrets it names count as declared; they come at run time.
    payloads = slices(checked.plan, source=file, secrets=secrets_of(checked.plan, file))
    if not payloads:
        raise InvalidInput(str(file), [Problem("plays", "no host has a task: there is nothing to compile")])
    return payloads


def _name(payload: Payload, result: CompilationResult) -> str:
    """The host's name; for several hosts, or for a name that no file should have, the binary's digest."""
    if len(payload.run_on) == 1 and re.fullmatch(r"\w[\w.-]*", payload.run_on[0]):
        return payload.run_on[0]
    return result.sha256[:12]


def _copy(binary: Path, destination: Path) -> Path:
    """Written aside and renamed: a binary that is being run is never changed under its process."""
    try:
        destination.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=destination.parent, prefix=f".{destination.name}.")
        os.close(handle)
        try:
            shutil.copyfile(binary, name)
            Path(name).chmod(0o755)
            Path(name).replace(destination)
        except BaseException:
            with contextlib.suppress(OSError):
                Path(name).unlink()
            raise
    except OSError as error:
        raise HarnessError(
            f"the binary cannot be written to {destination}: {error.strerror or error}",
            hint="name another place with --output",
        ) from error
    return destination.absolute()
