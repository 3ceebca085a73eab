import Database
import Messages
import Synchronization
import Talk
import Telemetry
import Web

/// What can be done with groups. Each change is one operation at a time per group: row, Redis keys, media service (MESSAGES.md §3).
final class GroupService: Sendable {
    struct Draft: Sendable {
        var gid: GroupID?
        var name: String
        var dispatcher: Int64
        var mode = RoomMode.ptt
        var options: GroupOptions
        var members: [UserID: Role]
    }

    let store: EventStore
    let keys: RedisKeys
    let signals: SignalClient
    let timeout: Duration
    let log: Logger
    private let lock = KeyedLock<GroupID>()
    private let outboxPlace = Mutex<Outbox?>(nil)
    /// Groups whose keys Redis missed, with those of before who are no members any more.
    private let unwritten = Mutex<[GroupID: Set<UserID>]>([:])

    init(store: EventStore, keys: RedisKeys, signals: SignalClient, timeout: Duration, log: Logger) {
        (self.store, self.keys, self.signals, self.timeout, self.log) = (store, keys, signals, timeout, log)
    }

    /// The outbox tells this service of destroys, so it is made after it.
    func attach(_ outbox: Outbox) { outboxPlace.withLock { $0 = outbox } }

    private func wakeOutbox() async { await outboxPlace.withLock { $0 }?.wake() }

    // MARK: create and delete

    /// Creates a group and waits for the media service.
    /// - Parameter kept: written in the transaction that makes the group active, so that a repeated request finds its answer.
    func create(_ draft: Draft, kept: (@Sendable (Group, Connection) throws -> Void)?) async throws -> Group {
        let group = try await store.transaction { connection, _ in
            if let gid = draft.gid, let other = try GroupTable.find(gid, connection) {
                // No 409: that answer would be kept for the request's key, and this passes.
                guard other.status != .rollingBack else {
                    throw Problem(
                        status: 503, code: "group_rolling_back", detail: "group \(gid) is still rolling back; try again", field: "gid")
                }
                throw Problem(status: 409, code: "group_exists", detail: "group \(gid) is in use", field: "gid")
            }
            let group = Group(
                gid: try draft.gid ?? GroupTable.nextNumber(connection), name: draft.name, dispatcher: draft.dispatcher, mode: draft.mode,
                options: draft.options, status: .pending, createdMs: WallClock.nowMs(), members: draft.members)
            try GroupTable.insert(group, connection)
            return group
        }
        return try await lock.with(group.gid) {
            let former: RedisKeys.Former
            do {
                former = try await self.keys.former(group.gid)
                try await self.keys.write(group)
            } catch {
                try await self.rollBack(group, nil)
                throw Problem(status: 503, code: "redis_unavailable", detail: "\(error); the group is rolled back")
            }
            let response = await self.signals.ask(group.createRequest, within: self.timeout)
            guard let response, response.code == .ok else {
                // Nothing is to be destroyed, so nobody will answer that the keys may go: they are those of whose room it is.
                if response?.code == .roomExists { try? await self.keys.putBack(former, inPlaceOf: group) }
                try await self.rollBack(group, response?.code)
                throw Self.problem(response, "create of group \(group.gid)", "the group is rolled back")
            }
            return try await self.activate(group, response.code, kept)
        }
    }

    /// The media service has the room. Where that can't be written down, the room goes again.
    private func activate(
        _ group: Group, _ code: ResultCode, _ kept: (@Sendable (Group, Connection) throws -> Void)?
    ) async throws -> Group {
        do {
            return try await store.transaction { connection, pending in
                var active = group
                var machine = GroupStateMachine(group.status)
                _ = machine.handle(.created(code))
                active.status = machine.status
                try GroupTable.update(active, connection)
                try kept?(active, connection)
                try pending.add(active)
                return active
            }
        } catch {
            try? await rollBack(group, nil)
            throw error
        }
    }

    private func rollBack(_ group: Group, _ code: ResultCode?) async throws {
        try await store.transaction { connection, _ in try Self.step(group, .created(code), connection, nil) }
        await wakeOutbox()
    }

    /// What the state machine says, in the caller's transaction.
    private static func step(
        _ group: Group, _ input: GroupStateMachine.Input, _ connection: Connection, _ pending: EventStore.Pending?
    ) throws {
        var machine = GroupStateMachine(group.status)
        let actions = machine.handle(input)
        var changed = group
        changed.status = machine.status
        try GroupTable.update(changed, connection)
        for action in actions {
            switch action {
            case .sendDestroy: try Outbox.add(group.destroyRequest, connection)
            case .announce: try pending?.add(changed)
            case .remove:
                try GroupTable.delete(group.gid, connection)
                try Outbox.removeDestroys(of: group.gid, connection)
            }
        }
    }

