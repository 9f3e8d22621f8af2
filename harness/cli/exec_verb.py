"""harness exec"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import TYPE_CHECKING

import click

from harness.cli.options import Common, common, one_platform

if TYPE_CHECKING:
    from harness.connections.base import Connection, Process
    from harness.models.scenario import Scenario
    from harness.scenario.settings import Settings


@click.command("exec", context_settings={"allow_interspersed_args": False})
@common
@one_platform
@click.argument("words", nargs=-1, required=True, type=click.UNPROCESSED, metavar="-- COMMAND...")
def command(common: Common, host: str | None, words: tuple[str, ...]) -> int:
    """Run a command in a platform, and end with its exit status.

    Its output comes as it is written; its input is this command's own, unless that is a terminal.
    A single word is given to the platform's shell.
    """
    with reached(common, (host,) if host else common.platforms) as connection:
        return _stream(connection, words[0] if len(words) == 1 else list(words))


@contextmanager
def reached(common: Common, platforms: Sequence[str]) -> Iterator[Connection]:
    """A connection to the one platform meant."""
    from harness.lifecycle.reach import reach
    from harness.lifecycle.signals import Signals

    scenario, platform, settings = meant(common, platforms)
    options = common.run_options(settings)
    with (
        reach(scenario, platform, replace(options, platforms=()), common.observer(stderr=True)) as connection,
        # A signal ends what was started inside, too.
        Signals(lambda: "What it started inside may still run."),
    ):
        yield connection


def meant(common: Common, platforms: Sequence[str]) -> tuple[Scenario, str, Settings]:
    """The one scenario and its one platform that the options name. Raises UsageError."""
    from harness.errors import UsageError
    from harness.lifecycle.reach import choose_platform
    from harness.lifecycle.several import choose, project_folder

    selection = common.selection()
    settings = common.settings(project_folder(selection))
    chosen = choose(selection, settings)
    if len(chosen) > 1:
        raise UsageError("one scenario at a time", hint="name one with -s")
    return chosen[0].scenario, choose_platform(chosen[0].scenario, platforms), settings


def _stream(connection: Connection, command: str | list[str]) -> int:
    feeding = not sys.stdin.isatty() if sys.stdin is not None else False
    with connection.start(command, stdin=feeding) as process:
        if feeding:
            threading.Thread(target=_feed, args=(process,), daemon=True).start()
        for out, err in process.pieces():
            _write(1, out)
            _write(2, err)
        ended = process.wait()
        return ended.rc


def _feed(process: Process) -> None:
    from harness.errors import HarnessError

    with suppress(HarnessError, OSError):
        while block := os.read(0, 65536):
            process.write(block)
    with suppress(HarnessError, OSError):
        process.close_stdin()


def _write(descriptor: int, data: bytes) -> None:
    while data:
        data = data[os.write(descriptor, data) :]
