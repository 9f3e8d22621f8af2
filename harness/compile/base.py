"""What every compiler is. A third party adds one through the entry point group `harness.compilers`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Self

from pydantic import JsonValue

from harness.cancellation import Cancellation
from harness.errors import Problem
from harness.models.results import CompilationResult
from harness.models.runner import Payload
from harness.models.serde import StrictModel


@dataclass(frozen=True)
class ModuleSupport:
    """The arguments of one module that a compiler honours.

    `aliases` maps an argument's other names to its own. Each entry of `required` is a set of arguments of which
    one must be given; `needs` are the same, where others than this compiler do without. `free_form`: takes
    `_raw_params` or a plain string. `any_arguments`: takes names of the plan's own choosing (set_fact). `readers`:
    for an argument that the module takes in one form only, what turns what the plan has into that, or raises
    `harness.plan.fields.Wrong`.
    """

    arguments: frozenset[str]
    aliases: Mapping[str, str] = field(default_factory=dict)
    required: tuple[frozenset[str], ...] = ()
    needs: tuple[frozenset[str], ...] = ()
    choices: Mapping[str, frozenset[str]] = field(default_factory=dict)
    free_form: bool = False
    any_arguments: bool = False
    readers: Mapping[str, Callable[[Any], JsonValue]] = field(default_factory=dict)


@dataclass(frozen=True)
class Honours:
    """What a compiler honours. What a plan asks for beyond this is refused by its path before compiling:
    nothing is read and ignored. `modules` has them by their short names (`copy`, not `ansible.builtin.copy`)."""

    modules: Mapping[str, ModuleSupport]
    keywords: frozenset[str]
    secrets: bool = True
    parts: bool = False
    """Its runners can run parts of a plan and hand on what those brought forth (docs/runner-contract.md, "Parts")."""
    templates: bool = True
    """Its runners fill in what stands in double braces; else an argument that has such is refused."""
    selection: bool = True
    """Its runners take --tags, --skip-tags and --check."""
    sudo: bool = True
    """Its runners can become another user where it is not root that has started them; else that is Ansible's."""
    refuses_text: Callable[[str], str | None] = lambda text: None
    """Why a text cannot stand anywhere in a plan, in words; None where it can."""


class NoOptions(StrictModel):
    """Of a compiler that has nothing to say beside its name."""


@dataclass(frozen=True)
class CompileSettings:
    """`profile`: release or debug, where the compiler's own options say nothing else. `timeout` in seconds.
    `progress` is told short lines while something takes long; it may be called from a thread.
    When `cancellation` is called, compile ends with Interrupted."""

    profile: str = "release"
    timeout: float = 1800.0
    progress: Callable[[str], None] | None = None
    cancellation: Cancellation = field(default_factory=Cancellation)


class Compiler(ABC):
    name: ClassVar[str]
    compiler_options: ClassVar[type[StrictModel]] = NoOptions
    """The model of the keys that may stand beside its name in `provisioner.compiler`."""

    @classmethod
    def configured(cls, options: StrictModel | None, folder: Path) -> Self:
        """As a scenario wants it: `options` are of the model above, None where nothing was said; relative paths in
        them are meant from `folder`."""
        return cls()

    @abstractmethod
    def diagnose(self, target: str) -> list[Problem]:
        """Why it cannot compile for this target triple here, each with a cure. No side effects."""

    @abstractmethod
    def honours(self) -> Honours: ...

    def warm_up(self) -> None:  # noqa: B027  (most compilers have nothing to do)
        """Find out early what the first compilation will ask; called on a thread of its own. Raises nothing."""

    @abstractmethod
    def compile(self, payload: Payload, target: str, settings: CompileSettings) -> CompilationResult:
        """Turn one slice into a binary for `target`. Raises ToolchainMissing, CompileFailed."""
