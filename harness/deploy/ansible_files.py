"""What a plan copies to hosts, as files beside the playbook: Ansible reads them from there."""

from __future__ import annotations

import base64
import os
from pathlib import Path
from typing import Any


class Files:
    """Writes into `folder`. Each file has a folder of its own, so that it may keep its name."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._count = 0

    def sourced(self, module: str, args: dict[str, Any]) -> dict[str, Any]:
        """The arguments of copy, template or unarchive, with what the plan's reader embedded in a file again."""
        args = dict(args)
        name = args.pop("_original_basename", None)
        encoded = args.pop("content_b64", None)
        if encoded is not None:
            return {"src": self._write(name, base64.b64decode(encoded)), **args}
        text = args.get("content")
        # Ansible's template has no `content`; and what was a file is not to be read as a template.
        if isinstance(text, str) and (module == "template" or name is not None):
            del args["content"]
            return {"src": self._write(name, text.encode(errors="surrogatepass")), **args}
        return args

    def _write(self, name: Any, data: bytes) -> str:
        self._count += 1
        folder = self._folder / "files" / str(self._count)
        folder.mkdir(parents=True, mode=0o700)
        path = folder / (Path(str(name)).name if name else "content")
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(data)
        return str(path)
