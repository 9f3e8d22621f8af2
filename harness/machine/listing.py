"""Entries of the file system, by find(1): GNU's own format where it is, stat(1) of busybox or BSD elsewhere."""

from __future__ import annotations

import re
import shlex
import stat
from collections.abc import Iterable, Sequence

from harness.machine.model import Entry, kind_of

_CHUNK = 400
"""Paths a call: with PATH_MAX of 4096 this stays under the two megabytes that Linux allows to exec."""

# Where find(1) cannot print, times are whole seconds and links are asked for their targets one by one.
PREFACE = r"""
if find / -maxdepth 0 -printf '' 2>/dev/null; then
  list() { find "$@" -printf '%m|%U|%G|%u|%g|%s|%i|%n|%T@|%C@|%y|%p\0%l\0' 2>/dev/null; }
else
  if stat -c %f / >/dev/null 2>&1; then form='-c %f|%u|%g|%U|%G|%s|%i|%h|%Y|%Z|x|'
  else form='-f %Xp|%u|%g|%Su|%Sg|%z|%i|%l|%m|%c|x|'; fi
  export form
  list() {
    find "$@" -exec sh -c '
      for path do
        stat $form -- "$path" 2>/dev/null | tr -d "\n" || continue
        printf "%s\0" "$path"
        [ ! -L "$path" ] || readlink -n -- "$path"
        printf "\0"
      done' sh {} + 2>/dev/null
  }
fi
if command -v sha256sum >/dev/null; then summing='sha256sum --'; else summing='shasum -a 256 --'; fi
sum() { $summing "$@" 2>/dev/null; }
sums() {
  left=$#
  while [ "$left" -gt 0 ]; do
    path=$1; shift; left=$((left - 1))
    [ ! -f "$path" ] || set -- "$@" "$path"
  done
  [ $# -eq 0 ] || sum "$@"
}
own_file_systems() {
  while read -r _ place type options _; do
    case $type in ext[234]|xfs|btrfs|f2fs|zfs|overlay|aufs|tmpfs|vfat|apfs|ufs|ubifs|jfs|reiserfs|fuse-overlayfs) ;;
    *) continue ;; esac
    case ,$options, in *,ro,*) continue ;; esac
    place=$(printf '%b' "$place")
    [ ! -d "$place" ] || printf '%s\n' "$place"
  done </proc/mounts
}
"""
"""`sums` takes a few hundred names. A name with a newline is summed, and told in a way that is not read."""


_OURS = re.compile(r"/\.harness-[0-9a-f]{16}(/|$)")
"""The folder of the shell that looks (connections/shell.py)."""


def of_paths(paths: Iterable[str]) -> list[str]:
    """Commands that list these entries themselves."""
    return [f"list {words} -maxdepth 0" for words in _chunks(paths)]


def of_folders(folders: Iterable[str]) -> list[str]:
    return [f"list {words} -mindepth 1 -maxdepth 1" for words in _chunks(folders)]


def of_trees(trees: Iterable[str]) -> list[str]:
    return [f"list {words} -xdev" for words in _chunks(trees)]


EVERYTHING = """{ own_file_systems | while IFS= read -r place; do list "$place" -xdev; done; }"""


def sums(paths: Iterable[str], largest: int | None) -> list[str]:
    """Commands that sum these, files up to `largest` bytes where it is given."""
    chunks = _chunks(path for path in paths if "\n" not in path)
    if largest is None:
        return [f"sums {words}" for words in chunks]
    # A file's size counts in whole kilobytes, rounded up.
    small = f"-maxdepth 0 -type f -size -{largest // 1024 + 1}k"
    return [f"find -L {words} {small} -exec $summing {{}} + 2>/dev/null" for words in chunks]


def _chunks(paths: Iterable[str]) -> Sequence[str]:
    ordered = sorted(paths)
    return [
        " ".join(shlex.quote(path) for path in ordered[start : start + _CHUNK])
        for start in range(0, len(ordered), _CHUNK)
    ]


def read_entries(output: bytes) -> dict[str, Entry]:
    """What `list` wrote."""
    found: dict[str, Entry] = {}
    parts = output.split(b"\0")
    for head, target in zip(parts[::2], parts[1::2], strict=False):
        fields = head.decode(errors="surrogateescape").split("|", 11)
        if len(fields) == 12 and not _OURS.search(fields[11]):
            found[fields[11]] = _entry(fields, target.decode(errors="surrogateescape"))
    return found


_TYPES = {
    "f": stat.S_IFREG,
    "d": stat.S_IFDIR,
    "l": stat.S_IFLNK,
    "p": stat.S_IFIFO,
    "s": stat.S_IFSOCK,
    "b": stat.S_IFBLK,
    "c": stat.S_IFCHR,
}


def _entry(fields: Sequence[str], target: str) -> Entry:
    mode, uid, gid, user, group, size, inode, links, mtime, ctime, kind, _ = fields
    # stat(1) tells type and permissions in one, in hexadecimal; find(1) the type as a letter.
    bits = int(mode, 16) if kind == "x" else int(mode, 8) | _TYPES.get(kind, 0)
    what = kind_of(bits)
    return Entry(
        kind=what,
        mode=stat.S_IMODE(bits),
        uid=int(uid),
        gid=int(gid),
        user=user,
        group=group,
        size=int(size),
        inode=int(inode),
        links=int(links),
        mtime=float(mtime),
        ctime=float(ctime),
        target=target if what == "symbolic link" else None,
    )


def read_sums(output: bytes) -> dict[str, str]:
    """sha256 by path. sha256sum(1) begins a line with a backslash where it had to escape the name."""
    found: dict[str, str] = {}
    for line in output.decode(errors="surrogateescape").split("\n"):
        digest, _, name = line.removeprefix("\\").partition(" ")
        if name:
            name = name[1:]
            found[name.replace("\\\\", "\\") if line.startswith("\\") else name] = digest
    return found
