/// What arrives of one sender's stream: sequence numbers, loss and jitter (RFC 3550 §6.4.1, A.1, A.3, A.8), and Janus's link quality of it.
public struct ReceptionStatistics: Sendable {
    /// Packets that came.
    public private(set) var received: Int64 = 0
    /// The SSRC they came with.
    public private(set) var ssrc: UInt32 = 0
    private var base: UInt32 = 0
    private var highest: UInt32 = 0
    private var transit: Int32?
    /// Until the first packet of a burst has come.
    private var isBetweenBursts = false
    /// A packet so far behind the last burst's end is one of it that was late.
    private static let reordered: Int16 = 100
    /// 16 times the jitter, timestamp units.
    private var jitter16: UInt32 = 0
    private var expectedPrior: Int64 = 0
    private var receivedPrior: Int64 = 0
    private var fraction: UInt8 = 0
    private var lastSenderReport: (middle: UInt32, at: Int64)?
    /// Of what comes from the participant; nil until there were two measurements' worth.
    public private(set) var quality = LinkQuality()

    /// Nothing has come.
    public init() {}

    /// Takes a packet. `arrivalNs` is monotonic time.
    public mutating func packet(ssrc: UInt32, sequence: UInt16, timestamp: UInt32, arrivalNs: Int64) {
        if received == 0 || ssrc != self.ssrc { restart(ssrc: ssrc, sequence: sequence) }
        let delta = Int16(bitPattern: sequence &- UInt16(truncatingIfNeeded: highest))
        if isBetweenBursts, delta != 1, !(-Self.reordered...0).contains(delta) {
            // On from here: the counting begins so much later, too.
            let step = UInt32(UInt16(bitPattern: delta))
            highest &+= step
            base &+= step - 1
        } else if delta > 0 {
            highest &+= UInt32(delta)
        }
        isBetweenBursts = isBetweenBursts && delta <= 0 && delta >= -Self.reordered
        received += 1
        let arrival = UInt32(truncatingIfNeeded: arrivalNs / 1_000 * 48 / 1_000)
        let transit = Int32(bitPattern: arrival &- timestamp)
        if let last = self.transit {
            let difference = (transit &- last).magnitude
            // A pause between bursts is no jitter.
            if difference < 48_000 { jitter16 = jitter16 &+ difference &- ((jitter16 &+ 8) >> 4) }
        }
        self.transit = transit
    }

    /// Takes the clock of the sender's report, for `block`.
    public mutating func senderReport(ntp: UInt64, at now: Int64) {
        lastSenderReport = (UInt32(truncatingIfNeeded: ntp >> 16), now)
    }

    /// A talk burst begins: what was between the bursts was not lost, even where the sender went on, or began a new numbering.
    public mutating func burst() {
        transit = nil
        isBetweenBursts = received > 0
    }

    private mutating func restart(ssrc: UInt32, sequence: UInt16) {
        self = ReceptionStatistics(quality: quality)
        self.ssrc = ssrc
        base = UInt32(sequence)
        highest = base
    }

    private init(quality: LinkQuality) { self.quality = quality }

    /// Packets that should have come.
    public var expected: Int64 { received == 0 ? 0 : Int64(highest &- base) + 1 }
    /// Packets that did not; never below 0 here (duplicates).
    public var lost: Int64 { max(0, expected - received) }
    /// ms.
    public var jitterMs: Int { Int(jitter16 >> 4) / 48 }

    /// Ends an interval: updates the link's quality, and the fraction that the next block reports.
    public mutating func interval() {
        let expectedNow = expected - expectedPrior
        let receivedNow = received - receivedPrior
        (expectedPrior, receivedPrior) = (expected, received)
        guard expectedNow > 0 else {
            fraction = 0
            return
        }
        let lostNow = max(0, expectedNow - receivedNow)
        fraction = UInt8(clamping: lostNow * 256 / expectedNow)
        quality.measure(lost: lostNow, of: expectedNow)
    }

    /// The report on this stream; nil until a packet came.
    public func block(at now: Int64) -> ReportBlock? {
        guard received > 0 else { return nil }
        let delay = lastSenderReport.map { UInt32(truncatingIfNeeded: (now - $0.at) / 1_000 * 65_536 / 1_000_000) }
        return ReportBlock(
            ssrc: ssrc, fractionLost: fraction, totalLost: Int32(clamping: min(lost, 0x7F_FFFF)), highestSequence: highest,
            jitter: jitter16 >> 4, lastReport: lastSenderReport?.middle ?? 0, delaySinceLastReport: delay ?? 0)
    }
}

/// A link's quality in percent as Janus smooths it: a third of each new measurement (Janus, rtcp.c, `janus_rtcp_link_quality_filter`).
public struct LinkQuality: Sendable, Equatable {
    private var value: Double?
    /// Nothing measured: 100.
    public init() {}
    /// 0…100, rounded.
    public var percent: Int { Int(min(100, max(0, value ?? 100)) + 0.5) }

    /// Takes an interval's losses.
    public mutating func measure(lost: Int64, of expected: Int64) {
        guard expected > 0 else { return }
        let now = 100 - 100 * Double(lost) / Double(expected)
        // As there, after a total loss the next measurement counts alone.
        if let last = value, last > 0 { value = last * 2 / 3 + now / 3 } else { value = now }
    }
}

/// What a listener's reports tell of the stream that we send: loss, jitter and round trip (RFC 3550 §6.4.1, A.3).
public struct RemoteReception: Sendable {
    /// Of what we send.
    public private(set) var quality = LinkQuality()
    /// ms; 0 until a report answers a sender report.
    public private(set) var rttMs = 0
    /// ms, as the listener measures it.
    public private(set) var jitterMs = 0
    /// Lost in all, as the listener counts it.
    public private(set) var lost: Int64 = 0
    /// Received in all, by the listener's reports.
    public private(set) var received: Int64 = 0
    private var prior: (highest: UInt32, lost: Int32)?
    /// Packets of the last report's interval, and how many of them were lost.
    public private(set) var latest: (sent: Int64, lost: Int64) = (0, 0)

    /// No report so far.
    public init() {}

    /// Takes a report block on our stream.
    /// - Parameter nowNTP: our clock, 32.32, as in our sender reports.
    public mutating func report(_ block: ReportBlock, nowNTP: UInt64) {
        jitterMs = Int(block.jitter / 48)
        lost = Int64(block.totalLost)
        if block.lastReport != 0 {
            let roundTrip = UInt32(truncatingIfNeeded: nowNTP >> 16) &- block.lastReport &- block.delaySinceLastReport
            // A wrong clock gives half the number range; a round trip of over 30 s is none.
            if roundTrip < 30 << 16 { rttMs = Int(UInt64(roundTrip) * 1_000 / 65_536) }
        }
        latest = (0, 0)
        if let prior {
            let sent = Int64(Int32(bitPattern: block.highestSequence &- prior.highest))
            if sent > 0, sent < 1 << 20 {
                let lostNow = max(0, Int64(block.totalLost &- prior.lost))
                received += max(0, sent - lostNow)
                latest = (sent, min(lostNow, sent))
                quality.measure(lost: min(lostNow, sent), of: sent)
            }
        }
        prior = (block.highestSequence, block.totalLost)
    }
}
