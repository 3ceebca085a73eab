-- Where a talk's record stood on Kafka, for its dead letter.
ALTER TABLE talk_files ADD COLUMN source_partition INTEGER;
ALTER TABLE talk_files ADD COLUMN source_offset BIGINT;
