/// Puts the packets of one source into order and evens out their delays, so that a mixer can take one after the other by its own clock.
///
/// It waits for a few packets before the first is given out; a source that proves later than that is waited for longer, up to a bound.
/// However much comes, and however seldom it is asked, it keeps only what is still worth hearing: the oldest are let go.
public struct JitterBuffer: Sendable {
    /// What comes next.
    public enum Next: Sendable, Equatable {
        /// A packet.
        case packet([UInt8])
        /// One is missing, and the one behind it may bear it (in-band FEC).
        case recover(from: [UInt8])
        /// One is missing.
        case conceal
        /// The source says nothing, or is being waited for.
        case nothing
    }
    /// Packets that are waited for before the first is given out.
    public static let depths = 2...10
    /// Long packets are many milliseconds: no wait for a few of them is longer, ns.
    static let waitNs: Int64 = 200_000_000
    /// What came longer ago is no conversation any more, ns.
    static let ageNs: Int64 = 500_000_000
    /// The most that are kept: the longest wait, and what a network that stood still brings at once.
    public static let capacity = 16
    /// More than this cannot be a delay: the source began anew.
    static let reach: Int64 = 100
    /// Gaps of more are silence.
    static let concealed = 5

    private struct Entry: Sendable {
        var number: Int64
        var at: Int64
        var payload: [UInt8]
    }

    /// By their numbers; there are so few that a search from the end is the quickest.
    private var packets: [Entry] = []
    private var highest: Int64?
    private var next: Int64?
    private var isWaiting = true
    private var missed = 0
    private(set) var depth = depths.lowerBound
    /// Packets that came after their turn.
    public private(set) var late = 0

    /// An empty buffer.
    public init() {}

    /// How many packets wait.
    public var count: Int { packets.count }

    /// Takes a packet; what was there or is past its turn is passed over.
    /// - Parameter now: monotonic, ns.
    public mutating func insert(sequence: UInt16, payload: [UInt8], at now: Int64) {
        let near = highest ?? Int64(sequence)
        let number = near + Int64(Int16(bitPattern: sequence &- UInt16(truncatingIfNeeded: near)))
        if let highest, abs(number - highest) > JitterBuffer.reach {
            self = JitterBuffer()
            insert(sequence: sequence, payload: payload, at: now)
            return
        }
        if let next, number < next, !isWaiting {
            late += 1
            // It would have been in time had it been waited for a little longer.
            depth = min(depth + 1, JitterBuffer.depths.upperBound)
            return
        }
        let place = packets.lastIndex { $0.number <= number }
        guard place.map({ packets[$0].number < number }) ?? true else { return }
        packets.insert(Entry(number: number, at: now, payload: payload), at: place.map { $0 + 1 } ?? 0)
        highest = max(highest ?? number, number)
        letGo(all: JitterBuffer.capacity, at: now)
    }

    /// The source was not listened to for a while: what is given out next is what it says now.
    public mutating func catchUp(at now: Int64) {
        letGo(all: depth, at: now)
        isWaiting = true
        next = nil
    }

    /// Gives out what comes next.
    /// - Parameter now: monotonic, ns.
    public mutating func pop(at now: Int64) -> Next {
        letGo(all: JitterBuffer.capacity, at: now)
        if isWaiting {
            guard let first = packets.first, hasWaited(for: first, at: now) else { return .nothing }
            isWaiting = false
            next = first.number
            missed = 0
        }
        // A source whose clock is faster, or that caught up after a pause: the oldest is left out.
        if packets.count > depth + JitterBuffer.depths.lowerBound * 2, packets[0].number == next { letGo(all: packets.count - 1, at: now) }
        guard let turn = next, let highest else { return .nothing }
        if let first = packets.first, first.number == turn {
            packets.removeFirst()
            next = turn + 1
            missed = 0
            return .packet(first.payload)
        }
        missed += 1
        guard highest > turn else {
            // Nothing is behind it: silence, or a delay that grew. The next packet begins a new wait.
            guard missed <= JitterBuffer.concealed else {
                isWaiting = true
                next = nil
                return .nothing
            }
            return .conceal
        }
        next = turn + 1
        if let after = packets.first, after.number == turn + 1 { return .recover(from: after.payload) }
        return .conceal
    }

    private func hasWaited(for first: Entry, at now: Int64) -> Bool {
        packets.count >= depth || (packets.count >= JitterBuffer.depths.lowerBound && now - first.at >= JitterBuffer.waitNs)
    }

    /// Lets the oldest go: all but so many, and what came too long ago.
    private mutating func letGo(all kept: Int, at now: Int64) {
        var count = max(0, packets.count - kept)
        while count < packets.count, now - packets[count].at > JitterBuffer.ageNs { count += 1 }
        guard count > 0 else { return }
        let last = packets[count - 1].number
        packets.removeFirst(count)
        if let next, next <= last { self.next = packets.first?.number ?? last + 1 }
    }
}
