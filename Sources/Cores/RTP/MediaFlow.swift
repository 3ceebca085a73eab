/// Whether a peer's media comes, and that much of it is lost: what clients of the Janus API are told by `media` and `slowlink`.
public struct MediaFlow: Sendable {
    /// What a second showed.
    public struct Second: Sendable, Equatable {
        /// Nothing has come for a while.
        public var isSilent = false
        /// So many packets were lost, and that is much; nil: no more than links lose.
        public var lost: Int?
    }
    /// The silence after which nothing is received any more, ns (Janus, `no_media_timer`).
    public static let silenceNs: Int64 = 1_000_000_000
    /// A link that loses so much of what was sent is slow, percent.
    public static let slowLinkPercent: Int64 = 10
    /// Where fewer packets were sent, one that is lost tells nothing.
    private static let measured: Int64 = 20

    /// Media comes.
    public private(set) var isReceiving = false
    private var lastNs: Int64 = 0
    private var before: (expected: Int64, received: Int64) = (0, 0)

    /// Nothing has come.
    public init() {}

    /// Takes a packet; true: the first one, or the first after a silence.
    public mutating func packet(at now: Int64) -> Bool {
        lastNs = now
        guard !isReceiving else { return false }
        isReceiving = true
        return true
    }

    /// A second has passed. `expected` and `received` count from the stream's beginning.
    public mutating func second(at now: Int64, expected: Int64, received: Int64) -> Second {
        var second = Second()
        if isReceiving, now - lastNs >= MediaFlow.silenceNs {
            isReceiving = false
            second.isSilent = true
        }
        // Another stream counts from 0.
        if received < before.received { before = (0, 0) }
        let (sent, came) = (expected - before.expected, received - before.received)
        before = (expected, received)
        if MediaFlow.isSlow(lost: sent - came, of: sent) { second.lost = Int(sent - came) }
        return second
    }

    /// Whether so many lost packets of so many are much.
    public static func isSlow(lost: Int64, of sent: Int64) -> Bool { sent >= measured && lost * 100 >= sent * slowLinkPercent }
}
