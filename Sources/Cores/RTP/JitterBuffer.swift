/// Puts the packets of one source into order and evens out their delays, so that a mixer can take one after the other by its own clock.
///
/// It waits for a few packets before the first is given out; a source that proves later than that is waited for longer, up to a bound.
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
    static let depths = 2...10
    /// More than this cannot be a delay: the source began anew.
    static let reach: Int64 = 100
    /// Gaps of more are silence.
    static let concealed = 5

    private var packets: [Int64: [UInt8]] = [:]
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
    public mutating func insert(sequence: UInt16, payload: [UInt8]) {
        let near = highest ?? Int64(sequence)
        let number = near + Int64(Int16(bitPattern: sequence &- UInt16(truncatingIfNeeded: near)))
        if let highest, abs(number - highest) > JitterBuffer.reach {
            self = JitterBuffer()
            insert(sequence: sequence, payload: payload)
            return
        }
        if let next, number < next, !isWaiting {
            late += 1
            // It would have been in time had it been waited for a little longer.
            depth = min(depth + 1, JitterBuffer.depths.upperBound)
            return
        }
        packets[number] = payload
        highest = max(highest ?? number, number)
    }

    /// Gives out what comes next.
    public mutating func pop() -> Next {
        if isWaiting {
            guard packets.count >= depth, let first = packets.keys.min() else { return .nothing }
            isWaiting = false
            next = first
            missed = 0
        }
        guard var turn = next, let highest else { return .nothing }
        // A source whose clock is faster, or that caught up after a pause: the oldest is left out.
        if packets.count > depth + JitterBuffer.depths.lowerBound * 2, packets[turn] != nil {
            packets[turn] = nil
            turn += 1
        }
        if let payload = packets.removeValue(forKey: turn) {
            next = turn + 1
            missed = 0
            return .packet(payload)
        }
        missed += 1
        guard highest > turn else {
            // Nothing is behind it: silence, or a delay that grew. The next packet begins a new wait.
            guard missed <= JitterBuffer.concealed else {
                isWaiting = true
                next = nil
                return .nothing
            }
            next = turn
            return .conceal
        }
        next = turn + 1
        if let after = packets[turn + 1] { return .recover(from: after) }
        return .conceal
    }
}
