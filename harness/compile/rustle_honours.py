"""What rustle-deploy's runners really read, from its source: src/templates/ of iepathos/rustle-deploy, v0.1.0.

An argument that its parameter mapping lets through and that no module looks at (`chdir`, `creates`, `owner` ...)
is not honoured. docs/compilers.md tells what came out when these were driven.
"""

from __future__ import annotations

import re
from typing import Any

from harness.compile.base import Honours, ModuleSupport
from harness.plan import fields
from harness.plan.fields import Wrong


def _octal(value: Any) -> str:
    """It reads `mode` as octal digits, and leaves out in silence what is something else."""
    text = f"{value:04o}" if isinstance(value, int) and not isinstance(value, bool) else str(value)
    if re.fullmatch(r"[0-7]{1,5}", text) is None:
        raise Wrong("should be an octal mode: it passes over any other in silence", hint='such as "0644"')
    return text


def _one(*arguments: str) -> tuple[frozenset[str], ...]:
    return tuple(frozenset({argument}) for argument in arguments)


_COMMAND = ModuleSupport(
    arguments=frozenset({"cmd"}),
    aliases={"command": "cmd"},
    required=(frozenset({"cmd", "_raw_params"}),),
    free_form=True,
    readers={"cmd": fields.text, "_raw_params": fields.text},
)
_PACKAGE = ModuleSupport(
    arguments=frozenset({"name", "state"}),
    aliases={"pkg": "name", "package": "name"},
    required=_one("name"),
    choices={"state": frozenset({"present", "absent", "latest"})},
    readers={"name": fields.text},
)
_SERVICE = ModuleSupport(
    arguments=frozenset({"name", "state"}),
    aliases={"service": "name", "unit": "name"},
    required=_one("name"),
    choices={"state": frozenset({"started", "stopped", "restarted", "reloaded"})},
    readers={"name": fields.text},
)
_MODULES = {
    "command": _COMMAND,
    "shell": _COMMAND,
    # It copies what is on the host: nothing travels in the binary.
    "copy": ModuleSupport(
        arguments=frozenset({"src", "dest", "mode", "backup", "remote_src"}),
        required=_one("dest"),
        needs=_one("src", "remote_src"),
        choices={"remote_src": frozenset({"yes", "true"})},
        readers={"src": fields.text, "dest": fields.text, "mode": _octal, "backup": fields.truth},
    ),
    "file": ModuleSupport(
        arguments=frozenset({"path", "state", "mode", "src", "recurse"}),
        aliases={"dest": "path", "name": "path"},
        required=_one("path"),
        choices={"state": frozenset({"file", "directory", "touch", "link", "absent"})},
        readers={"path": fields.text, "src": fields.text, "mode": _octal, "recurse": fields.truth},
    ),
    **dict.fromkeys(("package", "apt", "yum", "dnf", "zypper"), _PACKAGE),
    **dict.fromkeys(("service", "systemd"), _SERVICE),
    "debug": ModuleSupport(arguments=frozenset({"msg"}), required=_one("msg"), readers={"msg": fields.text}),
    "wait_for": ModuleSupport(
        arguments=frozenset({"host", "port", "timeout", "delay"}),
        required=_one("port"),
        readers={
            "host": fields.text,
            "port": fields.whole,
            "timeout": fields.whole,
            "delay": fields.whole,
        },
    ),
}


def _ends_its_text(text: str) -> str | None:
    r"""It writes the plan as JSON between r#" and "#; in JSON a text that begins so, or has \"#, holds that end."""
    if text.startswith("#") or '"#' in text:
        return 'rustle-deploy puts the plan into a Rust text that "# ends, and this would end it'
    return None


HONOURS = Honours(
    modules=_MODULES,
    keywords=frozenset({"tags"}),
    secrets=False,
    templates=False,
    selection=False,
    refuses_text=_ends_its_text,
)
"""Of keywords it has none but the tags, which say nothing to it: no conditions, handlers, loops, results or users."""
