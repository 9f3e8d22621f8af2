"""File systems that are full, read-only, or run no program."""

from __future__ import annotations

from shlex import quote

from harness.errors import HarnessError, Unsupported
from harness.faults.target import Target, Undo
from harness.models.fault import TEMPORARY, Fault

_LARGEST_MB = 64

_PLACE = "echo $(cat /proc/sys/kernel/random/boot_id) $(readlink /proc/self/ns/mnt)"
"""Where mounts are. A platform that has been started anew since has none of ours, and its own are not to be touched."""

# `set -e` would count for nothing on the left of a `||`: each path has a shell of its own.
_FULL = f"""
set -e
size=$(du -smx {{path}} | cut -f1)
[ "$size" -le {_LARGEST_MB} ] || {{{{ echo {{path}} "holds $size MB, over {_LARGEST_MB}" >&2; exit 1; }}}}
copy=$(mktemp -d -p "$(dirname {{path}})")
mount -t tmpfs -o "mode=$(stat -c %a {{path}}),size=$((size + 1))m" harness-fault "$copy"
cp -a {{path}}/. "$copy"/ 2>/dev/null || :
cat /dev/zero >"$copy/.harness-full" 2>/dev/null || :
mount --move "$copy" {{path}}
rmdir "$copy"
"""
_AGAIN = """
set -e
mount --bind {path} {path}
mount -o remount,bind,{flag} {path}
"""


def full(target: Target, fault: Fault) -> Undo:
    """A small file system with what was there comes to lie over each path, and is filled to its last byte."""
    return _each(target, fault, _FULL)


def read_only(target: Target, fault: Fault) -> Undo:
    return _each(target, fault, _AGAIN, flag="ro")


def noexec(target: Target, fault: Fault) -> Undo:
    return _each(target, fault, _AGAIN, flag="noexec")


def _each(target: Target, fault: Fault, script: str, **words: str) -> Undo:
    done: list[str] = []
    place = target.do(fault, _PLACE).strip()

    def undo() -> None:
        while done:
            target.do(fault, f'[ "$({_PLACE})" != {quote(place)} ] || umount -l {quote(done[-1])}')
            done.pop()

    try:
        for path in fault.paths or TEMPORARY:
            if _is_folder(target, path):
                target.do(fault, script.format(path=quote(path), **words))
                done.append(path)
            elif fault.paths:
                raise Unsupported(f"the fault {fault.kind} ({path} is no folder there)", by=target.name)
    except HarnessError:
        undo()
        raise
    if fault.during in ("converge", "side_effect"):
        # A shell that is open already has its files under what is mounted now.
        target.redirect(None)
    return undo


def _is_folder(target: Target, path: str) -> bool:
    with target.back_door() as connection:
        return connection.run(["test", "-d", path, "-a", "!", "-L", path], timeout=10.0).ok
