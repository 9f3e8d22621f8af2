"""Which provider backs the machines, and which ones this machine has."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

LIBVIRT = "libvirt"
KNOWN: dict[str, tuple[str | None, str | None]] = {
    "virtualbox": ("VBoxManage", None),
    "libvirt": (None, "vagrant-libvirt"),
    "parallels": ("prlctl", "vagrant-parallels"),
    "vmware_desktop": (None, "vagrant-vmware-desktop"),
    "qemu": (None, "vagrant-qemu"),
}
"""The program and the plugin of each, the likeliest provider first."""
_SYSTEM_PLUGINS = (Path("/usr/share/vagrant-plugins/plugins.d"), Path("/opt/vagrant/embedded/plugins.json"))


def found() -> list[str]:
    """As well as can be told without starting Vagrant, which takes a second. Its docker provider makes no machines."""
    plugins = set(_plugins())
    return [
        name
        for name, (program, plugin) in KNOWN.items()
        if (program is None or shutil.which(program)) and (plugin is None or plugin in plugins)
    ]


def choose(wanted: str | None, *, ours: bool) -> str:
    """The provider of a platform; `ours`: its box is built here, for libvirt alone."""
    if wanted is not None:
        return wanted
    if ours:
        return LIBVIRT
    return os.environ.get("VAGRANT_DEFAULT_PROVIDER") or next(iter(found()), "virtualbox")


def _plugins() -> Iterator[str]:
    """Names of the user's plugins and of those that came with the system."""
    user = Path(os.environ.get("VAGRANT_HOME") or Path.home() / ".vagrant.d") / "plugins.json"
    files = [user]
    for place in _SYSTEM_PLUGINS:
        files += sorted(place.glob("*.json")) if place.is_dir() else [place]
    for file in files:
        try:
            document = json.loads(file.read_text())
            yield from document.get("installed", document)
        except (OSError, ValueError, AttributeError):
            continue
