"""What went wrong with an SSH connection, in words that name the cause."""

from __future__ import annotations

import errno
import socket
from dataclasses import dataclass, field
from typing import Any

from harness.connections.ssh_known_hosts import Known
from harness.connections.ssh_library import asyncssh
from harness.connections.ssh_target import Target
from harness.errors import TransportFailed, Unreachable
from harness.models.endpoint import Ssh

_UNREACHABLE = (errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ENETDOWN, errno.EHOSTDOWN)
_SSHD = (b"SSH-", b"Exceeded MaxStartups", b"Not allowed at this time")
LOCKED = "it has a passphrase"


@dataclass
class Attempt(asyncssh.SSHClient):
    """One try to connect to one sshd, as far as it got."""

    target: Target
    asked: list[str] = field(default_factory=list)
    """The methods by which the server would let somebody in, as far as they were tried."""
    unusable: dict[str, str] = field(default_factory=dict)
    """Identity files that were not offered, and why."""
    known: Known | None = None
    learned: asyncssh.SSHKey | None = None
    """The key of a host of which none was known, believed."""
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

    def kbdint_auth_requested(self) -> Any:
        """asyncssh answers one question for a password by the password."""
        self.asked.append("keyboard-interactive")
        return NotImplemented

    def validate_host_public_key(self, host: str, addr: str, port: int, key: asyncssh.SSHKey) -> bool:
        if not self.target.learns or self.known is None or not self.known.is_new:
            return False
        self.learned = key
        return True

    @property
    def greeted(self) -> bool:
        """Whether sshd has sent its banner."""
        return self.connection is not None and bool(self.connection.get_extra_info("server_version"))

    @property
    def stranger(self) -> str | None:
        """What was heard from something that is no sshd; an sshd may turn somebody away without a banner."""
        heard = bytes((self.connection and self.connection.get_extra_info("heard")) or b"")
        if self.greeted or not heard.strip() or heard.startswith(_SSHD):
            return None
        return repr(heard.decode(errors="replace").strip().splitlines()[0][:80])


_OLD = (
    "perhaps its sshd is very old, or very strict: KexAlgorithms, Ciphers, MACs and HostKeyAlgorithms of the ssh "
    "config say what is tried (`HostKeyAlgorithms +ssh-rsa`, for one)"
)


def place(endpoint: Ssh) -> str:
    """`root@10.0.0.7 port 2222`, as far as it is told."""
    user = f"{endpoint.user}@" if endpoint.user else ""
    port = f" port {endpoint.port}" if endpoint.port not in (None, 22) else ""
    return f"{user}{endpoint.host}{port}"


def explained(label: str, error: BaseException, attempt: Attempt, seconds: float, said: str = "") -> TransportFailed:
    """The error for a person. `seconds` is the limit that a connection had, `said` what its proxy command says."""
    if isinstance(error, TransportFailed):
        return TransportFailed(f"{label}: {error.message.removeprefix(f'{label}: ')}", hint=error.hint)
    message, hint = _words(error, attempt, seconds)
    message += f"; its proxy command says: {said}" if said else ""
    if isinstance(error, asyncssh.ChannelOpenError):
        passing = error.code != asyncssh.OPEN_ADMINISTRATIVELY_PROHIBITED
        return (Unreachable if passing else TransportFailed)(f"{label}: {message}", hint=hint)
    lasting = (asyncssh.PermissionDenied, asyncssh.HostKeyNotVerifiable, asyncssh.KeyExchangeFailed, socket.gaierror)
    passing = isinstance(error, OSError | asyncssh.ConnectionLost) and not isinstance(
        error, (*lasting, FileNotFoundError)
    )
    passing = passing and attempt.stranger is None
    return (Unreachable if passing else TransportFailed)(f"{label}: {message}", hint=hint)


