"""`harness init scenario`: a scenario that passes as it is, for a person to change."""

from __future__ import annotations

import json
import re
import shutil
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import yaml

from harness import registry
from harness.errors import HarnessError, UsageError
from harness.models.problems import shown
from harness.scenario.project import FOLDERS, NAME
from harness.scenario.source import display, is_folder

_TEMPLATES = Path(__file__).parent / "templates"


def init_scenario(project: Path, name: str, *, driver: str = "native", image: str | None = None) -> list[Path]:
    """Make `molecule/NAME/` in `project`, whole or not at all; returns the files. Nothing that is there is touched.

    Raises UsageError for a name that can't be one, an unknown driver, or a scenario that exists.
    """
    if not NAME.fullmatch(name):
        raise UsageError(
            f"{shown(name)} can't name a scenario",
            hint="at most 63 letters, digits, hyphens, dots and underscores; a letter or digit first",
        )
    image = image or registry.driver(driver).usual_image
    folder = next((project / place for place in FOLDERS if is_folder(project / place)), project / FOLDERS[0])
    target = folder / name
    if target.exists() or target.is_symlink():
        raise UsageError(f"{display(target)} exists already", hint="choose another name, or remove it first")
    existed = folder.exists()
    temporary: Path | None = None
    try:
        folder.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=f".{name}-", dir=folder))
        made = temporary / name  # with the usual mode, which a temporary folder has not
        made.mkdir()
        files = _write(made, _words(name, driver, image), name)
        made.rename(target)
    except OSError as error:
        if not existed:
            _remove_empty(folder, temporary)
        raise HarnessError(
            f"{display(target)} cannot be made: {error.strerror or error}",
            hint="make sure that this folder may be written to and the disk has room",
        ) from error
    finally:
        if temporary is not None:
            shutil.rmtree(temporary, ignore_errors=True)
    return [target / path for path in files]


def _words(name: str, driver: str, image: str | None) -> dict[str, str]:
    """What stands for each @WORD@. JSON's strings are YAML's and Python's, too."""
    return {
        "@NAME@": json.dumps(name),
        "@DRIVER@": _yaml(driver),
        "@IMAGE@": f"    image: {json.dumps(image)}\n" if image else "",
        "@GROUP@": _yaml(name),
        "@FOLDER@": json.dumps(f"/var/tmp/{name}"),
        "@FILE@": json.dumps(f"/var/tmp/{name}/greeting"),
    }


def _write(folder: Path, words: Mapping[str, str], name: str) -> list[Path]:
    test = f"test_{re.sub(r'[^A-Za-z0-9]+', '_', name).strip('_').lower()}.py"
    files = {
        "molecule.yml": Path("molecule.yml"),
        "plan.json": Path("plan.json"),
        "expected.json": Path("expected.json"),
        "test_scenario.py.txt": Path("tests", test),
    }
    for template, path in files.items():
        text = (_TEMPLATES / template).read_text(encoding="utf-8")
        for word, value in words.items():
            text = text.replace(word, value)
        # A dollar sign in molecule.yml begins a variable.
        if path.name == "molecule.yml":
            text = text.replace("$", "$$")
        (folder / path).parent.mkdir(exist_ok=True)
        (folder / path).write_text(text, encoding="utf-8")
    return list(files.values())


def _remove_empty(folder: Path, temporary: Path | None) -> None:
    if temporary is not None:
        shutil.rmtree(temporary, ignore_errors=True)
    with suppress(OSError):
        folder.rmdir()


def _yaml(text: str) -> str:
    """As a YAML scalar: plain where it stays the text that it is (`on` would not), else quoted."""
    return text if text.isalpha() and yaml.safe_load(text) == text else json.dumps(text)
