"""What the CI workflow promises: every image folder is built there."""

from __future__ import annotations

from pathlib import Path

import yaml

ROOT = Path(__file__).parents[1]


def test_every_image_folder_is_built() -> None:
    jobs = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text())["jobs"]
    built = {row["image"] for row in jobs["images"]["strategy"]["matrix"]["include"]}
    assert any("docker/windows-server" in step.get("run", "") for step in jobs["windows-image"]["steps"])
    folders = {path.parent.name for path in (ROOT / "docker").glob("*/Dockerfile")}
    assert built | {"windows-server"} == folders
