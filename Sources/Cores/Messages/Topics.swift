/// The names of the topics; several may be one (MESSAGES.md §1).
public struct TopicNames: Sendable, Equatable {
    /// bo-server asks.
    public var signalRequests = "ptt.signal.requests"
    /// media-service answers.
    public var signalResponses = "ptt.signal.responses"
    /// Talk records.
    public var talks = "ptt.talks"
    /// Link quality.
    public var quality = "ptt.quality"
    /// What happens in rooms.
    public var floor = "ptt.floor"
    /// What is in the archive.
    public var archive = "ptt.archive"
    /// Rooms, compacted.
    public var rooms = "ptt.rooms"
    /// Claims, compacted.
    public var owners = "ptt.owners"
    /// What could not be read.
    public var deadLetter = "ptt.dead-letter"
    /// The default names.
    public init() {}

    /// The key of each name in the configuration's `topics` section.
    public static let keys: [(key: String, path: WritableKeyPath<TopicNames, String> & Sendable)] = [
        ("signal_requests", \.signalRequests), ("signal_responses", \.signalResponses), ("talks", \.talks), ("quality", \.quality),
        ("floor", \.floor), ("archive", \.archive), ("rooms", \.rooms), ("owners", \.owners), ("dead_letter", \.deadLetter),
    ]

    /// What is wrong with the names: those that must stay alone and do not.
    public var problem: String? {
        for (key, path) in TopicNames.keys where ["signal_requests", "rooms", "owners"].contains(key) {
            if TopicNames.keys.contains(where: { $0.key != key && self[keyPath: $0.path] == self[keyPath: path] }) {
                return "topics.\(key) (\(self[keyPath: path])) must not be shared with another topic"
            }
        }
        return nil
    }
}

/// What a topic must be like.
public struct TopicPlan: Sendable, Equatable {
    /// Its name.
    public var name: String
    /// `compact` or `delete`.
    public var isCompacted: Bool
    /// How long records are kept, ms; nil where it is compacted.
    public var retentionMs: Int64?

    /// All topics of these names, each once.
    public static func all(_ names: TopicNames) -> [TopicPlan] {
        let hour: Int64 = 3_600_000
        let plans = [
            TopicPlan(name: names.rooms, isCompacted: true), TopicPlan(name: names.owners, isCompacted: true),
            TopicPlan(name: names.talks, isCompacted: false, retentionMs: 28 * 24 * hour),
            TopicPlan(name: names.archive, isCompacted: false, retentionMs: 28 * 24 * hour),
            TopicPlan(name: names.deadLetter, isCompacted: false, retentionMs: 28 * 24 * hour),
            TopicPlan(name: names.signalRequests, isCompacted: false, retentionMs: 7 * 24 * hour),
            TopicPlan(name: names.signalResponses, isCompacted: false, retentionMs: 7 * 24 * hour),
            TopicPlan(name: names.quality, isCompacted: false, retentionMs: 6 * hour),
            TopicPlan(name: names.floor, isCompacted: false, retentionMs: 6 * hour),
        ]
        // Where names are shared, the first, which keeps longest, counts.
        var seen: Set<String> = []
        return plans.filter { seen.insert($0.name).inserted }
    }
}
