import Database
import JSON
import Messages
import Talk
import Web

/// `/v1/groups` (HTTP.md, "bo-server").
struct GroupsAPI: Sendable {
    let groups: GroupService
    let idempotency: IdempotencyKeys
    let database: Database

    func add(to router: inout Router) {
        router.on("POST", "/v1/groups", create)
        router.get("/v1/groups", list)
        router.get("/v1/groups/{gid}") { request in
            let gid = try request.pathGroup()
            return .json(try await database.run { try GroupCard.visible(gid, $0) }.json)
        }
        router.on("PATCH", "/v1/groups/{gid}", alter)
        router.on("DELETE", "/v1/groups/{gid}") { request in .json(try await groups.delete(request.pathGroup()).card.json, status: 202) }
        router.get("/v1/groups/{gid}/members", members)
        router.on("PUT", "/v1/groups/{gid}/members/{uid}", setRole)
        router.on("DELETE", "/v1/groups/{gid}/members/{uid}") { request in
            try await groups.removeMember(request.pathUser(), from: request.pathGroup())
            return .empty()
        }
        router.get("/v1/groups/{gid}/live", live)
        router.on("DELETE", "/v1/groups/{gid}/emergency") { request in
            try await groups.cancelEmergency(Query(request).user(), in: request.pathGroup())
            return .empty()
        }
    }

    private func create(_ request: HTTPRequest) async throws -> HTTPResponse {
        guard let key = try IdempotencyKeys.key(of: request) else { return try await create(request, key: nil) }
        return await idempotency.perform(key) {
            do {
                return try await create(request, key: key)
            } catch let problem as Problem {
                return problem.response
            } catch {
                return Problem(status: 500, code: "internal", detail: "\(error)").response
            }
        }
    }

    private func create(_ request: HTTPRequest, key: IdempotencyKeys.Key?) async throws -> HTTPResponse {
        let draft = try Self.draft(Body(request))
        var keep: (@Sendable (Group, Connection) throws -> Void)?
        if let key { keep = { group, connection in try key.keep(201, group.card.json.text, connection) } }
        let group = try await groups.create(draft, kept: keep)
        return .json(group.card.json, status: 201).with("Location", "/v1/groups/\(group.gid)")
    }

    private static func draft(_ body: Body) throws(Problem) -> GroupService.Draft {
        guard let name = try body.text("group_name") else { throw .invalid("group_name", "group_name is needed") }
        guard let dispatcher = try body.integer("dispatcher_id", in: 0...maximumID) else {
            throw .invalid("dispatcher_id", "dispatcher_id is needed")
        }
        guard let mode = RoomMode(rawValue: try body.text("mode") ?? "ptt") else { throw .invalid("mode", "mode must be ptt or open") }
        var members: [UserID: Role] = [:]
        for uid in try body.users("members") { members[uid] = .member }
        for uid in try body.users("managers") { members[uid] = .manager }
        if let owner = try body.integer("owner", in: 1...maximumID).flatMap({ UserID($0) }) { members[owner] = .owner }
        return GroupService.Draft(
            gid: try body.integer("gid", in: 1...maximumID).flatMap { GroupID($0) }, name: name, dispatcher: dispatcher,
            mode: mode, options: try body.options() ?? GroupOptions(), members: members)
    }

    private func list(_ request: HTTPRequest) async throws -> HTTPResponse {
        let query = Query(request)
        let (text, member, limit) = (try query.text("q"), try query.user("member"), try query.limit())
        let after = try query.integer("cursor", in: 0...maximumID) ?? 0
        // One more than asked for tells whether there is a next page.
        let found = try await database.run {
            try GroupCard.list(text: text, member: member, after: after, limit: limit + 1, $0)
        }
        let items = found.prefix(limit)
        return page(items.map(\.json), next: found.count > limit ? items.last?.gid.description : nil)
    }

    private func alter(_ request: HTTPRequest) async throws -> HTTPResponse {
        let gid = try request.pathGroup()
        let body = try Body(request)
        let (name, options) = (try body.text("group_name"), try body.options())
        guard name != nil || options != nil else { throw Problem.invalid("group_name", "nothing to change: give group_name or options") }
        return .json(try await groups.alter(gid, name: name, options: options).card.json)
    }

    private func members(_ request: HTTPRequest) async throws -> HTTPResponse {
        let gid = try request.pathGroup()
        let limit = try Query(request).limit()
        let after = try Query(request).integer("cursor", in: 0...maximumID) ?? 0
        // One more than asked for tells whether there is a next page.
        let found = try await database.run { connection in
            _ = try GroupCard.visible(gid, connection)
            return try GroupCard.members(of: gid, after: after, limit: limit + 1, connection)
        }
        let items = found.prefix(limit)
        return page(
            items.map { ["uid": .id($0.uid), "role": .int(Int64($0.role.rawValue))] },
            next: found.count > limit ? items.last?.uid.description : nil)
    }

    private func setRole(_ request: HTTPRequest) async throws -> HTTPResponse {
        let (gid, uid) = (try request.pathGroup(), try request.pathUser())
        guard let number = try Body(request).integer("role", in: 0...2), let role = Role(rawValue: Int(number)) else {
            throw Problem.invalid("role", "role must be 0 (member), 1 (manager) or 2 (owner)")
        }
        let isLive = try await groups.setRole(uid, role, in: gid)
        return .json(["uid": .id(uid), "role": .int(number), "applied": isLive ? "live" : "next_join"])
    }

    private func live(_ request: HTTPRequest) async throws -> HTTPResponse {
        let gid = try request.pathGroup()
        return try await database.run { connection in
            _ = try GroupCard.visible(gid, connection)
            return .json(try LiveTable.find(gid, connection).json(gid, LiveTable.participants(gid, connection)))
        }
    }
}
