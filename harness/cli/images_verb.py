"""`harness images list|build|prune`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from harness.drivers.docker.shelf import DockerImage


@click.group(name="images", help="List, build or prune images.")
def command() -> None:
    pass


@command.command("list")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def list_images(as_json: bool) -> None:
    """The catalogue, the folders under docker/, and what of them has been built."""
    from harness.drivers import images

    built = images.built()
    current = {recipe.folder for recipe in images.CATALOGUE.values()}
    docker = _docker()
    if as_json:
        rows = [
            {**image.model_dump(), "reference": image.reference, "current": image.folder in current} for image in built
        ]
        told = {"known": sorted(images.CATALOGUE), "built": rows}
        if docker is not None:
            told["docker"] = [image.model_dump() for image in docker]
        click.echo(json.dumps(told, indent=2))
        return
    missing = [name for name, recipe in images.CATALOGUE.items() if images.find(recipe.name) is None]
    for image in built:
        note = "" if image.folder in current else "  (of an earlier recipe: `harness images prune` removes it)"
        click.echo(f"{image.name:<12} {image.reference:<42} {image.size / 1e6:>6.0f} MB  {_age(image.created)}{note}")
    for name in missing:
        click.echo(f"{name:<12} not built: `harness images build {name}`, or the first platform that asks for it")
    for ours in docker or []:
        where = ours.reference or f"not built: `harness images build --docker {ours.name}`"
        size = f"{ours.size / 1e6:>6.0f} MB" if ours.reference else ""
        click.echo(f"{ours.name:<18} docker  {where:<42} {size}".rstrip())


@command.command("build")
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@click.option("--force", is_flag=True, help="Build it anew: its packages grow stale.")
@click.option("--max-age", type=float, metavar="DAYS", help="Build it anew if it is older than this.")
@click.option(
    "--docker", "in_docker", is_flag=True, help="In the Docker daemon: a folder under docker/, or the catalogue."
)
def build(names: tuple[str, ...], force: bool, max_age: float | None, in_docker: bool) -> None:
    """Build images from this machine's own package sources, or from the folders under docker/."""
    import time

    if in_docker:
        from pathlib import Path

        from harness.drivers.docker import shelf

        for name in names:
            reference = shelf.build(name, Path.cwd(), lambda line: click.echo(f"  {line}", err=True), force=force)
            click.echo(f"{name}: {reference}")
        return

    from harness.drivers import images

    for name in names:
        images.recipe_of(name)
    for name in names:
        there = images.find(name)
        stale = there is not None and max_age is not None and time.time() - there.created > max_age * 86400
        image = images.ensure(name, force=force or stale, tell=lambda line: click.echo(f"  {line}", err=True))
        click.echo(f"{image.name}: {image.reference}, {image.size / 1e6:.0f} MB")


@command.command("prune")
@click.option("--all", "everything", is_flag=True, help="Also images of the present recipes.")
def prune(everything: bool) -> None:
    """Remove images of earlier recipes. What a platform or a snapshot lies on stays."""
    from harness.drivers import images

    removed, left = images.prune(everything=everything)
    gone, kept = _prune_docker(everything)
    for line in gone:
        click.echo(f"removed {line} (docker)")
    for line in kept:
        click.echo(f"left    {line} (docker): a container lies on it")
    for image in removed:
        click.echo(f"removed {image.reference}, {image.size / 1e6:.0f} MB")
    for image in left:
        click.echo(f"left    {image.reference}: a platform or a snapshot lies on it")
    if not (removed or left or gone or kept):
        click.echo("nothing to remove")


def _docker() -> list[DockerImage] | None:
    """None where there is no daemon, or no SDK."""
    from pathlib import Path

    from harness.errors import HarnessError

    try:
        from harness.drivers.docker import shelf

        return shelf.listed(Path.cwd())
    except HarnessError:
        return None


def _prune_docker(everything: bool) -> tuple[list[str], list[str]]:
    from pathlib import Path

    from harness.errors import HarnessError

    try:
        from harness.drivers.docker import shelf

        return shelf.prune(Path.cwd(), everything=everything)
    except HarnessError:
        return [], []


def _age(created: float) -> str:
    import time

    days = (time.time() - created) / 86400
    return f"built {days:.0f} days ago" if days >= 1 else "built today"
