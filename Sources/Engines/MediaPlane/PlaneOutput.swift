import Messages
import Room
import Talk

/// What comes out of the worker, called on its thread: never blocks.
public protocol MediaPlaneOutput: Sendable {
    /// Looks a role up; answers by `.lookedUp` with the token, within its deadline.
    func lookUp(_ uid: UserID, in gid: GroupID, token: UInt64)
    /// A join was answered without its role: find it, and answer by `.roleCorrected`.
    func correctLater(_ uid: UserID, in gid: GroupID, generation: UInt64)
    /// Something happened in a room.
    func publish(_ news: RoomNews, of gid: GroupID, epoch: Int64, atMs: Int64)
    /// A link was measured.
    func publish(_ quality: QualityMessage)
    /// A room's record changed by itself (emergencies, a door's edit).
    func persist(_ record: RoomRecord)
    /// Somebody's first join or last leave on this node.
    func presence(_ uid: UserID, online: Bool)
}

/// How a signal request ended.
public struct SignalOutcome: Sendable {
    /// What becomes of the room's record.
    public enum Change: Sendable {
        case none
        case keep(RoomRecord)
        case tombstone
    }
    /// 0 or why not.
    public var code: ResultCode
    /// In words.
    public var message: String?
    /// To be produced together with the answer.
    public var change: Change = .none
    /// Talks that ended by it: their records come before the answer.
    public var ended: [TalkID] = []
    /// Done.
    static func ok(_ change: Change = .none, ended: [TalkID] = []) -> SignalOutcome {
        SignalOutcome(code: .ok, message: nil, change: change, ended: ended)
    }
    init(code: ResultCode, message: String?, change: Change = .none, ended: [TalkID] = []) {
        (self.code, self.message, self.change, self.ended) = (code, message, change, ended)
    }
    init(_ refusal: Refusal) { self.init(code: refusal.code, message: refusal.message) }
}
