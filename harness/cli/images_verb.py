"""`harness images list|build|prune`."""

from __future__ import annotations

import json
from collections.abc import Sequence

import click

_in_docker = click.option("--docker", "in_docker", is_flag=True, help="Those in the Docker daemon (docker/NAME).")
_as_boxes = click.option("--vagrant", "as_boxes", is_flag=True, help="Vagrant boxes that are made of our images.")
_on_disk = click.option("--disk", "on_disk", is_flag=True, help="Disks of virtual machines.")


@click.group(name="images", help="List, build or prune images.")
def command() -> None:
    pass


@command.command("list")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@_in_docker
@_on_disk
@_as_boxes
def list_images(as_json: bool, in_docker: bool, on_disk: bool, as_boxes: bool) -> None:
    """The catalogue, and what of it has been built."""
    from harness.drivers import images

    if in_docker:
        _list_docker(as_json)
        return
    if on_disk:
        _list_disks(as_json)
        return
    if as_boxes:
        _list_boxes(as_json)
        return
    built = images.built()
    current = {recipe.folder for recipe in images.CATALOGUE.values()}
    if as_json:
        rows = [
            {**image.model_dump(), "reference": image.reference, "current": image.folder in current} for image in built
        ]
        click.echo(json.dumps({"known": sorted(images.CATALOGUE), "built": rows}, indent=2))
        return
    missing = [name for name, recipe in images.CATALOGUE.items() if images.find(recipe.name) is None]
    for image in built:
        note = "" if image.folder in current else "  (of an earlier recipe: `harness images prune` removes it)"
        click.echo(f"{image.name:<12} {image.reference:<42} {image.size / 1e6:>6.0f} MB  {_age(image.created)}{note}")
    for name in missing:
        click.echo(f"{name:<12} not built: `harness images build {name}`, or the first platform that asks for it")


@command.command("build")
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@click.option("--force", is_flag=True, help="Build it anew: its packages grow stale.")
@click.option("--max-age", type=float, metavar="DAYS", help="Build it anew if it is older than this.")
@click.option("--arch", help="Of a disk, as `uname -m` says it: x86_64, aarch64. Absent: this machine's.")
@_in_docker
@_on_disk
@_as_boxes
def build(
    names: tuple[str, ...],
    force: bool,
    max_age: float | None,
    arch: str | None,
    in_docker: bool,
    on_disk: bool,
    as_boxes: bool,
) -> None:
    """Build images from this machine's own package sources; fetch disks by URL."""
    import time

    if in_docker:
        _build_docker(names, force=force, max_age=max_age)
        return
    if on_disk:
        _build_disks(names, arch, older_than=0 if force else None if max_age is None else max_age * 86400)
        return
    if as_boxes:
        if force or max_age is not None or arch is not None:
            raise click.UsageError("a box is made anew when its disk is: harness images build --disk --force")
        _build_boxes(names)
        return

    from harness.drivers import images

    for name in names:
        images.recipe_of(name)
    for name in names:
        there = images.find(name)
        stale = there is not None and max_age is not None and time.time() - there.created > max_age * 86400
        image = images.ensure(name, force=force or stale, tell=_tell)
        click.echo(f"{image.name}: {image.reference}, {image.size / 1e6:.0f} MB")


@command.command("prune")
@click.option("--all", "everything", is_flag=True, help="Also images of the present recipes.")
@_in_docker
@_on_disk
@_as_boxes
def prune(everything: bool, in_docker: bool, on_disk: bool, as_boxes: bool) -> None:
    """Remove images of earlier recipes. What a platform or a snapshot lies on stays."""
    from harness.drivers import images

    if in_docker:
        _prune_docker(everything)
        return
    if on_disk:
        _prune_disks(everything)
        return
    if as_boxes:
        _prune_boxes(everything)
        return
    removed, left = images.prune(everything=everything)
    _tell_pruned(
        [f"{image.reference}, {image.size / 1e6:.0f} MB" for image in removed],
        [f"{image.reference}: a platform or a snapshot lies on it" for image in left],
    )


def _list_docker(as_json: bool) -> None:
    from pathlib import Path

    from harness.drivers.docker import shelf

    found = shelf.listed(Path.cwd())
    if as_json:
        click.echo(json.dumps([image.model_dump() for image in found], indent=2))
        return
    for image in found:
        if image.reference is None:
            click.echo(f"{image.name:<18} not built: `harness images build --docker {image.name}`")
        else:
            click.echo(f"{image.name:<18} {image.reference:<46} {image.size / 1e6:>6.0f} MB  {_age(image.created)}")


