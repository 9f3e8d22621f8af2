"""A slice of a plan as pyinfra's operations: what they can say honestly, and a refusal by name for the rest."""

from __future__ import annotations

import base64
import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from jinja2 import StrictUndefined, TemplateError
from jinja2.sandbox import ImmutableSandboxedEnvironment

from harness.measure.ground import BenchFailed
from harness.models.runner import Payload, PayloadPlay, PayloadTask
from harness.plan.files import module_name

_KEYWORDS = (
    "when", "notify", "loop", "register_", "environment", "become", "become_user", "changed_when", "failed_when",
    "ignore_errors", "until", "retries", "timeout", "check_mode", "diff", "beyond",
)  # fmt: skip
_OWNERSHIP = {"mode": "mode", "owner": "user", "group": "group"}
_TEMPLATES = ImmutableSandboxedEnvironment(undefined=StrictUndefined, trim_blocks=True, keep_trailing_newline=True)
"""As Ansible's template module has it."""


@dataclass(frozen=True)
class Operation:
    """`function` is `module.name` of pyinfra.operations; an argument `content` is the bytes to put, in base64."""

    task_id: str
    function: str
    arguments: Mapping[str, Any]


class _Untranslatable(Exception):
    """Its text says what there is no operation for."""


def translated(payload: Payload, host: str) -> list[Operation]:
    """What pyinfra runs on this host, in order; a task may need several. Templates are rendered already, in pyinfra's
    favour. Raises BenchFailed that names every task without an honest translation."""
    found: list[Operation] = []
    problems: list[str] = []
    for play in payload.plays:
        if play.beyond:
            problems.append(f"the play {play.name!r} says {', '.join(sorted(play.beyond))}")
        for task in play.tasks:
            try:
                found += _operations(task, _variables(payload, play, host, task))
            except _Untranslatable as why:
                problems.append(f"task {task.task_id!r} ({task.module}): {why}")
    if problems:
        raise BenchFailed(
            f"the plan has no honest translation for pyinfra: {'; '.join(problems)}",
            hint="leave pyinfra out of --against, or measure a plan of files, commands, users and groups",
        )
    return found


def _variables(payload: Payload, play: PayloadPlay, host: str, task: PayloadTask) -> dict[str, Any]:
    own = {"inventory_hostname": host, "groups": payload.groups, "hostvars": payload.hosts}
    return {**payload.hosts.get(host, {}), **play.vars, **task.vars, **own}


def _operations(task: PayloadTask, variables: Mapping[str, Any]) -> list[Operation]:
    module = module_name(task.module)
    translation = _MODULES.get(module)
    if translation is None:
        raise _Untranslatable("no operation does the same")
    for keyword in _KEYWORDS:
        value = getattr(task, keyword)
        # server.shell says of every command that it has changed something.
        if keyword == "changed_when" and value == [True] and module in ("command", "shell"):
            continue
        if value not in (None, False, [], {}):
            raise _Untranslatable(f"the keyword {keyword.rstrip('_')}")
    args = _Arguments(_rendered(task.args, variables))
    found = [Operation(task.task_id, function, arguments) for function, arguments in translation(args)]
    args.nothing_left()
    return found


def _rendered(value: Any, variables: Mapping[str, Any]) -> Any:
    if isinstance(value, Mapping):
        return {key: _rendered(item, variables) for key, item in value.items()}
    if isinstance(value, list):
        return [_rendered(item, variables) for item in value]
    if not isinstance(value, str):
        return value
    try:
        return _TEMPLATES.from_string(value).render(variables)
    except TemplateError as error:
        raise _Untranslatable(f"a template that needs Ansible ({error})") from None


class _Arguments:
    """A task's arguments, each of which has to be taken."""

    def __init__(self, args: Mapping[str, Any]) -> None:
        self._left = dict(args)

    def take(self, *names: str, default: Any = None) -> Any:
        """The value by the first of these names that is there."""
        values = [self._left.pop(name) for name in names if name in self._left]
        return values[0] if values else default

    def need(self, *names: str) -> Any:
        value = self.take(*names)
        if value is None:
            raise _Untranslatable(f"without {names[0]}")
        return value

    def all(self, names: Mapping[str, str]) -> dict[str, Any]:
        """Those that are there, under pyinfra's names."""
        return {theirs: self._left.pop(ours) for ours, theirs in names.items() if ours in self._left}

    def nothing_left(self) -> None:
        if self._left:
            raise _Untranslatable(f"the argument {', '.join(sorted(self._left))}")


