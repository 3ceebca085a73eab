import JSON
import Messages
import Synchronization
import Talk

/// The link quality of the last minutes, in memory: it is worth nothing later.
final class QualityBoard: Sendable {
    /// How much is kept of one user, and of how many.
    private static let perUserMax = 720
    private static let usersMax = 20_000
    private let series = Mutex<[UserID: [QualityMessage]]>([:])

    func add(_ message: QualityMessage) {
        series.withLock { series in
            if series[message.uid] == nil, series.count >= Self.usersMax,
                let stalest = series.min(by: { Self.at($0.value) < Self.at($1.value) })
            {
                series[stalest.key] = nil
            }
            series[message.uid, default: []].append(message)
            if let count = series[message.uid]?.count, count > Self.perUserMax { series[message.uid]?.removeFirst(count - Self.perUserMax) }
        }
    }

    private static func at(_ messages: [QualityMessage]) -> Int64 { messages.last?.atMs ?? 0 }

    /// What is known of somebody since a time, oldest first.
    func series(of uid: UserID, fromMs: Int64) -> [JSONValue] {
        series.withLock { $0[uid, default: []] }.filter { $0.atMs >= fromMs }.map(\.body)
    }

    /// The latest of everybody in a group.
    func latest(in gid: GroupID) -> [JSONValue] {
        let last = series.withLock { series in series.values.compactMap { $0.last { $0.gid == gid } } }
        return last.sorted { $0.uid < $1.uid }.map(\.body)
    }
}
