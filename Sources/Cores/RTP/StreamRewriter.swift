/// Makes one stream of many talkers' bursts: one SSRC, sequence numbers without a jump, timestamps that advance with time between bursts
/// (DEVICES.md, "Media").
public struct StreamRewriter: Sendable {
    /// Where a packet goes in the stream.
    public struct Place: Sendable, Equatable {
        /// In the room's own numbering; each listener's offset is subtracted from it.
        public var sequence: UInt16
        /// 48 kHz.
        public var timestamp: UInt32
        /// The first of its burst.
        public var marker: Bool
        /// A place that was found elsewhere.
        public init(sequence: UInt16, timestamp: UInt32, marker: Bool) {
            (self.sequence, self.timestamp, self.marker) = (sequence, timestamp, marker)
        }
    }
    /// Jumps beyond these start the source's numbering anew (RFC 3550 A.1: MAX_DROPOUT, MAX_MISORDER).
    static let maximumDropout: Int16 = 3_000
    static let maximumMisorder: Int16 = -100
    /// From one burst's last packet to the next one's first, at least: 20 ms.
    private static let leastStep: Int64 = 960
    /// More than 1 s ahead is no pre-emption, but a source that begins anew all the time: it must not cost the pauses of the others.
    private static let maximumLead: Int64 = 48_000

    /// The highest sequence number sent.
    public private(set) var highest: UInt16
    /// Its timestamp.
    public private(set) var timestamp: UInt32
    /// When the latest of its packets came.
    private var lastAt: Int64?
    /// By how much the stream is ahead of the clock: bursts began before there was time for what preceded them. Pauses make up for it.
    private var lead: Int64 = 0
    private var source: Source?
    /// How many numbers the burst took: a burst may be longer than the 16 bits of RTP's own.
    private var taken = 0

    private struct Source: Sendable {
        var ssrc: UInt32
        var sequenceOffset: UInt16
        var timestampOffset: UInt32
        var highest: UInt16
    }

    /// A stream whose first packet has the number after `sequence`.
    /// - Parameter now: when `timestamp` is the stream's, monotonic ns; nil: whenever the first packet comes.
    public init(sequence: UInt16, timestamp: UInt32, at now: Int64? = nil) {
        lastAt = now
        highest = sequence
        self.timestamp = timestamp
    }

    /// A talker's burst begins.
    public mutating func beginBurst() {
        source = nil
        taken = 0
    }

    /// How many numbers the burst took so far: what its talker, who did not hear it, must not see as a gap.
    public var burstLength: UInt16 { UInt16(truncatingIfNeeded: taken) }

    /// Places a packet; nil for one that came too late to have a place.
    /// - Parameter now: monotonic time, ns.
    public mutating func place(ssrc: UInt32, sequence: UInt16, timestamp source: UInt32, now: Int64) -> Place? {
        let marker = self.source == nil
        if let known = self.source {
            let step = Int16(bitPattern: sequence &- known.highest)
            if ssrc != known.ssrc || step > StreamRewriter.maximumDropout || step < StreamRewriter.maximumMisorder {
                anchor(ssrc, sequence, source, now)
            }
        } else {
            anchor(ssrc, sequence, source, now)
        }
        guard var current = self.source else { return nil }
        let placed = sequence &- current.sequenceOffset
        // Before the burst's first packet the numbers belong to an earlier burst.
        let advance = Int(Int16(bitPattern: placed &- highest))
        guard advance > 0 || -advance < taken else { return nil }
        let stamp = source &- current.timestampOffset
        if Int16(bitPattern: sequence &- current.highest) > 0 { current.highest = sequence }
        self.source = current
        if advance > 0 {
            highest = placed
            taken += advance
            timestamp = stamp
            lastAt = max(lastAt ?? now, now)
        }
        return Place(sequence: placed, timestamp: stamp, marker: marker)
    }

    private mutating func anchor(_ ssrc: UInt32, _ sequence: UInt16, _ source: UInt32, _ now: Int64) {
        // Voice that asked for the floor was kept until the grant: it may have come before the last packet of whom it pre-empts.
        let elapsed = lastAt.map { (now - $0) / 1_000 * 48 / 1_000 - lead } ?? StreamRewriter.leastStep
        let step = max(elapsed, StreamRewriter.leastStep)
        lead = min(step - elapsed, StreamRewriter.maximumLead)
        self.source = Source(
            ssrc: ssrc, sequenceOffset: sequence &- (highest &+ 1),
            timestampOffset: source &- (timestamp &+ UInt32(truncatingIfNeeded: step)), highest: sequence)
    }
}
