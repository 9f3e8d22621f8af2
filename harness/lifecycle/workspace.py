"""The `.harness` folder beside a project: journal, locks, and one folder for each run.

.harness/harness.db           the journal
.harness/locks/               one file per scenario (its kept instances), one per living run
.harness/runs/RUN/            logs of the steps, the report, collected files
.harness/runs/latest          a link to the newest run
"""

from __future__ import annotations

import hashlib
import re
import secrets
import shutil
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from harness.drivers.base import RunId
from harness.errors import HarnessError
from harness.lifecycle.locks import Lock, is_free

KEPT_RUNS = 50
"""So many run folders are kept; older ones go when a new run begins."""

_ALPHABET = "0123456789abcdefghijklmnopqrstuvwxyz"


def new_run_id() -> RunId:
    """Sortable by time (UTC, milliseconds), unique among processes by eight random characters (41 bits)."""
    now = datetime.now(UTC)
    tail = "".join(secrets.choice(_ALPHABET) for _ in range(8))
    return RunId(f"{now:%Y%m%d-%H%M%S}{now.microsecond // 1000:03d}-{tail}")


@dataclass(frozen=True)
class Workspace:
    """`root` is the `.harness` folder."""

    root: Path

    @classmethod
    def of(cls, project: Path) -> Workspace:
        """`project` is a folder, or the file given by --config (then the folder that holds it)."""
        return cls((project.parent if project.is_file() else project) / ".harness")

    @property
    def database(self) -> Path:
        return self.root / "harness.db"

    @property
    def runs(self) -> Path:
        return self.root / "runs"

    def run_folder(self, run: RunId) -> Path:
        return self.runs / run.value

    def report(self, run: RunId) -> Path:
        return self.run_folder(run) / "report.json"

    def run_lock_path(self, run: RunId) -> Path:
        return self.root / "locks" / f"run-{run}.lock"

    def run_lock(self, run: RunId) -> Lock:
        """Held while the run lives; free means that the run has ended or died."""
        return Lock(self.run_lock_path(run), remove=True)

    def scenario_lock(self, scenario: str) -> Lock:
        """Held by the verb that works on the scenario's kept instances."""
        safe = re.sub(r"[^A-Za-z0-9._-]", "_", scenario)[:80]
        if safe != scenario:
            safe += "-" + hashlib.sha256(scenario.encode()).hexdigest()[:8]
        return Lock(self.root / "locks" / f"{safe}.scenario")

    def prepare(self) -> None:
        """Make the folder, out of git's sight. Raises HarnessError where that is not possible."""
        try:
            self.runs.mkdir(parents=True, exist_ok=True)
            ignore = self.root / ".gitignore"
            if not ignore.exists():
                ignore.write_text("*\n")
        except OSError as error:
            raise HarnessError(
                f"cannot write the project's state folder {self.root}: {error.strerror or error}",
                hint=f"free space on that disk, or make {self.root.parent} writable for you",
            ) from error

    def open_run(self, run: RunId) -> Path:
        """Make the run's folder and point `latest` at it."""
        folder = self.run_folder(run)
        try:
            folder.mkdir(parents=True)
            self._point_latest(run)
        except OSError as error:
            raise HarnessError(
                f"cannot make the run's folder {folder}: {error.strerror or error}",
                hint=f"free space on that disk, and make {self.runs} writable for you",
            ) from error
        return folder

    def all_runs(self) -> list[RunId]:
        """Those that have a folder, newest first."""
        entries = list(self.runs.iterdir()) if self.runs.is_dir() else []
        names = [entry.name for entry in entries if entry.is_dir() and not entry.is_symlink()]
        return [RunId(name) for name in sorted(names, reverse=True)]

    def prune(self, keep: int) -> list[RunId]:
        """Remove all but the newest `keep` run folders, and say which; one whose run still lives stays."""
        pruned = []
        for run in reversed(self.all_runs()[keep:]):
            if is_free(self.run_lock_path(run)):
                shutil.rmtree(self.run_folder(run), ignore_errors=True)
                pruned.append(run)
        return pruned

    def _point_latest(self, run: RunId) -> None:
        temporary = self.runs / f".latest-{run}"
        try:
            temporary.symlink_to(run.value)
            temporary.replace(self.runs / "latest")
        except OSError:
            # File systems and systems without links (Windows without the privilege): a convenience is missing, no more.
            temporary.unlink(missing_ok=True)
