"""The sandbox's own view, made by its PID 1 in name spaces of its own, and the life of that PID 1.

Order matters: the root is pivoted into first, so that every later path resolves inside it and no symbolic link
of an image or of an earlier run can lead a mount or a write to the host. What must come from the host is opened before,
and the host's tree is detached last (a user name space may mount /proc only while a complete one is in sight).
"""

from __future__ import annotations

import sys

assert sys.platform == "linux"

import os

from harness.sandbox import kernel, layers, privileges, syscalls
from harness.sandbox.recipe import Recipe

_QUIET = kernel.MS_NOSUID | kernel.MS_NODEV | kernel.MS_NOEXEC
# What runc masks and makes read-only: Docker's defaults, moby/moby oci/defaults.go.
_MASKED = (
    "/proc/acpi",
    "/proc/asound",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/sys/devices/virtual/powercap",
    "/sys/firmware",
)
_READ_ONLY = ("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger")
_LINKS = (("/proc/self/fd", "fd"), ("fd/0", "stdin"), ("fd/1", "stdout"), ("fd/2", "stderr"), ("pts/ptmx", "ptmx"))


def become_init(recipe: Recipe, network: int, tell: int) -> None:
    """Make the view and stay as PID 1. Never returns; raises OSError with what failed.

    `network`: a descriptor of the sandbox's network name space, or -1 for the host's.
    """
    kernel.prctl(kernel.PR_SET_PDEATHSIG, "die with the holder", kernel.SIGKILL)
    kernel.block_signals(())
    spaces = kernel.CLONE_NEWNS | kernel.CLONE_NEWUTS | kernel.CLONE_NEWIPC | kernel.CLONE_NEWCGROUP
    layers.join_cgroups(recipe.cgroups)
    kernel.unshare(spaces, "make mount, host name, ipc and cgroup name spaces")
    kernel.mount("none", "/", None, kernel.MS_REC | kernel.MS_PRIVATE)
    if network >= 0:
        kernel.setns(network, kernel.CLONE_NEWNET, "join the sandbox's network name space")
    kernel.sethostname(recipe.hostname)
    os.umask(0)
    host = _HostFiles(recipe)
    _enter_root(recipe, host)
    _mount_proc()
    for overlay in recipe.overlays:
        if overlay[0] != "/":
            _mount_overlay(recipe, overlay, host, overlay[0])
    _mount_sys(recipe, host)
    _make_dev(recipe, host)
    _make_run(recipe)
    _bind_shares(recipe, host)
    _mask(host)
    _write_files(recipe)
    kernel.umount(host.old_root, kernel.MNT_DETACH)
    os.chdir("/")
    os.umask(0o022)
    _stay(recipe, tell)


class _HostFiles:
    """What comes from the host, opened while its paths still mean the host's."""

    def __init__(self, recipe: Recipe) -> None:
        self.nodes = {name: _open(f"{recipe.directory}/nodes/{name}") for name in recipe.devices}
        self.masked = _open(f"{recipe.directory}/nodes/.masked")
        self.shares = [_open(source) for source, _, _ in recipe.binds]
        self.layers: dict[str, list[int]] = {}
        for target, source, layer, hidden, bases in recipe.overlays:
            paths = [recipe.layer(layer, "upper"), recipe.layer(layer, "work")]
            paths += bases
            paths += [recipe.layer(layer, "mask")] if hidden else []
            self.layers[target] = [_open(path) for path in (*paths, source)]
        self.sys = _open("/sys")
        self.old_root = "/"


def _open(path: str) -> int:
    try:
        return os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError as error:
        raise OSError(error.errno, f"open {path}: {os.strerror(error.errno or 0)}") from error


def _at(fd: int) -> str:
    """A path for mount(2) that needs no quoting and cannot be redirected."""
    return f"/proc/self/fd/{fd}"


