"""The journal: what exists, what ran and what came of it. Written BEFORE anything is created.

SQLite in WAL mode: several processes read and write at once, and a commit survives SIGKILL.
"""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from harness.drivers.base import InstanceRecord, PlatformSpec, RunId, Snapshot
from harness.errors import HarnessError
from harness.lifecycle.journal_schema import BUSY, check_version, migrate, transaction
from harness.models.facts import Facts
from harness.models.results import HostExecutionResult, StepResult


@dataclass(frozen=True)
class InstanceRow:
    """An instance as the journal knows it. `spec` is the digest of what it was made from."""

    run: RunId
    scenario: str
    platform: str
    driver: str
    status: str
    keep: bool
    id: str | None
    detail: dict[str, str]
    spec: str
    created: float
    prepared: bool
    converged_run: RunId | None
    converged_plan: str | None
    snapshot: str = ""
    """The key of the snapshot that it started from."""
    facts: Facts | None = None
    """What it has told of itself."""

    def record(self, project: Path) -> InstanceRecord:
        """As a driver wants it for `adopt` and `reap`."""
        return InstanceRecord(
            driver=self.driver,
            id=self.id or "",
            platform=self.platform,
            scenario=self.scenario,
            project=project,
            run=self.run,
            kept=self.keep,
            created=self.created,
            detail=self.detail,
        )


@dataclass(frozen=True)
class RunRow:
    run: RunId
    scenario: str
    verb: str
    pid: int
    started: float
    ended: float | None
    outcome: str | None


def spec_digest(spec: PlatformSpec) -> str:
    """Tells whether a platform is still asked for as it was when it was made."""
    body = {
        "driver": spec.driver,
        "image": spec.image,
        "os": spec.os,
        "arch": spec.arch,
        "options": spec.options.model_dump(mode="json") if spec.options is not None else None,
    }
    return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()


