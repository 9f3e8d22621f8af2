"""What a platform of the docker driver may say about itself: Molecule's keys under Molecule's names, and a few more."""

from __future__ import annotations

import re
from typing import Literal

from pydantic import Field, SecretStr, ValidationInfo, field_validator, model_validator

from harness.drivers.sshd import OffersSsh
from harness.models.serde import StrictModel

_CAPABILITY = re.compile(r"^(CAP_)?[A-Z_]+$")
_SIZE = re.compile(r"^[1-9][0-9]*[bkmg]?b?$", re.IGNORECASE)
_PORT = re.compile(r"^(\[?[0-9A-Fa-f.:]*\]?:)?([0-9]*:)?[0-9]+(-[0-9]+)?(/(tcp|udp|sctp))?$")
_DEVICE = re.compile(r"^/[^:]+(:/[^:]+)?(:[rwm]{1,3})?$")
_ULIMIT = re.compile(r"^[a-z]+[:=]-?[0-9]+(:-?[0-9]+)?$")
_TMPFS = re.compile(r"^/[^:]*(:.+)?$")


class Credentials(StrictModel):
    username: str
    password: SecretStr
    email: str | None = None


class Registry(StrictModel):
    """Where the image is pulled from. Put the password into a variable: `password: $REGISTRY_PASSWORD`."""

    url: str
    credentials: Credentials | None = None


class AddressPool(StrictModel):
    """Of a network: in which addresses it lies."""

    subnet: str | None = None
    iprange: str | None = None
    gateway: str | None = None
    aux_addresses: dict[str, str] = Field(default_factory=dict)


class NetworkDefinition(StrictModel):
    """What a network of the scenario shall be; it is made when a platform joins it."""

    name: str
    driver: str = "bridge"
    driver_options: dict[str, str] = Field(default_factory=dict)
    internal: bool = False
    """No way out of it."""
    attachable: bool | None = None
    enable_ipv6: bool = False
    ipam_driver: str | None = None
    ipam_driver_options: dict[str, str] = Field(default_factory=dict)
    ipam_config: list[AddressPool] = Field(default_factory=list)
    labels: dict[str, str] = Field(default_factory=dict)


class NetworkMembership(StrictModel):
    """A network that the daemon has, or that is made for this run alone."""

    name: str
    aliases: list[str] = Field(default_factory=list)
    links: list[str] = Field(default_factory=list)
    ipv4_address: str | None = None
    ipv6_address: str | None = None


class Mount(StrictModel):
    """As `mounts` of Ansible's docker_container has it."""

    target: str = Field(pattern="^/")
    source: str | None = None
    type: Literal["bind", "volume", "tmpfs"] = "volume"
    read_only: bool = False
    consistency: Literal["default", "consistent", "cached", "delegated"] | None = None
    propagation: Literal["private", "rprivate", "shared", "rshared", "slave", "rslave"] | None = None
    no_copy: bool = False
    labels: dict[str, str] = Field(default_factory=dict)
    volume_driver: str | None = None
    volume_options: dict[str, str] = Field(default_factory=dict)
    tmpfs_size: str | None = None
    tmpfs_mode: str | None = Field(default=None, pattern="^[0-7]{3,4}$")
    """Octal, in quotes."""

    @field_validator("tmpfs_size", mode="before")
    @classmethod
    def _size(cls, value: object) -> object:
        return f"{value}b" if isinstance(value, int) and not isinstance(value, bool) else _is_size(value)

    @model_validator(mode="after")
    def _fits_its_type(self) -> Mount:
        if self.type == "bind" and not self.source:
            raise ValueError("a mount of type bind needs a `source`")
        if self.type == "tmpfs" and self.source:
            raise ValueError("a mount of type tmpfs has no `source`")
        belongs = {"bind": ("propagation",), "volume": _OF_VOLUMES, "tmpfs": ("tmpfs_size", "tmpfs_mode")}
        for kind, keys in belongs.items():
            strange = sorted(self.model_fields_set.intersection(keys))
            if kind != self.type and strange:
                raise ValueError(f"`{strange[0]}` needs `type: {kind}`")
        return self


_OF_VOLUMES = ("no_copy", "labels", "volume_driver", "volume_options")


