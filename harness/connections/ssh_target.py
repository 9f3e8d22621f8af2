"""What leads to a host: what a platform says of itself, and what OpenSSH's own client makes of the user's config."""

from __future__ import annotations

import getpass
import hashlib
import os
import re
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from harness.connections import ssh_config
from harness.connections.ssh_config import Words
from harness.errors import TransportFailed
from harness.models.endpoint import Ssh

CONNECT_SECONDS = 30.0
_MOST_JUMPS = 16
_IDENTITIES = tuple(f"~/.ssh/id_{kind}" for kind in ("rsa", "ecdsa", "ecdsa_sk", "ed25519", "ed25519_sk", "dsa"))
_KNOWN_HOSTS = ("~/.ssh/known_hosts", "~/.ssh/known_hosts2", "/etc/ssh/ssh_known_hosts", "/etc/ssh/ssh_known_hosts2")
_JUMP = re.compile(
    r"(?:ssh://)?(?:(?P<user>.+)@)?(?:\[(?P<six>[^\]]+)\]|(?P<host>[^:]+|.*:.*:.*?))(?::(?P<port>\d+))?/?"
)


@dataclass(frozen=True)
class Target:
    """One sshd on the way, and how to be let in by it. Files are absolute."""

    name: str
    """As it was asked for: perhaps an alias of the user's ssh config."""
    host: str
    port: int
    user: str
    final: str | None = None
    """Of a jump host: the place that lies behind it."""
    proxy_command: str | None = None
    proxy_passes_socket: bool = False
    named: bool = False
    """The platform itself names the identities: they have to be there, and no other is offered."""
    identities: tuple[str, ...] = _IDENTITIES
    certificates: tuple[str, ...] = ()
    identities_only: bool = False
    agent: str | None = None
    """Its socket."""
    password_env: str | None = None
    password_file: str | None = None
    known_hosts: tuple[str, ...] = _KNOWN_HOSTS
    known_hosts_named: bool = False
    """The platform itself names the file: it has to be there."""
    key_alias: str | None = None
    learns: bool = False
    """A host of which no key is known is believed, and its key is written down."""
    notebook: str | None = None
    """There."""
    hashes: bool = False
    preferred: tuple[str, ...] = ()
    """The methods of authentication, in order; empty: any."""
    connect_seconds: float = CONNECT_SECONDS
    environment: Mapping[str, str] = field(default_factory=dict)
    """What sshd is asked to put into the environment of a session."""
    algorithms: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """By ssh_config(5)'s keyword in lower case; those that are not there are asyncssh's own."""
    options: Mapping[str, Any] = field(default_factory=lambda: {"gss_host": None})
    """Of asyncssh, as they are."""
    unheard: tuple[str, ...] = ()
    """Settings that might have let us in, and that are not honoured."""

    @property
    def address(self) -> str:
        port = f" port {self.port}" if self.port != 22 else ""
        return f"{self.user}@{self.host}{port}"

    @property
    def place(self) -> str:
        """`root@10.0.0.7 port 2222 (web)`, for a person."""
        alias = f" ({self.name})" if self.name.lower() != self.host else ""
        jump = "the jump host " if self.final else ""
        return f"{jump}{self.address}{alias}" + (f" on the way to {self.final}" if self.final else "")


def route(endpoint: Ssh) -> tuple[Target, ...]:
    """The jump hosts in their order, and the machine. Raises TransportFailed where the ssh config is wrong, or asks for
    something that cannot be done."""
    words = _words(endpoint, endpoint.host, endpoint.user, endpoint.port, _overruling(endpoint))
    ssh_config.refuse(words, endpoint.host)
    command = endpoint.proxy_command
    if command is not None and endpoint.proxy_passes_socket:
        command += " --fdpass"
    last = _by_platform(_target(endpoint.host, words, endpoint.user, endpoint.port, command), endpoint)
    jump = words.one("proxyjump") or (None if endpoint.proxy_command else endpoint.proxy_jump) or "none"
    hops = () if jump.lower() == "none" else _hops(endpoint, jump, last.place, 0)
    return (*hops, replace(last, proxy_command=None) if hops else last)


def _by_platform(target: Target, endpoint: Ssh) -> Target:
    """With what the platform says besides."""
    target = replace(
        target,
        password_env=endpoint.password_env,
        password_file=endpoint.password_file,
        proxy_passes_socket=endpoint.proxy_passes_socket or target.proxy_passes_socket,
    )
    has_password = bool(endpoint.password_env or endpoint.password_file)
    if endpoint.identities or (has_password and not endpoint.use_config):
        target = replace(target, identities=endpoint.identities, named=True, identities_only=True)
    elif has_password and not target.preferred:
        # An agent full of keys would use up the attempts that sshd grants.
        target = replace(target, preferred=("password", "keyboard-interactive", "publickey", "gssapi-with-mic"))
    if endpoint.known_hosts is not None:
        target = replace(target, known_hosts=(endpoint.known_hosts,), known_hosts_named=True, learns=False)
    return target


