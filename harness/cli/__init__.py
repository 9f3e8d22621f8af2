"""The command line: one small file a verb; parse, call, render; no logic.

`harness --help` imports click and nothing else: a verb's module is imported when the verb is called.
"""

from __future__ import annotations

import gc
import importlib
import sys

import click

from harness import __version__

VERBS: dict[str, str] = {
    "create": "Create the platforms of a scenario and keep them.",
    "prepare": "Bring created platforms into the state the plan starts from.",
    "converge": "Compile the plan and run it on every platform.",
    "idempotence": "Converge again: nothing may change.",
    "side-effect": "Run the scenario's side effects.",
    "verify": "Check what the run did.",
    "cleanup": "Run the scenario's cleanup.",
    "destroy": "Destroy a scenario's platforms, or orphans of dead runs.",
    "test": "Run a scenario from creation to destruction.",
    "check": "Say what converge would change, on platforms of its own.",
    "syntax": "Check a scenario's plan.",
    "dependency": "Nothing, for Molecule's sake: a binary needs no roles.",
    "list": "List scenarios, platforms and their state.",
    "login": "Open a shell in a platform.",
    "exec": "Run a command in a platform.",
    "console": "Show what a platform has said on its console.",
    "screenshot": "Write a PNG of a platform's screen.",
    "matrix": "Show the steps of a verb.",
    "reset": "Forget a scenario's state and runs.",
    "plan": "Validate, show or draw an execution plan.",
    "compile": "Compile a plan into binaries.",
    "bench": "Measure a plan by binary and by Ansible, side by side.",
    "report": "Show a run again, or write its report.",
    "trends": "Say what the runs of a scenario tell over time, and what is worse now.",
    "compare": "Run a plan in several ways, and show where they are not alike.",
    "fixtures": "List, show, validate or generate fixtures.",
    "snapshot": "List, make, restore, delete or prune snapshots.",
    "images": "List, build or prune images.",
    "init": "Start a scenario in this folder.",
    "selftest": "Prove that a broken compiler cannot pass: run mutants of the runner.",
    "doctor": "Say what this machine can do, and what is missing.",
    "drivers": "List drivers and what they can do.",
    "schema": "Print the JSON schema of molecule.yml or harness.toml.",
}


class LazyGroup(click.Group):
    """A group whose verbs live in `harness.cli.<verb>`, as a command named `command`."""

    def list_commands(self, context: click.Context) -> list[str]:
        return list(VERBS)

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        if name not in VERBS:
            return None
        module = importlib.import_module(f"harness.cli.{name.replace('-', '_')}_verb")
        command: click.Command = module.command
        return command

    def format_commands(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(VERBS.items()))

    def resolve_command(
        self, context: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in VERBS and not args[0].startswith("-"):
            from difflib import get_close_matches

            near = get_close_matches(args[0], VERBS, n=1)
            hint = f" Did you mean {near[0]!r}?" if near else f" Verbs: {', '.join(VERBS)}."
            context.fail(f"there is no verb {args[0]!r}.{hint}")
        return super().resolve_command(context, args)


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="harness")
def group() -> None:
    """Test, end to end, tools that compile an execution plan into a binary and deploy it."""


def main() -> None:
    """Run the verb that this process was asked for, and end with its exit status."""
    # Nearly all that a run makes stays to its end: looking through it every 700 objects costs a sixth of all imports
    # (one look at 100,000 takes 40 ms), and the interpreter's last look, which frees what ends with the process anyway,
    # a fifth of a short run.
    gc.set_threshold(400_000)
    from harness.cli import streams
    from harness.cli.outcome import run

    streams.make_sure()
    status = run(group)
    gc.freeze()
    sys.exit(status)
