"""What a platform of the ssh driver may say about itself."""

from __future__ import annotations

import re
from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from harness.models.serde import StrictModel


class PasswordSource(StrictModel):
    """Where the password comes from; it never stands in a scenario itself."""

    env: str | None = None
    """An environment variable of the harness's own process."""
    file: str | None = None
    """A file of which the first line is it."""

    @model_validator(mode="after")
    def _one_of_them(self) -> Self:
        if (self.env is None) == (self.file is None):
            raise ValueError("should say either `env` or `file`")
        return self


class SshOptions(StrictModel):
    """The keys beside the common ones. Relative paths are taken from the scenario's folder, `~` is the user's home."""

    address: str | None = Field(default=None, min_length=1)
    """A name, an IP address or an alias of the user's ssh config; the platform's name unless given."""
    port: int | None = Field(default=None, ge=1, le=65535)
    user: str | None = Field(default=None, min_length=1)
    identity_file: str | None = None
    """The private key; no other is offered then. Else the ssh config's, the agent's and the default ones."""
    password: PasswordSource | None = None
    known_hosts: str | None = None
    """The file that holds the machine's key, and is alone believed; else the user's own."""
    proxy_jump: str | None = None
    """`[USER@]HOST[:PORT]`, several separated by commas."""
    proxy_command: str | None = None
    use_config: bool = True
    """Whether the user's ssh config and agent are honoured."""
    connection: Literal["ssh"] = "ssh"
    environment: dict[str, str] = Field(default_factory=dict)
    """Added to the environment of every command."""
    allow_reboot: bool = False
    """Whether the harness may restart the machine."""

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if self.proxy_jump is not None and self.proxy_command is not None:
            raise ValueError("should say either `proxy_jump` or `proxy_command`")
        return self

    @field_validator("address")
    @classmethod
    def _a_host_alone(cls, value: str | None) -> str | None:
        if value is not None and ("@" in value or re.fullmatch(r"(\[.*\]|[^:]+):\d*", value)):
            raise ValueError("should be the host alone: `user` and `port` are keys of their own")
        return value[1:-1] if value is not None and re.fullmatch(r"\[.*:.*\]", value) else value
