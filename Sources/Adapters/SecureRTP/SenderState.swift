import COpenSSL

/// One SSRC that a sender has sent with.
struct SentStream {
    var ssrc: UInt32
    /// The index of its highest packet: roll-over counter × 2^16 + sequence number.
    var last: UInt64
    /// Which of the 64 up to `last` were sent; bit 0 is `last`.
    var sent: UInt64
}

/// All that a sender knows, in one block of memory with its expanded key behind it, so that a batch reaches it by a plain pointer: a
/// reference to a class would be retained and released for each listener. What every packet needs comes first, in one cache line.
struct SenderState {
    /// How its packets are made.
    enum Form: UInt8 {
        case gcm128, gcm256, cm
        /// Any suite, by OpenSSL: the key is its context.
        case openSSL
    }

    var saltHigh: UInt64 = 0
    var saltLow: UInt64 = 0
    /// The index of the highest packet of `ssrc`, and which of the 64 up to it were sent: what was overtaken on its way to us may still go
    /// out, but nothing twice.
    var last: UInt64 = 0
    var sent: UInt64 = 0
    /// The expanded key behind this, or OpenSSL's context.
    var key: UnsafeMutableRawPointer?
    var ssrc: UInt32 = 0
    var form: Form
    var isStarted = false
    var suite: SRTPSuite
    /// Streams sent before the current one. They are kept: a stream that began anew would use its keystream twice.
    var others: UnsafeMutablePointer<SentStream>?
    var otherCount: UInt16 = 0
    var otherCapacity: UInt16 = 0
    /// The next SRTCP index (RFC 3711, section 3.4), for all SSRCs.
    var rtcpIndex: UInt32 = 0
    var authentication = AuthenticationKey()
    var rtcp = SessionKeys()

    static let otherLimit = 255
    static let indexLimit: UInt64 = 1 << 48

    /// The next packet's index; nil where it must not be sent: see ``refusal``.
    @inline(__always)
    static func advance(_ state: UnsafeMutablePointer<SenderState>, ssrc: UInt32, sequence: UInt16) -> UInt64? {
        if _fastPath(state.pointee.ssrc == ssrc && state.pointee.isStarted) {
            let step = sequence &- UInt16(truncatingIfNeeded: state.pointee.last)
            let index = state.pointee.last &+ UInt64(step)
            guard _fastPath(step &- 1 < 0x7fff && index < indexLimit) else { return overtaken(state, by: 0 &- step) }
            state.pointee.last = index
            state.pointee.sent = state.pointee.sent << UInt64(step) | 1
            return index
        }
        return change(state, ssrc: ssrc, sequence: sequence)
    }

    /// A packet that others overtook: its index, unless it was sent already or is too far behind.
    @inline(never)
    private static func overtaken(_ state: UnsafeMutablePointer<SenderState>, by distance: UInt16) -> UInt64? {
        let bit: UInt64 = 1 << UInt64(distance)
        guard distance < 64, distance <= state.pointee.last, state.pointee.sent & bit == 0 else { return nil }
        state.pointee.sent |= bit
        return state.pointee.last - UInt64(distance)
    }

    /// Why ``advance`` refused, for its caller's caller.
    static func refusal(_ state: UnsafeMutablePointer<SenderState>, ssrc: UInt32) -> SRTPError {
        guard state.pointee.ssrc == ssrc else { return .tooManySources }
        return state.pointee.last > indexLimit - 0x8000 ? .keyExhausted : .sequence
    }

    /// Another SSRC than before: one from earlier goes on where it was, a new one has the roll-over counter 0.
    @inline(never)
    private static func change(_ state: UnsafeMutablePointer<SenderState>, ssrc: UInt32, sequence: UInt16) -> UInt64? {
        let current = SentStream(ssrc: state.pointee.ssrc, last: state.pointee.last, sent: state.pointee.sent)
        for place in 0..<Int(state.pointee.otherCount) {
            guard let others = state.pointee.others, others[place].ssrc == ssrc else { continue }
            state.pointee.ssrc = ssrc
            state.pointee.last = others[place].last
            state.pointee.sent = others[place].sent
            others[place] = current
            return advance(state, ssrc: ssrc, sequence: sequence)
        }
        if state.pointee.isStarted {
            guard keep(current, in: state) else { return nil }
        }
        state.pointee.isStarted = true
        state.pointee.ssrc = ssrc
        state.pointee.last = UInt64(sequence)
        // Nothing came before it: a packet that it overtook would have an index of its own, but the peer may guess a wrong counter.
        state.pointee.sent = .max
        return UInt64(sequence)
    }

    private static func keep(_ stream: SentStream, in state: UnsafeMutablePointer<SenderState>) -> Bool {
        let count = Int(state.pointee.otherCount)
        guard count < otherLimit else { return false }
        if count == Int(state.pointee.otherCapacity) {
            // One for the second floor, then for the rooms it moves through.
            let capacity = min(max(1, 2 * count), otherLimit)
            let grown = UnsafeMutablePointer<SentStream>.allocate(capacity: capacity)
            if let others = state.pointee.others {
                grown.moveInitialize(from: others, count: count)
                others.deallocate()
            }
            state.pointee.others = grown
            state.pointee.otherCapacity = UInt16(capacity)
        }
        guard let others = state.pointee.others else { return false }
        (others + count).initialize(to: stream)
        state.pointee.otherCount += 1
        return true
    }

    /// The last sequence number sent with an SSRC.
    static func last(_ state: UnsafeMutablePointer<SenderState>, ssrc: UInt32) -> UInt64? {
        if state.pointee.isStarted && state.pointee.ssrc == ssrc { return state.pointee.last }
        return (0..<Int(state.pointee.otherCount)).lazy.compactMap { place in
            state.pointee.others.flatMap { $0[place].ssrc == ssrc ? $0[place].last : nil }
        }.first
    }
}
