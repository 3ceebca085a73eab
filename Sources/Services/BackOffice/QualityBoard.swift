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

    /// What is known of somebody since a time, oldest first; those of one moment are one place, which no page ends within.
    /// - Returns: some, and where the next page begins.
    func series(of uid: UserID, fromMs: Int64, limit: Int) -> ([JSONValue], next: Int64?) {
        let all = series.withLock { $0[uid, default: []] }.filter { $0.atMs >= fromMs }.sorted { $0.atMs < $1.atMs }
        guard all.count > limit else { return (all.map(\.body), nil) }
        // A moment that fills a whole page by itself comes whole.
        let next = all[limit].atMs > all[0].atMs ? all[limit].atMs : all.first { $0.atMs > all[0].atMs }?.atMs
        guard let next else { return (all.map(\.body), nil) }
        return (all.prefix { $0.atMs < next }.map(\.body), next)
    }

    /// The latest of everybody in a group, by rising uid.
    /// - Returns: some of those behind `after`, and the last of them where there are more.
    func latest(in gid: GroupID, after: Int64, limit: Int) -> ([JSONValue], next: UserID?) {
        let last = series.withLock { series in
            series.values.compactMap { one in (one.last?.uid.value ?? 0) > after ? one.last { $0.gid == gid } : nil }
        }
        let items = last.sorted { $0.uid < $1.uid }.prefix(limit)
        return (items.map(\.body), last.count > limit ? items.last?.uid : nil)
    }
}
