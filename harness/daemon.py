"""Clients of Docker-compatible daemons: which one is meant, and what its refusals mean.

The docker SDK is imported on first use only: it costs 0.2 s, and is an extra.
"""

from __future__ import annotations

import errno
import os
import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness import daemon_context
from harness.daemon_ssh import Dialer, adapter
from harness.errors import DaemonFailed as DaemonFailed  # whoever asks for a daemon finds it here
from harness.models.endpoint import DaemonAddress

if TYPE_CHECKING:
    from docker.api.client import APIClient

DEFAULT = "unix:///var/run/docker.sock"
OLDEST_API = (1, 41)
"""Engine 20.10: the first with `cgroupns_mode` and platforms on create."""
TIMEOUT = 120
"""Seconds that the daemon may be silent; a commit or a large layer takes its time."""


def default_address() -> DaemonAddress:
    """As the docker command has it: DOCKER_HOST, then DOCKER_CONTEXT or the current context, then the usual socket;
    where that is missing, a rootless daemon's or Podman's socket. Raises DaemonFailed."""
    host = os.environ.get("DOCKER_HOST")
    if host:
        return _from_environment(host)
    return daemon_context.current() or DaemonAddress(url=_usual_socket())


def is_chosen() -> bool:
    """Whether somebody has said which daemon the usual one is."""
    return bool(os.environ.get("DOCKER_HOST")) or daemon_context.current() is not None


def _from_environment(host: str) -> DaemonAddress:
    folder = os.environ.get("DOCKER_CERT_PATH")
    verify = os.environ.get("DOCKER_TLS_VERIFY", "") not in ("", "0")
    if not (verify or folder):
        return DaemonAddress(url=host)
    place = Path(folder) if folder else Path.home() / ".docker"
    return DaemonAddress(
        url=host,
        cacert_path=str(place / "ca.pem"),
        cert_path=str(place / "cert.pem"),
        key_path=str(place / "key.pem"),
        tls_verify=verify,
    )


def _usual_socket() -> str:
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    places = [Path("/var/run/docker.sock")]
    places += [Path(runtime) / name for name in ("docker.sock", "podman/podman.sock")] if runtime else []
    places.append(Path("/run/podman/podman.sock"))
    return next((f"unix://{place}" for place in places if place.exists()), DEFAULT)


def connect(address: DaemonAddress, *, timeout: float = TIMEOUT) -> APIClient:
    """A client of its own (not to be shared by threads that stream). Raises DaemonFailed."""
    _sdk()
    import requests
    from docker.errors import DockerException

    _knock(address)
    dialer: Dialer | None = None
    try:
        dialer = Dialer(address.url) if address.url.startswith("ssh://") else None
        client = _open(address, timeout, dialer)
    except (DockerException, requests.RequestException, OSError, ValueError) as error:
        words = dialer.last_words() if dialer is not None else ""
        if dialer is not None:
            dialer.close()
        raise unreachable(address, error, words=words) from error
    version = str(client.api_version)
    if tuple(int(part) for part in version.split(".")) < OLDEST_API:
        client.close()
        raise DaemonFailed(
            f"the daemon at {address.url} is too old: its API is {version}",
            hint="Docker Engine 20.10 (API 1.41) or newer is needed",
        )
    return client


def _open(address: DaemonAddress, timeout: float, dialer: Dialer | None) -> APIClient:
    from docker.api.client import APIClient
    from docker.tls import TLSConfig

    class Client(APIClient):
        def merge_environment_settings(self, url: Any, proxies: Any, stream: Any, verify: Any, cert: Any) -> Any:
            # Else REQUESTS_CA_BUNDLE takes the place of the daemon's own authority (psf/requests#3829).
            verify = self.verify if verify is None else verify
            return super().merge_environment_settings(url, proxies, stream, verify, cert)

        def mount(self, prefix: Any, mounted: Any) -> None:
            dialed = dialer is not None and prefix.startswith("http+docker")
            super().mount(prefix, adapter(dialer, timeout) if dialer is not None and dialed else mounted)

    tls: TLSConfig | bool = False
    if is_tls(address):
        pair = (address.cert_path, address.key_path) if address.cert_path and address.key_path else None
        tls = TLSConfig(client_cert=pair, ca_cert=address.cacert_path, verify=address.tls_verify)
    url = address.url if dialer is None else DEFAULT  # the SDK's own words for a socket, whose adapter is ours
    return Client(base_url=url, version="auto", timeout=int(timeout), tls=tls)


