"""Make one sandbox, keep it, and clear it away: three processes, of which the last is the sandbox's PID 1.

    supervisor harness-sandbox ID        (the rest: one `Recipe` on stdin, see `read_recipe`)

- The *supervisor* stays in the host's name spaces. Its command line and environment are the label by which
  a sandbox is found. It ends the sandbox when told to (SIGTERM) or, unless the sandbox is kept, when its creator
  dies (end of file on stdin), and removes what is left of it on the host.
- The *holder* has a mount name space of its own (and a user name space, where one is wanted) with the writable
  layers. They outlive PID 1: SIGUSR1 stops the sandbox, SIGUSR2 starts it again with its files.
- *PID 1* makes the sandbox's own view and stays in it.

Each dies with its parent (PR_SET_PDEATHSIG), so a SIGKILL of any of them ends the sandbox, and its mounts with it.
On stdout comes `ready` or one line that says what failed.
"""

from __future__ import annotations

import sys

assert sys.platform == "linux"

import marshal
import os
import select

from harness.sandbox import chroot, kernel, layers, network, view
from harness.sandbox.recipe import Recipe
from harness.sandbox.users import map_ids

_WATCHED = (kernel.SIGTERM, kernel.SIGCHLD, kernel.SIGUSR1, kernel.SIGUSR2)
_PR_SET_CHILD_SUBREAPER = 36
_PATIENCE_MS = 10_000


def main(_arguments: list[str]) -> int:
    kernel.block_signals(_WATCHED)
    recipe = read_recipe()
    os.umask(0o022)
    os.chdir("/")
    supervisor = Supervisor(recipe)
    try:
        supervisor.launch()
    except OSError as error:
        supervisor.report(error.strerror or str(error))
        supervisor.end()
        return 1
    supervisor.watch()
    supervisor.end()
    os._exit(0)  # there is nothing left that Python would have to tidy up


def read_recipe() -> Recipe:
    """From stdin: its length (8 bytes, little endian), then `marshal` data of our own creator.

    Not JSON: importing `json` takes longer than all the mounts together.
    """
    stdin = open(0, "rb", buffering=0, closefd=False)  # noqa: SIM115
    length = int.from_bytes(stdin.read(8) or b"", "little")
    data = b""
    while len(data) < length:
        part = stdin.read(length - len(data))
        if not part:
            raise SystemExit(1)
        data += part
    return Recipe(**marshal.loads(data))


class Supervisor:
    """The process outside."""

    def __init__(self, recipe: Recipe) -> None:
        self.recipe = recipe
        self.holder = 0
        self.signals = kernel.signal_fd((kernel.SIGTERM, kernel.SIGCHLD))

    def launch(self) -> None:
        """Start the holder and wait until PID 1 is up. Raises OSError with what failed."""
        kernel.prctl(_PR_SET_CHILD_SUBREAPER, "adopt orphans", 1)
        words, tell = os.pipe2(os.O_CLOEXEC)
        asked, ask = os.pipe2(os.O_CLOEXEC)
        mapped, answer = os.pipe2(os.O_CLOEXEC)
        self.holder = os.fork()
        if self.holder == 0:
            for fd in (0, words, asked, answer):
                os.close(fd)
            _as_process(lambda: Holder(self.recipe, tell).run(ask, mapped), tell)
        for fd in (tell, ask, mapped):
            os.close(fd)
        try:
            if self.recipe.user_map and os.read(asked, 1):
                map_ids(self.holder, self.recipe.user_map, self.recipe.group_map, helper=self.recipe.map_helper)
                os.write(answer, b"1")
        finally:
            os.close(answer)
            os.close(asked)
        message = _read_all(words, until=b"\n")
        os.close(words)
        if message != b"ready\n":
            raise OSError(1, message.decode(errors="replace").strip() or "it ended while it was being made")
        self.report("ready")

    def report(self, message: str) -> None:
        """One line to the creator, and nothing more after it: the creator may be gone at any later time."""
        try:
            os.write(1, message.replace("\n", " ").encode() + b"\n")
        except OSError:
            pass  # nobody listens any more; stdin tells the rest
        null = os.open("/dev/null", os.O_RDWR)
        for fd in (1, 2):
            os.dup2(null, fd)
        if self.recipe.keep:
            os.dup2(null, 0)
        os.close(null)

    def watch(self) -> None:
        """Until the sandbox is to end."""
        poll = select.poll()
        poll.register(self.signals, select.POLLIN)
        if not self.recipe.keep:
            poll.register(0, select.POLLIN)
        while True:
            ready = [fd for fd, _ in poll.poll()]
            if 0 in ready and not os.read(0, 64):
                return
            if self.signals in ready and (kernel.next_signal(self.signals) == kernel.SIGTERM or self._holder_ended()):
                return

    def _holder_ended(self) -> bool:
        while True:
            try:
                pid, _ = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return True
            if pid in (0, self.holder):
                return pid == self.holder

    def end(self) -> None:
        """Kill what lives, wait until it is gone, remove what it had on the host."""
        if self.holder:
            _kill(self.holder, kernel.SIGTERM)
            self._wait_for_all()
        layers.remove_cgroups(self.recipe.cgroup_roots)
        layers.remove_tree(self.recipe.directory)

    def _wait_for_all(self) -> None:
        """The holder clears away and ends; should it hang, it is killed, and PID 1 with it."""
        poll = select.poll()
        poll.register(self.signals, select.POLLIN)
        while not self._holder_ended():
            if not poll.poll(_PATIENCE_MS):
                _kill(self.holder, kernel.SIGKILL)
                break
            kernel.next_signal(self.signals)
        try:
            while True:
                os.waitpid(-1, 0)
        except ChildProcessError:
            pass


