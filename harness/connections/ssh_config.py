"""The user's ssh config, as OpenSSH's own client reads it: `ssh -G` tells what it would do.

Nobody else knows `Match exec`, `Include`, `CanonicalizeHostname`, patterns and the order of it all as well.
"""

from __future__ import annotations

import fnmatch
import os
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.errors import TransportFailed

ALGORITHMS = ("kexalgorithms", "ciphers", "macs", "hostkeyalgorithms")
_SYSTEM = Path("/etc/ssh/ssh_config")
_SECONDS = 30.0
"""`Match exec` may run anything."""
_FAMILIES = {"inet": socket.AF_INET, "inet6": socket.AF_INET6}
_REFUSED = {
    "remotecommand": "a command of its own in place of each of the harness's",
    "bindinterface": "a network interface",
    "sessiontype": "sessions without commands",
}
_UNHEARD = {
    "pkcs11provider": "PKCS11Provider (`ssh-add -s` gives the agent its keys)",
    "knownhostscommand": "KnownHostsCommand",
    "verifyhostkeydns": "VerifyHostKeyDNS",
    "nohostauthenticationforlocalhost": "NoHostAuthenticationForLocalhost",
    "hostbasedauthentication": "HostbasedAuthentication",
}
_NO = ("no", "false", "none", "default")


@dataclass(frozen=True)
class Words:
    """The lines of `ssh -G`, by their keyword; empty where there is no config."""

    lines: dict[str, list[str]] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.lines)

    def one(self, keyword: str) -> str | None:
        return next(iter(self.lines.get(keyword, ())), None)

    def yes(self, keyword: str) -> bool:
        return (self.one(keyword) or "no") not in _NO

    def number(self, keyword: str) -> int:
        text = self.one(keyword) or ""
        return int(text) if text.isdecimal() else 0

    def commas(self, keyword: str) -> tuple[str, ...]:
        return tuple(filter(None, (self.one(keyword) or "").split(",")))

    def files(self, keyword: str) -> tuple[str, ...]:
        """One a line, or (known_hosts) several, whose names may hold spaces."""
        found: list[str] = []
        for line in self.lines.get(keyword, ()):
            found += re.split(r" (?=[/~%$])", line) if keyword.endswith("knownhostsfile") else [line]
        return tuple(name for name in map(_at_home, found) if name.lower() != "none")

    def agent(self) -> str | None:
        text = self.one("identityagent") or "SSH_AUTH_SOCK"
        if text.lower() == "none":
            return None
        if text == "SSH_AUTH_SOCK" or re.fullmatch(r"\$\w+", text):
            return os.environ.get(text.removeprefix("$")) or None
        return _at_home(text)

    def environment(self) -> dict[str, str]:
        """What SendEnv and SetEnv name. Of SendEnv no language: what a test sees is not to depend on who runs it."""
        patterns = [pattern for line in self.lines.get("sendenv", ()) for pattern in line.split()]
        found = {
            name: value
            for name, value in os.environ.items()
            if not re.match("LANG|LC_", name) and any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)
        }
        return found | dict(line.split("=", 1) for line in self.lines.get("setenv", ()) if "=" in line)

    def options(self) -> dict[str, Any]:
        """For asyncssh."""
        found: dict[str, Any] = {
            "public_key_auth": self.yes("pubkeyauthentication"),
            "password_auth": self.yes("passwordauthentication"),
            "kbdint_auth": self.yes("kbdinteractiveauthentication"),
            "gss_auth": self.yes("gssapiauthentication"),
            "gss_kex": self.yes("gssapikeyexchange"),
            "gss_delegate_creds": self.yes("gssapidelegatecredentials"),
            "tcp_keepalive": self.yes("tcpkeepalive"),
        }
        if self.yes("compression"):
            found["compression_algs"] = ["zlib@openssh.com", "zlib", "none"]
        if family := _FAMILIES.get(self.one("addressfamily") or ""):
            found["family"] = family
        if address := self.one("bindaddress"):
            found["local_addr"] = (address, 0)
        if seconds := self.number("serveraliveinterval"):
            found |= {"keepalive_interval": seconds, "keepalive_count_max": self.number("serveralivecountmax") or 3}
        forward = self.one("forwardagent") or "no"
        if forward not in _NO and (agent := self.agent() if forward in ("yes", "true") else forward):
            found["agent_forwarding"] = os.path.expandvars(agent)
        return found

    def unheard(self) -> tuple[str, ...]:
        return tuple(name for keyword, name in _UNHEARD.items() if self.yes(keyword))


def ask(host: str, user: str | None, port: int | None, options: list[str]) -> Words:
    """What OpenSSH's client would do. Raises TransportFailed where it would do nothing, or is missing."""
    program = shutil.which("ssh")
    if program is None:
        there = [file for file in (Path("~/.ssh/config").expanduser(), _SYSTEM) if file.exists()]
        if not there:
            return Words()
        raise TransportFailed(
            f"{there[0]} cannot be read: OpenSSH's client, which is asked what it means, is not installed",
            hint="install it (apt install openssh-client), or set `use_config: false` on the platform",
        )
    command = [program, *config_arguments(), "-T", *options]
    command += ["-l", user] if user else []
    command += ["-p", str(port)] if port else []
    try:
        done = subprocess.run(
            [*command, "-G", "--", host], stdin=subprocess.DEVNULL, capture_output=True, check=False, timeout=_SECONDS
        )
    except subprocess.TimeoutExpired:
        raise TransportFailed(
            f"the ssh config was not read within {_SECONDS:.0f} s", hint=f"`ssh -G {host}` hangs; see its `Match exec`"
        ) from None
    if done.returncode != 0:
        said = done.stderr.decode(errors="replace").strip().splitlines() or [f"ssh -G ended with {done.returncode}"]
        raise TransportFailed(f"OpenSSH's client refuses {host}: {said[0].strip()}", hint=f"`ssh -G {host}` says more")
    return Words(_lines(done.stdout.decode(errors="surrogateescape")))


def refuse(words: Words, host: str) -> None:
    """Raises TransportFailed for what would have to be ignored, and changes what a command does."""
    for keyword, meaning in _REFUSED.items():
        if words.yes(keyword):
            raise TransportFailed(
                f"the ssh config asks for {meaning} at {host} ({keyword} {words.one(keyword)}), which cannot be done",
                hint="give the machine another alias there, without it: the platform's `address`",
            )


def config_arguments() -> list[str]:
    """For OpenSSH's client, which looks for the user's home in the password database, not in HOME."""
    home = Path("~").expanduser()
    if str(home) == _home():
        return []
    return ["-F", next((str(file) for file in (home / ".ssh/config", _SYSTEM) if file.exists()), "none")]


def user_id() -> str:
    if sys.platform == "win32":
        return ""
    return str(os.getuid())


def _home() -> str:
    if sys.platform == "win32":
        return str(Path("~").expanduser())
    import pwd

    try:
        return pwd.getpwuid(os.getuid()).pw_dir
    except KeyError:
        return ""


def _at_home(name: str) -> str:
    """OpenSSH has put the password database's home there already."""
    home = _home()
    return f"~{name.removeprefix(home)}" if home and name.startswith(f"{home}/.ssh/") else name


def _lines(text: str) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for keyword, value in _pairs(text):
        found.setdefault(keyword, []).append(value)
    return found


def _pairs(text: str) -> Iterator[tuple[str, str]]:
    for line in text.splitlines():
        keyword, _, value = line.partition(" ")
        yield keyword.lower(), value.strip()
