"""Run a command in an existing sandbox.

    enter --pid P --start-time T [--rootless] [--cap CAP_CHOWN ...] [--cgroup DIR ...] [--env NAME=VALUE ...]
          [--user NAME|UID] [--chdir DIR] [--pty] [--unconfined] -- ARGV...
    enter ... --signal-all N -- -       sends a signal to every process inside but PID 1

Joins the name spaces of process P (checked against its start time), gives up every capability but those of
`--cap` and (unless `--unconfined`) the system calls that `harness.sandbox.syscalls` lists, and runs ARGV in a session
and process group of its own, with the given environment over a plain default one. `--pty` gives it a terminal of the
sandbox: this program passes bytes between that and its own stdin and stdout, sets its own terminal (if it has one) to
raw, and follows its size.

This process stays outside the sandbox's mounts and waits. HUP, INT, QUIT, TERM, USR1 and USR2 go on to the command's
whole process group; SIGRTMIN means: SIGKILL to that group. When this process dies, so does the command.
Exit status: the command's own, 128 + N when signal N ended it; 127 and 126 when it was not found or could not be
executed; 125, with one line on stderr that begins with `harness-enter:`, when the sandbox could not be entered.
"""

from __future__ import annotations

import sys

assert sys.platform == "linux"

import os

from harness.sandbox import kernel, layers, privileges, syscalls
from harness.sandbox.execute import execute

TYPE_CHECKING = False  # `typing` costs milliseconds of start
if TYPE_CHECKING:
    from socket import socket

FAILED = 125
DEFAULT_ENVIRONMENT = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "LANG": "C.UTF-8",
    "container": "harness",
}
_SINGLE = {"--pid", "--start-time", "--user", "--chdir", "--signal-all"}
_MANY = {"--cap", "--cgroup", "--env"}
_FLAGS = {"--rootless", "--pty", "--unconfined"}
_FORWARDED = (
    *(kernel.SIGHUP, kernel.SIGINT, kernel.SIGQUIT, kernel.SIGTERM, kernel.SIGUSR1, kernel.SIGUSR2, kernel.SIGRTMIN),
    kernel.SIGCHLD,
)
_IN_MOUNT_ORDER = (
    ("uts", kernel.CLONE_NEWUTS),
    ("ipc", kernel.CLONE_NEWIPC),
    ("net", kernel.CLONE_NEWNET),
    ("cgroup", kernel.CLONE_NEWCGROUP),
    ("mnt", kernel.CLONE_NEWNS),
)


class Request:
    """The command line, taken apart."""

    def __init__(self, arguments: list[str]) -> None:
        self.one: dict[str, str] = {}
        self.many: dict[str, list[str]] = {name: [] for name in _MANY}
        self.flags: set[str] = set()
        rest = list(arguments)
        while rest and rest[0] != "--":
            name = rest.pop(0)
            if name in _FLAGS:
                self.flags.add(name)
            elif name in _SINGLE and rest:
                self.one[name] = rest.pop(0)
            elif name in _MANY and rest:
                self.many[name].append(rest.pop(0))
            else:
                raise ValueError(f"unknown or incomplete option {name}")
        self.argv = rest[1:]
        if not self.argv or "--pid" not in self.one or "--start-time" not in self.one:
            raise ValueError("--pid, --start-time and a command are needed")
        self.pid = int(self.one["--pid"])
        self.start_time = int(self.one["--start-time"])
        self.pty = "--pty" in self.flags
        self.rootless = "--rootless" in self.flags
        self.unconfined = "--unconfined" in self.flags


def start_time(directory: int) -> int:
    """Clock ticks since boot at which the process of an open /proc/PID began (proc(5), field 22 of stat)."""
    fd = os.open("stat", os.O_RDONLY | os.O_CLOEXEC, dir_fd=directory)
    try:
        return int(os.read(fd, 4096).rpartition(b")")[2].split()[19])
    finally:
        os.close(fd)