def is_tls(address: DaemonAddress) -> bool:
    return bool(address.cacert_path or address.cert_path or address.tls_verify)


def _knock(address: DaemonAddress) -> None:
    """The SDK forgets to close a socket that cannot be connected. Raises DaemonFailed."""
    path = address.url.removeprefix("unix://")
    if path != address.url and sys.platform != "win32":
        with socket.socket(socket.AF_UNIX) as door:
            try:
                door.connect(path)
            except OSError as error:
                raise unreachable(address, error) from error


def unreachable(address: DaemonAddress, error: BaseException, *, words: str = "") -> DaemonFailed:
    """Which of the usual reasons it is, and its cure. `words` are those of the `ssh` on the way."""
    what = f"no daemon answers at {address.url}"
    if address.url.startswith("ssh://"):
        return DaemonFailed(f"{what}: {words or error}", hint=f"does `docker -H {address.url} version` answer?")
    numbers = {cause.errno for cause in _causes(error) if isinstance(cause, OSError)}
    text = str(error)
    if errno.EACCES in numbers or "Permission denied" in text:
        return DaemonFailed(
            f"{what}: this user may not use it", hint="sudo usermod -aG docker $USER, and log in again; or run as root"
        )
    if errno.ENOENT in numbers or "No such file" in text:
        return DaemonFailed(f"{what}: there is no such socket", hint=_start_hint(address))
    if errno.ECONNREFUSED in numbers or "Connection refused" in text:
        return DaemonFailed(f"{what}: the connection is refused, the daemon is down", hint=_start_hint(address))
    if is_tls(address) and (refused := _tls_words(address, text)):
        return DaemonFailed(f"{what}: {refused[0]}", hint=refused[1])
    return DaemonFailed(f"{what}: {text}", hint=_start_hint(address))


def _tls_words(address: DaemonAddress, text: str) -> tuple[str, str] | None:
    """What is wrong with the certificates, and what to do."""
    paths = [address.cacert_path, address.cert_path, address.key_path]
    missing = [path for path in paths if path and not Path(path).is_file()]
    names = "`cacert_path`, `cert_path` and `key_path`, or DOCKER_CERT_PATH"
    if missing:
        return f"{' and '.join(missing)} cannot be read", f"name the TLS credentials by {names}"
    if "CERTIFICATE_VERIFY_FAILED" in text:
        return f"its certificate is not believed: {text}", f"is {address.cacert_path} of the authority that signed it?"
    if ("ALERT" in text.upper() and "CERTIFICATE" in text.upper()) or "UNKNOWN_CA" in text.upper():
        return f"it does not take our certificate: {text}", f"its own authority must have signed it: {names}"
    if "WRONG_VERSION_NUMBER" in text:
        return "it does not speak TLS", "leave out `tls_verify` and the certificates, or DOCKER_TLS_VERIFY"
    return None


def _start_hint(address: DaemonAddress) -> str:
    if address.url.startswith("unix://"):
        return "start it (systemctl start docker, or dockerd), or name another daemon by DOCKER_HOST"
    if address.url.startswith("tcp://") and not is_tls(address):
        return "is it running, and is DOCKER_HOST right? Where it wants TLS: DOCKER_TLS_VERIFY=1 and DOCKER_CERT_PATH"
    return "is it running, and is DOCKER_HOST (or the docker context) right?"


def _causes(error: BaseException | None) -> list[BaseException]:
    """The error and what lies below it: requests and urllib3 wrap one another's in arguments."""
    found: list[BaseException] = []
    left = [error]
    while left:
        one = left.pop()
        if isinstance(one, BaseException) and one not in found:
            found.append(one)
            left += [one.__cause__, one.__context__, *(arg for arg in one.args if isinstance(arg, BaseException))]
    return found


def _sdk() -> None:
    try:
        # Not `docker` alone: a project's own docker/ folder is importable by that name (PEP 420).
        import docker.api.client  # noqa: F401
    except ImportError as error:
        raise DaemonFailed(
            "the docker driver needs the Python package docker", hint="pip install 'harness-e2e[docker]'"
        ) from error
