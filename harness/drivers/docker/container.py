"""From what a platform asks for to the daemon's words for it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.drivers.base import PlatformSpec
from harness.drivers.docker.networks import Membership
from harness.drivers.docker.options import DockerOptions, Mount
from harness.errors import DriverFailed

if TYPE_CHECKING:
    from docker.api.client import APIClient
    from docker.types import Mount as DaemonsMount

IDLE = ["sh", "-c", "read _; while :; do sleep 86400; done"]
"""PID 1's only child: tini, which reaps for it and ends it at once on SIGTERM, is PID 1 itself. Its stdin is held open,
so that it waits in `read`: a `sleep` of ours would be taken for one that the plan has started."""
SYSTEMD = ["/lib/systemd/systemd", "--log-target=journal", "--show-status=false"]
_CGROUPS = "/sys/fs/cgroup"


@dataclass(frozen=True)
class Wanted:
    """One container. `group` is that of its networks, or empty where `network_mode` says it all."""

    spec: PlatformSpec
    options: DockerOptions
    name: str
    image: str
    labels: dict[str, str]
    group: str
    places: tuple[Membership, ...]
    directory: Path
    """The scenario's folder, where relative paths of `volumes` begin."""


def create(client: APIClient, wanted: Wanted, *, cgroup_version: str) -> str:
    """The id of a new container, not started. Raises docker's errors, DriverFailed."""
    options = wanted.options
    ports = _exposed(options)
    arguments: dict[str, Any] = {
        "name": wanted.name,
        "image": wanted.image,
        "hostname": None if _shares_name(options) else options.hostname or wanted.spec.name,
        "user": options.user,
        "tty": options.tty,
        "stdin_open": options.override_command and options.init != "systemd" and options.command is None,
        "environment": {**options.env, **({"container": "docker"} if options.init == "systemd" else {})},
        "labels": {**options.labels, **wanted.labels},
        "ports": ports,
        "volumes": _targets(options.volumes),
        "stop_signal": options.stop_signal or ("SIGRTMIN+3" if options.init == "systemd" else None),
        "host_config": host_config(client, wanted, cgroup_version=cgroup_version),
        "platform": options.platform,
    }
    if options.override_command:
        arguments["command"] = SYSTEMD if options.init == "systemd" else _command(options)
        arguments["entrypoint"] = ""
    first, *others = wanted.places or (None,)
    if first is not None:
        endpoint = client.create_endpoint_config(**first.arguments())
        arguments["networking_config"] = client.create_networking_config({first.network: endpoint})  # type: ignore[arg-type]
    made = client.create_container(**arguments)
    identifier: str = made["Id"]
    for place in others:
        assert place is not None
        client.connect_container_to_network(identifier, place.network, **place.arguments())
    return identifier


def host_config(client: APIClient, wanted: Wanted, *, cgroup_version: str) -> dict[str, Any]:
    from docker.types import Ulimit

    options = wanted.options
    restart: dict[str, Any] = {"Name": options.restart_policy}
    if options.restart_policy == "on-failure":
        restart["MaximumRetryCount"] = options.restart_retries
    systemd = options.init == "systemd"
    config: dict[str, Any] = client.create_host_config(
        binds=[
            *(_bind(volume, wanted.directory) for volume in options.volumes),
            *_cgroup_binds(systemd, cgroup_version),
        ],
        tmpfs={**(dict.fromkeys(("/run", "/run/lock"), "") if systemd else {}), **_tmpfs(options.tmpfs)},
        privileged=options.privileged,
        cap_add=[_capability(name) for name in _capabilities(options)],
        cap_drop=[_capability(name) for name in options.cap_drop],
        security_opt=_security(options),
        devices=options.devices,
        sysctls=options.sysctls,
        ulimits=[_ulimit(text, Ulimit) for text in options.ulimits],
        port_bindings=_published(options),
        dns=options.dns_servers,
        extra_hosts=options.etc_hosts,
        network_mode=options.network_mode or (wanted.places[0].network if wanted.places else None),
        mounts=[_mount(mount, wanted.directory) for mount in options.mounts],
        restart_policy=restart if options.restart_policy != "no" else None,
        pid_mode=options.pid_mode,
        cgroup_parent=options.cgroup_parent,
        runtime=options.runtime,
        mem_limit=options.memory,
        memswap_limit=options.memory_swap,
        nano_cpus=None if options.cpus is None else int(options.cpus * 1e9),
        shm_size=options.shm_size,
        init=options.override_command and not systemd,
    )
    mode = options.cgroupns_mode or (("host" if cgroup_version == "1" else "private") if systemd else None)
    if mode is not None:
        config["CgroupnsMode"] = mode
    return config


def not_held(options: DockerOptions) -> tuple[str, ...]:
    """What a commit of such a container leaves out."""
    systemd = ("/run", "/run/lock") if options.init == "systemd" else ()
    mounted = [*_targets(options.volumes), *(mount.target for mount in options.mounts)]
    return ("processes", "/dev/shm", *systemd, *_tmpfs(options.tmpfs), *mounted)


