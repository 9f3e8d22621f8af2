"""The docker command's contexts, read from its own store: names of daemons and the credentials for them.

The SDK's reader looks in the wrong place where there is no config.json, and costs 0.2 s.
"""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

from harness.errors import DaemonFailed
from harness.models.endpoint import DaemonAddress

_DEFAULT = "default"


def current() -> DaemonAddress | None:
    """Of DOCKER_CONTEXT, else of the one that `docker context use` chose; None for the default one. Raises
    DaemonFailed."""
    folder = Path(os.environ.get("DOCKER_CONFIG") or Path.home() / ".docker")
    named = os.environ.get("DOCKER_CONTEXT")
    source = "DOCKER_CONTEXT" if named else str(folder / "config.json")
    name = named or _chosen(folder / "config.json")
    if not name or name == _DEFAULT:
        return None
    digest = hashlib.sha256(name.encode()).hexdigest()
    path = folder / "contexts" / "meta" / digest / "meta.json"
    if not path.is_file():
        raise DaemonFailed(
            f"there is no docker context {name!r}, which {source} names", hint="docker context ls; or unset it"
        )
    endpoint = _read(path).get("Endpoints", {}).get("docker", {})
    if not isinstance(endpoint, dict) or not endpoint.get("Host"):
        raise DaemonFailed(f"the docker context {name!r} names no daemon", hint=f"docker context inspect {name}")
    return _address(endpoint, folder / "contexts" / "tls" / digest / "docker")


def _address(endpoint: dict[str, Any], credentials: Path) -> DaemonAddress:
    def there(name: str) -> str | None:
        path = credentials / f"{name}.pem"
        return str(path) if path.is_file() else None

    authority = there("ca")
    return DaemonAddress(
        url=str(endpoint["Host"]),
        cacert_path=authority,
        cert_path=there("cert"),
        key_path=there("key"),
        tls_verify=authority is not None and not endpoint.get("SkipTLSVerify", False),
    )


def _chosen(config: Path) -> str | None:
    if not config.is_file():
        return None
    chosen = _read(config).get("currentContext")
    return str(chosen) if chosen else None


def _read(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DaemonFailed(f"{path} cannot be read: {error}", hint="docker context ls") from error
    return found if isinstance(found, dict) else {}
