"""The tables of `.harness/harness.db`, as numbered migrations. A released one never changes; new ones are appended.

`instances.status`: creating (written before the driver is called), created, destroying. `keep` is 1 once an instance
is kept on purpose, until `destroy`. `id` and `detail` (JSON) are the driver's own. `results.body` is a
HostExecutionResult as JSON.
"""

from __future__ import annotations

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
)