    /// Begins to delete a group.
    func delete(_ gid: GroupID) async throws -> Group {
        let group = try await lock.with(gid) {
            try await self.store.transaction { connection, pending in
                let group = try Self.visible(gid, connection)
                try Self.step(group, .delete, connection, pending)
                return try Self.visible(gid, connection)
            }
        }
        await wakeOutbox()
        return group
    }

    /// The media service has answered a destroy.
    func destroyed(_ gid: GroupID, _ response: SignalResponse) async {
        do {
            try await lock.with(gid) {
                guard let group = try await self.store.database.run({ try GroupTable.find(gid, $0) }) else {
                    try await self.store.database.transaction { try Outbox.removeDestroys(of: gid, $0) }
                    return
                }
                var machine = GroupStateMachine(group.status)
                guard machine.handle(.destroyed(response.code)).contains(.remove) else {
                    self.log.warning("destroy refused, tried again", ["gid": .int(gid.value), "code": .int(response.code.rawValue)])
                    return
                }
                // Keys first: while the row is there, this is done again.
                try await self.keys.remove(group)
                try await self.store.transaction { connection, _ in try Self.step(group, .destroyed(response.code), connection, nil) }
            }
        } catch {
            log.warning("group not removed yet, tried again", ["gid": .int(gid.value), "error": .describing(error)])
        }
    }

    // MARK: change

    /// Renames a group or changes its options.
    func alter(_ gid: GroupID, name: String?, options: GroupOptions?) async throws -> Group {
        try await lock.with(gid) {
            let old = try await self.active(gid)
            var new = old
            new.name = name ?? old.name
            new.options = options.map { old.options.merging($0) } ?? old.options
            let changed = new
            let body = SignalRequest.Body.alterGroup(name: changed.name, options: changed.options)
            let response = await self.signals.ask(SignalRequest(gid: gid, dispatcher: old.dispatcher, body: body), within: self.timeout)
            guard let response, response.code == .ok else {
                // Without an answer it may still be carried out, so the old state is sent after it.
                if response == nil { try await self.sendLater([.alterGroup(name: old.name, options: old.options)], old) }
                throw Self.problem(response, "change of group \(gid)", "nothing is changed")
            }
            try await self.store.transaction { connection, pending in
                try GroupTable.update(changed, connection)
                try pending.add(changed)
            }
            await self.keepKeys(of: changed)
            return changed
        }
    }

    /// Gives somebody a role, as a new member if need be.
    /// - Returns: whether the media service has applied it to somebody who is in the room.
    func setRole(_ uid: UserID, _ role: Role, in gid: GroupID) async throws -> Bool {
        try await lock.with(gid) {
            let old = try await self.active(gid)
            var new = old
            var changes: [(UserID, Role)] = []
            if role == .owner, let owner = old.owner, owner != uid {
                new.members[owner] = .manager
                changes.append((owner, .manager))
            }
            new.members[uid] = role
            changes.append((uid, role))
            try await self.apply(new)
            var sent: [SignalRequest.Body] = []
            var isLive = false
            for (someone, role) in changes {
                sent.append(.alterParticipant(someone, old.members[someone] ?? .member))
                let body = SignalRequest.Body.alterParticipant(someone, role)
                let response = await self.signals.ask(SignalRequest(gid: gid, dispatcher: old.dispatcher, body: body), within: self.timeout)
                guard let response, response.code == .ok || response.code == .notJoined else {
                    try await self.undo(old, from: new, sent)
                    throw Self.problem(response, "role of user \(someone) in group \(gid)", "nothing is changed")
                }
                isLive = response.code == .ok
            }
            return isLive
        }
    }

    /// Takes somebody out of a group, and out of its room.
    func removeMember(_ uid: UserID, from gid: GroupID) async throws {
        try await lock.with(gid) {
            let old = try await self.active(gid)
            guard old.members[uid] != nil else { throw Problem.notFound("user \(uid) is not a member of group \(gid)") }
            var new = old
            new.members[uid] = nil
            let changed = new
            try await self.writeKeys(changed, former: [uid])
            try await self.store.transaction { connection, pending in
                try GroupTable.replaceMembers(changed, connection)
                try Outbox.add(SignalRequest(gid: gid, dispatcher: old.dispatcher, body: .removeParticipant(uid)), connection)
                try pending.add(changed)
            }
        }
        await wakeOutbox()
    }

    /// Ends one user's emergency, or everybody's.
    func cancelEmergency(_ uid: UserID?, in gid: GroupID) async throws {
        let group = try await active(gid)
        let request = SignalRequest(gid: gid, dispatcher: group.dispatcher, body: .cancelEmergency(uid))
        let response = await signals.ask(request, within: timeout)
        guard let response, response.code == .ok else { throw Self.problem(response, "emergency in group \(gid)", "try again") }
    }