def open_process(pid: int, expected: int) -> int:
    """A directory fd on /proc/PID that stays bound to that very process. Raises OSError when it is another one."""
    try:
        directory = os.open(f"/proc/{pid}", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        found = start_time(directory)
    except OSError as error:
        raise OSError(3, f"the sandbox (process {pid}) has gone") from error
    if found != expected:
        raise OSError(3, f"the sandbox has gone: process {pid} is another one now")
    return directory


def open_spaces(directory: int) -> dict[str, int]:
    """The name spaces that are not this process's own already: with `network: host` that one is not to be joined.

    Raises OSError for a process that has not left this one's mounts: what ran there would run on the host.
    """
    spaces = {}
    for name, _ in _IN_MOUNT_ORDER:
        fd = os.open(f"ns/{name}", os.O_RDONLY | os.O_CLOEXEC, dir_fd=directory)
        if os.fstat(fd).st_ino != os.stat(f"/proc/self/ns/{name}").st_ino:
            spaces[name] = fd
    if "mnt" not in spaces:
        raise OSError(1, "it has no mounts of its own (yet): refusing to run on the host itself")
    return spaces


def main(arguments: list[str]) -> int:
    try:
        request = Request(arguments)
    except ValueError as error:
        return _fail(str(error))
    pair: tuple[socket, socket] | None = None
    if request.pty:
        # Imported before anything of the sandbox is joined: a module must never come from its files.
        import socket as sockets

        from harness.sandbox import terminal  # noqa: F401

        pair = sockets.socketpair()
    kernel.block_signals(_FORWARDED)
    signals = kernel.signal_fd(_FORWARDED)
    try:
        layers.join_cgroups(request.many["--cgroup"])
        directory = open_process(request.pid, request.start_time)
        spaces = open_spaces(directory)
        if "--signal-all" not in request.one and not _let_in(directory, signals):
            return _fail("called off while the sandbox stood still")
        if request.rootless:
            user = os.open("ns/user", os.O_RDONLY | os.O_CLOEXEC, dir_fd=directory)
            kernel.setns(user, kernel.CLONE_NEWUSER, "join the sandbox's user name space")
            os.setresgid(0, 0, 0)
            os.setresuid(0, 0, 0)
        pids = os.open("ns/pid", os.O_RDONLY | os.O_CLOEXEC, dir_fd=directory)
        kernel.setns(pids, kernel.CLONE_NEWPID, "join the sandbox's process ids")
        # Nobody inside may look at, or through, the child before it has become the command (CVE-2019-5736).
        kernel.prctl(kernel.PR_SET_DUMPABLE, "become undumpable", 0)
        child = os.fork()
    except OSError as error:
        return _fail(error.strerror or str(error))
    if child == 0:
        _become(request, spaces, pair[1] if pair else None)
    if pair is not None:
        pair[1].close()
        return _wait_with_terminal(Child(child, signals), pair[0])
    return _wait(Child(child, signals))


def _let_in(directory: int, signals: int) -> bool:
    """Wait while the sandbox is frozen (`harness.drivers.native.freezer`): its PID 1 is stopped, and whoever came in
    now would be at work in a machine that stands still. False when a signal came first."""
    import select

    while _is_stopped(directory):
        if select.select([signals], [], [], 0.05)[0]:
            return False
    return True


def _is_stopped(directory: int) -> bool:
    """proc_pid_stat(5): the state follows the name, which may hold anything."""
    file = os.open("stat", os.O_RDONLY | os.O_CLOEXEC, dir_fd=directory)
    try:
        return os.read(file, 4096).rpartition(b")")[2].split()[0] == b"T"
    finally:
        os.close(file)


def _fail(message: str) -> int:
    os.write(2, f"harness-enter: {message}\n".encode(errors="backslashreplace"))
    return FAILED


def _become(request: Request, spaces: dict[str, int], to_parent: socket | None) -> None:
    """In the child: go inside, give up what it must not have, and execute. Never returns."""
    status = FAILED
    try:
        kernel.prctl(kernel.PR_SET_PDEATHSIG, "tie the command to this process", 9)
        _go_inside(spaces)
        kernel.block_signals(())
        os.setsid()
        kernel.leave_session_keyring()
        if to_parent is not None:
            _take_terminal(to_parent)
        _restore_signals()
        allowed = privileges.mask(set(request.many["--cap"]))
        if not request.unconfined:
            syscalls.install(user_name_space=request.rootless)
        privileges.limit(allowed)
        if "--signal-all" in request.one:
            try:
                os.kill(-1, int(request.one["--signal-all"]))
            except ProcessLookupError:
                pass  # there is nobody but PID 1
            os._exit(0)
        environment = dict(DEFAULT_ENVIRONMENT)
        home = _switch_user(request.one.get("--user", "0"), environment, pty=request.pty)
        if to_parent is not None:
            environment["TERM"] = os.environ.get("TERM", "xterm")
        environment.update(entry.partition("=")[::2] for entry in request.many["--env"])
        _chdir(request.one.get("--chdir"), home)
        kernel.prctl(kernel.PR_SET_PDEATHSIG, "tie the command to this process", 9)
        status = execute(request.argv, environment)
    except OSError as error:
        _fail(error.strerror or str(error))
    except KeyError as error:
        _fail(f"unknown capability {error}")
    finally:
        os._exit(status)


def _go_inside(spaces: dict[str, int]) -> None:
    outside = os.stat("/")
    for name, flag in _IN_MOUNT_ORDER:
        if name in spaces:
            kernel.setns(spaces[name], flag, f"join the sandbox's {name} name space")
    if os.path.samestat(outside, os.stat("/")):
        # A PID 1 that is still making its view: writes would reach the host's files.
        raise OSError(1, "its root is the host's (yet): refusing to run on the host itself")


def _restore_signals() -> None:
    # Python ignores these two from its start, and what it executes would too (signal(7)). The module is built in.
    import _signal  # type: ignore[import-not-found]  # typeshed leaves it out

    _signal.signal(_signal.SIGPIPE, _signal.SIG_DFL)
    _signal.signal(_signal.SIGXFSZ, _signal.SIG_DFL)


def _chdir(wanted: str | None, home: str) -> None:
    if wanted is not None:
        os.chdir(wanted)
        return
    try:
        os.chdir(home)
    except OSError:
        os.chdir("/")


def _switch_user(name: str, environment: dict[str, str], *, pty: bool) -> str:
    """Become `name` of the sandbox's own /etc/passwd; returns the home. `pwd` would load the sandbox's NSS modules."""
    entry = _lookup("/etc/passwd", name)
    if entry is None and not name.isdigit():
        raise OSError(2, f"there is no user {name!r} in the sandbox")
    user, uid, gid, home, shell = (
        (name, int(name), int(name), "/", "/bin/sh")
        if entry is None
        else (entry[0], int(entry[2]), int(entry[3]), entry[5], entry[6] or "/bin/sh")
    )
    environment.update(USER=user, LOGNAME=user, HOME=home, SHELL=shell)
    try:
        os.setgroups(_groups_of(user, gid) if uid != 0 else [])
    except PermissionError:
        if uid != 0:  # with one mapped group setgroups is denied (user_namespaces(7)); root does without
            raise
    if uid != 0:
        if pty:
            os.fchown(0, uid, -1)
        os.setresgid(gid, gid, gid)
        os.setresuid(uid, uid, uid)
    return home


def _table(path: str) -> list[list[str]]:
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            return [line.rstrip("\n").split(":") for line in file]
    except OSError:
        return []


def _lookup(path: str, name: str) -> list[str] | None:
    for entry in _table(path):
        if len(entry) >= 7 and name in (entry[0], entry[2]):
            return entry
    return None


def _groups_of(user: str, gid: int) -> list[int]:
    named = (entry for entry in _table("/etc/group") if len(entry) >= 4)
    return [gid, *(int(entry[2]) for entry in named if user in entry[3].split(","))]


def _take_terminal(to_parent: socket) -> None:
    """Open a PTY of the sandbox, make it this session's terminal, and hand its other side to the parent."""
    import fcntl
    import socket as sockets
    import termios

    master = os.open("/dev/ptmx", os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)
    fcntl.ioctl(master, 0x40045431, b"\0\0\0\0")  # TIOCSPTLCK: unlock
    number = int.from_bytes(fcntl.ioctl(master, 0x80045430, b"\0\0\0\0"), sys.byteorder)  # TIOCGPTN
    terminal = os.open(f"/dev/pts/{number}", os.O_RDWR | os.O_NOCTTY)
    fcntl.ioctl(terminal, termios.TIOCSCTTY, 0)
    sockets.send_fds(to_parent, [b"t"], [master])
    to_parent.recv(1)
    for fd in (0, 1, 2):
        os.dup2(terminal, fd)
    if terminal > 2:
        os.close(terminal)


class Child:
    """The command as this process sees it: signals go on to its group, and its end is told."""

    def __init__(self, pid: int, signals: int) -> None:
        self.pid = pid
        self.signals = signals
        """A signalfd."""

    def next(self) -> int | None:
        """Deal with one signal; the status to exit with when the command has ended."""
        number = kernel.next_signal(self.signals)
        if number != kernel.SIGCHLD:
            self._send(kernel.SIGKILL if number == kernel.SIGRTMIN else number)
            return None
        pid, status = os.waitpid(self.pid, os.WNOHANG)
        if pid == 0:
            return None
        code = os.waitstatus_to_exitcode(status)
        return 128 - code if code < 0 else code

    def _send(self, number: int) -> None:
        try:
            os.killpg(self.pid, number)
        except ProcessLookupError:  # not yet the leader of a group, or gone
            try:
                os.kill(self.pid, number)
            except ProcessLookupError:
                pass


def _wait(child: Child) -> int:
    while True:
        status = child.next()
        if status is not None:
            return status


def _wait_with_terminal(child: Child, from_child: socket) -> int:
    import socket as sockets

    from harness.sandbox import terminal

    message, fds, _, _ = sockets.recv_fds(from_child, 1, 1)
    if not message or not fds:
        return _wait(child)
    with terminal.raw(0):
        terminal.follow_size(fds[0])
        from_child.send(b"g")  # only now: the command may ask for the size at once
        return terminal.relay(fds[0], child.signals, child.next)
