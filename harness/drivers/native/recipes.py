"""From what a platform asks for to the recipe that the supervisor follows. Nothing is changed on the host here."""

from __future__ import annotations

import sys

assert sys.platform == "linux"

import os
import pwd
import re
import stat
from dataclasses import dataclass
from pathlib import Path

from harness.drivers.native import mounts
from harness.drivers.native.cgroups import Cgroups
from harness.drivers.native.identity import UserMap
from harness.drivers.native.options import NativeOptions
from harness.drivers.native.store import Version, layer_name
from harness.drivers.shares import shared
from harness.sandbox import privileges
from harness.sandbox.recipe import Recipe

DEVICES = ["null", "zero", "full", "random", "urandom", "tty"]
CREDENTIAL_VARIABLES = ("GOOGLE_APPLICATION_CREDENTIALS", "AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE")
"""Variables that name a file or folder with credentials, wherever it lies."""
SYSTEMD = ["/lib/systemd/systemd", "--log-target=journal", "--show-status=false"]


@dataclass
class Wanted:
    """One sandbox, as the driver has worked it out."""

    id: str
    name: str
    directory: Path
    options: NativeOptions
    image: Path | None
    users: UserMap | None
    cgroups: Cgroups
    keep: bool
    scenario_directory: Path
    cache: Path
    capabilities: frozenset[str]
    neighbours: tuple[str, ...] = ()
    base: Version | None = None
    """The snapshot it starts from."""

    @property
    def on_disk(self) -> bool:
        """Whether changes lie on disk: when asked, and where a tmpfs lacks the user xattrs of an ordinary user's
        overlay (Linux before 6.6, fs: tmpfs)."""
        return self.options.upper == "disk" or (self.users is not None and _release() < (6, 6))


def _release() -> tuple[int, int]:
    major, minor = re.findall(r"\d+", os.uname().release)[:2]
    return int(major), int(minor)


def recipe(wanted: Wanted) -> Recipe:
    options = wanted.options
    view, file_mounts = _view(wanted)
    if wanted.base is not None:
        _check_base(view, wanted.base)
    systemd = options.init == "systemd"
    users = wanted.users
    kept = -1
    if systemd:
        kept = privileges.mask(wanted.capabilities | {"SYS_ADMIN"})
    elif "SYS_PTRACE" in wanted.capabilities:  # it may be traced, so it must hold nothing that others have not
        kept = privileges.mask(wanted.capabilities)
    return Recipe(
        directory=str(wanted.directory),
        hostname=wanted.name,
        user_map=list(users.users) if users else [],
        group_map=list(users.groups) if users else [],
        map_helper=bool(users and users.helper),
        overlays=[_overlay(overlay, wanted) for overlay in view.overlays],
        copy_bases=wanted.image is None,
        plain=view.plain,
        plain_base=next(iter(wanted.base.layers("")), "") if wanted.base else "",
        memory="" if wanted.on_disk else options.memory,
        binds=[*_shares(wanted), *((path, path, False) for path in file_mounts)],
        files=[] if wanted.base else _files(wanted),
        run_folders=_run_folders(wanted),
        devices=DEVICES,
        capabilities=kept,
        init=SYSTEMD if systemd else [],
        environment={"container": "harness", "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"},
        cgroups=wanted.cgroups.init,
        holder_cgroups=wanted.cgroups.holder,
        cgroup_roots=wanted.cgroups.roots,
        cgroup_mounts=wanted.cgroups.mounts,
        private_network=options.network != "host",
        keep=wanted.keep,
    )


def _check_base(view: mounts.View, base: Version) -> None:
    """Every layer of the snapshot must have its place. Raises ValueError."""
    if bool(view.plain) != ("" in base.targets()):
        raise ValueError("it was taken with another `upper:`, or by another user, and is laid out in another way")
    missing = base.targets() - {overlay.target for overlay in view.overlays} - {""}
    if missing:
        raise ValueError(f"it holds changes below {', '.join(sorted(missing))}, where nothing is mounted now")