    private func apply(_ group: Group) async throws {
        try await store.transaction { connection, pending in
            try GroupTable.replaceMembers(group, connection)
            try pending.add(group)
        }
        await keepKeys(of: group)
    }

    private func undo(_ old: Group, from new: Group, _ bodies: [SignalRequest.Body]) async throws {
        try await store.transaction { connection, pending in
            try GroupTable.replaceMembers(old, connection)
            for body in bodies { try Outbox.add(SignalRequest(gid: old.gid, dispatcher: old.dispatcher, body: body), connection) }
            try pending.add(old)
        }
        await keepKeys(of: old, former: Set(new.members.keys))
        await wakeOutbox()
    }

    private func sendLater(_ bodies: [SignalRequest.Body], _ group: Group) async throws {
        try await store.transaction { connection, _ in
            for body in bodies { try Outbox.add(SignalRequest(gid: group.gid, dispatcher: group.dispatcher, body: body), connection) }
        }
        await wakeOutbox()
    }

    /// Writes the keys of what is decided already; while Redis is away that waits until it is back.
    private func keepKeys(of group: Group, former: Set<UserID> = []) async {
        do {
            try await keys.write(group, former: former)
        } catch {
            log.warning("Redis keys not written, they are when it is back", ["gid": .int(group.gid.value), "error": .describing(error)])
            unwritten.withLock { $0[group.gid, default: []].formUnion(former) }
        }
    }

    /// Writes the keys that could not be written, as the groups are now.
    func writeMissedKeys() async {
        for (gid, former) in unwritten.withLock({ $0 }) {
            try? await lock.with(gid) {
                guard let group = try? await self.active(gid) else {
                    // Gone meanwhile, and its keys with it.
                    self.unwritten.withLock { $0[gid] = nil }
                    return
                }
                guard (try? await self.keys.write(group, former: former)) != nil else { return }
                self.unwritten.withLock { $0[gid] = nil }
            }
        }
    }

    private func writeKeys(_ group: Group, former: Set<UserID>) async throws {
        do {
            try await keys.write(group, former: former)
        } catch {
            throw Problem(status: 503, code: "redis_unavailable", detail: "\(error); nothing is changed")
        }
    }

    // MARK: the start

    /// Rolls back what was under way when the service ended.
    func rollBackPending() async throws {
        try await store.transaction { connection, _ in
            for group in try GroupTable.all(.pending, connection) { try Self.step(group, .restart, connection, nil) }
        }
        await wakeOutbox()
    }

    /// Repeats the create of an active group, for a media service or a Redis that has forgotten it.
    /// - Returns: whether it need not be tried again.
    func repeatCreate(_ gid: GroupID) async -> Bool {
        do {
            return try await lock.with(gid) {
                guard let group = try await self.store.database.run({ try GroupTable.find(gid, $0) }), group.status == .active else {
                    return true
                }
                try await self.keys.write(group)
                guard let response = await self.signals.ask(group.createRequest, within: .seconds(5)) else { return false }
                guard response.code == .roomExists else { return response.code != .notReady }
                let body = SignalRequest.Body.alterGroup(name: group.name, options: group.options)
                let request = SignalRequest(gid: gid, dispatcher: group.dispatcher, body: body)
                return await self.signals.ask(request, within: .seconds(5)) != nil
            }
        } catch {
            log.warning("group not repeated yet", ["gid": .int(gid.value), "error": .describing(error)])
            return false
        }
    }

    // MARK: helpers

    /// A group that callers may see, with all its members.
    private static func visible(_ gid: GroupID, _ connection: Connection) throws -> Group {
        guard let group = try GroupTable.find(gid, connection), group.status != .rollingBack else { throw unknown(gid) }
        return group
    }

    static func unknown(_ gid: GroupID) -> Problem { .notFound("there is no group \(gid)") }

    private func active(_ gid: GroupID) async throws -> Group {
        let group = try await store.database.run { try Self.visible(gid, $0) }
        guard group.status == .active else {
            throw Problem(status: 409, code: "group_not_active", detail: "group \(gid) is \(group.status.rawValue)")
        }
        return group
    }

    private static func problem(_ response: SignalResponse?, _ what: String, _ consequence: String) -> Problem {
        guard let response else {
            return Problem(
                status: 504, code: "signal_timeout", detail: "\(what): the media service did not answer in time; \(consequence)")
        }
        return Problem(
            status: 502, code: "media_refused",
            detail: "\(what): the media service refused it (\(response.code.rawValue) \(response.message)); \(consequence)",
            members: ["res_code": .int(Int64(response.code.rawValue))])
    }
}
