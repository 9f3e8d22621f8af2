"""The writable layers of a sandbox, made and removed in the holder's mount name space."""

from __future__ import annotations

import sys

assert sys.platform == "linux"

import errno
import os
import stat
import time

from harness.sandbox import kernel
from harness.sandbox.execute import spawn
from harness.sandbox.recipe import Recipe

_PATIENCE = 500
_DEVICES = {  # name: (major, minor), Documentation/admin-guide/devices.txt
    "null": (1, 3),
    "zero": (1, 5),
    "full": (1, 7),
    "random": (1, 8),
    "urandom": (1, 9),
    "tty": (5, 0),
}


PLACE = "mounts"


def make_folders(recipe: Recipe) -> None:
    """In the sandbox's folder, the working one: all that only the holder sees goes over one of its folders."""
    kernel.mount("tmpfs", PLACE, "tmpfs", kernel.MS_NOSUID | kernel.MS_NODEV, "size=1m,mode=755")
    recipe.directory = PLACE
    for name in ("layers", "root", "nodes", "sources"):
        os.mkdir(f"{PLACE}/{name}", 0o755)
    if os.path.isdir("layers"):
        kernel.mount("layers", f"{PLACE}/layers", None, kernel.MS_BIND)


def bring_sources(recipe: Recipe) -> None:
    """Bind what the sandbox is made from into its folder: root of a user name space cannot pass /root, say."""
    places: dict[str, str] = {}

    def bring(source: str) -> str:
        if source not in places:
            place = f"{PLACE}/sources/{len(places)}"
            if os.path.isdir(source):
                os.mkdir(place, 0o755)
            else:
                _touch(place, 0o644)
            kernel.mount(source, place, None, kernel.MS_BIND | kernel.MS_REC)
            places[source] = place
        return places[source]

    recipe.overlays = [
        (target, bring(source), layer, hidden, [bring(base) for base in bases])
        for target, source, layer, hidden, bases in recipe.overlays
    ]
    recipe.binds = [(bring(source), target, writable) for source, target, writable in recipe.binds]


def prepare(recipe: Recipe) -> None:
    """Make the layers of a new sandbox in its folder."""
    directory = recipe.directory
    if recipe.memory:
        kernel.mount("tmpfs", f"{directory}/layers", "tmpfs", 0, f"size={recipe.memory},mode=755")
    kernel.mount("tmpfs", f"{directory}/nodes", "tmpfs", kernel.MS_NOSUID | kernel.MS_NOEXEC, "size=1m,mode=755")
    _make_nodes(f"{directory}/nodes", recipe)
    # A file system of the host's may have been unmounted meanwhile, another container's root for one.
    recipe.overlays = [overlay for overlay in recipe.overlays if overlay[0] == "/" or os.path.exists(overlay[1])]
    for _, source, layer, hidden, bases in recipe.overlays:
        for part in ("upper", "work", "mask") if hidden else ("upper", "work"):
            os.makedirs(recipe.layer(layer, part), mode=0o755)
        _look_like(bases[0] if bases else source, recipe.layer(layer, "upper"))
        if hidden:
            _look_like(source, recipe.layer(layer, "mask"))
        for path in hidden:
            hide(source, path, recipe.layer(layer, "mask"), user_name_space=recipe.user_name_space)
        if recipe.copy_bases:
            for base in bases:
                if os.listdir(base):
                    _copy(base, recipe.layer(layer, "upper"))
    if recipe.copy_bases:
        recipe.overlays = [(*overlay[:4], []) for overlay in recipe.overlays]
    if recipe.plain:
        os.makedirs(recipe.plain_root)
        _make_plain(recipe)


def _make_nodes(directory: str, recipe: Recipe) -> None:
    """Device nodes of the sandbox's own: a change of owner or mode must not reach the host's.

    They are bound one by one into a /dev that is `nodev`, where no other node opens. An ordinary user cannot
    make any and binds the host's, which belong to nobody in its user name space and cannot be changed either.
    """
    _touch(f"{directory}/.masked", 0o000)
    for name in recipe.devices:
        path = f"{directory}/{name}"
        if not recipe.user_name_space:
            try:
                os.mknod(path, stat.S_IFCHR | 0o666, os.makedev(*_DEVICES[name]))
                os.chmod(path, 0o666)
                continue
            except PermissionError:
                pass
        _touch(path, 0o666)
        kernel.mount(f"/dev/{name}", path, None, kernel.MS_BIND)