class Journal(AbstractContextManager["Journal"]):
    """One connection, used by all threads of this process in turn.

    `guard` is entered around each write (see `Signals.deferred`).
    """

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        self.path = path
        self.guard: Callable[[], AbstractContextManager[None]] = nullcontext
        self._connection = connection
        self._lock = threading.RLock()

    @classmethod
    def open(cls, path: Path) -> Self:
        """Open it, making it where it is missing. Raises HarnessError for what cannot be read or written."""
        with _explained(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            connection = sqlite3.connect(path, timeout=BUSY, isolation_level=None, check_same_thread=False)
            try:
                migrate(connection, path)
            except BaseException:
                connection.close()
                raise
        return cls(path, connection)

    @classmethod
    def open_for_reading(cls, path: Path) -> Self:
        """As it is; an empty one (in memory) where there is none, so that looking never writes."""
        if path.exists():
            # Reading in WAL mode writes beside the file: where that is not allowed, read it as it stands.
            if os.access(path, os.W_OK) and os.access(path.parent, os.W_OK):
                return cls.open(path)
            with _explained(path):
                quoted = str(path).replace("%", "%25").replace("?", "%3f").replace("#", "%23")
                connection = sqlite3.connect(f"file:{quoted}?immutable=1", uri=True, check_same_thread=False)
                check_version(connection, path)
                return cls(path, connection)
        connection = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
        migrate(connection, path)
        return cls(path, connection)

    def close(self) -> None:
        with self._lock:
            self._connection.close()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # Runs

    def begin_run(self, run: RunId, scenario: str, verb: str) -> None:
        self._write(
            "INSERT INTO runs (run, scenario, verb, pid, started) VALUES (?, ?, ?, ?, ?)",
            (run.value, scenario, verb, os.getpid(), time.time()),
        )

    def end_run(self, run: RunId, outcome: str) -> None:
        self._write("UPDATE runs SET ended = ?, outcome = ? WHERE run = ?", (time.time(), outcome, run.value))

    def unfinished_runs(self) -> list[RunRow]:
        """Runs without an end: living, or dead without a word (their lock tells)."""
        return [_run(row) for row in self._read("SELECT * FROM runs WHERE ended IS NULL ORDER BY run")]

    def runs(self, scenario: str | None = None) -> list[RunRow]:
        """Newest first."""
        if scenario is None:
            return [_run(row) for row in self._read("SELECT * FROM runs ORDER BY run DESC")]
        return [_run(row) for row in self._read("SELECT * FROM runs WHERE scenario = ? ORDER BY run DESC", (scenario,))]

    def record_step(self, run: RunId, position: int, started: float, result: StepResult) -> None:
        self._write(
            "INSERT OR REPLACE INTO steps VALUES (?, ?, ?, ?, ?, ?, ?)",
            (run.value, position, result.step, result.outcome, started, result.duration, result.reason),
        )

    def record_timing(self, run: RunId, step: str, host: str, what: str, seconds: float) -> None:
        self._write("INSERT INTO timings VALUES (?, ?, ?, ?, ?)", (run.value, step, host, what, seconds))

    def timings(self, run: RunId, step: str) -> dict[str, float]:
        """Seconds of what concerns all hosts together: reach, compile, run."""
        rows = self._read(
            "SELECT what, sum(seconds) FROM timings WHERE run = ? AND step = ? AND host = '' GROUP BY what",
            (run.value, step),
        )
        return {row[0]: row[1] for row in rows}

    # Instances

    def creating(self, run: RunId, scenario: str, specs: Sequence[PlatformSpec]) -> None:
        """To be called before a driver is asked to create them."""
        now = time.time()
        self._write_many(
            "INSERT OR REPLACE INTO instances (run, scenario, platform, driver, status, keep, spec, created)"
            " VALUES (?, ?, ?, ?, 'creating', 0, ?, ?)",
            [(run.value, scenario, spec.name, spec.driver, spec_digest(spec), now) for spec in specs],
        )

    def created(self, records: Sequence[InstanceRecord], *, keep: bool) -> None:
        self._write_many(
            "UPDATE instances SET status = 'created', keep = ?, id = ?, detail = ? WHERE run = ? AND scenario = ?"
            " AND platform = ?",
            [
                (keep, item.id, json.dumps(dict(item.detail)), item.run.value, item.scenario, item.platform)
                for item in records
            ],
        )

    def keep(self, run: RunId, scenario: str) -> None:
        """From now on the run's instances belong to the scenario, until `destroy`."""
        self._write("UPDATE instances SET keep = 1 WHERE run = ? AND scenario = ?", (run.value, scenario))

    def destroying(self, run: RunId, scenario: str, platform: str) -> None:
        """Half destroyed is not kept: what stays after a kill here is an orphan."""
        self._set(run, scenario, platform, "status = 'destroying', keep = 0", ())

    def destroyed(self, run: RunId, scenario: str, platform: str) -> None:
        self._write(
            "DELETE FROM instances WHERE run = ? AND scenario = ? AND platform = ?", (run.value, scenario, platform)
        )

    def learned(self, run: RunId, scenario: str, platform: str, facts: Facts) -> None:
        self._set(run, scenario, platform, "facts = ?", (facts.model_dump_json(),))

    def prepared(self, run: RunId, scenario: str, platform: str) -> None:
        self._set(run, scenario, platform, "prepared = 1", ())

    def started_from(self, run: RunId, scenario: str, platform: str, snapshot: str) -> None:
        self._set(run, scenario, platform, "snapshot = ?", (snapshot,))

    def converged(self, run: RunId, scenario: str, platform: str, *, by: RunId | None, plan: str | None) -> None:
        """`by`: the run that converged it (its results are kept under it); None when it has to be done again."""
        self._set(run, scenario, platform, "converged_run = ?, converged_plan = ?", (by.value if by else None, plan))

    def instances(self, scenario: str | None = None) -> list[InstanceRow]:
        """All that is written down, oldest first."""
        where, values = ("WHERE scenario = ?", (scenario,)) if scenario is not None else ("", ())
        return [_instance(row) for row in self._read(f"SELECT * FROM instances {where} ORDER BY created, run", values)]

    def kept(self, scenario: str) -> dict[str, InstanceRow]:
        """The scenario's kept instances by platform; of several, the newest."""
        return {row.platform: row for row in self.instances(scenario) if row.keep and row.status == "created"}

    # Snapshots that people made

    def snapshot_made(self, scenario: str, snapshot: Snapshot, row: InstanceRow) -> None:
        """With what had been done by then on the instance that `row` tells of."""
        by = row.converged_run.value if row.converged_run else None
        self._write(
            "INSERT OR REPLACE INTO snapshots VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                *(scenario, snapshot.platform, snapshot.key, snapshot.driver, snapshot.created),
                *(row.prepared, by, row.converged_plan, row.snapshot),
            ),
        )

    def snapshot_deleted(self, scenario: str, snapshot: Snapshot) -> None:
        self._write(
            "DELETE FROM snapshots WHERE scenario = ? AND platform = ? AND name = ?",
            (scenario, snapshot.platform, snapshot.key),
        )

    def restored(self, run: RunId, scenario: str, platform: str, name: str) -> None:
        """What had been done when the snapshot was made; nothing where that is not known."""
        wanted = (scenario, platform, name)
        rows = self._read("SELECT * FROM snapshots WHERE scenario = ? AND platform = ? AND name = ?", wanted)
        done = ("prepared", "converged_run", "converged_plan", "snapshot")
        values = tuple(rows[0][column] for column in done) if rows else (0, None, None, None)
        self._set(run, scenario, platform, ", ".join(f"{column} = ?" for column in done), values)

    # Results

    def save_result(self, run: RunId, result: HostExecutionResult) -> None:
        self._write(
            "INSERT OR REPLACE INTO results VALUES (?, ?, ?)", (run.value, result.host, result.model_dump_json())
        )

    def result(self, run: RunId, host: str) -> HostExecutionResult | None:
        rows = self._read("SELECT body FROM results WHERE run = ? AND host = ?", (run.value, host))
        return HostExecutionResult.model_validate_json(rows[0]["body"]) if rows else None

    # Upkeep

    def forget_runs(self, runs: Sequence[RunId]) -> None:
        """Remove runs with all that belongs to them. Results that a kept instance or a snapshot refers to stay."""
        used = {row.converged_run for row in self.instances()}
        used |= {RunId(row[0]) for row in self._read("SELECT converged_run FROM snapshots") if row[0]}
        values = [(run.value,) for run in runs if run not in used]
        for table in ("steps", "results", "timings", "runs"):
            self._write_many(f"DELETE FROM {table} WHERE run = ?", values)

    def forget_scenario(self, scenario: str) -> None:
        """Remove all that is written down about a scenario."""
        runs = [row.run for row in self.runs(scenario)]
        self._write("DELETE FROM instances WHERE scenario = ?", (scenario,))
        self._write("DELETE FROM snapshots WHERE scenario = ?", (scenario,))
        self.forget_runs(runs)

    def _set(self, run: RunId, scenario: str, platform: str, assignment: str, values: tuple[Any, ...]) -> None:
        self._write(
            f"UPDATE instances SET {assignment} WHERE run = ? AND scenario = ? AND platform = ?",
            (*values, run.value, scenario, platform),
        )

    def _read(self, statement: str, values: Sequence[Any] = ()) -> list[sqlite3.Row]:
        with self._lock, _explained(self.path):
            cursor = self._connection.execute(statement, values)
            cursor.row_factory = sqlite3.Row
            return list(cursor)

    def _write(self, statement: str, values: Sequence[Any]) -> None:
        self._write_many(statement, [values])

    def _write_many(self, statement: str, rows: Sequence[Sequence[Any]]) -> None:
        if not rows:
            return
        with self.guard(), self._lock, _explained(self.path), transaction(self._connection):
            self._connection.executemany(statement, rows)


