"""Containers for any test suite: a thin API over the docker driver.

```python
with ContainerManager() as manager:
    web = manager.start_target_container("debian-12", "web")
    print(manager.execute_in_container(web, "cat /etc/os-release"))
```

pytest's fixture `container_manager` gives one to a test. All that it made goes with it: after a failure and Ctrl-C by
`cleanup_all`, after SIGKILL by the driver's watcher, and where that was killed, too, by `harness destroy --orphans`.
"""

from __future__ import annotations

import platform as machine
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from harness.connections import open_connection
from harness.deadline import Deadline
from harness.drivers.base import Instance, PlatformSpec, ScenarioRef
from harness.errors import DeployFailed, DriverFailed, HarnessError, InvalidInput, Problem, UsageError
from harness.lifecycle.workspace import Workspace, new_run_id
from harness.models.config import Docker, Native, TargetPlatform

if TYPE_CHECKING:
    from harness.connections.base import Connection
    from harness.drivers.docker.site import DockerSite
    from harness.models.endpoint import Ssh

DEFAULT_IMAGE = "debian-12"
_READY_SECONDS = 120.0
_DOCKER_ARCH = {"x86_64": "amd64", "amd64": "amd64", "aarch64": "arm64", "arm64": "arm64"}
_EXECUTABLE = 0o755


class CommandFailed(HarnessError):
    """A command in a container ended with a status other than 0."""

    def __init__(self, message: str, *, rc: int, stdout: str, stderr: str) -> None:
        super().__init__(message)
        self.rc, self.stdout, self.stderr = rc, stdout, stderr


@dataclass(frozen=True)
class ContainerHandle:
    """A container that runs. `id` is the daemon's; by `name` the others on its network find it."""

    id: str
    name: str
    ip_address: str
    """On the test network; empty with `network_mode`."""
    platform: TargetPlatform
    ssh_port: int
    """At which sshd listens once `setup_ssh_access` has been called."""


@dataclass(frozen=True)
class _Running:
    handle: ContainerHandle
    instance: Instance
    connection: Connection


