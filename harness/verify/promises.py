"""What each module promises by its arguments, and what it may have changed besides.

Only what Ansible's documentation of the module promises, and only where the value is certain.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Callable

from pydantic import JsonValue

from harness.verify import checks as ask
from harness.verify import planned
from harness.verify.known import is_template, truth
from harness.verify.ledger import Claim
from harness.verify.step import Step


def apply(step: Step) -> None:
    """Enter what the step promises into its ledger, after striking out what it may have undone."""
    module = MODULES.get(step.module)
    if module is not None:
        module(step)
    elif step.module not in HARMLESS:
        step.ledger.touched("/")
        step.ledger.mentioned(json.dumps(dict(step.args)))


def _file(step: Step) -> None:
    path = step.path("path", "dest", "name")
    if path is None:
        return
    state = step.text("state")
    if step.given("state") and state is None:
        step.ledger.touched(path)
        return
    ledger = step.ledger
    if truth(step.args.get("recurse"), False) is not False:
        ledger.removed(path, ("mode", "user", "group"))
    if state == "absent":
        ledger.removed(path)
        step.claim("path", path, "absent", ask.FileExists(path, False))
        return
    ledger.made(path)
    if state in ("link", "hard"):
        ledger.replaced(path)
        target = step.text("src")
        if state == "link" and target is not None:
            step.claim("path", path, "link", planned.LinkTarget(path, target))
        else:
            step.claim("path", path, "exists", ask.FileExists(path, True))
        return
    if state in ("directory", "file"):
        step.claim("path", path, "kind", planned.Kind(path, state))
    else:
        step.claim("path", path, "exists", ask.FileExists(path, True))
    _attributes(step, path)


def _attributes(step: Step, path: str) -> None:
    """Mode, owner and group: a mode only as an octal string, since a number's meaning depends on how it was written."""
    for argument, aspect in (("mode", "mode"), ("owner", "user"), ("group", "group")):
        if not step.given(argument):
            continue
        step.ledger.replaced(path, (aspect,))
        value = step.text(argument)
        if value is None or truth(step.args.get("follow"), True) is not True or is_number(step.args[argument]):
            continue
        if aspect != "mode":
            step.claim("path", path, aspect, planned.Owner(path, aspect, value))
        elif re.fullmatch(r"(0o)?[0-7]{3,5}", value) and int(value.removeprefix("0o"), 8) <= 0o7777:
            step.claim("path", path, aspect, ask.FileMode(path, int(value.removeprefix("0o"), 8)))


def is_number(value: JsonValue) -> bool:
    return isinstance(value, int | float)


def _copy(step: Step) -> None:
    path = step.path("dest")
    if path is None:
        return
    inline = step.given("content", "content_b64")
    dest = str(step.args.get("dest"))
    # With `src` the destination may be a folder: only what the run itself reported tells.
    if not inline and (dest.endswith("/") or path not in step.result.artifacts_created):
        step.ledger.touched(path)
        step.claim("path", path, "exists", ask.FileExists(path, True))
        return
    step.ledger.replaced(path)
    step.ledger.made(path)
    step.ledger.texts.pop(path, None)
    step.claim("path", path, "kind", planned.Kind(path, "file"))
    if truth(step.args.get("force"), True) is not True and not step.result.changed:
        return
    _attributes(step, path)
    content = _content(step) if step.module == "copy" else None
    if content is not None:
        step.claim("path", path, "content", ask.FileContent(path, content))
    text = content.decode(errors="replace") if content is not None else step.args.get("content")
    if isinstance(text, str):
        step.ledger.texts[path] = text


def _content(step: Step) -> bytes | None:
    content, encoded = step.args.get("content"), step.args.get("content_b64")
    if isinstance(content, str) and not is_template(content):
        return content.encode(errors="surrogatepass")
    if isinstance(content, str) and "ansible_" not in content:  # facts outrank what an inventory says
        text = step.known.text(content)
        # Ansible makes values of these, and writes them in its own way.
        known = text is not None and text[:1] not in ("{", "[") and text not in ("True", "False")
        return text.encode(errors="surrogatepass") if text is not None and known else None
    if isinstance(encoded, str):
        try:
            return base64.b64decode(encoded, validate=True)
        except binascii.Error:
            return None
    return None


