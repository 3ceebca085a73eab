-- A page of those in one state, as `--verify` reads them all, without the others and without sorting.
CREATE INDEX talk_files_state ON talk_files (state, start_ms, talk_id);