class ContainerManager(AbstractContextManager["ContainerManager"]):
    """Making one costs nothing; the daemon is asked when the first thing is wanted.

    `project`: where relative paths begin, where `docker/NAME` is looked for as an image, and where `.harness/` holds
    the lock that says that this run lives; the working directory unless given. May be used by several threads.
    """

    def __init__(self, project: Path | None = None) -> None:
        self._project = (project or Path.cwd()).absolute()
        self._lock = threading.RLock()
        self._stack: ExitStack | None = None
        self._opened: DockerSite | None = None
        self._running: dict[str, _Running] = {}

    @property
    def containers(self) -> dict[str, ContainerHandle]:
        """Those that run, by name."""
        with self._lock:
            return {name: running.handle for name, running in self._running.items()}

    def check(self) -> None:
        """Raises DriverFailed where no daemon can be used."""
        from harness.drivers.docker import DockerDriver

        for problem in DockerDriver().diagnose():
            raise DriverFailed(problem.message, hint=problem.hint)

    def create_test_network(self) -> str:
        """The daemon's name of the network on which this manager's containers find each other; made once.

        It goes with the last container, and with `cleanup_all`. Raises DriverFailed.
        """
        return self._site().make_network()

    def start_target_container(
        self, platform: TargetPlatform | str, name: str, *, timeout: float = _READY_SECONDS, **options: Any
    ) -> ContainerHandle:
        """Start a container and wait until a command could run in it.

        `platform` is a target or the name of an image; `options` are the keys of a docker platform (docs/docker.md:
        `env`, `published_ports`, `memory` ...). `timeout` in seconds. Raises InvalidInput, DriverFailed,
        ImageFailed, NotReady.
        """
        target = _target(platform)
        with self._lock:
            if name in self._running:
                raise UsageError(f"there is a container {name!r} already", hint="give it another name")
            site = self._site()
        [instance] = site.create([_spec(target, name, options)], {})
        try:
            endpoint = site.wait_ready(instance, Deadline(timeout))
            running = _Running(
                ContainerHandle(
                    id=site.identifier(instance),
                    name=name,
                    ip_address=site.address(instance),
                    platform=target,
                    ssh_port=site.ssh_port(instance),
                ),
                instance,
                open_connection(endpoint, name=name),
            )
        except BaseException:
            site.destroy(instance)
            raise
        with self._lock:
            self._running[name] = running
        return running.handle

    def setup_ssh_access(self, container: ContainerHandle, *, timeout: float = _READY_SECONDS) -> Ssh:
        """Have a real sshd run in the container, and say how it is reached: by asyncssh, `ssh` and Ansible alike.

        The key that logs in (mode 0600) and the host's key are made for this container alone and go with it. The image
        must have sshd (`debian-12` has). Raises DriverFailed, NotReady.
        """
        return self._site().offer_ssh(self._of(container).instance, Deadline(timeout))

    def copy_binary_to_container(self, container: ContainerHandle, binary_path: Path | str, target_path: str) -> None:
        """Put an executable (mode 0755) there; folders on the way are made. Raises DeployFailed, TransportFailed."""
        source = Path(binary_path)
        if not source.is_file():
            raise DeployFailed(f"{container.name}: there is no file {source} to copy", hint="has it been compiled?")
        self._of(container).connection.push(source, target_path, mode=_EXECUTABLE)

    def execute_in_container(self, container: ContainerHandle, command: str, *, timeout: float | None = None) -> str:
        """The stdout of a shell command. Raises CommandFailed when it fails, CommandTimedOut, TransportFailed."""
        done = self._of(container).connection.run(command, timeout=timeout)
        if not done.ok:
            words = done.err.strip() or done.out.strip()
            raise CommandFailed(
                f"{container.name}: {command!r} ended with status {done.rc}" + (f": {words}" if words else ""),
                rc=done.rc,
                stdout=done.out,
                stderr=done.err,
            )
        return done.out

    def connection(self, container: ContainerHandle) -> Connection:
        """For all that is not here: exact status and streams, stdin, files both ways. It is closed by `cleanup_all`."""
        return self._of(container).connection

    def cleanup_all(self) -> None:
        """Remove everything; a second call does nothing, and a later start begins anew. Raises DriverFailed with what
        could not be removed."""
        with self._lock:
            running, self._running = list(self._running.values()), {}
            stack, self._stack = self._stack, None
            site, self._opened = self._opened, None
        if stack is None or site is None:
            return
        failed: list[str] = []

        def remove(one: _Running) -> None:
            one.connection.close()
            try:
                site.destroy(one.instance)
            except HarnessError as error:
                failed.append(error.message)

        with stack:
            if running:
                with ThreadPoolExecutor(len(running)) as pool:
                    list(pool.map(remove, running))
        if failed:
            raise DriverFailed("; ".join(failed), hint="harness destroy --orphans removes what is left")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.cleanup_all()

    def _site(self) -> DockerSite:
        """Under a run of its own, whose lock says that it lives."""
        from harness.drivers.docker import DockerDriver

        with self._lock:
            if self._opened is None:
                run, workspace = new_run_id(), Workspace.of(self._project)
                workspace.prepare()
                with ExitStack() as stack:
                    stack.enter_context(workspace.run_lock(run).acquire("container_manager", timeout=5.0))
                    ref = ScenarioRef(self._project, "containers", self._project)
                    self._opened = DockerDriver().open(ref, run, keep=False)
                    stack.enter_context(self._opened)
                    self._stack = stack.pop_all()
            return self._opened

    def _of(self, container: ContainerHandle) -> _Running:
        with self._lock:
            running = self._running.get(container.name)
        if running is None or running.handle.id != container.id:
            raise UsageError(f"the container {container.name!r} is not one of this manager's, or it has been removed")
        return running


def _target(platform: TargetPlatform | str) -> TargetPlatform:
    if isinstance(platform, TargetPlatform):
        return platform
    return TargetPlatform(arch=machine.machine(), os="linux", environment=Docker(image=platform, volumes=[]))


def _spec(target: TargetPlatform, name: str, options: dict[str, Any]) -> PlatformSpec:
    """Raises InvalidInput with everything that is wrong."""
    from pydantic import ValidationError

    from harness.drivers.docker.options import DockerOptions

    environment = target.environment
    if not isinstance(environment, Docker | Native):
        raise UsageError(f"{name}: a container cannot be a {type(environment).__name__}", hint="use a docker target")
    image = environment.image if isinstance(environment, Docker) else DEFAULT_IMAGE
    keys = dict(options)
    if isinstance(environment, Docker) and environment.volumes:
        keys["volumes"] = [*environment.volumes, *keys.get("volumes", [])]
    arch = _DOCKER_ARCH.get(target.arch.lower(), target.arch)
    if arch != _DOCKER_ARCH.get(machine.machine().lower()):
        keys.setdefault("platform", f"linux/{arch}")
    try:
        validated = DockerOptions.model_validate(keys)
    except ValidationError as error:
        problems = [Problem(".".join(map(str, one["loc"])), one["msg"]) for one in error.errors()]
        raise InvalidInput(f"the options of the container {name!r}", problems, hint="see docs/docker.md") from error
    return PlatformSpec(name, "docker", image=image, os=target.os, arch=target.arch, options=validated)