def outside(options: DockerOptions) -> list[str]:
    """Where something is mounted inside that may outlive the container."""
    lasting = (mount.target for mount in options.mounts if mount.type != "tmpfs")
    return [*_targets(options.volumes), *lasting]


def _cgroup_binds(systemd: bool, version: str) -> list[str]:
    """systemd reads its own control groups: by the host's hierarchy under v1. Under v2 a private name space has its
    own root, which the daemon mounts read-only unless it is told otherwise."""
    if not systemd:
        return []
    return [f"{_CGROUPS}:{_CGROUPS}:ro"] if version == "1" else [f"{_CGROUPS}:{_CGROUPS}:rw"]


def _capabilities(options: DockerOptions) -> list[str]:
    """Without SYS_ADMIN systemd boots, and silently leaves out PrivateTmp, ProtectSystem and the like."""
    own = ["SYS_ADMIN"] if options.init == "systemd" else []
    return list(dict.fromkeys([*own, *options.capabilities]))


def _security(options: DockerOptions) -> list[str]:
    # AppArmor's docker-default refuses every mount; where there is no AppArmor the daemon takes no notice.
    own = ["seccomp=unconfined", "apparmor=unconfined"] if options.init == "systemd" else []
    return list(dict.fromkeys([*own, *options.security_opts]))


def _capability(name: str) -> str:
    return name.removeprefix("CAP_")


def _command(options: DockerOptions) -> list[str]:
    import shlex

    if options.command is None:
        return IDLE
    if isinstance(options.command, str):
        return shlex.split(options.command)
    return shlex.split(" ".join(options.command)) if options.command_handling == "compatibility" else options.command


def _shares_name(options: DockerOptions) -> bool:
    """With another's network or the host's the daemon refuses a host name."""
    mode = options.network_mode or ""
    return options.hostname is None and mode.startswith(("container:", "host"))


def _bind(volume: str, directory: Path) -> str:
    source, colon, rest = volume.partition(":")
    if not colon:
        return volume
    return f"{_resolved(source, directory)}:{rest}"


def _resolved(source: str, directory: Path) -> str:
    if source.startswith(("./", "../", "~")):
        return str((directory / Path(source).expanduser()).resolve())
    return source


def _mount(mount: Mount, directory: Path) -> DaemonsMount:
    from docker.types import DriverConfig
    from docker.types import Mount as DaemonsMount

    named = mount.volume_driver or ("local" if mount.volume_options else "")
    driver = DriverConfig(named, mount.volume_options or None) if named else None
    volume = mount.type == "volume"
    return DaemonsMount(
        mount.target,
        _resolved(mount.source, directory) if mount.source and mount.type == "bind" else mount.source,
        type=mount.type,
        read_only=mount.read_only,
        consistency=mount.consistency,
        propagation=mount.propagation,
        no_copy=mount.no_copy if volume else False,
        labels=(mount.labels or None) if volume else None,
        driver_config=driver,
        tmpfs_size=mount.tmpfs_size,
        tmpfs_mode=int(mount.tmpfs_mode, 8) if mount.tmpfs_mode else None,
    )


def _targets(volumes: list[str]) -> list[str]:
    return [volume.split(":")[1] if ":" in volume else volume for volume in volumes]


def _tmpfs(entries: list[str]) -> dict[str, str]:
    found = {}
    for entry in entries:
        path, _, flags = entry.partition(":")
        found[path] = flags
    return found


def _ulimit(text: str, kind: Any) -> Any:
    name, soft, *hard = re.split("[:=]", text)
    return kind(name=name, soft=int(soft), hard=int(hard[0] if hard else soft))


def _exposed(options: DockerOptions) -> list[tuple[int, str]]:
    ports = []
    for text in options.exposed_ports:
        for port, protocol in _range(text):
            ports.append((port, protocol))
    for _, _, inside, protocol in _port_specs(options):
        ports.append((inside, protocol))
    return list(dict.fromkeys(ports))


def _published(options: DockerOptions) -> dict[int | str, Any]:
    """By `PORT/PROTOCOL`: where it is published; a host port of None is chosen by the daemon."""
    found: dict[int | str, Any] = {}
    for address, outside, inside, protocol in _port_specs(options):
        found.setdefault(f"{inside}/{protocol}", []).append((address or "0.0.0.0", outside))
    return found


def _port_specs(options: DockerOptions) -> list[tuple[str, int | None, int, str]]:
    """Address, host port, port and protocol of each."""
    found = []
    for text in options.published_ports:
        head, _, last = text.rpartition(":")
        address, _, host = head.rpartition(":") if head else ("", "", "")
        if host and not host.isdigit():
            address, host = head, ""
        for port, protocol in _range(last):
            found.append((address.strip("[]"), int(host) if host else None, port, protocol))
    return found


def _range(text: str) -> list[tuple[int, str]]:
    ports, _, protocol = text.partition("/")
    first, _, last = ports.partition("-")
    if not first.isdigit() or (last and not last.isdigit()):
        raise DriverFailed(f"{text!r} is not a port", hint="such as 80, 53/udp or 8000-8010")
    return [(port, protocol or "tcp") for port in range(int(first), int(last or first) + 1)]
