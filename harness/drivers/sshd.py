"""sshd inside an instance that a driver made: keys, its start, and the endpoint it gives.

It is a daemon of ours beside whatever sshd the platform has: with a configuration and a port of its own, so that a plan
may install, configure and break the platform's. All that belongs to it lies on a tmpfs of the platform, which no
snapshot holds. Both sides' keys are made here, so that nothing is trusted on first use.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
import shutil
import socket
from dataclasses import dataclass
from pathlib import Path
from shlex import quote
from typing import Literal, Self

from pydantic import Field, model_validator

from harness.connections import open_connection
from harness.deadline import Deadline, poll
from harness.errors import DriverFailed, NotReady
from harness.models.endpoint import Endpoint, Sandbox, Ssh
from harness.models.serde import StrictModel

_PORT = 2222
"""Not 22: that is the platform's own sshd's."""
_BASES, _FOLDER = ("run", "dev/shm"), "harness-sshd"
"""Where in the platform all that belongs to it lies: in the first of these that is a tmpfs."""
_NO_SSHD, _NO_USER, _NOT_ROOT = 90, 91, 92


class SshdSettings(StrictModel):
    """How `connection: ssh` reaches a platform."""

    user: str = Field(default="root", min_length=1)
    """Who logs in. The user must exist when the platform is created; the harness's own steps want root."""
    port: int = Field(default=_PORT, ge=1, le=65535)
    """Where the harness's own sshd listens inside."""


class OffersSsh(StrictModel):
    """The keys of a platform that can be reached through sshd."""

    connection: Literal["direct", "ssh"] = "direct"
    """`ssh`: through an sshd that runs inside, as a machine is reached; `direct`: the driver's own way in."""
    ssh: SshdSettings = Field(default_factory=SshdSettings)

    @model_validator(mode="after")
    def _ssh_is_used(self) -> Self:
        if "ssh" in self.model_fields_set and self.connection != "ssh":
            raise ValueError("`ssh` needs `connection: ssh`")
        return self


@dataclass(frozen=True)
class Keys:
    """The private key that logs in and the one that sshd shows, in one folder of mode 0700 on this machine."""

    folder: Path

    @property
    def identity(self) -> Path:
        return self.folder / "id_ed25519"

    @property
    def host_key(self) -> Path:
        return self.folder / "host_key"

    @property
    def known_hosts(self) -> Path:
        return self.folder / "known_hosts"

    @classmethod
    def at(cls, folder: Path) -> Keys:
        """Those that lie there, or new ones. Raises DriverFailed."""
        if not folder.is_dir():
            folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            draft = folder.with_name(f".{folder.name}.{secrets.token_hex(8)}")
            try:
                draft.mkdir(mode=0o700)
                for name in ("id_ed25519", "host_key"):
                    private, public = key_pair()
                    _write(draft / name, private)
                    _write(draft / f"{name}.pub", public)
                with contextlib.suppress(FileExistsError, OSError):  # another process was faster
                    draft.rename(folder)
            finally:
                shutil.rmtree(draft, ignore_errors=True)
        return cls(folder)

    def public(self, private: Path) -> str:
        return private.with_name(f"{private.name}.pub").read_text().strip()

    def trust(self, host: str, port: int) -> None:
        """Believe this address, and none other, with our host key (sshd(8), SSH_KNOWN_HOSTS FILE FORMAT)."""
        name = host if port == 22 else f"[{host}]:{port}"
        text = f"{name} {self.public(self.host_key)}\n"
        if self.known_hosts.exists() and self.known_hosts.read_text() == text:
            return
        self._put("known_hosts", text)

    def started(self, running: str) -> bool:
        """Whether sshd was started as this text tells it."""
        try:
            return (self.folder / "started").read_text() == running
        except OSError:
            return False

    def remember(self, running: str) -> None:
        with contextlib.suppress(OSError):  # next time it is looked at more closely
            self._put("started", running)

    def _put(self, name: str, text: str) -> None:
        fresh = self.folder / f".{name}.{secrets.token_hex(8)}"
        _write(fresh, text)
        fresh.replace(self.folder / name)


@dataclass(frozen=True)
class Way:
    """How sshd in an instance is reached from this machine."""

    host: str
    port: int
    listen: tuple[str, ...]
    """The addresses inside at which sshd listens."""
    proxy_command: str | None = None
    proxy_passes_socket: bool = False
    sandbox: Sandbox | None = None


