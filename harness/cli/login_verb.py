"""harness login"""

from __future__ import annotations

import click

from harness.cli.options import Common, common, one_platform

_SHELL = "if [ -x /bin/bash ]; then exec /bin/bash -l; else exec /bin/sh -l; fi"


@click.command("login")
@common
@one_platform
def command(common: Common, host: str | None) -> int:
    """Open a shell in a platform. It is created first when it is missing."""
    from harness.cli.exec_verb import reached

    with reached(common, (host,) if host else common.platforms) as connection:
        process = connection.start(["/bin/sh", "-c", _SHELL], stdin=True, pty=True)
        with process:
            return process.interact()
