"""Connections to libvirt daemons: which one is meant, whether it can work, and what its refusals mean."""

from __future__ import annotations

import hashlib
import os
import re
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from harness.atomic import write_atomically
from harness.cache import cache_dir
from harness.errors import DriverFailed

SETUP = "scripts/setup-e2e-env.sh --libvirt installs and starts what is missing"
_KNOWN: tuple[tuple[str, str, str], ...] = (
    # (what libvirt or QEMU says, what it means, what to do)
    (
        r"cannot set up guest memory|[Cc]annot allocate memory",
        "this host has not so much memory",
        "give the platform less `memory`, or end what else runs here",
    ),
    (
        r"No space left on device|disk quota exceeded",
        "the disk is full",
        "harness images prune; harness snapshot prune --all; or put HARNESS_CACHE_DIR elsewhere",
    ),
    (
        r"already exists with uuid|already exists",
        "its name is taken by a domain that is not of the harness",
        "virsh list --all tells which; virsh undefine removes it",
    ),
    (
        r"could not access KVM|kvm.*(permission denied|not available|not supported)|failed to initialize kvm",
        "KVM cannot be used",
        "`acceleration: tcg` goes without it; else: usermod -aG kvm USER, then log in again",
    ),
    (
        r"authentication (unavailable|failed)|access denied|polkit",
        "this user may not use the system's libvirtd",
        "sudo usermod -aG libvirt $USER, then log in again; or use `uri: qemu:///session`, which needs no right",
    ),
    (
        r"network is already in use|overlaps|bridge.*(exists|File exists)",
        "another network has its addresses",
        "virsh net-list --all; harness destroy --orphans",
    ),
    (
        r"(dnsmasq|iptables|nft|firewall).*(not found|No such file|cannot|failed)",
        "libvirtd cannot make a network here",
        "apt-get install dnsmasq-base iptables; or `network: user`, which needs neither",
    ),
    (
        r"TUN|vhost-net|bridge.*(not permitted|permitted)|Unable to create bridge",
        "libvirtd may not make a bridge here",
        "`network: user` needs none",
    ),
    (
        r"unsupported configuration.*(machine|CPU|cpu)|CPU.*(not supported|unknown)|does not support",
        "this QEMU does not do what the platform asks for",
        "virsh domcapabilities tells what it does",
    ),
    (
        r"[Pp]ermission denied",
        "QEMU may not read or write there",
        "every folder above it must be passable for this user",
    ),
)


@dataclass(frozen=True)
class Hypervisor:
    """A libvirt daemon that has been reached. `connection` is libvirt's own, safe to share between threads."""

    uri: str
    connection: Any

    @property
    def path(self) -> str:
        return urlsplit(self.uri).path

    @property
    def elsewhere(self) -> bool:
        """It is another machine's, as far as its name tells: its files and sockets are not ours."""
        return (urlsplit(self.uri).hostname or "localhost") not in (
            "localhost",
            "127.0.0.1",
            "::1",
            socket.gethostname(),
        )

    @property
    def privileged(self) -> bool:
        """It is the system's: it may make networks, and QEMU runs as whom it is told."""
        return self.path.rstrip("/").endswith("/system") or (not self.elsewhere and _is_root())

    def processor(self) -> str:
        """The host's, as libvirt describes it. Raises libvirtError."""
        from xml.etree import ElementTree

        found = ElementTree.fromstring(self.connection.getCapabilities()).find("host/cpu")
        return ElementTree.tostring(found, encoding="unicode") if found is not None else ""

    def close(self) -> None:
        import libvirt

        with suppress(libvirt.libvirtError):  # it was cut off
            self.connection.close()


def _is_root() -> bool:
    return sys.platform != "win32" and os.geteuid() == 0


def default_uri() -> str:
    """LIBVIRT_DEFAULT_URI; else the system's daemon for root, and the user's own for everybody else."""
    return os.environ.get("LIBVIRT_DEFAULT_URI") or ("qemu:///system" if _is_root() else "qemu:///session")


def connect(uri: str) -> Hypervisor:
    """Raises DriverFailed with the cure."""
    try:
        import libvirt
    except ImportError as error:
        raise DriverFailed(
            f"the libvirt driver needs libvirt-python ({error})",
            hint="apt-get install libvirt-dev pkg-config gcc, then pip install 'harness-e2e[libvirt]'",
        ) from error
    # Or every error, expected ones too, is written to stderr.
    libvirt.registerErrorHandler(lambda _context, _error: None, None)
    if urlsplit(uri).scheme.partition("+")[0] != "qemu":
        raise DriverFailed(f"{uri!r} is no QEMU of libvirt's", hint="qemu:///session, qemu:///system, qemu+ssh://...")
    try:
        return Hypervisor(uri, libvirt.open(uri))
    except libvirt.libvirtError as error:
        raise _unreachable(uri, str(error)) from error


def _unreachable(uri: str, words: str) -> DriverFailed:
    if re.search(r"authentication|polkit|access denied", words, re.IGNORECASE):
        return failure("", words)
    if "No such file" in words or "Connection refused" in words:
        return DriverFailed(
            f"no libvirtd answers at {uri}: {words}",
            hint=f"{SETUP}; with systemd: systemctl start libvirtd",
        )
    if re.search(r"[Pp]ermission denied", words):
        return DriverFailed(
            f"this user may not use libvirtd at {uri}: {words}",
            hint="sudo usermod -aG libvirt $USER, then log in again; or use `uri: qemu:///session`",
        )
    return DriverFailed(f"libvirt at {uri} cannot be reached: {words}", hint=SETUP)


@contextmanager
def explained(name: str) -> Iterator[None]:
    """Turns libvirt's errors into ours. `name` is a platform's, or empty."""
    import libvirt

    try:
        yield
    except libvirt.libvirtError as error:
        raise failure(name, str(error)) from error


def failure(name: str, words: str) -> DriverFailed:
    start = f"{name}: " if name else ""
    for pattern, meaning, cure in _KNOWN:
        if re.search(pattern, words, re.IGNORECASE | re.DOTALL):
            return DriverFailed(f"{start}{meaning}: {words}", hint=cure)
    return DriverFailed(f"{start}libvirt refused: {words}")


def is_missing(error: BaseException) -> bool:
    """Whether the error is that there is no such domain or network, or that it does not run."""
    import libvirt

    known = (libvirt.VIR_ERR_NO_DOMAIN, libvirt.VIR_ERR_NO_NETWORK, libvirt.VIR_ERR_OPERATION_INVALID)
    return isinstance(error, libvirt.libvirtError) and error.get_error_code() in known


def remember(uri: str) -> None:
    """Before anything is made there, so that what is left can be found without its scenario."""
    path = _written(uri)
    if not path.exists():
        write_atomically(path, uri)


def is_remembered(uri: str) -> bool:
    return _written(uri).exists()


def _written(uri: str) -> Path:
    return cache_dir() / "libvirt" / "uris" / hashlib.sha256(uri.encode()).hexdigest()[:16]


def known() -> list[str]:
    """The usual one first."""
    found = [default_uri()]
    for path in sorted((cache_dir() / "libvirt" / "uris").glob("*")):
        uri = path.read_text(encoding="utf-8", errors="replace").strip()
        if uri and uri not in found and not path.name.startswith("."):
            found.append(uri)
    return found