def offer(
    inner: Endpoint, name: str, settings: SshdSettings, keys: Keys, way: Way, *, systemd: bool, deadline: Deadline
) -> Ssh:
    """Have sshd run in the instance behind `inner`; what runs already is left alone.

    Raises DriverFailed where there is no sshd or no such user, NotReady when it does not answer by the deadline.
    """
    keys.trust(way.host, way.port)
    script = _script(settings, keys, way, systemd=systemd)
    running = f"{inner.model_dump_json()} {hashlib.sha256(script.encode()).hexdigest()}"
    if not (keys.started(running) and _answers(way)):
        _start(inner, name, settings, keys, script, deadline)
        if way.proxy_command is None:
            _wait_for_banner(name, way, deadline)
        keys.remember(running)
    return Ssh(
        host=way.host,
        port=way.port,
        user=settings.user,
        identities=(str(keys.identity),),
        known_hosts=str(keys.known_hosts),
        proxy_command=way.proxy_command,
        proxy_passes_socket=way.proxy_passes_socket,
        sandbox=way.sandbox,
        environment=getattr(inner, "environment", {}),
    )


def _start(inner: Endpoint, name: str, settings: SshdSettings, keys: Keys, script: str, deadline: Deadline) -> None:
    """Raises DriverFailed."""
    with open_connection(inner, name=name) as connection:
        done = connection.run(
            ["sh", "-c", script], stdin=keys.host_key.read_bytes(), timeout=max(1.0, deadline.remaining())
        )
    if done.rc == _NO_SSHD:
        raise DriverFailed(
            f"{name}: `connection: ssh` needs sshd, and there is none in it",
            hint="the image debian-12 has it, docker/debian-12-sshd as well; or install openssh-server in yours",
        )
    if done.rc == _NO_USER:
        raise DriverFailed(f"{name}: there is no user {settings.user!r} in it to log in as", hint="see `ssh: {user: }`")
    if done.rc == _NOT_ROOT:
        raise DriverFailed(
            f"{name}: sshd must be started by root", hint="leave out the platform's `user`; `ssh: {user: }` logs in"
        )
    if not done.ok:
        words = " ".join((done.err.strip() or done.out.strip() or f"status {done.rc}").split("\n")[-3:])
        hint = f"`ssh: {{port: }}` names a port other than {settings.port}" if "in use" in words else None
        raise DriverFailed(f"{name}: its sshd did not start: {words}", hint=hint)


def _answers(way: Way) -> bool:
    """Whether an sshd is seen to be there."""
    try:
        if way.sandbox is None:
            return _greets(socket.create_connection((way.host, way.port), timeout=1.0))
        # Not by knocking: sshd forks, and executes itself, for each connection.
        return any(_runs(Path(f"/proc/{way.sandbox.pid}/root"), base) for base in _BASES)
    except OSError:
        return False


def _runs(root: Path, base: str) -> bool:
    """Whether the process that sshd names as its own is one, in the tree of files of a sandbox. It writes that down
    once it listens."""
    try:
        pid = int((root / base / _FOLDER / "pid").read_text())
        return (root / "proc" / str(pid) / "comm").read_text() == "sshd\n"
    except (OSError, ValueError):
        return False


def _greets(connected: socket.socket, timeout: float = 1.0) -> bool:
    """Raises OSError."""
    with connected:
        connected.settimeout(timeout)
        return connected.recv(4) == b"SSH-"


def _wait_for_banner(name: str, way: Way, deadline: Deadline) -> None:
    def greeted(last: bool) -> bool | None:
        try:
            patience = max(0.1, min(5.0, deadline.remaining()))
            if _greets(socket.create_connection((way.host, way.port), timeout=patience), patience):
                return True
            words = "something else answers there"
        except OSError as error:
            words = str(error)
        if last:
            raise NotReady(
                f"{name}: sshd listens in it, but {way.host} port {way.port} does not answer from here: {words}",
                hint="the containers' addresses must be reachable: does a firewall, or a virtual machine, lie between?",
            )
        return None

    poll(greeted, deadline)


