"""Whose host key is believed, and how one is written down (sshd(8), SSH_KNOWN_HOSTS FILE FORMAT)."""

from __future__ import annotations

import base64
import contextlib
import hmac
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.connections.ssh_library import asyncssh
from harness.connections.ssh_target import Target
from harness.errors import TransportFailed


@dataclass(frozen=True)
class Known:
    """What the files say of one host."""

    keys: tuple[Any, ...]
    authorities: tuple[Any, ...]
    revoked: tuple[Any, ...]

    @property
    def is_new(self) -> bool:
        return not (self.keys or self.authorities)


def known(target: Target) -> Known:
    """Files that are not there, and lines that are none, say nothing. Raises OSError for a file that the platform names
    and that cannot be read."""
    entries = asyncssh.SSHKnownHosts()
    for name in target.known_hosts:
        try:
            text = Path(name).read_text(errors="replace")
        except OSError:
            if target.known_hosts_named:
                raise
            continue
        for line in text.splitlines():
            with contextlib.suppress(ValueError):
                entries.load(line)
    port = target.port if target.port != 22 else None
    keys, authorities, revoked, *_ = entries.match(target.key_alias or target.host, "", port)
    return Known(tuple(keys), tuple(authorities), tuple(revoked))


def algorithms(target: Target, found: Known) -> dict[str, Any]:
    """As asyncssh's options: those of the ssh config that both it and the config know, and of host keys the ones that
    could be believed. Raises TransportFailed where none is left."""
    chosen: dict[str, Any] = {}
    for keyword, (option, possible) in _options().items():
        wanted = target.algorithms.get(keyword)
        if wanted is not None:
            both = [name for name in wanted if name in possible]
            if not both:
                raise TransportFailed(
                    f"of what the ssh config allows at {target.place} by {keyword} the harness has none: "
                    f"{','.join(wanted)}",
                    hint=f"it has: {','.join(name for name in possible if not name.startswith('gss-'))}",
                )
            chosen[option] = both
    if (wanted := chosen.get("server_host_key_algs")) is not None:
        believed = [name.decode() for key in found.keys for name in key.sig_algorithms]
        certified = [name for name in wanted if "-cert-v01@" in name] if found.authorities else []
        plain = [name for name in wanted if "-cert-v01@" not in name and (name in believed or not found.keys)]
        if found.authorities and not found.keys:
            plain = []
        chosen["server_host_key_algs"] = [*certified, *plain] or wanted
    return chosen


def learn(target: Target, key: Any) -> None:
    """Add it to the first file of the user; one that cannot be written is left alone, as ssh(1) does."""
    if target.notebook is None:
        return
    name = target.key_alias or (target.host if target.port == 22 else f"[{target.host}]:{target.port}")
    line = f"{_hashed(name) if target.hashes else name} {key.export_public_key().decode().strip()}\n"
    file = Path(target.notebook)
    with contextlib.suppress(OSError):
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with os.fdopen(os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600), "wb") as opened:
            opened.write(line.encode())


def _hashed(name: str) -> str:
    salt = os.urandom(20)
    digest = hmac.digest(salt, name.encode(), "sha1")
    return f"|1|{base64.b64encode(salt).decode()}|{base64.b64encode(digest).decode()}"


def _options() -> dict[str, tuple[str, list[str]]]:
    """By ssh_config(5)'s keyword: asyncssh's option, and all that it has."""
    from asyncssh.encryption import get_encryption_algs
    from asyncssh.kex import get_kex_algs
    from asyncssh.mac import get_mac_algs
    from asyncssh.public_key import get_certificate_algs, get_public_key_algs

    return {
        "kexalgorithms": ("kex_algs", [name.decode() for name in get_kex_algs()]),
        "ciphers": ("encryption_algs", [name.decode() for name in get_encryption_algs()]),
        "macs": ("mac_algs", [name.decode() for name in get_mac_algs()]),
        "hostkeyalgorithms": (
            "server_host_key_algs",
            [name.decode() for name in [*get_certificate_algs(), *get_public_key_algs()]],
        ),
    }