def _lineinfile(step: Step) -> None:
    path = step.path("path", "dest", "destfile", "name")
    if path is None:
        return
    step.ledger.replaced(path, ("content",))
    state = step.text("state") or "present"
    line, pattern = step.text("line", "value"), step.text("regexp", "regex")
    literal = step.text("search_string")
    _strike_lines(step, path, state, line, pattern, literal)
    uncertain = any(
        step.given(*names) and value is None
        for names, value in (
            (("state",), step.text("state")),
            (("line", "value"), line),
            (("regexp", "regex"), pattern),
        )
    )
    if state == "present":
        step.ledger.made(path)
        _attributes(step, path)
    if uncertain or (line is not None and ("\n" in line or "\r" in line)):
        return
    if state == "present" and line is not None and truth(step.args.get("backrefs"), False) is False:
        step.claim("path", path, "lines", planned.Lines(path, True, line=line))
    elif state == "absent" and pattern is not None and _compiles(pattern):
        step.claim("path", path, "lines", planned.Lines(path, False, pattern=pattern))
    elif state == "absent" and pattern is None and literal is None and line is not None:
        step.claim("path", path, "lines", planned.Lines(path, False, line=line))


def _strike_lines(
    step: Step, path: str, state: str, line: str | None, pattern: str | None, literal: str | None
) -> None:
    """Earlier promises about lines that this edit may have undone."""
    for claim in step.ledger.lines(path):
        question = claim.question
        assert isinstance(question, planned.Planned)
        promised = question.question
        assert isinstance(promised, planned.Lines)
        if promised.wanted and promised.line is not None:
            replaced = pattern is not None and (not _compiles(pattern) or re.search(pattern, promised.line) is not None)
            replaced = replaced or (literal is not None and literal in promised.line)
            undone = replaced or (state == "absent" and line == promised.line) or (line is None and step.given("line"))
            undone = undone or (step.given("regexp", "regex") and pattern is None)
        else:
            undone = state != "absent"
        if undone:
            step.ledger.drop(claim)


def _compiles(pattern: str) -> bool:
    try:
        re.compile(pattern)
    except (re.error, OverflowError, RecursionError):
        return False
    return True


def _service(step: Step) -> None:
    name = step.text("name", "service", "unit")
    if step.given("name", "service", "unit") and name is None:
        for claim in step.ledger.claims():
            if claim.kind == "service":
                step.ledger.named("service", claim.name)
        return
    if name is None or step.text("scope") in ("user", "global"):
        return
    state = step.text("state")
    if step.given("state"):
        word = {"started": "running", "restarted": "running", "reloaded": "running", "stopped": "stopped"}.get(
            state or ""
        )
        step.ledger.started(name)
        if word:
            step.claim("service", name, "state", planned.ServiceIs(name, word))
    enabled = truth(step.args.get("enabled"), None)
    if enabled is not None:
        step.claim("service", name, "enabled", planned.ServiceIs(name, "enabled" if enabled else "disabled"))
    if step.given("masked") and truth(step.args.get("masked"), None) is not False:
        step.ledger.named("service", name)


def _package(step: Step) -> None:
    state = step.text("state") or "present"
    value: JsonValue = next((step.args[n] for n in ("name", "pkg", "package") if step.args.get(n) is not None), None)
    values = value if isinstance(value, list) else [value]
    for item in values:
        text = step.known.text(item)
        for word in (text or "").split(","):
            name = package_name(word)
            if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9+._-]*", name):
                continue
            # Installing or removing it may set up its service, its user and its files.
            step.ledger.named("service", name)
            step.ledger.named("user", name)
            installed = {"present": True, "latest": True, "installed": True, "absent": False, "removed": False}.get(
                state
            )
            if installed is not None and not truth(step.args.get("only_upgrade"), False):
                step.claim("package", name, "installed", planned.PackageIs(name, installed))
    if state in ("absent", "removed") or step.given("autoremove", "upgrade"):
        asked = {claim.name for claim in step.ledger.claims() if claim.task_id == step.task_id}
        for claim in step.ledger.claims():
            # Removing one package removes those that need it, and installs none.
            if claim.kind == "package" and claim.name not in asked and (step.given("upgrade") or _wants(claim)):
                step.ledger.named("package", claim.name)


