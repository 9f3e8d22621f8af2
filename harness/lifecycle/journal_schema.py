"""The tables of `.harness/harness.db`, as numbered migrations. A released one never changes; new ones are appended.

`instances.status`: creating (written before the driver is called), created, destroying. `keep` is 1 once an instance
is kept on purpose, until `destroy`. `id` and `detail` (JSON) are the driver's own. `instances.facts`:
what it told of itself (Facts as JSON), where that is known. `results.body` is a HostExecutionResult as JSON.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from harness.deadline import Deadline, poll
from harness.errors import HarnessError

BUSY = 15.0
"""Seconds to wait for another process's write."""

MIGRATIONS: tuple[str, ...] = (
    """
    CREATE TABLE runs (
        run TEXT PRIMARY KEY, scenario TEXT NOT NULL, verb TEXT NOT NULL, pid INTEGER NOT NULL,
        started REAL NOT NULL, ended REAL, outcome TEXT
    );
    CREATE TABLE steps (
        run TEXT NOT NULL, position INTEGER NOT NULL, step TEXT NOT NULL, outcome TEXT NOT NULL,
        started REAL NOT NULL, duration REAL NOT NULL, reason TEXT, PRIMARY KEY (run, position)
    );
    CREATE TABLE instances (
        run TEXT NOT NULL, scenario TEXT NOT NULL, platform TEXT NOT NULL, driver TEXT NOT NULL,
        status TEXT NOT NULL, keep INTEGER NOT NULL, id TEXT, detail TEXT, spec TEXT NOT NULL, created REAL NOT NULL,
        prepared INTEGER NOT NULL DEFAULT 0, converged_run TEXT, converged_plan TEXT,
        PRIMARY KEY (run, scenario, platform)
    );
    CREATE INDEX instances_of_scenario ON instances (scenario, keep);
    CREATE TABLE snapshots (
        driver TEXT NOT NULL, key TEXT NOT NULL, scenario TEXT NOT NULL, platform TEXT NOT NULL,
        created REAL NOT NULL, size INTEGER NOT NULL, missing TEXT NOT NULL, PRIMARY KEY (driver, key, platform)
    );
    CREATE TABLE results (run TEXT NOT NULL, host TEXT NOT NULL, body TEXT NOT NULL, PRIMARY KEY (run, host));
    CREATE TABLE timings (
        run TEXT NOT NULL, step TEXT NOT NULL, host TEXT NOT NULL, what TEXT NOT NULL, seconds REAL NOT NULL
    );
    CREATE INDEX timings_of_run ON timings (run);
    """,
    # What an instance started from; and, with a snapshot that a person made, what had been done by then.
    """
    ALTER TABLE instances ADD COLUMN snapshot TEXT;
    DROP TABLE snapshots;
    CREATE TABLE snapshots (
        scenario TEXT NOT NULL, platform TEXT NOT NULL, name TEXT NOT NULL, driver TEXT NOT NULL,
        created REAL NOT NULL, prepared INTEGER NOT NULL, converged_run TEXT, converged_plan TEXT, snapshot TEXT,
        PRIMARY KEY (scenario, platform, name)
    );
    """,
    "ALTER TABLE instances ADD COLUMN facts TEXT",
)


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    # IMMEDIATE takes the write lock at once: a transaction that begins by reading could not wait for it later.
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")


def migrate(connection: sqlite3.Connection, path: Path) -> None:
    connection.execute(f"PRAGMA busy_timeout = {int(BUSY * 1000)}")
    # In WAL mode NORMAL cannot be torn, and a commit survives the death of this process; FULL would add an fsync each.
    connection.execute("PRAGMA synchronous = NORMAL")
    if check_version(connection, path) == len(MIGRATIONS):
        return
    poll(lambda last: _use_wal(connection, last), Deadline(BUSY))
    with transaction(connection):
        version = check_version(connection, path)
        for number in range(version, len(MIGRATIONS)):
            for statement in MIGRATIONS[number].split(";"):
                if statement.strip():
                    connection.execute(statement)
        connection.execute("CREATE TABLE IF NOT EXISTS schema_version (version INTEGER NOT NULL)")
        connection.execute("DELETE FROM schema_version")
        connection.execute("INSERT INTO schema_version VALUES (?)", (len(MIGRATIONS),))


def _use_wal(connection: sqlite3.Connection, last: bool) -> bool | None:
    """WAL where the file system has shared memory; elsewhere SQLite stays with its own journal, slower and as safe."""
    try:
        connection.execute("PRAGMA journal_mode = WAL")
    except sqlite3.OperationalError as error:
        # Two processes that switch a new file at once: SQLite does not wait here by itself.
        if last or "locked" not in str(error):
            raise
        return None
    return True


def check_version(connection: sqlite3.Connection, path: Path) -> int:
    if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'schema_version'").fetchone():
        return 0
    row = connection.execute("SELECT version FROM schema_version").fetchone()
    version = int(row[0]) if row else 0
    if version > len(MIGRATIONS):
        raise HarnessError(
            f"the journal {path} was written by a newer harness (schema {version}; this one knows {len(MIGRATIONS)})",
            hint="upgrade: pip install --upgrade harness-e2e",
        )
    return version