_Translation = Callable[[_Arguments], list[tuple[str, dict[str, Any]]]]


def _put(args: _Arguments) -> list[tuple[str, dict[str, Any]]]:
    args.take("_original_basename")
    encoded, text, dest = args.take("content_b64"), args.take("content"), str(args.need("dest", "path"))
    if encoded is None and not isinstance(text, str):
        raise _Untranslatable("nothing but text and files can be put")
    if dest.endswith("/"):
        raise _Untranslatable("a folder as dest")
    content = encoded if encoded is not None else base64.b64encode(str(text).encode()).decode()
    return [("files.put", {"content": content, "dest": dest, "create_remote_dir": False, **args.all(_OWNERSHIP)})]


def _file(args: _Arguments) -> list[tuple[str, dict[str, Any]]]:
    state, path = args.take("state", default="file"), args.need("path", "dest", "name")
    if state == "directory":
        return [("files.directory", {"path": path, **args.all(_OWNERSHIP)})]
    if state == "touch":
        return [("files.file", {"path": path, "touch": True, **args.all(_OWNERSHIP)})]
    if state == "link":
        owners = {"owner": "user", "group": "group"}
        return [("files.link", {"path": path, "target": args.need("src"), **args.all(owners)})]
    raise _Untranslatable(f"state {state}")


def _line(args: _Arguments) -> list[tuple[str, dict[str, Any]]]:
    path, line = args.need("path", "dest", "name"), str(args.need("line"))
    if args.take("state", default="present") != "present":
        raise _Untranslatable("a line that is to be absent")
    args.take("create")
    ownership = args.all(_OWNERSHIP)
    # files.line looks for a basic regular expression (grep) and puts `replace` there.
    pattern = "".join(f"\\{one}" if one in r"\.*[]^$/" else one for one in line)
    put = ("files.line", {"path": path, "line": f"^{pattern}$", "replace": line})
    return [("files.file", {"path": path, **ownership}), put] if ownership else [put]


def _command(args: _Arguments) -> list[tuple[str, dict[str, Any]]]:
    argv, raw = args.take("argv"), args.take("_raw_params", "cmd")
    if argv is None and raw is None:
        raise _Untranslatable("without a command")
    return _guarded(args, shlex.join(map(str, argv)) if argv is not None else shlex.join(shlex.split(str(raw))))


def _shell(args: _Arguments) -> list[tuple[str, dict[str, Any]]]:
    return _guarded(args, str(args.need("_raw_params", "cmd")))


def _guarded(args: _Arguments, command: str) -> list[tuple[str, dict[str, Any]]]:
    folder, creates, removes = args.take("chdir"), args.take("creates"), args.take("removes")
    if folder is not None:
        command = f"cd {shlex.quote(str(folder))} && {{ {command}\n}}"
    if creates is not None:
        command = f"test -e {shlex.quote(str(creates))} || {{ {command}\n}}"
    if removes is not None:
        command = f"test ! -e {shlex.quote(str(removes))} || {{ {command}\n}}"
    return [("server.shell", {"commands": [command]})]


def _user(args: _Arguments) -> list[tuple[str, dict[str, Any]]]:
    names = {name: name for name in ("uid", "group", "groups", "append", "home", "shell", "system", "comment")}
    home = args.take("create_home", "createhome", default=True)
    arguments = {**args.all(names), **_present(args), "ensure_home": home, "create_home": home}
    if isinstance(arguments.get("groups"), str):
        arguments["groups"] = arguments["groups"].split(",")
    return [("server.user", {"user": args.need("name", "user"), **arguments})]


def _group(args: _Arguments) -> list[tuple[str, dict[str, Any]]]:
    names = {"gid": "gid", "system": "system"}
    return [("server.group", {"group": args.need("name"), **args.all(names), **_present(args)})]


def _present(args: _Arguments) -> dict[str, Any]:
    return {"present": args.take("state", default="present") == "present"}


_MODULES: Mapping[str, _Translation] = {
    "copy": _put, "template": _put, "file": _file, "lineinfile": _line, "command": _command, "shell": _shell,
    "user": _user, "group": _group,
}  # fmt: skip