def _overlay(overlay: mounts.Overlay, wanted: Wanted) -> tuple[str, str, str, list[str], list[str]]:
    bases = wanted.base.layers(overlay.target) if wanted.base else []
    return overlay.target, overlay.source, layer_name(overlay.target), overlay.hidden, bases


def _view(wanted: Wanted) -> tuple[mounts.View, list[str]]:
    """The overlays, and the host's mounts that are single files."""
    if wanted.image is not None:
        return mounts.View([mounts.Overlay("/", str(wanted.image))]), []
    mountinfo = Path("/proc/self/mountinfo").read_text()
    host = mounts.host_mounts(mountinfo)
    files = [mount.path for mount in host if not mount.is_folder]
    disk = wanted.on_disk
    if wanted.users is None and not disk:
        view = mounts.one_overlay(host)
    else:
        cuts = mounts.mount_points(mountinfo)
        view = mounts.overlay_per_tree([*cuts, str(wanted.cache)] if disk else cuts)
        if disk:
            mounts.drop(view, str(wanted.cache))
    hidden = hidden_paths(wanted)
    for path in hidden:
        mounts.hide(view, path)
    written = {path for path, _ in _files(wanted)}
    inside = [path for path in files if path not in written and not any(path.startswith(f"{one}/") for one in hidden)]
    return view, inside


def hidden_paths(wanted: Wanted) -> list[str]:
    """Homes, credentials, temporary files and our own cache: real paths, shortest first."""
    paths = {"/tmp", "/var/tmp", str(wanted.cache), str(Path.home()), *wanted.options.hide}
    paths |= {os.environ[name] for name in CREDENTIAL_VARIABLES if os.environ.get(name)}
    paths |= set(os.environ.get("KUBECONFIG", "").split(":")) - {""}
    for user in pwd.getpwall():
        # System users' homes are parts of the system (/var/lib/postgresql, /, /bin); people's and root's are not.
        if user.pw_uid in (0, os.getuid()) or (1000 <= user.pw_uid < 65534):
            paths.add(user.pw_dir)
    real = {os.path.realpath(path) for path in paths if path.startswith("/")}
    return sorted(path for path in real if path not in ("/", "/usr", "/etc", "/var", "/bin", "/sbin", "/lib"))


def _shares(wanted: Wanted) -> list[tuple[str, str, bool]]:
    shares = [shared(text, wanted.scenario_directory) for text in wanted.options.shares]
    return [(str(share.source), share.target, share.writable) for share in shares]


def _files(wanted: Wanted) -> list[tuple[str, str]]:
    host = wanted.options.network == "host"
    names = [wanted.name, *(wanted.neighbours if host else ())]
    hosts = _text("/etc/hosts") if host else "127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n"
    address = "127.0.0.1" if host else "127.0.1.1"
    hosts += "".join(f"{address} {name}\n" for name in names)
    files = [("/etc/hostname", wanted.name + "\n"), ("/etc/hosts", hosts)]
    resolver = _text("/etc/resolv.conf")
    if resolver:
        files.append(("/etc/resolv.conf", resolver))
    return files


def _text(path: str) -> str:
    try:
        return Path(path).read_text(errors="replace").rstrip("\n") + "\n"
    except OSError:
        return ""


def _run_folders(wanted: Wanted) -> list[tuple[str, int, int, int]]:
    """/run/lock, and for a view of the host the folders that its boot made there, empty.

    Never /run/systemd: its presence means that systemd is PID 1 (sd_booted(3)).
    """
    folders = {"lock": (0o1777, 0, 0)}
    if wanted.image is None:
        for entry in os.scandir("/run"):
            if entry.is_dir(follow_symlinks=False) and entry.name not in ("systemd", "user", "docker", "lock"):
                seen = entry.stat(follow_symlinks=False)
                folders[entry.name] = (stat.S_IMODE(seen.st_mode), seen.st_uid, seen.st_gid)
    return [(name, *rest) for name, rest in sorted(folders.items())]
