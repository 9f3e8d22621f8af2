"""All mutants: each a mistake that a plan compiler, or the runner it makes, could really have."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from harness.errors import UsageError
from harness.models.problems import unknown
from harness.selftest import forge
from harness.selftest.forge import Forge


@dataclass(frozen=True)
class Mutant:
    """`what` it does wrong, in words. `scenario`: under which plan. `timeout`: seconds for its run; None: as the
    scenario says. `full`: what it does only `--checks full` looks for."""

    name: str
    what: str
    forge: Forge
    scenario: str = "files"
    timeout: float | None = None
    full: bool = False


def _runner(
    name: str, what: str, scenario: str = "files", timeout: float | None = None, *, full: bool = False
) -> Mutant:
    return Mutant(name, what, forge.mutated(name), scenario, timeout, full)


PLAN = (
    _runner("ignores-conditions", "runs what `when` rules out"),
    _runner("inverts-conditions", "runs what `when` rules out, and skips what it allows"),
    _runner("skips-conditional", "skips every task that has a `when`"),
    _runner("mistakes-host", "has the variables of another host"),
    _runner("ignores-task-vars", "drops a task's `vars`"),
    _runner("never-notifies", "runs no handler", scenario="commands"),
    _runner("handles-twice", "runs a notified handler twice", scenario="commands"),
    _runner("handles-unasked", "runs handlers that nobody notified", scenario="commands"),
    _runner("swaps-order", "runs a task before the one it depends on"),
    _runner("stops-early", "leaves out the second half of each play, exit status 0"),
    _runner("forgets-last-play", "leaves out the last play"),
    _runner("loops-once", "runs a loop for its first item only"),
    _runner("loops-one-short", "leaves out a loop's last item"),
    _runner("ignores-creates", "runs a command although what it creates is there", scenario="commands"),
    _runner("never-retries", "gives up `until` at the first try", scenario="commands"),
    _runner("ignores-timeout", "lets a task run for longer than its `timeout`", scenario="commands"),
    _runner("stays-root", "does not become the user that a task names", scenario="commands"),
    _runner("ignores-environment", "drops a task's `environment`", scenario="commands"),
    _runner("ignores-failed-when", "takes a status that `failed_when` allows for a failure", scenario="commands"),
    _runner("goes-on-after-failure", "runs what comes after a task that failed", scenario="error_plan"),
)
"""Those that do something else than the plan says."""

MACHINE = (
    _runner("only-pretends", "runs everything in check mode: reports changes, makes none"),
    _runner("says-changed-does-nothing", "reports that it has written files, and has not"),
    _runner("wrong-mode", "sets a mode that differs by one bit or more"),
    _runner("ignores-mode", "leaves files with the mode of the umask"),
    _runner("lax-umask", "runs with umask 0: what has no `mode` is writable for everybody"),
    _runner("ignores-owner", "leaves files to root"),
    _runner("wrong-byte", "writes one byte other than asked for"),
    _runner("carriage-returns", "ends lines with CR LF"),
    _runner("cuts-last-newline", "leaves out the newline at a file's end"),
    _runner("keeps-braces", "writes templates without filling them in"),
    _runner("half-written", "leaves files cut in their middle"),
    _runner("wrong-link-target", "makes links lead elsewhere"),
    _runner("removes-neighbour", "removes what lies beside a file that is to go"),
    _runner("opens-parent", "makes the folder of each file writable for everybody"),
    _runner("lax-parents", "makes folders that are missing above a task's path writable for everybody"),
    _runner("touches-unnamed-file", "edits a file that no task names"),
    _runner("adds-user", "adds an account that no task names"),
    _runner("never-the-same", "writes the time into what it makes from templates"),
    _runner("appends-again", "adds a line that is there already"),
    _runner("leaves-temp-file", "leaves a temporary file"),
    _runner("leaves-far-file", "leaves a file far from what the plan names", full=True),
    _runner("leaves-daemon", "leaves a process behind"),
    _runner("leaves-listener", "leaves a process that listens on a port"),
)
"""Those that leave the machine other than the plan says."""

REPORT = (
    _runner("says-ok-but-changed", "reports ok for what it changed"),
    _runner("says-changed-always", "reports a change where there was none"),
    _runner("says-skipped-but-ran", "reports that it skipped what it did"),
    _runner("hides-failure", "reports ok for a task that failed, and goes on", scenario="error_plan"),
    _runner("exits-zero", "exits 0 although a task failed", scenario="error_plan"),
    _runner("swallows-stderr", "drops what a command says on stderr", scenario="commands"),
    _runner("wrong-rc", "reports 0 for every exit status", scenario="commands"),
    _runner("cuts-output", "keeps the first line of a command's output only", scenario="commands"),
    _runner("registers-nothing", "leaves registered variables empty", scenario="commands"),
    _runner("registers-last-result", "registers the result of the task before", scenario="commands"),
    _runner("loses-record", "writes no record of one task that it ran"),
    _runner("repeats-record", "writes the record of one task twice"),
    _runner("claims-artifacts", "reports files that it did not make"),
    _runner("long-times", "reports an hour for each task"),
    _runner("no-times", "reports no time for any task"),
    _runner("clock-ahead", "reports that tasks began in an hour"),
)
"""Those that say something else than what was."""

RUN = (
    _runner("hangs", "stops in a task and never goes on", timeout=5.0),
    _runner("crashes", "dies by a signal in the midst of the plan"),
    _runner("chatters", "mixes words of its own into its records"),
    _runner("keeps-stdout", "leaves a process that keeps its output open"),
    _runner("needs-network", "does not start where there is no network"),
    _runner("phones-home", "goes out into a network that no task needs"),
    _runner("secret-on-disk", "leaves a secret in a file that everybody may read"),
    _runner("secret-in-process-list", "leaves a process with a secret among its arguments"),
    _runner("masks-nothing", "writes secrets into its records"),
)
"""Those that do not run as a runner should."""

BINARY = (
    Mutant("stale-plan", "holds the plan as it was before its last change", forge.stale_plan),
    Mutant("other-slice", "holds what another host is to run", forge.other_slice),
    Mutant("other-architecture", "is for another architecture", forge.other_architecture),
    Mutant("half-a-binary", "is cut in its middle", forge.half_written),
    Mutant("without-plan", "holds no plan", forge.without_plan),
    Mutant("missing-loader", "needs a library's loader that the host has not", forge.missing_loader),
    Mutant("secret-inside", "has secrets filled in when it is compiled", forge.secret_inside),
)
"""Those that are wrong as files."""

MUTANTS: tuple[Mutant, ...] = (*PLAN, *MACHINE, *REPORT, *RUN, *BINARY)


def chosen(names: Sequence[str]) -> tuple[Mutant, ...]:
    """Those of these names, all when there is none. Raises UsageError for a name that means nothing."""
    known = {mutant.name: mutant for mutant in MUTANTS}
    for name in names:
        if name not in known:
            raise UsageError(
                unknown(name, list(known), what=f"there is no mutant {name!r}"), hint="harness selftest --list"
            )
    return tuple(known[name] for name in dict.fromkeys(names)) or MUTANTS
