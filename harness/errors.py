"""Every error a user can meet. Each names the thing, and its hint says what to do.

A `HarnessError` ends a verb with exit status 2 and no traceback. A test that failed is never
an exception: it is a result.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from harness.exits import Exit


class HarnessError(Exception):
    """Something the harness could not do. `hint` is the cure, one or more sentences."""

    exit_code = Exit.ERROR

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def of(self, name: str) -> str:
        """The message where it is said already whose it is."""
        return self.message.removeprefix(f"{name}: ")


def message_of(error: BaseException, name: str) -> str:
    """What an error says, where it is said already whose it is."""
    return error.of(name) if isinstance(error, HarnessError) else str(error)


@dataclass(frozen=True)
class Problem:
    """One thing wrong with an input or with this machine.

    `where` is a place a person can go to: `molecule.yml:12`, `plan.json: plays[0].batches[1].tasks[3].args.mode`.
    """

    where: str
    message: str
    hint: str | None = None

    def __str__(self) -> str:
        return f"{self.where}: {self.message}" if self.where else self.message


class InvalidInput(HarnessError):
    """An input (plan, scenario, settings, outcomes) is wrong; carries ALL its problems."""

    def __init__(self, what: str, problems: Sequence[Problem], *, hint: str | None = None) -> None:
        count = f"{len(problems)} problem{'s' if len(problems) != 1 else ''}"
        super().__init__(f"{what}: {count}", hint=hint)
        self.problems = tuple(problems)


class UsageError(HarnessError):
    """The command line asks for something that does not exist or does not fit together."""


class Unsupported(HarnessError):
    """The driver, compiler or connection lacks a capability."""

    def __init__(self, capability: str, *, by: str, hint: str | None = None) -> None:
        super().__init__(f"{by} does not support {capability}", hint=hint)
        self.capability = capability


class TransportFailed(HarnessError):
    """The way to an instance failed (not the command that was to run there)."""


class DaemonFailed(HarnessError):
    """A Docker-compatible daemon cannot be reached, is not one that we can work with, or is not known."""


class PortTaken(TransportFailed):
    """Something listens there already, which may end."""


class Unreachable(TransportFailed):
    """Nobody answers there, or not now: a machine that is just starting is such a one."""


class CommandTimedOut(HarnessError):
    """A command did not end by its deadline and was killed with its process group.

    `stdout` and `stderr` hold what it had written by then.
    """

    def __init__(self, message: str, *, stdout: bytes = b"", stderr: bytes = b"", hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.stdout = stdout
        self.stderr = stderr


class DriverFailed(HarnessError):
    """A driver could not create, start, snapshot, revert or destroy an instance."""


class InstanceGone(DriverFailed):
    """A recorded instance no longer exists in the real system."""


class NotReady(DriverFailed):
    """An instance did not become ready by its deadline; the message tells what was last seen."""


class ImageFailed(DriverFailed):
    """An image or root file system could not be found, fetched or built."""


class ToolchainMissing(HarnessError):
    """A compiler or linker for the target is missing; the hint installs it."""


class CompileFailed(HarnessError):
    """The compiler ran and failed; the message ends with its own last words."""


class DeployFailed(HarnessError):
    """A binary could not be pushed or started on an instance."""


class Locked(HarnessError):
    """Another process works on the same thing; the message says which."""


class Interrupted(HarnessError):
    """Ctrl-C or SIGTERM; what was made has been cleaned up."""

    exit_code = Exit.INTERRUPTED
