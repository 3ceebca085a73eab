-- bo-server's tables (MESSAGES.md §3). Times are Unix milliseconds, truth values 0 and 1; the SQL keeps to what PostgreSQL knows too,
-- but for AUTOINCREMENT.

CREATE TABLE counters (name TEXT PRIMARY KEY, value BIGINT NOT NULL);
INSERT INTO counters (name, value) VALUES ('gid', 0);
-- Events up to this one were kept once and are gone.
INSERT INTO counters (name, value) VALUES ('events_pruned', 0);

CREATE TABLE groups (
    gid BIGINT PRIMARY KEY,
    group_name TEXT NOT NULL,
    dispatcher_id BIGINT NOT NULL,
    mode TEXT NOT NULL,
    options TEXT NOT NULL,
    status TEXT NOT NULL CHECK (status IN ('pending', 'active', 'deleting', 'rolling_back')),
    created_ms BIGINT NOT NULL
);
CREATE INDEX groups_status ON groups (status);

-- Owner (2) and managers (1) are members too.
CREATE TABLE group_members (
    gid BIGINT NOT NULL REFERENCES groups (gid) ON DELETE CASCADE,
    uid BIGINT NOT NULL,
    role INTEGER NOT NULL CHECK (role IN (0, 1, 2)),
    PRIMARY KEY (gid, uid)
);
CREATE INDEX group_members_uid ON group_members (uid);
CREATE UNIQUE INDEX group_members_owner ON group_members (gid) WHERE role = 2;

-- Unknown uids become stubs without names.
CREATE TABLE users (uid BIGINT PRIMARY KEY, user_name TEXT, nick_name TEXT);

-- Signal requests that must reach the media service whatever happens here; sent again until they are answered.
CREATE TABLE requests (
    request_id TEXT PRIMARY KEY,
    gid BIGINT NOT NULL,
    signal_type INTEGER NOT NULL,
    value TEXT NOT NULL,
    attempts INTEGER NOT NULL,
    next_ms BIGINT NOT NULL
);
CREATE INDEX requests_next ON requests (next_ms);

CREATE TABLE talks (
    talk_id TEXT PRIMARY KEY,
    gid BIGINT NOT NULL,
    uid BIGINT NOT NULL,
    role INTEGER NOT NULL,
    start_ms BIGINT NOT NULL,
    end_ms BIGINT NOT NULL,
    file_url TEXT NOT NULL,
    truncated INTEGER NOT NULL
);
CREATE INDEX talks_start ON talks (start_ms, talk_id);
CREATE INDEX talks_gid ON talks (gid, start_ms);
CREATE INDEX talks_uid ON talks (uid, start_ms);

-- Apart from talks: an archive message may come before its talk.
CREATE TABLE archives (talk_id TEXT PRIMARY KEY, url TEXT NOT NULL, stored_ms BIGINT NOT NULL);

-- The feed. `audience` is ",7,18,": who was to see it when it happened.
CREATE TABLE events (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    type TEXT NOT NULL,
    gid BIGINT NOT NULL,
    at_ms BIGINT NOT NULL,
    audience TEXT NOT NULL,
    data TEXT NOT NULL,
    kept_ms BIGINT NOT NULL
);
CREATE INDEX events_kept ON events (kept_ms);

-- The last event sent to each dispatcher.
CREATE TABLE dispatcher_cursors (dispatcher_id BIGINT PRIMARY KEY, last_id BIGINT NOT NULL);

-- Who is in each room and who talks, as the floor events tell it.
CREATE TABLE live (gid BIGINT PRIMARY KEY, picture TEXT NOT NULL);

CREATE TABLE idempotency_keys (
    name TEXT PRIMARY KEY,
    fingerprint TEXT NOT NULL,
    status INTEGER NOT NULL,
    body TEXT NOT NULL,
    kept_ms BIGINT NOT NULL
);
CREATE INDEX idempotency_keys_kept ON idempotency_keys (kept_ms);
