-- A talk from its record on Kafka to its place in the archive.
CREATE TABLE talk_files (
    talk_id      TEXT    NOT NULL PRIMARY KEY,
    uid          BIGINT  NOT NULL,
    gid          BIGINT  NOT NULL,
    role         INTEGER NOT NULL,
    start_ms     BIGINT  NOT NULL,
    end_ms       BIGINT  NOT NULL,
    truncated    INTEGER NOT NULL,
    -- Where it is to be fetched, and what it must be.
    file_path    TEXT    NOT NULL,
    source_md5   TEXT,
    source_size  BIGINT,
    -- The record's value as it came; a dead letter has it.
    record       TEXT    NOT NULL,
    -- wanted, stored, failed (given up), empty (nothing could be kept)
    state        TEXT    NOT NULL,
    failures     INTEGER NOT NULL DEFAULT 0,
    wanted_ms    BIGINT  NOT NULL,
    next_ms      BIGINT  NOT NULL,
    reason       TEXT,
    -- Where it is stored.
    key          TEXT,
    md5          TEXT,
    size         BIGINT,
    stored_ms    BIGINT,
    backend      TEXT,
    -- 0: archive_msg, or for a failed one the dead letter, is still to be sent.
    announced    INTEGER NOT NULL DEFAULT 0
);

CREATE INDEX talk_files_due ON talk_files (state, next_ms);
CREATE INDEX talk_files_unannounced ON talk_files (announced, state);
CREATE INDEX talk_files_start ON talk_files (start_ms, talk_id);
CREATE INDEX talk_files_group ON talk_files (gid, start_ms, talk_id);
CREATE INDEX talk_files_user ON talk_files (uid, start_ms, talk_id);
