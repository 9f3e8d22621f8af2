"""How a verb ends: errors without a traceback, and the exit status."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from harness.errors import HarnessError, InvalidInput
from harness.exits import Exit

MAX_PROBLEMS = 50
"""What a person reads at once; a generated plan may have thousands of the same."""


def run(command: click.Command) -> int:
    """Call `command` with this process's arguments; returns the exit status."""
    try:
        result = command.main(standalone_mode=False)
    except click.exceptions.Exit as end:
        return end.exit_code
    except click.Abort:
        click.echo("harness: interrupted", err=True)
        return Exit.INTERRUPTED
    except click.ClickException as error:
        error.show()
        return Exit.ERROR
    except KeyboardInterrupt:
        click.echo("harness: interrupted", err=True)
        return Exit.INTERRUPTED
    except HarnessError as error:
        show(error)
        return error.exit_code
    except BrokenPipeError:
        # The reader of our stdout has gone; there is nobody to tell. Python would complain once more at exit.
        sys.stdout = None
        return Exit.ERROR
    except OSError as error:
        # A full disk behind stdout, for example: the system's words say it.
        show(_folder_gone() or HarnessError(str(error)))
        return Exit.ERROR
    return int(result) if isinstance(result, int) else Exit.PASSED


def _folder_gone() -> HarnessError | None:
    try:
        Path.cwd()
    except FileNotFoundError:
        return HarnessError("the current folder does not exist any more", hint="cd to one that does")
    return None


def show(error: HarnessError) -> None:
    """The error as a person reads it, on stderr: message, every problem, hint."""
    click.secho("error: ", fg="red", bold=True, err=True, nl=False)
    click.echo(error.message, err=True)
    if isinstance(error, InvalidInput):
        for problem in error.problems[:MAX_PROBLEMS]:
            click.echo(f"  {problem}", err=True)
            if problem.hint:
                click.echo(f"      {problem.hint}", err=True)
        if len(error.problems) > MAX_PROBLEMS:
            click.echo(f"  ... and {len(error.problems) - MAX_PROBLEMS} more", err=True)
    if error.hint:
        click.secho("  hint: ", fg="cyan", err=True, nl=False)
        click.echo(error.hint, err=True)
