"""A binary's way to a host and into life there: pushed, checked and run on one channel.

What runs on the host is a small `sh` script. It makes an unguessable folder of mode 0700 in which programs may run,
reads the binary from its stdin, compares the sha256 of what lies on the disk, and only then runs it; whatever else
comes on stdin is the runner's. What it says on stdout before the runner speaks are lines that begin with `harness`.
"""

from __future__ import annotations

import hashlib
import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from harness.connections.base import Connection, Process
from harness.errors import DeployFailed, HarnessError, TransportFailed, message_of
from harness.models.results import CompilationResult

_CHUNK = 1 << 18
_TAIL = 30.0
_SCRIPT = r"""
size=$1 wanted=$2 kept=$3 stdin=$4 records=$5 watched=$6; shift 6
usual=$(umask)
umask 077
say() { printf 'harness %s\n' "$*"; }
last() { printf %s "${1##*: }" | tr '\n' ' '; }
sum() {
    { sha256sum "$1" 2>/dev/null || shasum -a 256 "$1" 2>/dev/null || openssl dgst -r -sha256 "$1" 2>/dev/null; } |
    { read -r digest rest; printf %s "${digest#\\}"; }
}
make_folder() {
    if command -v mktemp >/dev/null; then mktemp -d "$1/harness-XXXXXXXXXX"; return; fi
    name=$1/harness-$(od -An -N10 -tx1 /dev/urandom | tr -d ' \n')
    [ "$name" != "$1/harness-" ] && mkdir "$name" && printf %s "$name"
}
find_folder() {
    why=
    for base in "${TMPDIR:-/tmp}" /var/tmp /run "${HOME:-/root}"; do
        folder=$(make_folder "$base" 2>&1) || { why="$why, $base: $(last "$folder")"; continue; }
        probe=$folder/probe
        said=$({ printf '#!/bin/sh\nexit 0\n' | cat >"$probe" && chmod 700 "$probe" && "$probe"; } 2>&1) && {
            return 0; }
        why="$why, $base: $(last "$said")"
        rm -rf "$folder"
    done
    say nowhere "nowhere may a program be written and run (${why#, })"
    exit 1
}
trap 'exit 143' HUP INT TERM
if [ -n "$kept" ] && [ -O "$kept/runner" ] && [ "$(sum "$kept/runner")" = "$wanted" ]; then
    folder=$kept
    say have "$folder"
else
    [ -z "$kept" ] || rm -rf "$kept"
    find_folder
    trap 'rm -rf "$folder"' EXIT
    say folder "$folder"
    said=$({ head -c "$size" >"$folder/runner"; } 2>&1) || { say unpushed "$(last "$said")"; exit 1; }
    said=$(chmod 700 "$folder/runner" 2>&1) || { say unpushed "$(last "$said")"; exit 1; }
    digest=$(sum "$folder/runner")
    case $digest in
    "$wanted") ;;
    "") say unchecked; read -r word; [ "$word" = go ] || exit 1 ;;
    *)
        got=$(($(wc -c <"$folder/runner")))
        [ "$got" -lt "$size" ] || { say damaged "$digest"; exit 1; }
        said=$({ head -c 65536 /dev/zero >"$folder/probe"; } 2>&1) || said=": $(last "$said")"
        say unpushed "only $got bytes of it arrived$said"
        exit 1 ;;
    esac
fi
if [ "$records" = yes ]; then
    rm -f "$folder/records"
    { read -r line </proc/$$/stat; } 2>/dev/null && {
        line=${line##*) }; line=${line#* * * }; echo "${line%% *}" >"$folder/session"; }
    set -- "$@" --records "$folder/records"
    trap - EXIT
    trap : HUP INT TERM
fi
say running
umask "$usual"
cd "${HOME:-/}" 2>/dev/null || cd /
unset OLDPWD
if [ "$stdin" = yes ]; then "$folder/runner" "$@"; else "$folder/runner" "$@" </dev/null; fi
status=$?
[ "$watched" != yes ] || [ -e "$folder/runner" ] || printf '\nharness gone\n'
if [ "$records" = yes ]; then
    trap '' PIPE
    printf '\nharness ended %s\n' "$status"
    read -r word
    case $word in
    *heard)
        rm -f "$folder/records" "$folder/session"
        [ "$keep" = yes ] || rm -rf "$folder" ;;
    *)
        (n=0; while [ $n -lt 300 ] && [ -d "$folder" ]; do sleep 2; n=$((n + 1)); done; rm -rf "$folder") \
            </dev/null >/dev/null 2>&1 & ;;
    esac
fi
[ "$keep" != yes ] || trap - EXIT
exit $status
"""
"""/tmp is often mounted noexec: a folder counts once a program has run in it. Where records are kept they stay until
somebody says that the runner's end was heard, or ten minutes."""
_ENDED = b"harness ended "
_GONE = b"harness gone\n"