class Holder:
    """The process that holds the writable layers."""

    def __init__(self, recipe: Recipe, tell: int) -> None:
        self.recipe = recipe
        self.tell = tell
        self.init = 0
        self.network = -1

    def run(self, ask: int, mapped: int) -> None:
        kernel.prctl(kernel.PR_SET_PDEATHSIG, "die with the supervisor", kernel.SIGKILL)
        signals = kernel.signal_fd(_WATCHED)
        # From here on by relative paths: root of a user name space may not be able to pass the folders above.
        os.chdir(self.recipe.directory)
        layers.join_cgroups(self.recipe.holder_cgroups)
        if self.recipe.user_name_space and os.geteuid() != 0:
            self._own_users(ask, mapped)
            self._own_mounts()
            layers.make_folders(self.recipe)
        else:
            self._own_mounts()
            layers.make_folders(self.recipe)
            if self.recipe.user_name_space:
                layers.bring_sources(self.recipe)
                self._own_users(ask, mapped)
                self._own_mounts()
        if self.recipe.private_network:
            self.network = network.make(user_name_space=self.recipe.user_name_space)
        layers.prepare(self.recipe)
        self.start(self.tell)
        self.recipe.files = []  # later starts keep what has become of them
        os.close(self.tell)
        self.wait(signals)

    def _own_mounts(self) -> None:
        kernel.unshare(kernel.CLONE_NEWNS, "make a mount name space")
        chroot.refuse()
        # Nothing mounted from here on may ever reach the host; what the host unmounts is not held on to.
        kernel.mount("none", "/", None, kernel.MS_REC | kernel.MS_SLAVE)

    def _own_users(self, ask: int, mapped: int) -> None:
        kernel.unshare(kernel.CLONE_NEWUSER, "make a user name space")
        os.write(ask, b"1")
        if not os.read(mapped, 1):
            os._exit(1)  # the supervisor says why
        os.setresgid(0, 0, 0)
        os.setresuid(0, 0, 0)
        # A change of user id takes this away, and without it the maker could not join the name spaces (prctl(2)).
        kernel.prctl(kernel.PR_SET_DUMPABLE, "become dumpable", 1)
        kernel.prctl(kernel.PR_SET_PDEATHSIG, "die with the supervisor", kernel.SIGKILL)

    def start(self, tell: int) -> None:
        self.init = kernel.fork_into_new_pids()
        if self.init == 0:
            _as_process(lambda: view.become_init(self.recipe, self.network, tell), tell)

    def wait(self, signals: int) -> None:
        """Serve until SIGTERM. PID 1 may end by itself: the sandbox is stopped then, not gone."""
        while True:
            number = kernel.next_signal(signals)
            if number == kernel.SIGCHLD:
                self._reap()
            elif number == kernel.SIGUSR2 and not self.init:
                self._start_again()
            elif number in (kernel.SIGUSR1, kernel.SIGTERM):
                self._stop()
                if number == kernel.SIGTERM:
                    layers.clear(self.recipe)
                    os._exit(0)

    def _start_again(self) -> None:
        null = os.open("/dev/null", os.O_WRONLY | os.O_CLOEXEC)
        self.start(null)
        os.close(null)

    def _reap(self) -> None:
        try:
            while True:
                pid, _ = os.waitpid(-1, os.WNOHANG)
                if pid == 0:
                    return
                if pid == self.init:
                    self.init = 0
        except ChildProcessError:
            self.init = 0

    def _stop(self) -> None:
        if self.init:
            _kill(self.init, kernel.SIGKILL)
            try:
                os.waitpid(self.init, 0)
            except ChildProcessError:
                pass
            self.init = 0


def _as_process(work: object, tell: int) -> None:
    """Run `work` as all that this forked process does; an error goes to `tell` as one line."""
    try:
        work()  # type: ignore[operator]
    except BaseException as error:  # whatever it is, this process must not run on as its parent
        message = error.strerror if isinstance(error, OSError) and error.strerror else repr(error)
        try:
            os.write(tell, message.replace("\n", " ").encode(errors="replace") + b"\n")
        except OSError:
            pass
    finally:
        os._exit(1)


def _read_all(fd: int, until: bytes) -> bytes:
    data = b""
    while not data.endswith(until):
        part = os.read(fd, 4096)
        if not part:
            break
        data += part
    return data


def _kill(pid: int, number: int) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        pass
