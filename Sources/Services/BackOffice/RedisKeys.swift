import JSON
import Messages
import Redis
import Talk

/// The keys that media services and the predecessor read (MESSAGES.md §2).
struct RedisKeys: Sendable {
    private static let deadline = Duration.seconds(2)
    let redis: RedisClient

    /// Writes a group's keys as they should be, whatever was there.
    /// - Parameter former: members of before, whose list of groups loses this one.
    func write(_ group: Group, former: Set<UserID> = []) async throws {
        let gid = group.gid.description
        let data: JSONValue = [
            "gid": .id(group.gid), "group_name": .string(group.name), "group_manager": .array(group.managers.map { .id($0) }),
            "group_owner": group.owner.map { .id($0) } ?? .null, "status": 1,
        ]
        var commands = [["SET", "grp:\(gid):data", data.text], ["DEL", "grp:\(gid):mem"]]
        if !group.members.isEmpty { commands.append(["SADD", "grp:\(gid):mem"] + group.members.keys.sorted().map(\.description)) }
        for uid in group.members.keys { commands.append(["SADD", "usr:\(uid):grps", gid]) }
        for uid in former where group.members[uid] == nil { commands.append(["SREM", "usr:\(uid):grps", gid]) }
        _ = try await redis.multi(commands, deadline: Self.deadline)
    }

    /// A group's keys as they stood under a number before a group of ours took it.
    struct Former: Sendable {
        fileprivate var data: String?
        fileprivate var members: [String] = []
    }

    /// What stands under a number now: another back office's group, the predecessor's, or nothing.
    /// - Throws: `RedisError`, after 2 s at the latest.
    func former(_ gid: GroupID) async throws -> Former {
        let replies = try await redis.multi([["GET", "grp:\(gid):data"], ["SMEMBERS", "grp:\(gid):mem"]], deadline: Self.deadline)
        return Former(data: replies.first?.text, members: replies.last?.array?.compactMap(\.text) ?? [])
    }

    /// Puts back what stood there, for the number is another's.
    func putBack(_ former: Former, inPlaceOf group: Group) async throws {
        let gid = group.gid.description
        var commands = [["DEL", "grp:\(gid):data", "grp:\(gid):mem"]]
        if let data = former.data { commands.append(["SET", "grp:\(gid):data", data]) }
        if !former.members.isEmpty { commands.append(["SADD", "grp:\(gid):mem"] + former.members) }
        for uid in group.members.keys where !former.members.contains(uid.description) { commands.append(["SREM", "usr:\(uid):grps", gid]) }
        _ = try await redis.multi(commands, deadline: Self.deadline)
    }

    /// Removes a group's keys.
    func remove(_ group: Group) async throws {
        let gid = group.gid.description
        var commands = [["DEL", "grp:\(gid):data", "grp:\(gid):mem"]]
        for uid in group.members.keys { commands.append(["SREM", "usr:\(uid):grps", gid]) }
        _ = try await redis.multi(commands, deadline: Self.deadline)
    }

    /// Writes a user's card.
    func write(card: JSONValue, of uid: UserID) async throws {
        _ = try await redis.command(["SET", "usr:\(uid):data", card.text], deadline: Self.deadline)
    }
}