@dataclass
class Delivery:
    """One binary for one host. `begin` starts it; `close` takes away what is left there."""

    host: str
    connection: Connection
    binary: CompilationResult
    arguments: Sequence[str]
    stdin: bool
    """Whether the runner is to be given something."""
    env: Mapping[str, str]
    on_pushing: Callable[[], None]
    records: bool = False
    """The runner keeps what it writes in a file beside it, for when nobody hears it (aftermath.py)."""
    watched: bool = False
    """Whether the runner is to be looked for when it has ended."""
    gone: bool = False
    """It was not there any more."""
    folder: str = ""
    loose: bool = False
    """In the folder a runner may be at work of whose end nobody has heard."""
    keep: bool = True
    """Whether the binary may stay there for a next run, where the connection keeps any."""
    skipped: bool = False
    """The host had the very same binary already, from before."""
    _done: bool = field(default=False)

    def begin(self) -> Process:
        """The channel; what comes on it is this class's until `settle` has returned."""
        size, wanted = str(self.binary.binary_size), self.binary.sha256
        kept = (self.connection.kept or {}).get(wanted, "")
        self.folder, self.loose = kept, bool(kept)
        flags = ["yes" if flag else "no" for flag in (self.stdin, self.records, self.watched)]
        words = [size, wanted, kept, *flags, *self.arguments]
        keep = "yes" if self.keep and self.connection.kept is not None else ""
        script = f"# the delivery of a binary\nkeep={keep}\nset -- {shlex.join(words)}\n{_SCRIPT}"
        return self.connection.start(script, stdin=True, env=self.env or None, cwd="/")

    def settle(self, process: Process) -> None:
        """Until the runner runs. Raises DeployFailed: then nothing was run."""
        lines = process.lines()
        word, rest = self._next(lines, process)
        self.loose = word == "have"
        if word == "nowhere":
            raise DeployFailed(
                f"{self.host}: no folder for the binary: {rest}",
                hint="give the platform a folder that is writable and not mounted noexec, or set TMPDIR in it",
            )
        self.folder = rest
        if word == "have":
            self.skipped = True
            word, rest = self._next(lines, process)
        else:
            self.on_pushing()
            self.loose = True
            self._send(process)
            word, rest = self._next(lines, process)
            if word == "unchecked":
                self._check_here()
                process.write(b"go\n")
                word, rest = self._next(lines, process)
        self.loose = word == "running"
        if word == "damaged":
            raise self._damaged(rest)
        if word != "running":
            raise self._unpushed(rest or "the host said something that was not understood")
        if self.keep and self.connection.kept is not None:
            self.connection.kept[self.binary.sha256] = self.folder

    def heard(self, line: bytes, process: Process) -> bool:
        """Whether this line is the script's: it tells the runner's end. One that was killed is not taken for ended, for
        what it had started may go on."""
        if self.watched and line == _GONE:
            self.gone = True
            return True
        status = line.removeprefix(_ENDED).strip()
        if not self.records or status == line.strip() or not status.isdigit():
            return False
        with suppress(TransportFailed):
            if int(status) < 128:
                process.write(b"heard\n")
            process.close_stdin()
        return True

    def ended(self) -> None:
        """The script has come to its end, so that it has tidied up itself."""
        self._done, self.loose = True, False

    def close(self, seconds: float = _TAIL) -> None:
        """Remove the folder unless its script has, or it is kept for the next run of the very same binary."""
        if self.folder and not self._done and self.folder not in (self.connection.kept or {}).values():
            # The host may be gone by now; then the folder is gone with it, or the first failure has already said so.
            with suppress(HarnessError):
                self.connection.run(["rm", "-rf", self.folder], timeout=seconds)

    def _next(self, lines: Iterator[bytes], process: Process) -> tuple[str, str]:
        """The next word of the script, and the rest of its line."""
        line = next(lines, b"").decode(errors="replace").rstrip("\n")
        mark, _, text = line.partition(" ")
        if mark != "harness":
            try:
                said = process.wait(5).err.strip()
            except HarnessError as error:
                said = error.of(self.host)
            raise self._unpushed(said or line or "its shell ended")
        word, _, rest = text.partition(" ")
        return word, rest.strip()

    def _send(self, process: Process) -> None:
        try:
            with self.binary.binary_path.open("rb") as file, suppress(TransportFailed):  # its words come on stdout
                while data := file.read(_CHUNK):
                    process.write(data)
        except OSError as error:
            raise self._unpushed(str(error)) from error

    def _check_here(self) -> None:
        """A host without a program for checksums: fetch the file back and look at it here."""
        try:
            digest = hashlib.sha256(self.connection.read(f"{self.folder}/runner")).hexdigest()
        except (HarnessError, OSError) as error:
            raise self._unpushed(message_of(error, self.host)) from error
        if digest != self.binary.sha256:
            raise self._damaged(digest)

    def _unpushed(self, words: str) -> DeployFailed:
        return DeployFailed(
            f"{self.host}: the binary ({self.binary.binary_size} bytes) could not be pushed: {words}",
            hint="nothing was run; see the host's disk and the way to it",
        )

    def _damaged(self, digest: str) -> DeployFailed:
        return DeployFailed(
            f"{self.host}: the binary arrived damaged: sha256 {digest}, but {self.binary.sha256} was sent",
            hint="something between here and the host changes files; nothing was run",
        )
