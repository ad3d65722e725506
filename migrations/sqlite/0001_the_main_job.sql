-- The same numbers and the same meaning as migrations/postgres. Times are milliseconds since 1970
-- by the database's clock, JSON is text, booleans are 0 or 1.

-- What GitHub sent, under its X-GitHub-Delivery.
CREATE TABLE deliveries (
    guid TEXT PRIMARY KEY,
    event TEXT NOT NULL,
    action TEXT,
    payload TEXT NOT NULL,
    -- pending, done, ignored, failed
    state TEXT NOT NULL DEFAULT 'pending',
    attempts INTEGER NOT NULL DEFAULT 0,
    not_before INTEGER NOT NULL DEFAULT 0,
    lease_until INTEGER NOT NULL DEFAULT 0,
    note TEXT,
    received_at INTEGER NOT NULL
);
CREATE INDEX deliveries_pending ON deliveries (received_at) WHERE state = 'pending';

CREATE TABLE pulls (
    repo_id INTEGER NOT NULL,
    number INTEGER NOT NULL,
    installation_id INTEGER NOT NULL,
    repository TEXT NOT NULL,
    base_ref TEXT NOT NULL,
    base_sha TEXT NOT NULL,
    head_sha TEXT NOT NULL,
    fork BOOLEAN NOT NULL,
    open BOOLEAN NOT NULL,
    draft BOOLEAN NOT NULL,
    -- GitHub's updated_at: deliveries overtake each other, and the older one must not win.
    updated_at INTEGER NOT NULL DEFAULT 0,
    comment_id INTEGER,
    -- A comment that a person deleted stays deleted.
    comment_deleted BOOLEAN NOT NULL DEFAULT FALSE,
    PRIMARY KEY (repo_id, number)
);

CREATE TABLE checks (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    -- The cause, not the delivery: two deliveries of one push start one check.
    effect_key TEXT NOT NULL UNIQUE,
    repo_id INTEGER NOT NULL,
    number INTEGER NOT NULL,
    suite TEXT NOT NULL,
    head_sha TEXT NOT NULL,
    base_sha TEXT NOT NULL,
    -- queued, in_progress, completed
    status TEXT NOT NULL DEFAULT 'queued',
    conclusion TEXT,
    -- What stands behind the conclusion: a comparison, or a note that says why there is none.
    said TEXT,
    github_id INTEGER UNIQUE,
    created_at INTEGER NOT NULL,
    started_at INTEGER,
    completed_at INTEGER,
    FOREIGN KEY (repo_id, number) REFERENCES pulls (repo_id, number)
);
CREATE INDEX checks_of_pull ON checks (repo_id, number, id);

CREATE TABLE jobs (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    check_id INTEGER NOT NULL UNIQUE REFERENCES checks (id),
    spec TEXT NOT NULL,
    settings TEXT NOT NULL,
    -- queued, leased, reported, judged, cancelled, failed
    state TEXT NOT NULL DEFAULT 'queued',
    attempt INTEGER NOT NULL DEFAULT 0,
    not_before INTEGER NOT NULL DEFAULT 0,
    runner TEXT,
    -- SHA-256 of the token of the lease that holds the job, or that completed it.
    lease_hash TEXT,
    lease_until INTEGER NOT NULL DEFAULT 0,
    -- SHA-256 of the token that completed last: its repetition is answered, not refused.
    completed_hash TEXT,
    cancel_requested BOOLEAN NOT NULL DEFAULT FALSE,
    completion TEXT,
    judge_attempts INTEGER NOT NULL DEFAULT 0,
    judge_until INTEGER NOT NULL DEFAULT 0,
    queued_at INTEGER NOT NULL,
    finished_at INTEGER
);
CREATE INDEX jobs_open ON jobs (state, id) WHERE state IN ('queued', 'leased', 'reported');

CREATE TABLE job_labels (
    job_id INTEGER NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
    label TEXT NOT NULL,
    PRIMARY KEY (job_id, label)
);

-- The event stream of each side of each attempt, in the pieces in which it came.
CREATE TABLE job_events (
    job_id INTEGER NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
    attempt INTEGER NOT NULL,
    -- base, head
    side TEXT NOT NULL,
    starts_at INTEGER NOT NULL,
    size INTEGER NOT NULL,
    bytes BLOB NOT NULL,
    PRIMARY KEY (job_id, attempt, side, starts_at)
);

CREATE TABLE images (
    sha TEXT PRIMARY KEY,
    size INTEGER NOT NULL,
    stored_at INTEGER NOT NULL
);

CREATE TABLE job_images (
    job_id INTEGER NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
    sha TEXT NOT NULL REFERENCES images (sha),
    PRIMARY KEY (job_id, sha)
);

-- One row for each thing on GitHub that is to look like our state. `wanted` counts the reasons to
-- post, `done` is the count that the last successful post answered.
CREATE TABLE outbox (
    effect TEXT PRIMARY KEY,
    wanted INTEGER NOT NULL,
    done INTEGER NOT NULL DEFAULT 0,
    attempts INTEGER NOT NULL DEFAULT 0,
    not_before INTEGER NOT NULL DEFAULT 0,
    lease_until INTEGER NOT NULL DEFAULT 0,
    last_error TEXT
);
CREATE INDEX outbox_due ON outbox (not_before) WHERE done < wanted;

CREATE TABLE runner_tokens (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL UNIQUE,
    token_hash TEXT NOT NULL UNIQUE,
    draining BOOLEAN NOT NULL DEFAULT FALSE,
    created_at INTEGER NOT NULL
);

-- The history of `difftest run`.
CREATE TABLE runs (
    id TEXT PRIMARY KEY,
    model TEXT NOT NULL,
    generator TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    -- passed, failed, error; null where the run died
    status TEXT,
    passed INTEGER NOT NULL,
    failed INTEGER NOT NULL,
    duration_ms DOUBLE PRECISION NOT NULL,
    report TEXT NOT NULL,
    recorded_at INTEGER NOT NULL
);

CREATE TABLE samples (
    run_id TEXT NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
    test TEXT NOT NULL,
    prompt TEXT NOT NULL,
    seed INTEGER NOT NULL,
    metric TEXT NOT NULL,
    value DOUBLE PRECISION NOT NULL,
    image_sha TEXT,
    PRIMARY KEY (run_id, test, prompt, seed, metric)
);
