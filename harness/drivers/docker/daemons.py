"""Which daemons this user's platforms live on, so that what was left on one can be found without its scenario."""

from __future__ import annotations

import hashlib
from pathlib import Path

from pydantic import ValidationError

from harness import daemon
from harness.atomic import write_atomically
from harness.cache import cache_dir
from harness.drivers.base import PlatformSpec
from harness.drivers.docker.options import DockerOptions
from harness.models.endpoint import DaemonAddress


def options_of(spec: PlatformSpec) -> DockerOptions:
    return spec.options if isinstance(spec.options, DockerOptions) else DockerOptions()


def address_of(options: DockerOptions) -> DaemonAddress:
    """Raises DaemonFailed."""
    if options.docker_host is None:
        return daemon.default_address()
    return DaemonAddress(
        url=options.docker_host,
        cacert_path=options.cacert_path,
        cert_path=options.cert_path,
        key_path=options.key_path,
        tls_verify=options.tls_verify,
    )


def remember(address: DaemonAddress) -> None:
    """Before anything is made there."""
    path = path_of(address)
    if not path.exists():
        write_atomically(path, address.model_dump_json())


def is_remembered(address: DaemonAddress) -> bool:
    return path_of(address).exists()


def path_of(address: DaemonAddress) -> Path:
    """Where it is written down."""
    name = hashlib.sha256(address.model_dump_json().encode()).hexdigest()[:16]
    return cache_dir() / "docker" / "daemons" / f"{name}.json"


def known() -> list[DaemonAddress]:
    """The usual one first."""
    found = [daemon.default_address()]
    for path in sorted((cache_dir() / "docker" / "daemons").glob("*.json")):
        try:
            address = DaemonAddress.model_validate_json(path.read_text())
        except (OSError, ValidationError):
            continue
        if address not in found:
            found.append(address)
    return found