def _enter_root(recipe: Recipe, host: _HostFiles) -> None:
    root = f"{recipe.directory}/root"
    if recipe.plain:
        kernel.mount(recipe.plain_root, root, None, kernel.MS_BIND)
        _remount(root, kernel.MS_NODEV)
    else:
        _mount_overlay(recipe, recipe.overlays[0], host, root)
    os.chdir(root)
    # pivot_root(2), "pivot_root(".", ".")": the old root comes to lie on top of the new one, at ".".
    kernel.pivot_root(".", ".")
    host.old_root = "."


def _mount_overlay(
    recipe: Recipe, overlay: tuple[str, str, str, list[str], list[str]], host: _HostFiles, target: str
) -> None:
    upper, work, *lower = (_at(fd) for fd in host.layers[overlay[0]])
    options = f"lowerdir={':'.join(lower)},upperdir={upper},workdir={work}"
    if recipe.user_name_space:
        options += ",userxattr"
    else:
        options += ",redirect_dir=off,index=off,metacopy=off"  # a layer must make sense over another host's root, too
    try:
        # nodev: a device node made inside opens nothing.
        kernel.mount("overlay", target, "overlay", kernel.MS_NODEV, options)
    except OSError as error:
        words = f"mount an overlay of {overlay[1]}: {os.strerror(error.errno or 0)}"
        if overlay[0] == "/":
            raise OSError(error.errno, words) from error
        if not os.path.isdir(target):
            return  # gone from the host meanwhile, and its mount point with it
        # A file system that cannot be a lower layer (some FUSE and network ones): readable, and nothing more.
        try:
            kernel.mount(_at(host.layers[overlay[0]][-1]), target, None, kernel.MS_BIND)
        except FileNotFoundError:
            return  # the same, in the moment between
        _remount(target, kernel.MS_RDONLY | kernel.MS_NODEV | kernel.MS_NOSUID)


def _remount(target: str, flags: int) -> None:
    """Add flags to a bind mount; in a user name space those it has already are locked and must be repeated."""
    present = os.statvfs(target).f_flag & (kernel.MS_RDONLY | kernel.MS_NOSUID | kernel.MS_NODEV | kernel.MS_NOEXEC)
    kernel.mount("none", target, None, kernel.MS_REMOUNT | kernel.MS_BIND | flags | present)


def _mount_proc() -> None:
    os.makedirs("/proc", exist_ok=True)
    kernel.mount("proc", "/proc", "proc", _QUIET)


def _mount_sys(recipe: Recipe, host: _HostFiles) -> None:
    os.makedirs("/sys", exist_ok=True)
    try:
        kernel.mount("sysfs", "/sys", "sysfs", _QUIET | kernel.MS_RDONLY)
    except OSError:
        # Refused to a user name space that does not own the network one, or that sees masks on /sys (a container's).
        kernel.mount(_at(host.sys), "/sys", None, kernel.MS_BIND | kernel.MS_REC)
        _remount("/sys", kernel.MS_RDONLY | _QUIET)
        if not recipe.cgroup_mounts and os.path.isdir("/sys/fs/cgroup"):
            kernel.mount("tmpfs", "/sys/fs/cgroup", "tmpfs", kernel.MS_RDONLY | _QUIET, "size=0,mode=555")
    for path, kind, options in recipe.cgroup_mounts:
        if path != "/sys/fs/cgroup":
            os.makedirs(path, exist_ok=True)
        kernel.mount(kind, path, kind, _QUIET, options)


def _make_dev(recipe: Recipe, host: _HostFiles) -> None:
    os.makedirs("/dev", exist_ok=True)
    # Mode 755: in a sticky, world-writable /dev the kernel refuses `> /dev/null` to other users (fs.protected_regular).
    kernel.mount("tmpfs", "/dev", "tmpfs", kernel.MS_NOSUID | kernel.MS_NODEV, "size=64k,mode=755")
    for name, fd in host.nodes.items():
        os.close(os.open(f"/dev/{name}", os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0o666))
        kernel.mount(_at(fd), f"/dev/{name}", None, kernel.MS_BIND)
    for name in ("pts", "shm", "mqueue"):
        os.mkdir(f"/dev/{name}", 0o755)
    terminals = "newinstance,ptmxmode=0666,mode=0620"
    try:
        kernel.mount("devpts", "/dev/pts", "devpts", kernel.MS_NOSUID | kernel.MS_NOEXEC, f"{terminals},gid=5")
    except OSError:  # no group 5 in this user name space
        kernel.mount("devpts", "/dev/pts", "devpts", kernel.MS_NOSUID | kernel.MS_NOEXEC, terminals)
    kernel.mount("tmpfs", "/dev/shm", "tmpfs", kernel.MS_NOSUID | kernel.MS_NODEV, "mode=1777")
    kernel.mount("mqueue", "/dev/mqueue", "mqueue", _QUIET)
    for target, name in _LINKS:
        os.symlink(target, f"/dev/{name}")