def _run(row: sqlite3.Row) -> RunRow:
    return RunRow(
        RunId(row["run"]), row["scenario"], row["verb"], row["pid"], row["started"], row["ended"], row["outcome"]
    )


def _instance(row: sqlite3.Row) -> InstanceRow:
    return InstanceRow(
        run=RunId(row["run"]),
        scenario=row["scenario"],
        platform=row["platform"],
        driver=row["driver"],
        status=row["status"],
        keep=bool(row["keep"]),
        id=row["id"],
        detail=json.loads(row["detail"] or "{}"),
        spec=row["spec"],
        created=row["created"],
        prepared=bool(row["prepared"]),
        converged_run=RunId(row["converged_run"]) if row["converged_run"] else None,
        converged_plan=row["converged_plan"],
        snapshot=row["snapshot"] or "",
        facts=Facts.model_validate_json(row["facts"]) if row["facts"] else None,
    )


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    """SQLite's errors in a user's words."""
    try:
        yield
    except sqlite3.OperationalError as error:
        raise _operational(path, error) from error
    except sqlite3.DatabaseError as error:
        raise HarnessError(
            f"the journal {path} is damaged: {error}",
            hint=f"move it away (mv '{path}' '{path}.damaged'); "
            "`harness list --live` and `harness destroy` still find what exists by its labels",
        ) from error
    except OSError as error:
        raise HarnessError(
            f"cannot open the journal {path}: {error.strerror or error}",
            hint=f"make {path.parent} a folder that you may write to",
        ) from error


def _operational(path: Path, error: sqlite3.OperationalError) -> HarnessError:
    text = str(error)
    if "locked" in text:
        hint = "another process has been writing to it for long; try again"
    elif "full" in text:
        hint = "free space on that disk"
    elif "no such" in text or "has no column" in text:
        hint = f"it is no journal of ours: move it away (mv '{path}' '{path}.damaged')"
    else:
        hint = f"make {path.parent} and what is in it writable for you, and see that the disk is not full"
    return HarnessError(f"cannot use the journal {path}: {text}", hint=hint)
