import JSON
import Messages
import Synchronization
import Talk

/// The link quality of the last minutes, in memory: it is worth nothing later.
final class QualityBoard: Sendable {
    /// How much is kept of one user, and of how many.
    private static let perUserMax = 720
    private static let usersMax = 20_000

    private struct Kept {
        var messages: [QualityMessage] = []
        /// The latest of each group that is among them.
        var latest: [GroupID: QualityMessage] = [:]
        var atMs: Int64 { messages.last?.atMs ?? 0 }

        mutating func add(_ message: QualityMessage) {
            messages.append(message)
            latest[message.gid] = message
            guard messages.count > QualityBoard.perUserMax else { return }
            let oldest = messages.removeFirst()
            if latest[oldest.gid] == oldest { latest[oldest.gid] = nil }
        }
    }

    private let series = Mutex<[UserID: Kept]>([:])

    func add(_ message: QualityMessage) {
        series.withLock { series in
            if series[message.uid] == nil, series.count >= Self.usersMax {
                // Many at a time, for all are looked through.
                let stalest = series.sorted { $0.value.atMs < $1.value.atMs }.prefix(Self.usersMax / 10)
                for one in stalest { series[one.key] = nil }
            }
            series[message.uid, default: Kept()].add(message)
        }
    }

    /// What is known of somebody since a time, oldest first; those of one moment are one place, which no page ends within.
    /// - Returns: some, and where the next page begins.
    func series(of uid: UserID, fromMs: Int64, limit: Int) -> ([JSONValue], next: Int64?) {
        let all = series.withLock { $0[uid]?.messages ?? [] }.filter { $0.atMs >= fromMs }.sorted { $0.atMs < $1.atMs }
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
            series.compactMap { uid, kept in uid.value > after ? kept.latest[gid] : nil }
        }
        let items = last.sorted { $0.uid < $1.uid }.prefix(limit)
        return (items.map(\.body), last.count > limit ? items.last?.uid : nil)
    }
}
