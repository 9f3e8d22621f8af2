"""What went wrong with an SSH connection, in words that name the cause."""

from __future__ import annotations

import errno
import socket
from dataclasses import dataclass, field
from pathlib import Path

from harness.connections.ssh_library import asyncssh
from harness.errors import TransportFailed, Unreachable
from harness.models.endpoint import Ssh

_UNREACHABLE = (errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ENETDOWN, errno.EHOSTDOWN)


@dataclass
class Attempt(asyncssh.SSHClient):
    """One try to connect, as far as it got."""

    endpoint: Ssh
    asked: list[str] = field(default_factory=list)
    """The methods by which the server would let somebody in, as far as they were tried."""
    locked: tuple[str, ...] = ()
    """Identity files that nobody but the agent could use, for want of their passphrase."""
    connection: asyncssh.SSHClientConnection | None = None
    lost: str | None = None
    """Why it broke after it had been made."""

    def connection_made(self, conn: asyncssh.SSHClientConnection) -> None:
        self.connection = conn

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost = str(exc) if exc is not None and str(exc) else "the host closed it"

    def public_key_auth_requested(self) -> None:
        self.asked.append("publickey")

    def password_auth_requested(self) -> None:
        self.asked.append("password")

    def kbdint_auth_requested(self) -> None:
        self.asked.append("keyboard-interactive")

    @property
    def greeted(self) -> bool:
        """Whether sshd has sent its banner."""
        return self.connection is not None and bool(self.connection.get_extra_info("server_version"))


def place(endpoint: Ssh) -> str:
    """`root@10.0.0.7 port 2222`, as far as it is told."""
    user = f"{endpoint.user}@" if endpoint.user else ""
    port = f" port {endpoint.port}" if endpoint.port not in (None, 22) else ""
    return f"{user}{endpoint.host}{port}"


def explained(label: str, error: BaseException, attempt: Attempt, seconds: float) -> TransportFailed:
    """The error for a person. `seconds` is the limit that a connection had."""
    if isinstance(error, TransportFailed):
        return TransportFailed(f"{label}: {error.message.removeprefix(f'{label}: ')}", hint=error.hint)
    message, hint = _words(error, attempt, seconds)
    lasting = (asyncssh.PermissionDenied, asyncssh.HostKeyNotVerifiable, asyncssh.KeyExchangeFailed, socket.gaierror)
    passing = isinstance(error, OSError | asyncssh.ConnectionLost) and not isinstance(
        error, (*lasting, FileNotFoundError)
    )
    return (Unreachable if passing else TransportFailed)(f"{label}: {message}", hint=hint)


def _words(error: BaseException, attempt: Attempt, seconds: float) -> tuple[str, str | None]:
    where = place(attempt.endpoint)
    match error:
        case _ if _is_the_jump_hosts(error, attempt):
            return _jump_host(where, error, attempt)
        case asyncssh.PermissionDenied():
            return _not_let_in(where, attempt)
        case asyncssh.HostKeyNotVerifiable():
            return _host_key(where, attempt)
        case asyncssh.KeyExchangeFailed():
            if "host key" in str(error):
                return _host_key(where, attempt)
            return (
                f"{where} and this machine have no algorithm in common: {error}",
                "its sshd is very old, or very strict",
            )
        case asyncssh.KeyEncryptionError() | asyncssh.KeyImportError():
            return f"the identity file cannot be used: {error}", "unlock it: ssh-add FILE; or name another one"
        case asyncssh.ConfigParseError():
            return f"the ssh config cannot be read: {error}", "see ~/.ssh/config"
        case TimeoutError():
            return f"{where} does not answer within {seconds:.3g} s", "is it up, and does a firewall drop packets?"
        case socket.gaierror():
            return (
                f"the name {attempt.endpoint.host!r} cannot be resolved: {error.strerror}",
                "is it spelled right, and does the ssh config name it?",
            )
        case OSError() if error.errno in _UNREACHABLE or "unreachable" in str(error) or "No route" in str(error):
            return f"there is no route to {where}", "is the address right, and the network between up?"
        case OSError() if error.errno == errno.ECONNREFUSED or f"[Errno {errno.ECONNREFUSED}]" in str(error):
            return f"{where} refuses connections", "is sshd running there, and at that port?"
        case FileNotFoundError():
            return f"{error.filename} does not exist", "it is named as an identity or known_hosts file"
        case asyncssh.ProtocolError() | asyncssh.ProtocolNotSupported() if not attempt.greeted:
            return f"what answers at {where} is no sshd: {error}", "is the port right?"
        case _ if not attempt.greeted and attempt.connection is not None:
            return (
                f"{where} closes connections before its banner",
                "sshd turns connections away (MaxStartups, PerSourcePenalties), or a proxy has no way to it",
            )
        case asyncssh.Error() | OSError():
            return (
                f"the connection to {where} broke during the handshake: {error}",
                "try again; its sshd's own log tells more",
            )
        case _:
            return f"no connection to {where}: {error}", "ssh -v, to the same place, tells more"