class DockerOptions(OffersSsh):
    """The keys beside the common ones. Relative paths are taken from the scenario's folder."""

    init: Literal["none", "systemd"] = "none"
    """What PID 1 is. `systemd` needs an image that has it, and no `privileged`."""
    command: str | list[str] | None = None
    """PID 1, unless `override_command` is false: then the image's own."""
    command_handling: Literal["compatibility", "correct"] = "correct"
    """`compatibility` splits a list's words at their blanks, as Molecule does."""
    override_command: bool = True
    tty: bool = False
    hostname: str | None = None
    """The platform's name unless given."""
    user: str | None = None
    env: dict[str, str] = Field(default_factory=dict)
    labels: dict[str, str] = Field(default_factory=dict)

    pre_build_image: bool = True
    """false: an image with Python and sudo is built on the one that is named, or by `dockerfile`."""
    dockerfile: str | None = None
    """A Dockerfile (`.j2`: a template that knows `item`); its folder is the build's context."""
    buildargs: dict[str, str] = Field(default_factory=dict)
    cache_from: list[str] = Field(default_factory=list)
    pull: Literal["always", "missing", "never"] = "missing"
    """When the registry is asked. `true` is `always`, `false` is `missing`."""
    platform: str | None = None
    """`linux/arm64`: of which platform the image shall be."""
    registry: Registry | None = None

    privileged: bool = False
    capabilities: list[str] = Field(default_factory=list)
    """Beside Docker's default set, with or without `CAP_`."""
    cap_drop: list[str] = Field(default_factory=list)
    security_opts: list[str] = Field(default_factory=list)
    devices: list[str] = Field(default_factory=list)
    sysctls: dict[str, str] = Field(default_factory=dict)
    ulimits: list[str] = Field(default_factory=list)
    """`nofile:262144:262144`."""
    cgroupns_mode: Literal["host", "private"] | None = None
    cgroup_parent: str | None = None
    pid_mode: str | None = None
    runtime: str | None = None
    memory: str | None = None
    """The most memory: bytes with k, m or g; a bare number is MiB."""
    memory_swap: str | None = None
    cpus: float | None = Field(default=None, gt=0)
    shm_size: str | None = None

    volumes: list[str] = Field(default_factory=list)
    """`SOURCE:TARGET[:ro]`; SOURCE is a path or the name of a volume."""
    keep_volumes: bool = False
    """Leave the image's anonymous volumes when the platform is destroyed."""
    mounts: list[Mount] = Field(default_factory=list)
    tmpfs: list[str] = Field(default_factory=list)

    exposed_ports: list[str] = Field(default_factory=list)
    published_ports: list[str] = Field(default_factory=list)
    """`[ADDRESS:][HOST_PORT:]PORT[/udp]`."""
    dns_servers: list[str] = Field(default_factory=list)
    etc_hosts: dict[str, str] = Field(default_factory=dict)
    network_mode: str | None = None
    """Instead of the scenario's own network: bridge, host, none, container:NAME."""
    networks: list[NetworkMembership] = Field(default_factory=list)
    """Joined beside the scenario's own network; one that the daemon does not have is made for this run alone."""
    docker_networks: list[NetworkDefinition] = Field(default_factory=list)
    """What those that are made shall be. It holds for all platforms of the scenario."""
    links: list[str] = Field(default_factory=list)
    """`PLATFORM[:ALIAS]`: how this platform alone calls another one of the scenario's own network."""
    purge_networks: bool = False
    """Join only `networks`."""

    restart_policy: Literal["no", "always", "on-failure", "unless-stopped"] = "no"
    restart_retries: int = Field(default=0, ge=0)
    stop_signal: str | None = None

    docker_host: str | None = None
    """Another daemon than DOCKER_HOST or the docker context names: unix://, tcp:// or ssh://."""
    cacert_path: str | None = None
    cert_path: str | None = None
    key_path: str | None = None
    tls_verify: bool = False

    kill_signal: None = None
    force: None = None
    force_kill: Literal[True] = True
    networks_cli_compatible: Literal[True] = True
    container_default_behavior: Literal["no_defaults"] = "no_defaults"
    """The last five are Molecule's; they may say what is so anyway, and nothing else."""

    @field_validator("kill_signal", "force", "force_kill", "networks_cli_compatible", mode="before")
    @classmethod
    def _said_for_nothing(cls, value: object, info: ValidationInfo) -> object:
        allowed = info.field_name in ("force_kill", "networks_cli_compatible")
        if value is not (True if allowed else None):
            raise ValueError(_WHY_NOT[str(info.field_name)])
        return value

    @field_validator("container_default_behavior", mode="before")
    @classmethod
    def _defaults(cls, value: object) -> object:
        if value != "no_defaults":
            raise ValueError(_WHY_NOT["container_default_behavior"])
        return value

    @field_validator("pull", mode="before")
    @classmethod
    def _pull(cls, value: object) -> object:
        return {True: "always", False: "missing"}[value] if isinstance(value, bool) else value

    @field_validator("etc_hosts", mode="before")
    @classmethod
    def _hosts(cls, value: object) -> object:
        """Molecule's own example is a mapping in quotes."""
        if isinstance(value, str) and value.lstrip().startswith("{"):
            import yaml

            try:
                return yaml.safe_load(value)
            except yaml.YAMLError as error:
                raise ValueError(f"{value!r} is not a mapping of names to addresses") from error
        return value

    @field_validator("capabilities", "cap_drop")
    @classmethod
    def _capabilities(cls, value: list[str]) -> list[str]:
        return _all(value, _CAPABILITY, "a capability such as NET_ADMIN")

    @field_validator("devices")
    @classmethod
    def _devices(cls, value: list[str]) -> list[str]:
        return _all(value, _DEVICE, "/DEVICE[:/INSIDE][:rwm]")

    @field_validator("ulimits")
    @classmethod
    def _ulimits(cls, value: list[str]) -> list[str]:
        return _all(value, _ULIMIT, "NAME:SOFT[:HARD]")

    @field_validator("published_ports", "exposed_ports", mode="before")
    @classmethod
    def _ports(cls, value: object) -> object:
        if isinstance(value, list):
            value = [str(port) if isinstance(port, int) and not isinstance(port, bool) else port for port in value]
            _all([port for port in value if isinstance(port, str)], _PORT, "[ADDRESS:][HOST_PORT:]PORT[/udp]")
        return value

    @field_validator("tmpfs", mode="before")
    @classmethod
    def _tmpfs(cls, value: object) -> object:
        """A mapping of path to options is as good."""
        if isinstance(value, dict):
            value = [f"{path}:{options}" if options else str(path) for path, options in value.items()]
        if isinstance(value, list):
            _all([path for path in value if isinstance(path, str)], _TMPFS, "/PATH[:OPTIONS]")
        return value

    @field_validator("env", "sysctls", "buildargs", "labels", mode="before")
    @classmethod
    def _scalars(cls, value: object) -> object:
        """YAML's numbers and truth values are meant as they are written."""
        if not isinstance(value, dict):
            return value
        shown = {True: "true", False: "false"}
        return {
            key: shown[one] if isinstance(one, bool) else str(one) if isinstance(one, int | float) else one
            for key, one in value.items()
        }

    @field_validator("memory", "memory_swap", "shm_size", mode="before")
    @classmethod
    def _size(cls, value: object) -> object:
        return f"{value}m" if isinstance(value, int) and not isinstance(value, bool) else _is_size(value)

    @model_validator(mode="after")
    def _fit_together(self) -> DockerOptions:
        if self.init == "systemd" and (self.command is not None or not self.override_command):
            raise ValueError("`init: systemd` says what PID 1 is; leave out `command` and `override_command`")
        if not self.override_command and self.command is not None:
            raise ValueError("`command` needs `override_command: true`")
        if self.network_mode is not None and (self.networks or self.purge_networks):
            raise ValueError("`network_mode` and `networks` exclude each other")
        if self.purge_networks and not self.networks:
            raise ValueError("`purge_networks` leaves none: name those that are joined in `networks`")
        if self.links and (self.network_mode is not None or self.purge_networks):
            raise ValueError("`links` belong to the scenario's own network, which is not joined")
        return self


_WHY_NOT = {
    "kill_signal": "a container is removed at once, by SIGKILL; what it gets when it is stopped is `stop_signal`",
    "force": "an image is built anew when its content has changed; `harness images build --force` does it once",
    "force_kill": "only true: a container is removed at once, by SIGKILL",
    "networks_cli_compatible": "only true: the scenario's own network is joined first",
    "container_default_behavior": "only no_defaults: what is left out is the daemon's own default",
}


def _is_size(value: object) -> object:
    if isinstance(value, str) and not _SIZE.match(value):
        raise ValueError(f"{value!r} is not a size such as 512m or 2g")
    return value


def _all(values: list[str], pattern: re.Pattern[str], meant: str) -> list[str]:
    for value in values:
        if not pattern.match(value):
            raise ValueError(f"{value!r} is not {meant}")
    return values
