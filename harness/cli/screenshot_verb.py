"""harness screenshot"""

from __future__ import annotations

from pathlib import Path

import click

from harness.cli.options import REPORT_FILE, Common, common, one_platform


@click.command("screenshot")
@common
@one_platform
@click.option("--output", metavar="FILE", type=REPORT_FILE, help="PLATFORM.png unless given.")
def command(common: Common, host: str | None, output: Path | None) -> int:
    """Write a PNG of what a platform's screen shows."""
    from harness.cli.exec_verb import meant
    from harness.errors import HarnessError
    from harness.lifecycle.reach import found

    scenario, platform, _ = meant(common, (host,) if host else common.platforms)
    with found(scenario, platform, common.observer(stderr=True)) as member:
        picture = member.site.screenshot(member.instance)
    path = output or Path(f"{platform}.png")
    try:
        path.write_bytes(picture)
    except OSError as error:
        raise HarnessError(
            f"{path} cannot be written: {error.strerror or error}", hint="--output names another file"
        ) from error
    click.echo(path)
    return 0
