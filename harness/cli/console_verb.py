"""harness console"""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

import click

from harness.cli.options import Common, common, one_platform

if TYPE_CHECKING:
    from harness.lifecycle.fleet import Member

_INTERVAL = 0.5


@click.command("console")
@common
@one_platform
@click.option("-f", "--follow", is_flag=True, help="Go on as it says more, until Ctrl-C.")
def command(common: Common, host: str | None, follow: bool) -> int:
    """Show what a platform has said on its console, also where nothing answers in it."""
    from harness.cli.exec_verb import meant
    from harness.lifecycle.reach import found

    scenario, platform, _ = meant(common, (host,) if host else common.platforms)
    with found(scenario, platform, common.observer(stderr=True)) as member:
        _show(member, follow=follow)
    return 0


def _show(member: Member, *, follow: bool) -> None:
    shown = 0
    while True:
        text = member.site.console(member.instance)
        if len(text) < shown:  # it was begun anew
            shown = 0
        sys.stdout.write(text[shown:])
        sys.stdout.flush()
        shown = len(text)
        if not follow:
            return
        time.sleep(_INTERVAL)
