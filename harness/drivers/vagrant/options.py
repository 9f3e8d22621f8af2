"""What a platform of the vagrant driver may say about itself: Molecule's keys, with Molecule's meaning, and ours."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, ConfigDict, Field, JsonValue, StrictBool, field_validator, model_validator

from harness.drivers.vagrant import ruby
from harness.models.serde import StrictModel

_PROVIDER = re.compile(r"[a-z][a-z0-9_]*")
_QUOTED = re.compile(r"""(['"])(.*)\1""", re.DOTALL)
_BOX_KEYS = (
    "box",
    "box_version",
    "box_url",
    "box_architecture",
    "box_download_checksum",
    "box_download_checksum_type",
    "memory",
    "cpus",
    "hostname",
    "interfaces",
    "config_options",
    "provider_options",
    "provider_raw_config_args",
    "provider_override_args",
    "instance_raw_config_args",
)
"""What a Vagrantfile of the user's own says itself."""


def _name_of(value: object) -> object:
    """Molecule has the provider as `{name: libvirt}`."""
    return value["name"] if isinstance(value, dict) and "name" in value else value


def _words(value: object) -> object:
    """YAML reads a version such as 10.1 as a number."""
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else value


def _path(name: str) -> str:
    ruby.check_path(name)
    return name


def _statement(line: str) -> str:
    ruby.parse(line)
    return line


def _unquoted(value: JsonValue) -> JsonValue:
    """Molecule wanted texts to bring their quotes along, once; it still takes them so."""
    found = _QUOTED.fullmatch(value) if isinstance(value, str) else None
    return found[2] if found else value


def _writable(value: JsonValue) -> JsonValue:
    ruby.literal(value)
    return value


Text = Annotated[str, Field(min_length=1)]
Version = Annotated[Text, BeforeValidator(_words, json_schema_input_type=str | float)]
SettingName = Annotated[str, BeforeValidator(_path, json_schema_input_type=str)]
Setting = Annotated[JsonValue, BeforeValidator(_unquoted), BeforeValidator(_writable)]
Statement = Annotated[str, BeforeValidator(_statement, json_schema_input_type=str)]
Provider = Annotated[Text, BeforeValidator(_name_of, json_schema_input_type=str | dict[Literal["name"], str])]


class Interface(StrictModel):
    """One network: `config.vm.network`. Further keys are its options (type, ip, guest, host, auto_config ...)."""

    model_config = ConfigDict(extra="allow")

    network_name: Literal["private_network", "public_network", "forwarded_port"]

    @property
    def options(self) -> dict[str, Any]:
        return dict(self.model_extra or {})

    @model_validator(mode="after")
    def _names(self) -> Self:
        for key, value in self.options.items():
            if not ruby.NAME.fullmatch(key):
                raise ValueError(f"{key!r} is no option's name such as auto_config")
            ruby.literal(value)
        return self


class VagrantOptions(StrictModel):
    """The keys beside the common ones. Relative paths are taken from the scenario's folder."""

    box: Text | None = None
    """A box of the user's own, or one that Vagrant can fetch; `image: debian-12` is one that is built here."""
    box_version: Version | None = None
    box_url: Text | list[Text] | None = None
    box_architecture: Text | None = None
    """Vagrant 2.4 and newer."""
    box_download_checksum: Text | None = None
    box_download_checksum_type: Text | None = None
    default_box: Text | None = None
    """The box of platforms that name none."""
    provider: Provider | None = None
    """VAGRANT_DEFAULT_PROVIDER, else virtualbox or libvirt, unless given."""
    memory: int = Field(default=512, ge=16, le=1 << 24)
    """In MiB."""
    cpus: int = Field(default=2, ge=1, le=1024)
    hostname: StrictBool | Text | None = None
    """false: the box's own; else the platform's name."""
    interfaces: list[Interface] = Field(default_factory=list)
    config_options: dict[SettingName, Setting] = Field(default_factory=dict)
    """Settings by name, as `ssh.keep_alive: true`; `synced_folder: true` leaves Vagrant's /vagrant alone."""
    provider_options: dict[SettingName, Setting] = Field(default_factory=dict)
    """The provider's settings by name, as `nic_model_type: e1000`."""
    provider_raw_config_args: list[Statement] = Field(default_factory=list)
    """Lines such as `customize ['modifyvm', :id, '--cpuexecutioncap', '50']`: values only, no Ruby is run."""
    provider_override_args: list[Statement] = Field(default_factory=list)
    instance_raw_config_args: list[Statement] = Field(default_factory=list)
    provision: bool = False
    """Whether the Vagrantfile's provisioners are run when it is created."""
    cachier: str = "machine"
    """`machine` or `box`: the scope of vagrant-cachier, where that plugin is there; anything else: without it."""
    parallel: bool = True
    """false: one machine after the other."""
    vagrantfile: Text | None = None
    """A Vagrantfile of the user's own, that is taken as it is; its machines are the platforms."""
    machine: Text | None = None
    """The machine in `vagrantfile`; the platform's name unless given."""
    user: Text | None = None
    """Who logs in; Vagrant's user unless given. `root` is given the key of that one, by its sudo."""
    connection: Literal["ssh"] = "ssh"
    environment: dict[str, str] = Field(default_factory=dict)
    """Added to the environment of every command."""

    @field_validator("provider")
    @classmethod
    def _provider(cls, value: str | None) -> str | None:
        if value is not None and not _PROVIDER.fullmatch(value):
            raise ValueError(f"{value!r} is no provider's name such as libvirt or virtualbox")
        return value

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if (self.box_download_checksum is None) != (self.box_download_checksum_type is None):
            raise ValueError("`box_download_checksum` and `box_download_checksum_type` go together")
        if self.vagrantfile is not None:
            said = [key for key in _BOX_KEYS if key in self.model_fields_set]
            if said:
                raise ValueError(f"`vagrantfile` says {', '.join(f'`{key}`' for key in said)} itself")
        elif self.machine is not None:
            raise ValueError("`machine` needs `vagrantfile`")
        return self

    @property
    def shares_a_folder(self) -> bool:
        """Whether Vagrant's own /vagrant is there."""
        return self.config_options.get("synced_folder") is True
