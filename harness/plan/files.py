"""Files of the controller that a plan copies: they travel in the binary, so that the host needs nothing else."""

from __future__ import annotations

import base64
import stat
from dataclasses import dataclass
from pathlib import Path

from pydantic import JsonValue

from harness.models.plan import Handler, Task
from harness.models.problems import shown
from harness.plan.expressions import is_template
from harness.plan.fields import Wrong, truth

MAX_FILE = 64 * 1024 * 1024
"""Bytes of one embedded file."""

_FOLDERS = {"copy": "files", "template": "templates", "unarchive": "files"}


@dataclass(frozen=True)
class Embedded:
    path: Path
    mode: int
    size: int


def module_name(module: str) -> str:
    """Without the collection that Ansible's own modules may be written with, or that took one of them in."""
    if module == "community.general.archive":
        return "archive"
    for prefix in ("ansible.builtin.", "ansible.legacy."):
        if module.startswith(prefix):
            return module.removeprefix(prefix)
    return module


def embedded(task: Task | Handler, source: Path) -> Embedded | None:
    """The file beside the plan that a task's `src` names; None where it names none.

    It is looked for beside the plan `source`, then in `templates/` (template) or `files/` (the others) there.
    Raises Wrong.
    """
    folder = _FOLDERS.get(module_name(task.module))
    src = task.args.get("src")
    if folder is None or not isinstance(src, str) or _is_remote(task):
        return None
    if is_template(src):
        hint = "write the path, or use content, or remote_src: true for a file of the host"
        raise Wrong(f"which file is meant must be known before the run, not by the template {shown(src)}", hint=hint)
    path = _find(src, source.absolute().parent, folder)
    found = path.stat()
    if stat.S_ISDIR(found.st_mode):
        raise Wrong(f"{path} is a folder; one task copies one file", hint="name each file in a task of its own")
    if not stat.S_ISREG(found.st_mode):
        raise Wrong(f"{path} is no ordinary file")
    if found.st_size > MAX_FILE:
        hint = "put it on the platform before (prepare.sh, `shares` or `volumes`), and copy it with `remote_src: true`"
        raise Wrong(f"{path} has {found.st_size} bytes; at most {MAX_FILE} are embedded", hint=hint)
    return Embedded(path, stat.S_IMODE(found.st_mode), found.st_size)


def with_content(task: Task | Handler, file: Embedded) -> dict[str, JsonValue]:
    """The task's arguments with the file's content in place of its path. Raises Wrong."""
    try:
        data = file.path.read_bytes()
    except OSError as error:
        raise Wrong(f"{file.path} cannot be read: {error.strerror or error}") from None
    args = {key: value for key, value in task.args.items() if key != "src"}
    args["_original_basename"] = file.path.name
    if args.get("mode") == "preserve":
        args["mode"] = f"{file.mode:04o}"
    try:
        text = data.decode()
    except UnicodeDecodeError:
        text = None
    if module_name(task.module) == "template":
        if text is None:
            raise Wrong(f"{file.path} is not UTF-8, so it is no template")
        args["content"] = text
    elif text is None or is_template(text) or module_name(task.module) == "unarchive":
        # The runner expands templates in arguments, copy copies what is there.
        args["content_b64"] = base64.b64encode(data).decode()
    else:
        args["content"] = text
    return args


def template_text(task: Task | Handler, file: Embedded) -> str | None:
    """A template's text, for those who look for secrets and mistakes in it; None for a file that is no template."""
    if module_name(task.module) != "template":
        return None
    try:
        return file.path.read_bytes().decode()
    except (OSError, UnicodeDecodeError):
        return None


def has_own_marks(task: Task | Handler) -> bool:
    """Whether a template is written with other marks than Jinja's usual ones."""
    return any(key.endswith(("_start_string", "_end_string")) for key in task.args)


def _is_remote(task: Task | Handler) -> bool:
    value = task.args.get("remote_src")
    try:
        return value is not None and truth(value)
    except Wrong:
        return False


def _find(src: str, folder: Path, subfolder: str) -> Path:
    candidates = [Path(src)] if Path(src).is_absolute() else [folder / src, folder / subfolder / src]
    for path in candidates:
        try:
            path.stat()
        except FileNotFoundError:
            continue
        except (OSError, ValueError) as error:
            raise Wrong(f"{shown(src)} cannot be read: {getattr(error, 'strerror', None) or error}") from None
        return path
    places = " and ".join(str(path) for path in candidates)
    raise Wrong(f"there is no file {shown(src)}; looked for {places}")