def _is_the_jump_hosts(error: BaseException, attempt: Attempt) -> bool:
    """Whether it was met before there was a connection to the machine itself."""
    if attempt.connection is not None:
        return False
    if isinstance(error, asyncssh.PermissionDenied | asyncssh.HostKeyNotVerifiable | asyncssh.KeyExchangeFailed):
        return True  # a ProxyJump of the ssh config, too
    return (
        attempt.endpoint.proxy_jump is not None and isinstance(error, OSError) and not isinstance(error, TimeoutError)
    )


def _jump_host(where: str, error: BaseException, attempt: Attempt) -> tuple[str, str | None]:
    jump = f"the jump host {attempt.endpoint.proxy_jump or ''}".rstrip() + f" on the way to {where}"
    match error:
        case asyncssh.PermissionDenied():
            return (
                f"{jump} does not let this user in",
                (
                    "`identity_file` and `password` are for the machine behind it; name the jump host's key in the ssh "
                    "config (`use_config: true`), or give it to the agent"
                ),
            )
        case asyncssh.HostKeyNotVerifiable() | asyncssh.KeyExchangeFailed():
            return (
                f"the host key of {jump} is not known, or not the one that is known: {error}",
                "`ssh` to it by hand tells which; it is looked up in your own known_hosts",
            )
        case _:
            return f"{jump} cannot be reached: {error}", "is its name right, and is its sshd running at that port?"


def _not_let_in(where: str, attempt: Attempt) -> tuple[str, str | None]:
    endpoint = attempt.endpoint
    tried = [f"{file} (it has a passphrase)" if file in attempt.locked else file for file in endpoint.identities]
    if not tried and not (endpoint.password_env or endpoint.password_file):
        tried = ["the keys of the ssh config, of the agent and the default ones"]
    if endpoint.password_env or endpoint.password_file:
        tried.append(f"the password of {endpoint.password_env or endpoint.password_file}")
    takes = ", ".join(dict.fromkeys(attempt.asked)) or "none of the methods that were tried"
    unlock = f"`ssh-add {attempt.locked[0]}` gives the agent a key with a passphrase; " if attempt.locked else ""
    return (
        f"{where} does not let this user in; tried: {', '.join(tried)}; it takes: {takes}",
        f"{unlock}is the key among the user's authorized_keys, the password right, and may this user log in there?",
    )


def _host_key(where: str, attempt: Attempt) -> tuple[str, str | None]:
    endpoint = attempt.endpoint
    file = endpoint.known_hosts or "~/.ssh/known_hosts"
    if _is_known(endpoint, Path(file).expanduser()):
        return (
            f"the host key of {where} is not the one in {file}: it has changed, or another machine answers",
            f"if it was changed on purpose: ssh-keygen -f {file} -R {_entry(endpoint)}",
        )
    return (
        f"the host key of {where} is not known: it is not in {file}",
        f"ssh-keyscan {f'-p {endpoint.port} ' if endpoint.port else ''}{endpoint.host} shows it; compare, and add it",
    )


def _is_known(endpoint: Ssh, file: Path) -> bool:
    try:
        keys, authorities, *_ = asyncssh.match_known_hosts(str(file), endpoint.host, "", endpoint.port)
    except (OSError, ValueError):
        return False
    return bool(keys or authorities)


def _entry(endpoint: Ssh) -> str:
    return endpoint.host if endpoint.port in (None, 22) else f"'[{endpoint.host}]:{endpoint.port}'"
