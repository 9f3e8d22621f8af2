"""What the wheel holds beside the package: the shipped folders under harness/_data, and on request a compiled stub.

HARNESS_BUILD_STUB=1 compiles the runner's stub for this machine into the wheel and tags the wheel for it: with such a
wheel no Rust is needed.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

FOLDERS = ("runner", "fixtures", "verify", "docker", "disks", "vagrant", "molecule")
LEFT_OUT = {"target", "__pycache__", ".harness", ".pytest_cache"}
WHEEL_TAGS = {
    # A static binary stands on no C library, so the wheel fits both.
    "x86_64-unknown-linux-gnu": "manylinux_2_17_x86_64.musllinux_1_1_x86_64",
    "aarch64-unknown-linux-gnu": "manylinux_2_17_aarch64.musllinux_1_1_aarch64",
    "x86_64-unknown-linux-musl": "manylinux_2_17_x86_64.musllinux_1_1_x86_64",
    "aarch64-unknown-linux-musl": "manylinux_2_17_aarch64.musllinux_1_1_aarch64",
    "x86_64-apple-darwin": "macosx_11_0_x86_64",
    "aarch64-apple-darwin": "macosx_11_0_arm64",
    "x86_64-pc-windows-gnu": "win_amd64",
    "aarch64-pc-windows-gnullvm": "win_arm64",
}


class DataHook(BuildHookInterface[Any]):
    """Runs for the wheel only; an editable install finds the folders at the top of the checkout."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if version == "editable":
            return
        root = Path(self.root)
        included = build_data["force_include"]
        for folder in FOLDERS:
            for path in sorted((root / folder).rglob("*")):
                relative = path.relative_to(root)
                if path.is_file() and not LEFT_OUT.intersection(relative.parts):
                    included[str(path)] = f"harness/_data/{relative.as_posix()}"
        if os.environ.get("HARNESS_BUILD_STUB") == "1":
            triple, stub = self._build_stub(root)
            for made in stub.iterdir():
                included[str(made)] = f"harness/_data/stub/{triple}/{made.name}"
            build_data["pure_python"] = False
            build_data["tag"] = f"py3-none-{WHEEL_TAGS[triple]}"

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        shutil.rmtree(self._work, ignore_errors=True)

    @property
    def _work(self) -> Path:
        return Path(tempfile.gettempdir()) / f"harness-stub-{os.getpid()}"

    def _build_stub(self, root: Path) -> tuple[str, Path]:
        # These modules need nothing but the standard library: the build's environment holds only hatchling.
        sys.path.insert(0, str(root))
        from harness.compile.cargo import BuildJob, build
        from harness.compile.source import source_digest
        from harness.compile.targets import host_target, known_target
        from harness.compile.toolchain import find_toolchain

        crate, triple = root / "runner", host_target()
        toolchain = find_toolchain(crate)
        self.app.display_info(f"compiling the runner's stub for {triple} with {toolchain.version}")
        job = BuildJob(
            crate=crate,
            target=known_target(triple),
            toolchain=toolchain,
            profile="release",
            target_dir=Path(os.environ.get("CARGO_TARGET_DIR") or self._work / "cargo"),
            timeout=1800,
        )
        folder = self._work / "stub"
        folder.mkdir(parents=True)
        shutil.copyfile(build(job), folder / "stub")
        about = {
            "sources": source_digest(crate),
            "target": triple,
            "profile": "release",
            "toolchain": toolchain.version,
            "sha256": _sha256(folder / "stub"),
        }
        (folder / "stub.json").write_text(json.dumps(about, indent=2) + "\n", encoding="utf-8")
        return triple, folder


def _sha256(path: Path) -> str:
    import hashlib

    return hashlib.sha256(path.read_bytes()).hexdigest()
