-- Who is in a room stands row by row: in a group of thousands every press would otherwise read and write them all.
CREATE TABLE live_participants (
    gid BIGINT NOT NULL,
    uid BIGINT NOT NULL,
    role INTEGER NOT NULL,
    display TEXT NOT NULL,
    joined_ms BIGINT NOT NULL,
    PRIMARY KEY (gid, uid)
);
-- Pictures of the shape before wait for their room's next snapshot, within a minute; no event tells again whose emergencies are on.
UPDATE live SET picture = REPLACE(picture, '"complete":true', '"complete":false');

-- Who is shown what happens in a group, found without a look at each of its members.
CREATE INDEX group_members_leading ON group_members (gid) WHERE role > 0;

-- A page of talks begins where the one before ended.
DROP INDEX talks_gid;
DROP INDEX talks_uid;
CREATE INDEX talks_gid ON talks (gid, start_ms, talk_id);
CREATE INDEX talks_uid ON talks (uid, start_ms, talk_id);
