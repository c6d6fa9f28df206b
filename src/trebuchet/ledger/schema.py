"""The ledger's tables, as the steps that made them. A step that was published is never edited; add one."""

from __future__ import annotations

_FIRST = """
CREATE TABLE jobs (
    key           TEXT PRIMARY KEY,
    name          TEXT NOT NULL,
    cluster       TEXT,
    cloud         TEXT NOT NULL,
    app           TEXT NOT NULL,
    profile       TEXT,
    environment   TEXT,
    control_plane TEXT NOT NULL,
    workspace     TEXT NOT NULL,
    served_from   TEXT NOT NULL,
    attempt       INTEGER NOT NULL,
    state         TEXT NOT NULL,
    reason        TEXT,
    exit_code     INTEGER,
    phase         TEXT,
    failure       TEXT,
    waiting_for   TEXT,
    needs_values  INTEGER NOT NULL,
    secret        TEXT,
    cancel_by     TEXT,
    cancel_at     REAL,
    launch_until  REAL NOT NULL,
    submit_time   REAL NOT NULL,
    start_at      REAL,
    end_at        REAL,
    seen_at       REAL,
    missing_at    REAL,
    git_commit    TEXT,
    git_dirty     INTEGER
) STRICT;
CREATE INDEX jobs_unfinished ON jobs (cloud, cluster) WHERE end_at IS NULL;
CREATE INDEX jobs_by_cluster ON jobs (cluster, submit_time);
CREATE INDEX jobs_by_time ON jobs (submit_time);
CREATE INDEX jobs_with_secret ON jobs (secret) WHERE secret IS NOT NULL;

CREATE TABLE recipes (
    key        TEXT PRIMARY KEY REFERENCES jobs (key) ON DELETE CASCADE,
    config     TEXT NOT NULL,
    candidates TEXT NOT NULL
) STRICT;

CREATE TABLE attempts (
    key        TEXT NOT NULL REFERENCES jobs (key) ON DELETE CASCADE,
    attempt    INTEGER NOT NULL,
    candidate  INTEGER NOT NULL,
    gpu        TEXT,
    launch_tag TEXT NOT NULL,
    name       TEXT NOT NULL,
    sandbox_id TEXT,
    dashboard  TEXT,
    claim      TEXT,
    asked_at   REAL,
    created_at REAL,
    start_at   REAL,
    end_at     REAL,
    state      TEXT NOT NULL,
    reason     TEXT,
    exit_code  INTEGER,
    phase      TEXT,
    PRIMARY KEY (key, attempt)
) STRICT, WITHOUT ROWID;

-- Every sandbox that ever belonged to a job, those that waited for a GPU in vain included.
CREATE TABLE sandboxes (
    sandbox_id TEXT PRIMARY KEY,
    key        TEXT NOT NULL REFERENCES jobs (key) ON DELETE CASCADE,
    attempt    INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX sandboxes_by_job ON sandboxes (key);

CREATE TABLE events (
    seq    INTEGER PRIMARY KEY AUTOINCREMENT,
    key    TEXT NOT NULL REFERENCES jobs (key) ON DELETE CASCADE,
    at     REAL NOT NULL,
    kind   TEXT NOT NULL,
    detail TEXT NOT NULL
) STRICT;
CREATE INDEX events_by_job ON events (key, seq);

-- Running sandboxes of the app that belong to no job of this ledger, so that each is asked for its tags once.
CREATE TABLE strangers (
    sandbox_id TEXT PRIMARY KEY,
    seen_at    REAL NOT NULL
) STRICT, WITHOUT ROWID;
"""

_SECOND = """
ALTER TABLE jobs ADD COLUMN watched INTEGER NOT NULL DEFAULT 0;
ALTER TABLE jobs ADD COLUMN again_at REAL;
ALTER TABLE jobs ADD COLUMN restarts INTEGER NOT NULL DEFAULT 0;
ALTER TABLE attempts ADD COLUMN allotted_s INTEGER;
ALTER TABLE recipes ADD COLUMN prices TEXT NOT NULL DEFAULT '[]';
CREATE INDEX jobs_watched ON jobs (cloud) WHERE watched AND end_at IS NULL;
"""

_THIRD = """
-- Attempts whose logs are not yet archived: few of all there ever were.
CREATE TABLE unarchived (
    key     TEXT NOT NULL REFERENCES jobs (key) ON DELETE CASCADE,
    attempt INTEGER NOT NULL,
    PRIMARY KEY (key, attempt)
) STRICT, WITHOUT ROWID;
INSERT INTO unarchived SELECT key, attempt FROM attempts WHERE end_at IS NULL AND sandbox_id IS NOT NULL;
"""

_FOURTH = """
ALTER TABLE jobs ADD COLUMN wait_for_gpu_s REAL;
CREATE TABLE about (
    name  TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;
-- What tells this ledger from all others, in the tags of sandboxes.
INSERT INTO about VALUES ('id', lower(hex(randomblob(6))));
"""

_FIFTH = """
ALTER TABLE jobs ADD COLUMN cost REAL;
ALTER TABLE jobs ADD COLUMN cost_at REAL;
"""

_SIXTH = """
-- Keys of jobs that were forgotten: what was launched under one is not launched again.
CREATE TABLE forgotten (
    key TEXT PRIMARY KEY
) STRICT, WITHOUT ROWID;
"""

_SEVENTH = """
-- What a status shows is found by when it ended, however much there is of what ended long ago.
CREATE INDEX jobs_by_end ON jobs (end_at);
"""

MIGRATIONS: tuple[str, ...] = (_FIRST, _SECOND, _THIRD, _FOURTH, _FIFTH, _SIXTH, _SEVENTH)
"""Step N brings a ledger from version N to N + 1."""
