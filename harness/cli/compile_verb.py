"""harness compile FILE"""

from __future__ import annotations

import sys
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from harness.compile.deliver import Compiled


@click.command("compile")
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--target", "targets", multiple=True, metavar="TRIPLE", help="Target triple; this machine's unless given."
)
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Where the binary goes; a folder when several.")
@click.option("--compiler", default="reference", show_default=True, help="Which compiler.")
@click.option("--profile", type=click.Choice(["release", "debug"]), default="release", show_default=True)
@click.option("--json", "as_json", is_flag=True, help="What was compiled, for programs.")
def command(
    file: Path, targets: tuple[str, ...], output: Path | None, compiler: str, profile: str, as_json: bool
) -> None:
    """Compile the execution plan FILE into binaries.

    Hosts for which the plan does the same share one binary. The paths of the binaries go to stdout, one a line:
    in the cache, or where --output says.
    """
    from harness.compile.base import CompileSettings
    from harness.compile.deliver import compile_plan

    progress = Progress()
    settings = CompileSettings(profile=profile, progress=progress)
    with progress:
        compiled = compile_plan(
            file, targets=targets, compiler=compiler, settings=settings, output=output, on_warning=_warn
        )
    if as_json:
        import json

        click.echo(json.dumps([one.to_json() for one in compiled], indent=2))
        return
    for one in compiled:
        click.echo(_summary(one), err=True)
        click.echo(one.path)


def _summary(one: Compiled) -> str:
    made = "from the cache" if one.result.cache_hit else "built"
    hosts = ", ".join(one.hosts[:5]) + (f" and {len(one.hosts) - 5} more" if len(one.hosts) > 5 else "")
    size = one.result.binary_size / 1e6
    return f"{hosts}: {one.result.target}, {size:.1f} MB, runner {made}, {one.result.compilation_time:.2f} s"


def _warn(message: str) -> None:
    click.secho("warning: ", fg="yellow", err=True, nl=False)
    click.echo(message, err=True)


class Progress(AbstractContextManager[None]):
    """The first line for everyone; on a terminal then what cargo is at, in one line that changes and goes."""

    def __init__(self) -> None:
        self.begun = False

    def __call__(self, line: str) -> None:
        if not self.begun:
            self.begun = True
            click.echo(line, err=True)
        elif sys.stderr.isatty():
            click.echo(f"\r\x1b[K  {line[:76]}", err=True, nl=False)

    def __exit__(self, *_: object) -> None:
        if self.begun and sys.stderr.isatty():
            click.echo("\r\x1b[K", err=True, nl=False)
