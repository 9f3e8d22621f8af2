"""Commands as text for a POSIX shell: quoting, and what is set up before a command is executed."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from shlex import quote

from harness.connections.base import Command
from harness.errors import UsageError

_BECOME = """
if [ "$(id -un)" = {user} ] || [ "$(id -u)" = {user} ]; then set --
else
_h_e=$(getent passwd {user} 2>/dev/null)
[ -n "$_h_e" ] || _h_e=$(while IFS=: read -r n p u r; do
if [ "$n" = {user} ] || [ "$u" = {user} ]; then printf '%s' "$n:$p:$u:$r"; break; fi; done </etc/passwd 2>/dev/null)
if [ -z "$_h_e" ]; then printf '%s\\n' {unknown} >&2; exit 1; fi
if [ "$(id -u)" != 0 ]; then printf '%s\\n' {powerless} >&2; exit 1; fi
set -f; IFS=:; set -- $_h_e; unset IFS; set +f
case $(setpriv --version 2>/dev/null) in
*util-linux*) set -- setpriv --reuid "$3" --regid "$4" --init-groups env HOME="$6" USER="$1" LOGNAME="$1";;
*) if command -v runuser >/dev/null; then set -- runuser -u "$1" -- env HOME="$6" USER="$1" LOGNAME="$1"
else exec {session} su -s /bin/sh "$1" -c {inner}; fi;;
esac
fi
"""
"""`setpriv` first: it needs no PAM. busybox has neither it nor runuser, and its su sets the same variables."""

_PLAIN = re.compile(r"[A-Za-z0-9_./][A-Za-z0-9_./+-]*(?: [A-Za-z0-9_./+:,@%=-]+)*")
"""Words that no shell changes, divided by single blanks; the first assigns nothing."""
_SHELLS_OWN = (
    " . alias bg bind break builtin caller case cd chdir command compgen complete compopt continue coproc "
    "declare dirs disown do done echo elif else enable esac eval exec exit export false fc fg fi for "
    "function getopts hash help history if in jobs kill let local logout mapfile newgrp popd print printf "
    "pushd pwd read readarray readonly return select set shift shopt source suspend test then time times "
    "trap true type typeset ulimit umask unalias unset until wait whence while "
)
"""What some `sh` does itself, each word between blanks: sh(1) of dash, bash, busybox and mksh."""
_LOOKING = {"cat", "dpkg-query", "getent", "id", "ls", "md5sum", "readlink", "sha256sum", "stat", "uname", "wc"}
"""Programs that signal nobody and leave nobody behind: they need no session, whose making costs as much as they do."""
_ASKING = ("test ", "command -v ")
"""Of the shell's own words those that change nothing in it: a subshell answers them with no program at all."""


@dataclass(frozen=True)
class Invocation:
    """One command and its surroundings. `env` adds to the platform's own; a relative `cwd` begins at its default."""

    command: Command
    env: Mapping[str, str] = field(default_factory=dict)
    cwd: str | None = None
    user: str | None = None

    def __str__(self) -> str:
        """For messages; a script may begin with a comment that says what it is."""
        text = self.command if isinstance(self.command, str) else " ".join(map(quote, self.command))
        first, more, _ = text.strip().partition("\n")
        if first.startswith("# "):
            return first.removeprefix("# ")
        return f"`{first[:77]}...`" if more or len(first) > 80 else f"`{first}`"


def command_text(command: Command) -> str:
    """What `sh -c` is to be given. An argument vector is executed, never looked up among the shell's builtins."""
    if isinstance(command, str):
        return command
    if not command:
        raise UsageError("a command needs at least one word")
    words = " ".join(map(quote, command))
    return f"exec -- {words}" if command[0].startswith("-") else f"exec {words}"


def plain_command(command: Command) -> str | None:
    """The text of a command that is one program with its words, for which no shell is needed; None for any other."""
    text = command if isinstance(command, str) else " ".join(map(quote, command))
    program = text.partition(" ")[0]
    return text if _PLAIN.fullmatch(text) and f" {program} " not in _SHELLS_OWN else None


def in_shell(invocation: Invocation, *, shell: str = "sh", session: str = "", announce: str = "") -> str:
    """Text that ends in `exec`, for a subshell or a shell of its own.

    `session` is the command (setsid) that makes a session of its own, `announce` what the new process says first.
    A missing cwd and an unknown user are the command's own failure: status 1 and a line on stderr.
    """
    text = announce + command_text(invocation.command)
    parts = []
    if invocation.cwd is not None:
        cwd = invocation.cwd if invocation.cwd.startswith("/") else f"./{invocation.cwd}"
        words = quote(f"sh: cd: can't cd to {invocation.cwd}")
        parts.append(f"CDPATH= cd -- {quote(cwd)} 2>/dev/null || {{ printf '%s\\n' {words} >&2; exit 1; }}")
    # By its plain name, which it prints with its own errors, unless the command has a PATH of its own.
    inner = f"{quote(shell) if 'PATH' in invocation.env else 'sh'} -c {quote(text)}"
    if invocation.env:
        inner = f"env {' '.join(quote(_assignment(name, value)) for name, value in invocation.env.items())} {inner}"
    become = ""
    if invocation.user is not None:
        user = invocation.user
        parts.append(
            _BECOME.format(
                user=quote(user),
                unknown=quote(f"harness: there is no user {user!r} here"),
                powerless=quote(f"harness: only root can become user {user!r}"),
                session=session,
                inner=quote(f"exec {inner}"),
            ).strip()
        )
        become = '"$@"'
    else:
        if session and not announce and not invocation.env:
            parts.append(_short_cut(invocation.command, session))
    parts.append(" ".join(word for word in ("exec", session, become, inner) if word))
    return "\n".join(parts)


def _short_cut(command: Command, session: str) -> str:
    """Text that does it with fewer process images and ends there, or does nothing."""
    if isinstance(command, str) and command.startswith(_ASKING) and _PLAIN.fullmatch(command):
        return f"{command}; exit"
    plain = plain_command(command)
    if plain is None:
        return ""
    program = plain.partition(" ")[0]
    alone = "" if program in _LOOKING else f"{session} "
    # A program that is not found is left to the shell, which has the words for that.
    return f"if command -v {program} >/dev/null 2>&1; then exec {alone}{plain}; fi"


def encode(text: str) -> bytes:
    """As a platform's argument vector would hold it. Raises UsageError for what none can."""
    if "\0" in text:
        raise UsageError("a command cannot hold a NUL character", hint="give such data on stdin or in a file")
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError as error:
        raise UsageError(f"a command cannot hold the character {text[error.start]!r}") from error


def printf_format(data: bytes) -> str:
    """A quoted format with which the shell's own printf writes exactly these bytes."""
    return "'" + re.sub(rb"[^A-Za-z0-9 _./:=,@+]", lambda match: b"\\%03o" % match[0][0], data).decode() + "'"


def parent_of(path: str) -> str:
    return posixpath.dirname(path) or "."


def _assignment(name: str, value: str) -> str:
    if not name or "=" in name or name.startswith("-"):
        raise UsageError(f"{name!r} is no name for an environment variable")
    return f"{name}={value}"