def _script(settings: SshdSettings, keys: Keys, way: Way, *, systemd: bool) -> str:
    listen = "\n".join(f"ListenAddress {address}" for address in way.listen)
    return _SCRIPT.format(
        user=quote(settings.user),
        authorized=quote(keys.public(keys.identity)),
        config=quote(_CONFIG.format(port=settings.port, listen=listen)),
        start=_BY_SYSTEMD if systemd else _BY_ITSELF,
        bases=" ".join(f"/{base}" for base in _BASES),
        folder=_FOLDER,
        no_sshd=_NO_SSHD,
        no_user=_NO_USER,
        not_root=_NOT_ROOT,
    )


_CONFIG = """\
Port {port}
{listen}
HostKey FOLDER/host_key
PidFile FOLDER/pid
AuthorizedKeysFile FOLDER/authorized_keys
# The folder may lie in /dev/shm, which everybody may write to.
StrictModes no
PermitRootLogin prohibit-password
PubkeyAuthentication yes
PasswordAuthentication no
KbdInteractiveAuthentication no
AllowTcpForwarding yes
MaxSessions 100
Subsystem sftp internal-sftp
AcceptEnv LANG LC_*
PrintMotd no
UseDNS no
"""
# Without PAM sshd lets nobody in whose password is locked (auth.c, allowed_user), as useradd leaves it.
_SCRIPT = """
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin
sshd=$(command -v sshd) || exit {no_sshd}
id -u {user} >/dev/null 2>&1 || exit {no_user}
[ "$(id -u)" = 0 ] || exit {not_root}
folder=
for base in {bases}; do
case $(stat -f -c %T $base 2>/dev/null) in tmpfs) folder=$base/{folder}; break;; esac
done
folder=${{folder:-/run/{folder}}}
config=$(printf '%s\n' {config} | sed "s|FOLDER|$folder|")
case $(getent shadow {user} 2>/dev/null || grep "^"{user}: /etc/shadow 2>/dev/null) in
*:!*) config="$config
UsePAM yes";;
esac
runs() {{ pid=$(cat "$folder/pid" 2>/dev/null) && [ "$(cat "/proc/$pid/comm" 2>/dev/null)" = sshd ]; }}
umask 077
if [ -e "$folder" ] && [ ! -O "$folder" ]; then echo "$folder is not root's" >&2; exit 1; fi
mkdir -p "$folder" /run/sshd && chmod 755 "$folder" /run/sshd || exit 1
if runs && [ "$(cat "$folder/sshd_config")" = "$config" ]; then exit 0; fi
cat >"$folder/host_key" && printf '%s\n' "$config" >"$folder/sshd_config" || exit 1
printf '%s\n' {authorized} >"$folder/authorized_keys" && chmod 644 "$folder/authorized_keys" || exit 1
"$sshd" -t -f "$folder/sshd_config" || exit 1
umask 022 # that of sshd is that of every session
{start}
"""
_BY_ITSELF = """
! runs || kill "$pid"
for left in 1 2 3 4 5 6 7 8 9 0; do
"$sshd" -f "$folder/sshd_config" -E "$folder/log" && exit 0
runs && exit 0
sleep 0.1
done
tail -n 3 "$folder/log" >&2
exit 1
"""
# The child of PID 1 takes itself for a daemon already and does not fork; and not every sshd knows `Type=notify`. Its
# process id is written once it listens.
_BY_SYSTEMD = """
mkdir -p /run/systemd/system
rm -f "$folder/pid"
cat >/run/systemd/system/harness-sshd.service <<END
[Unit]
Description=sshd of the harness
[Service]
ExecStart=$sshd -D -f $folder/sshd_config -E $folder/log
KillMode=process
Restart=on-failure
END
systemctl daemon-reload && systemctl restart harness-sshd || exit 1
for left in 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0; do
! runs || exit 0
sleep 0.05
done
tail -n 3 "$folder/log" >&2
exit 1
"""


def key_pair() -> tuple[str, str]:
    """A new ed25519 key in OpenSSH's format, and its public half with a newline. Raises DriverFailed."""
    try:
        from cryptography.hazmat.primitives import serialization
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    except ImportError as error:
        raise DriverFailed("`connection: ssh` needs asyncssh", hint="pip install 'harness-e2e[ssh]'") from error
    key = Ed25519PrivateKey.generate()
    form = serialization.PrivateFormat.OpenSSH
    private = key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())
    public = key.public_key().public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
    return private.decode(), public.decode() + " harness\n"


def _write(path: Path, text: str) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