def package_name(word: str) -> str:
    """`name=version` and `name/release` choose a version of the same package."""
    return re.split(r"[=/]", word.strip(), maxsplit=1)[0]


def _wants(claim: Claim) -> bool:
    question = claim.question.question if isinstance(claim.question, planned.Planned) else claim.question
    return not isinstance(question, planned.PackageIs) or question.installed


def _account(step: Step) -> None:
    name = step.text("name", "user")
    if name is None:
        return
    step.ledger.named(step.module, name)
    if any(truth(step.args.get(word), False) is not False for word in ("remove", "move_home")):
        step.ledger.touched("/")  # a home goes, and where it lies is not said
    state = step.text("state") or "present"
    if state == "absent":
        step.claim(step.module, name, "exists", planned.AccountIs(step.module, name, False))
        return
    number = step.text("uid" if step.module == "user" else "gid")
    question = planned.AccountIs(
        step.module,
        name,
        True,
        int(number) if number is not None and number.isdigit() else None,
        step.text("home") if step.module == "user" else None,
        step.text("shell") if step.module == "user" else None,
    )
    if state == "present":
        step.claim(step.module, name, "exists", question)


def _command(step: Step) -> None:
    if step.idle:
        return  # `creates` was there, or `removes` was not
    words: list[str] = []
    for value in step.args.values():
        for item in value if isinstance(value, list) else [value]:
            text = step.known.text(item)
            if text is None and item is not None and not isinstance(item, bool):
                step.ledger.touched("/")
            words.append(text or str(item))
    step.ledger.mentioned(" ".join(words))


def _somewhere(step: Step) -> None:
    path = step.path("dest", "path", "name")
    if path is not None:
        step.ledger.touched(path)
        if truth(step.args.get("clone"), True) is True:  # git without it only looks
            step.claim("path", path, "exists", ask.FileExists(path, True))


def _one_file(step: Step) -> None:
    path = step.path("dest")
    if truth(step.args.get("remove"), False) is not False:
        step.ledger.touched("/")  # what was packed is gone
    if path is None:
        return
    if path not in step.result.artifacts_created:
        step.ledger.touched(path)
        if step.module == "get_url":  # archive makes none where all of its sources are missing
            step.claim("path", path, "exists", ask.FileExists(path, True))
        return
    step.ledger.replaced(path)
    step.ledger.made(path)
    step.claim("path", path, "kind", planned.Kind(path, "file"))
    _attributes(step, path)


def _unarchive(step: Step) -> None:
    path = step.path("dest")
    if path is None:
        return
    step.ledger.touched(path)
    step.claim("path", path, "kind", planned.Kind(path, "directory"))
    # What an archive holds, only the run itself has told.
    for made in step.result.artifacts_created:
        if made.startswith(path.rstrip("/") + "/"):
            step.claim("path", made, "exists", ask.FileExists(made, True))


MODULES: dict[str, Callable[[Step], None]] = {
    "file": _file,
    "copy": _copy,
    "template": _copy,
    "lineinfile": _lineinfile,
    "service": _service,
    "systemd": _service,
    "systemd_service": _service,
    "package": _package,
    "apt": _package,
    "dnf": _package,
    "yum": _package,
    "apk": _package,
    "user": _account,
    "group": _account,
    "command": _command,
    "shell": _command,
    "raw": _command,
    "script": _command,
    "get_url": _one_file,
    "git": _somewhere,
    "unarchive": _unarchive,
    "archive": _one_file,
}
HARMLESS = frozenset(
    {
        "stat",
        "setup",
        "gather_facts",
        "set_fact",
        "debug",
        "assert",
        "fail",
        "wait_for",
        "ping",
        "meta",
        "slurp",
        "find",
    }
    | {"getent", "service_facts", "package_facts", "pause", "add_host", "group_by", "include_vars"}
)
