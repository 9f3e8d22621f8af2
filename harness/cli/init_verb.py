"""harness init scenario NAME"""

from __future__ import annotations

from pathlib import Path

import click

from harness.cli import completion


@click.group("init")
def command() -> None:
    """Start a scenario in this folder."""


@command.command("scenario")
@click.argument("name", default="default")
@click.option(
    "-d",
    "--driver",
    default="native",
    show_default=True,
    shell_complete=completion.drivers,
    help="The driver of its platform.",
)
@click.option("--image", help="What the platform is made from; debian-12 where the driver needs an image.")
def scenario(name: str, driver: str, image: str | None) -> None:
    """Make molecule/NAME: a scenario that passes as it is, or says what it lacks.

    Nothing that exists is overwritten.
    """
    from harness import registry
    from harness.scenario.skeleton import init_scenario
    from harness.scenario.source import display

    for path in init_scenario(Path.cwd(), name, driver=driver, image=image):
        click.echo(f"made {display(path)}")
    first = registry.driver(driver).first_step
    click.echo(f"\nfirst:      {first}" if first else "")
    click.echo(f"run it:     harness test -s {name}")
    click.echo("change it:  plan.json says what is done, tests/ and expected.json what must be true afterwards")