def _overruling(endpoint: Ssh) -> list[str]:
    """What the platform says itself comes first."""
    if endpoint.proxy_command is not None:
        return ["-o", f"ProxyCommand={endpoint.proxy_command}"]
    return ["-o", f"ProxyJump={endpoint.proxy_jump}"] if endpoint.proxy_jump is not None else []


def _hops(endpoint: Ssh, jump: str, final: str, depth: int) -> tuple[Target, ...]:
    """As ssh(1) does it: the first one is reached as the config says, each other one through the one before it."""
    found: list[Target] = []
    for number, text in enumerate(jump.split(",")):
        parts = _JUMP.fullmatch(text.strip())
        if parts is None:
            raise TransportFailed(f"{text!r} is no jump host", hint="it should be [USER@]HOST[:PORT]")
        host, user = parts["six"] or parts["host"], parts["user"]
        port = int(parts["port"]) if parts["port"] else None
        words = _words(endpoint, host, user, port, ["-o", "ProxyJump=none"] if number else [])
        target = replace(_target(host, words, user, port), final=final, environment={})
        further = words.one("proxyjump") or "none"
        if number == 0 and further.lower() != "none":
            if depth >= _MOST_JUMPS:
                raise TransportFailed(f"the jump hosts of {final} lead in a circle", hint="see ProxyJump in the config")
            found += _hops(endpoint, further, final, depth + 1)
        found.append(replace(target, proxy_command=None) if found else target)
    return tuple(found)


def _words(endpoint: Ssh, host: str, user: str | None, port: int | None, options: list[str]) -> Words:
    return ssh_config.ask(host, user, port, options) if endpoint.use_config else Words()


def _target(name: str, words: Words, user: str | None, port: int | None, proxy_command: str | None = None) -> Target:
    me = _me()
    host, port = words.one("hostname") or name, port or int(words.one("port") or 22)
    target = Target(name, host, port, user or words.one("user") or me, proxy_command=proxy_command)
    target = _configured(target, words) if words else replace(target, agent=os.environ.get("SSH_AUTH_SOCK") or None)
    expand = Tokens(target, me)
    return replace(
        target,
        identities=tuple(map(expand.path, target.identities)),
        certificates=tuple(map(expand.path, target.certificates)),
        known_hosts=tuple(map(expand.path, target.known_hosts)),
        notebook=expand.path(target.notebook) if target.notebook else None,
        agent=expand.path(target.agent) if target.agent else None,
        proxy_command=expand(target.proxy_command) if target.proxy_command else None,
    )


def _configured(target: Target, words: Words) -> Target:
    seconds = words.number("connecttimeout")
    return replace(
        target,
        proxy_command=words.one("proxycommand"),
        proxy_passes_socket=words.yes("proxyusefdpass"),
        identities=words.files("identityfile"),
        certificates=words.files("certificatefile"),
        identities_only=words.yes("identitiesonly"),
        agent=words.agent(),
        known_hosts=(*words.files("userknownhostsfile"), *words.files("globalknownhostsfile")),
        notebook=next(iter(words.files("userknownhostsfile")), None),
        key_alias=words.one("hostkeyalias"),
        learns=words.one("stricthostkeychecking") in ("accept-new", "no", "off", "false"),
        hashes=words.yes("hashknownhosts"),
        preferred=words.commas("preferredauthentications"),
        connect_seconds=seconds or CONNECT_SECONDS,
        environment=words.environment(),
        algorithms={name: words.commas(name) for name in ssh_config.ALGORITHMS},
        options=words.options(),
        unheard=words.unheard(),
    )


def _me() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # in a container, for one, that knows the user by number only
        return ssh_config.user_id()


class Tokens:
    """Replaces them, and the user's home and environment variables in the names of files (ssh_config(5), TOKENS)."""

    def __init__(self, target: Target, me: str) -> None:
        here = socket.gethostname()
        joined = f"{here}{target.host}{target.port}{target.user}"
        self._values = {
            "%": "%", "h": target.host, "n": target.name, "p": str(target.port), "r": target.user, "u": me,
            "l": here, "L": here.split(".")[0], "d": str(Path("~").expanduser()), "i": ssh_config.user_id(),
            "k": target.key_alias or target.name, "j": "", "C": hashlib.sha1(joined.encode()).hexdigest(),
        }  # fmt: skip

    def __call__(self, text: str) -> str:
        return re.sub("%(.)", lambda match: self._values.get(match[1], match[0]), text)

    def path(self, text: str) -> str:
        text = re.sub(r"\$\{(\w+)\}", lambda match: os.environ.get(match[1], ""), text)
        return str(Path(self(text)).expanduser().absolute())