def _words(error: BaseException, attempt: Attempt, seconds: float) -> tuple[str, str | None]:
    where = attempt.target.place
    match error:
        case asyncssh.PermissionDenied():
            return _not_let_in(where, attempt)
        case asyncssh.HostKeyNotVerifiable() if not error.reason.startswith("Host key is not trusted"):
            return (
                f"the host key of {where} is not believed: {error.reason}",
                "see known_hosts, and its certificate",
            )
        case asyncssh.HostKeyNotVerifiable():
            return _host_key(where, attempt)
        case asyncssh.KeyExchangeFailed():
            if "host key" in str(error):
                return _host_key(where, attempt)
            return f"{where} and this machine have no algorithm in common: {error}", _OLD
        case asyncssh.ChannelOpenError():
            return (
                f"the jump host has no way to {where}: {error.reason}",
                "is its sshd running there, at that port, and may the jump host forward (AllowTcpForwarding)?",
            )
        case asyncssh.ProtocolError() if "authentication failures" in str(error):
            return (
                f"{where} does not let this user in: it ended the attempt after too many keys (MaxAuthTries)",
                (
                    "name the right key: `identity_file` on the platform, or IdentityFile with IdentitiesOnly yes in "
                    "the ssh config"
                ),
            )
        case asyncssh.KeyEncryptionError() | asyncssh.KeyImportError():
            return f"the identity file cannot be used: {error}", "unlock it: ssh-add FILE; or name another one"
        case TimeoutError() | asyncssh.ConnectionLost() | asyncssh.ProtocolError() if attempt.stranger is not None:
            return f"what answers at {where} is no sshd: it says {attempt.stranger}", "is the port right?"
        case TimeoutError() if attempt.connection is not None and not attempt.greeted:
            return (
                f"{where} takes connections and says nothing: it does not answer within {seconds:.3g} s",
                "is the port right, and is its sshd overloaded, or frozen?",
            )
        case TimeoutError():
            return f"{where} does not answer within {seconds:.3g} s", "is it up, and does a firewall drop packets?"
        case socket.gaierror():
            way = f", and so not reached: {where}" if attempt.target.final else ""
            return (
                f"the name {attempt.target.host!r} cannot be resolved: {error.strerror}{way}",
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
                f"try again; its sshd's own log tells more{'' if attempt.asked else '. ' + _OLD}",
            )
        case _:
            return f"no connection to {where}: {error}", "ssh -v, to the same place, tells more"


def _not_let_in(where: str, attempt: Attempt) -> tuple[str, str | None]:
    target = attempt.target
    password = target.password_env or target.password_file
    tried = [f"{file}{_why(attempt, file)}" for file in target.identities if target.named]
    if not target.named:
        tried = ["the keys of the ssh config, of the agent and the default ones"]
        tried += [f"not {file}{_why(attempt, file)}" for file in attempt.unusable]
    tried += [f"the password of {password}"] if password else []
    takes = ", ".join(dict.fromkeys(attempt.asked)) or "none of the methods that were tried"
    locked = next((file for file, why in attempt.unusable.items() if why == LOCKED), None)
    hint = f"`ssh-add {locked}` gives the agent a key with a passphrase; " if locked else ""
    if target.final:
        hint += "`identity_file` and `password` are for the machine behind it: the ssh config names a jump host's key; "
    hint += "is the key among the user's authorized_keys, the password right, and may this user log in there?"
    return f"{where} does not let this user in; tried: {', '.join(tried)}; it takes: {takes}", hint + _unheard(target)


def _why(attempt: Attempt, file: str) -> str:
    return f" ({attempt.unusable[file]})" if file in attempt.unusable else ""


def _unheard(target: Target) -> str:
    return f"; the ssh config's {', '.join(target.unheard)} is not honoured here" if target.unheard else ""


def _host_key(where: str, attempt: Attempt) -> tuple[str, str | None]:
    target = attempt.target
    file = next(iter(target.known_hosts), "any known_hosts")
    name = target.key_alias or target.host
    name = name if target.port == 22 or target.key_alias else f"[{target.host}]:{target.port}"
    if attempt.known is not None and not attempt.known.is_new:
        return (
            f"the host key of {where} is not the one in {file}: it has changed, or another machine answers",
            f"if it was changed on purpose: ssh-keygen -f {file} -R '{name}'",
        )
    alias = f" as {target.key_alias}" if target.key_alias else ""
    port = f"-p {target.port} " if target.port != 22 else ""
    return (
        f"the host key of {where} is not known: it is not in {file}{alias}",
        (
            f"ssh-keyscan {port}{target.host} shows it; compare, and add it; or let `StrictHostKeyChecking accept-new` "
            f"in the ssh config add it{_unheard(target)}"
        ),
    )
