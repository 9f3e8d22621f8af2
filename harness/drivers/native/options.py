"""What a platform of the native driver may say about itself."""

from __future__ import annotations

import re
from typing import Literal

from pydantic import Field, field_validator

from harness.drivers.shares import ShareText
from harness.drivers.sshd import OffersSsh

_CAPABILITY = re.compile(r"^(CAP_)?[A-Z_]+$")
_SIZE = re.compile(r"^[1-9][0-9]*([kmg]|%)?$", re.IGNORECASE)


class NativeOptions(OffersSsh):
    """The keys beside the common ones. Relative paths are taken from the scenario's folder."""

    network: Literal["none", "private", "host"] = "private"
    """`private` (and `none`): a network of its own with nothing but loopback. `host`: this host's."""
    init: Literal["none", "systemd"] = "none"
    """What PID 1 is. `systemd` needs an image, and root."""
    capabilities: list[str] = Field(default_factory=list)
    """Beside Docker's default set, with or without `CAP_`."""
    shares: list[ShareText] = Field(default_factory=list)
    """What of this host is seen inside as it is: `SOURCE[:/TARGET][:ro|rw]`, read-only unless `rw`."""
    hide: list[str] = Field(default_factory=list)
    """Absolute paths of this host that are not seen inside, beside homes and credentials."""
    upper: Literal["memory", "disk"] = "memory"
    """Where changes are kept while the platform lives."""
    memory: str = "50%"
    """The most that `upper: memory` may take: bytes, with k, m or g, or a percentage of this machine's memory."""
    environment: dict[str, str] = Field(default_factory=dict)
    """Added to the environment of every command."""
    allow_changes: bool = False
    """macOS and Windows only: the platform is this host itself, and it may be changed."""

    @field_validator("capabilities")
    @classmethod
    def _capabilities(cls, value: list[str]) -> list[str]:
        for name in value:
            if not _CAPABILITY.match(name):
                raise ValueError(f"{name!r} is not a capability such as NET_ADMIN")
        return value

    @field_validator("memory", mode="before")
    @classmethod
    def _memory(cls, value: object) -> object:
        """A bare number in a scenario is MiB, as in the other drivers."""
        if isinstance(value, int) and not isinstance(value, bool):
            return f"{value}m"
        if isinstance(value, str) and not _SIZE.match(value):
            raise ValueError(f"{value!r} is not a size such as 512m, 2g or 50%")
        return value

    @field_validator("hide")
    @classmethod
    def _hide(cls, value: list[str]) -> list[str]:
        for path in value:
            if not path.startswith("/") or ".." in path.split("/"):
                raise ValueError(f"{path!r} is not an absolute path")
        return value