def _touch(path: str, mode: int) -> None:
    os.close(os.open(path, os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, mode))


def hide(source: str, path: str, mask: str, *, user_name_space: bool) -> None:
    """Add to the layer `mask` what makes `source`/`path` look empty (a folder) or absent (anything else).

    The parents keep their looks: in a merged folder the topmost layer's owner and mode win
    (Documentation/filesystems/overlayfs.rst, "Directories", and "whiteouts and opaque directories").
    """
    parts = path.split("/")
    for depth in range(1, len(parts)):
        inner = "/".join(parts[:depth])
        if not os.path.isdir(f"{mask}/{inner}"):
            os.mkdir(f"{mask}/{inner}")
            _look_like(f"{source}/{inner}", f"{mask}/{inner}")
    target = f"{mask}/{path}"
    if not stat.S_ISDIR(os.lstat(f"{source}/{path}").st_mode):
        os.mknod(target, stat.S_IFCHR, os.makedev(0, 0))
        return
    if not os.path.isdir(target):
        os.mkdir(target)
    _look_like(f"{source}/{path}", target)
    os.setxattr(target, "user.overlay.opaque" if user_name_space else "trusted.overlay.opaque", b"y")


def _look_like(source: str, target: str) -> None:
    """Owner and mode; an owner that this user name space does not know stays ours."""
    seen = os.stat(source)
    try:
        os.chown(target, seen.st_uid, seen.st_gid)
    except OSError as error:
        if error.errno not in (errno.EPERM, errno.EINVAL):
            raise
    os.chmod(target, stat.S_IMODE(seen.st_mode))


def _copy(source: str, target: str) -> None:
    """A tree with its owners, times, extended attributes, and the 0/0 devices that are whiteouts."""
    status = spawn(["cp", "-a", "--reflink=auto", f"{source}/.", target])
    if status != 0:
        raise OSError(errno.EIO, f"copy {source}: cp ended with {status}")


def _make_plain(recipe: Recipe) -> None:
    root = recipe.plain_root
    if recipe.plain_base:
        _copy(recipe.plain_base, root)
    for path, kind, source in recipe.plain:
        target = root + path
        if os.path.lexists(target):
            continue
        if kind == "link":
            os.symlink(os.readlink(source), target)
        elif kind == "dir":
            os.makedirs(target)
            _look_like(source, target)
        else:
            with open(source, "rb") as reader, open(target, "wb") as writer:
                while data := reader.read(1 << 20):
                    writer.write(data)
            _look_like(source, target)


def clear(recipe: Recipe) -> None:
    """In the holder, whose user name space owns them: remove layers that lie on disk."""
    if not recipe.memory:
        with os.scandir(f"{recipe.directory}/layers") as entries:
            for entry in entries:
                remove_tree(entry.path)


def remove_tree(directory: str) -> None:
    """All of it that can be removed; `shutil` takes longer to import than a sandbox to end."""
    try:
        with os.scandir(directory) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    remove_tree(entry.path)
                else:
                    os.unlink(entry.path)
        os.rmdir(directory)
    except OSError:
        pass  # what is left is found and removed by the driver's `reap`


def join_cgroups(directories: list[str]) -> None:
    for directory in directories:
        fd = os.open(f"{directory}/cgroup.procs", os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.write(fd, b"0")
        except OSError as error:
            raise OSError(error.errno, f"join the cgroup {directory}: {os.strerror(error.errno or 0)}") from error
        finally:
            os.close(fd)


def remove_cgroups(directories: list[str]) -> None:
    """Deepest first. A cgroup goes when it is empty (rmdir); its last process may take a moment to die."""
    for _ in range(_PATIENCE):
        left = [directory for directory in directories if os.path.isdir(directory)]
        for directory in left:
            for path, _, _ in os.walk(directory, topdown=False):
                try:
                    os.rmdir(path)
                except OSError:
                    pass
        if not left:
            return
        time.sleep(0.01)
