import JSON
import MediaPlane
import Reactor
import Redis
import Synchronization
import Talk
import Telemetry

/// Who is what in which group, as Redis knows it (MESSAGES.md §2), and who is online, as this node knows it.
///
/// A look-up that Redis does not answer in 50 ms answers "unknown"; it is repeated in the background, and the role corrected.
final class RoleDirectory: Sendable {
    /// What waits until Redis is there again.
    private struct Owed: Sendable {
        var corrections: [Correction] = []
        var presence: [UserID: Bool] = [:]
        var isRunning = false
    }
    private struct Correction: Sendable {
        var uid: UserID
        var gid: GroupID
        var generation: UInt64
    }

    private let redis: RedisClient
    private let requiresMembership: Bool
    private let deadline: Duration
    private let mail: PlaneMail
    private let log: Logger
    private let late: Counter
    private let owed = Mutex(Owed())
    /// What is owed is gathered for so long: when a shift begins, many come online at once.
    private static let gathering = Duration.milliseconds(100)

    init(
        redis: RedisClient, requiresMembership: Bool, deadline: Duration, mail: PlaneMail, metrics: Metrics, log: Logger
    ) {
        (self.redis, self.requiresMembership, self.deadline) = (redis, requiresMembership, deadline)
        (self.mail, self.log) = (mail, log)
        late = metrics.counter("role_lookups_late_total", help: "Joins that were answered before their role was known")
    }

    /// Looks a role up for a join that waits.
    func lookUp(_ uid: UserID, in gid: GroupID, token: UInt64) {
        let (mail, requiresMembership) = (self.mail, self.requiresMembership)
        redis.submit(["GET", "grp:\(gid):data"], deadline: deadline) { result in
            let role = Self.role(of: uid, in: result)
            guard requiresMembership, role == .member else {
                mail.post(.lookedUp(token: token, RoleAnswer(role: role, isMember: role == nil ? nil : true)))
                return
            }
            self.redis.submit(["SISMEMBER", "grp:\(gid):mem", uid.description], deadline: self.deadline) { result in
                let isMember = (try? result.get()).flatMap(\.integer).map { $0 == 1 }
                mail.post(.lookedUp(token: token, RoleAnswer(role: role, isMember: isMember)))
            }
        }
    }

    /// The role that a group's data gives; nil where there was no answer, or one that can't be read.
    private static func role(of uid: UserID, in result: Result<RedisReply, RedisError>) -> Role? {
        guard case .success(let reply) = result else { return nil }
        // A group that Redis does not know (yet) has members only.
        guard let bytes = reply.bytes else { return .member }
        guard let data = try? JSONValue(parsing: bytes) else { return nil }
        return role(of: uid, in: data)
    }

    /// 2 if owner, 1 if among the managers (a list, or one number as older writers put it), else 0.
    static func role(of uid: UserID, in data: JSONValue) -> Role {
        if data["group_owner"]?.integer == uid.value { return .owner }
        let managers = data["group_manager"]?.array?.compactMap(\.integer) ?? [data["group_manager"]?.integer].compactMap { $0 }
        return managers.contains(uid.value) ? .manager : .member
    }

    /// Finds the role of somebody who is in already.
    func correctLater(_ uid: UserID, in gid: GroupID, generation: UInt64) {
        late.increment()
        log.warning("role not known in time, corrected later", ["uid": .int(uid.value), "gid": .int(gid.value)])
        owed.withLock { $0.corrections.append(Correction(uid: uid, gid: gid, generation: generation)) }
        payOff()
    }

    /// Writes `usr:{uid}:stat`, soon: 2 online, 1 offline.
    func presence(_ uid: UserID, online: Bool) {
        owed.withLock { $0.presence[uid] = online }
        payOff()
    }

    /// One task works off what is owed; it ends when nothing is left.
    private func payOff() {
        let starts = owed.withLock { owed -> Bool in
            defer { owed.isRunning = true }
            return !owed.isRunning
        }
        guard starts else { return }
        Task {
            var pause = Self.gathering
            while true {
                try? await Task.sleep(for: pause)
                guard let work = take() else { return }
                // While Redis is away, an attempt now and then.
                pause = await settle(work) ? Self.gathering : min(pause * 2, .seconds(2))
            }
        }
    }

    /// What is owed; nil: nothing, and the task that asked is over.
    private func take() -> Owed? {
        owed.withLock { owed in
            if owed.corrections.isEmpty, owed.presence.isEmpty {
                owed.isRunning = false
                return nil
            }
            defer { (owed.corrections, owed.presence) = ([], [:]) }
            return owed
        }
    }

    /// Writes what is owed still, before Redis is left. What it does not take now stays unwritten.
    func close() async {
        if let work = take() { _ = await settle(work, within: .milliseconds(500)) }
    }

    /// Tries all; what fails is owed again.
    private func settle(_ work: Owed, within deadline: Duration = .seconds(2)) async -> Bool {
        var isDone = true
        if !work.presence.isEmpty {
            do {
                let pairs = work.presence.flatMap { uid, online in ["usr:\(uid):stat", online ? "2" : "1"] }
                _ = try await redis.command(["MSET"] + pairs, deadline: deadline)
            } catch {
                isDone = false
                owed.withLock { $0.presence.merge(work.presence) { newer, _ in newer } }
            }
        }
        for one in work.corrections {
            do {
                let reply = try await redis.command(["GET", "grp:\(one.gid):data"], deadline: deadline)
                let data = reply.bytes.flatMap { try? JSONValue(parsing: $0) } ?? [:]
                let role = Self.role(of: one.uid, in: data)
                mail.post(.roleCorrected(one.gid, one.uid, generation: one.generation, role))
                log.info("role corrected", ["uid": .int(one.uid.value), "gid": .int(one.gid.value), "role": .int(role.rawValue)])
            } catch {
                isDone = false
                owed.withLock { $0.corrections.append(one) }
            }
        }
        return isDone
    }

    /// Tells in `media:node:{id}` that this node lives; the key goes when it does not.
    func announce(node: String, _ card: JSONValue) async {
        _ = try? await redis.command(["SET", "media:node:\(node)", card.text, "EX", "15"], deadline: .seconds(2))
    }
}
