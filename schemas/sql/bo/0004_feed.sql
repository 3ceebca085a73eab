-- Who sees which event, found without a look at what others see. Splitting what was a text needs SQLite's instr().
CREATE TABLE event_audience (
    uid BIGINT NOT NULL,
    event_id BIGINT NOT NULL REFERENCES events (id) ON DELETE CASCADE,
    PRIMARY KEY (uid, event_id)
);
INSERT INTO event_audience (uid, event_id)
WITH RECURSIVE split (event_id, uid, rest) AS (
    SELECT id, '', SUBSTR(audience, 2) FROM events
    UNION ALL
    SELECT event_id, SUBSTR(rest, 1, INSTR(rest, ',') - 1), SUBSTR(rest, INSTR(rest, ',') + 1) FROM split WHERE rest <> ''
)
SELECT DISTINCT CAST(uid AS BIGINT), event_id FROM split WHERE uid <> '';
CREATE INDEX event_audience_event ON event_audience (event_id);
ALTER TABLE events DROP COLUMN audience;

-- The room's last snapshot among the events that said nothing new: the next of its kind takes its place.
ALTER TABLE live ADD COLUMN repeat_id BIGINT;