def _build_docker(names: tuple[str, ...], *, force: bool, max_age: float | None) -> None:
    import time
    from pathlib import Path

    from harness.drivers.docker import shelf

    oldest = None if max_age is None else time.time() - max_age * 86400
    for name in names:
        stale = oldest is not None and any(
            image.name == name and image.reference and image.created < oldest for image in shelf.listed(Path.cwd())
        )
        click.echo(f"{name}: {shelf.build(name, Path.cwd(), _tell, force=force or stale)}")


def _prune_docker(everything: bool) -> None:
    from harness.drivers.docker import shelf

    removed, left = shelf.prune(everything=everything)
    _tell_pruned(removed, [f"{reference}: a container or an image lies on it" for reference in left])


def _list_disks(as_json: bool) -> None:
    from harness.drivers import images
    from harness.drivers.disks import shelf

    found = shelf.listed()
    if as_json:
        click.echo(json.dumps([disk.model_dump() for disk in found], indent=2))
        return
    for disk in found:
        note = "" if disk.current else "  (of an earlier recipe: `harness images prune --disk` removes it)"
        arch = disk.arch or "-"
        click.echo(f"{disk.name:<40} {arch:<8} {disk.size / 1e6:>6.0f} MB  {_age(disk.created)}{note}")
    for name in images.CATALOGUE:
        if not any(disk.name == name and disk.current for disk in found):
            click.echo(
                f"{name:<40} not built: `harness images build --disk {name}`, or the first guest that asks for it"
            )


def _build_disks(names: tuple[str, ...], arch: str | None, *, older_than: float | None) -> None:
    from pathlib import Path

    from harness.drivers.disks import shelf

    for name in names:
        disk = shelf.build(name, Path.cwd(), arch, _tell, older_than=older_than)
        click.echo(f"{disk.name}: {disk.path}, {disk.format}, {disk.arch}")


def _prune_disks(everything: bool) -> None:
    from harness.drivers.disks import shelf

    removed, left = shelf.prune(everything=everything)
    _tell_pruned(
        [f"{disk.name}, {disk.size / 1e6:.0f} MB" for disk in removed],
        [f"{disk.name}: a guest or a snapshot lies on it" for disk in left],
    )


def _list_boxes(as_json: bool) -> None:
    from harness.drivers import images
    from harness.drivers.vagrant import shelf

    found = shelf.listed()
    if as_json:
        click.echo(json.dumps([box.model_dump() for box in found], indent=2))
        return
    for box in found:
        note = "" if box.current else "  (of an earlier disk: `harness images prune --vagrant` removes it)"
        if box.used:
            note += f"  used by {', '.join(box.used)}"
        click.echo(f"{box.name:<20} {box.version:<22} {box.size / 1e6:>6.0f} MB  {_age(box.created)}{note}")
    for name in images.CATALOGUE:
        if not any(box.current and box.name == f"harness/{name}" for box in found):
            told = f"not built: `harness images build --vagrant {name}`, or the first machine that asks for it"
            click.echo(f"harness/{name:<12} {told}")


def _build_boxes(names: tuple[str, ...]) -> None:
    from pathlib import Path

    from harness.drivers.vagrant import boxes

    for name in names:
        boxes.check(name)
    for name in names:
        box = boxes.ensure(name, Path.cwd(), _tell)
        click.echo(f"{box.name}: {box.version}, {box.folder}")


def _prune_boxes(everything: bool) -> None:
    from harness.drivers.vagrant import shelf

    removed, left = shelf.prune(everything=everything)
    _tell_pruned(
        [f"{box.name} {box.version}, {box.size / 1e6:.0f} MB" for box in removed],
        [f"{box.name} {box.version}: a machine lies on it" for box in left],
    )


def _tell(line: str) -> None:
    """Of what a build says as it goes."""
    click.echo(f"  {line}", err=True)


def _tell_pruned(removed: Sequence[str], left: Sequence[str]) -> None:
    for line in removed:
        click.echo(f"removed {line}")
    for line in left:
        click.echo(f"left    {line}")
    if not removed and not left:
        click.echo("nothing to remove")


def _age(created: float) -> str:
    import time

    days = (time.time() - created) / 86400
    return f"built {days:.0f} days ago" if days >= 1 else "built today"
