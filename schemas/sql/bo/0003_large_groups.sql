-- Who is in a room stands row by row: in a group of thousands every press would otherwise read and write them all.
CREATE TABLE live_participants (
    gid BIGINT NOT NULL,
    uid BIGINT NOT NULL,
    role INTEGER NOT NULL,
    display TEXT NOT NULL,
    joined_ms BIGINT NOT NULL,
    PRIMARY KEY (gid, uid)
);
-- Pictures of the shape before: each is whole again with its room's next snapshot, within a minute.
DELETE FROM live;

-- Who is shown what happens in a group, found without a look at each of its members.
CREATE INDEX group_members_leading ON group_members (gid) WHERE role > 0;