def _make_run(recipe: Recipe) -> None:
    os.makedirs("/run", exist_ok=True)
    kernel.mount("tmpfs", "/run", "tmpfs", kernel.MS_NOSUID | kernel.MS_NODEV, "mode=755")
    for name, mode, uid, gid in recipe.run_folders:
        path = f"/run/{name}"
        os.mkdir(path)
        try:
            os.chown(path, uid, gid)
        except OSError:
            pass  # an owner that this user name space does not know
        os.chmod(path, mode)


def _bind_shares(recipe: Recipe, host: _HostFiles) -> None:
    for fd, (source, target, writable) in zip(host.shares, recipe.binds, strict=True):
        if os.path.isdir(_at(fd)):
            os.makedirs(target, mode=0o755, exist_ok=True)
        else:
            os.makedirs(os.path.dirname(target), mode=0o755, exist_ok=True)
            if not os.path.lexists(target):
                os.close(os.open(target, os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0o644))
        try:
            kernel.mount(_at(fd), target, None, kernel.MS_BIND | kernel.MS_REC)
            _remount(target, kernel.MS_NODEV | kernel.MS_NOSUID | (0 if writable else kernel.MS_RDONLY))
        except OSError as error:
            raise OSError(error.errno, f"share {source} as {target}: {error.strerror}") from error


def _mask(host: _HostFiles) -> None:
    for path in _READ_ONLY:
        if os.path.lexists(path):
            kernel.mount(path, path, None, kernel.MS_BIND | kernel.MS_REC)
            _remount(path, kernel.MS_RDONLY | _QUIET)
    for path in _MASKED:
        if os.path.isdir(path):
            kernel.mount("tmpfs", path, "tmpfs", kernel.MS_RDONLY | _QUIET, "size=0,mode=555")
        elif os.path.lexists(path):
            kernel.mount(_at(host.masked), path, None, kernel.MS_BIND)
            _remount(path, kernel.MS_RDONLY | _QUIET)


def _write_files(recipe: Recipe) -> None:
    for path, text in recipe.files:
        try:
            if os.path.lexists(path):
                os.unlink(path)
            fd = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o644)
        except OSError:
            continue  # an ordinary user's view of the host's /etc: the host's own file stays in sight
        os.write(fd, text.encode())
        os.close(fd)


def _stay(recipe: Recipe, tell: int) -> None:
    null = os.open("/dev/null", os.O_RDWR)
    for fd in (0, 1, 2):
        os.dup2(null, fd)
    os.setsid()
    kernel.leave_session_keyring()
    syscalls.install(user_name_space=recipe.user_name_space)
    if recipe.init:
        privileges.limit(recipe.capabilities)
        os.write(tell, b"ready\n")
        os.closerange(3, 1 << 16)
        os.execve(recipe.init[0], recipe.init, recipe.environment)
    if recipe.capabilities >= 0:
        kernel.prctl(kernel.PR_SET_DUMPABLE, "become undumpable", 0)
        privileges.limit(recipe.capabilities)
    else:
        # It keeps more (permitted, none in effect) than anything else inside will have: so nothing inside may trace it
        # or follow its links in /proc (ptrace(2), "Ptrace access mode checking"), and its maker may, to enter.
        kernel.set_capabilities(0, privileges.permitted())
    kernel.reap_children_by_kernel()
    kernel.rename_process(b"harness-init")
    os.write(tell, b"ready\n")
    os.closerange(3, 1 << 16)
    kernel.sleep_for_ever()
