import COpenSSL

/// Unprotects what one peer sends: estimates the roll-over counter of each SSRC and keeps replay windows of 128 packets.
///
/// For one thread at a time. Only an authentic packet changes anything of it. Its cipher is set up by the first authentic RTP packet, so
/// that a peer that only listens needs no memory for it.
public final class SRTPReceiver {
    /// How many SSRCs one key may send with; some devices take another for each press of their button. None is ever forgotten: packets of a
    /// forgotten one that somebody recorded would count as new again. Only the peer itself, not a stranger, can use them up.
    public static let sourceLimit = 8_192
    /// How many of them may send at a time: the one that was silent longest is retired for a new one, and not heard again.
    static let windowLimit = 32

    private struct Source {
        var ssrc: UInt32
        /// The receiver's count of packets at its last one.
        var usedAt: UInt64 = 0
        var rtp = ReplayWindow()
        var rtcp = ReplayWindow()
    }

    private struct State {
        var rtp = SessionKeys()
        var rtcp = SessionKeys()
        /// OpenSSL's for RTP, once an authentic packet has come.
        var context: OpaquePointer?
        var sources: UnsafeMutablePointer<Source>?
        var count = 0
        var capacity = 0
        /// Authentic packets so far.
        var packets: UInt64 = 0
    }

    /// The suite of its key.
    public let suite: SRTPSuite
    private let state: UnsafeMutablePointer<State>
    private var retired: Set<UInt32> = []

    /// A receiver that has heard nothing yet.
    /// - Throws: `library` where memory is out.
    public init(_ key: SRTPKey) throws(SRTPError) {
        suite = key.suite
        state = .allocate(capacity: 1)
        state.initialize(to: State())
        try withUnsafeMutablePointer(to: &state.pointee.rtp) { (keys) throws(SRTPError) in try SessionKeys.derive(key, .rtp, to: keys) }
        try withUnsafeMutablePointer(to: &state.pointee.rtcp) { (keys) throws(SRTPError) in try SessionKeys.derive(key, .rtcp, to: keys) }
    }

    deinit {
        OpenSSLCipher.free(state.pointee.context)
        state.pointee.sources?.deallocate()
        OPENSSL_cleanse(state, MemoryLayout<State>.size)
        state.deallocate()
    }

    /// How many SSRCs have sent authentic packets.
    public var sourceCount: Int { state.pointee.count + retired.count }

    /// The roll-over counter of an SSRC's highest authentic RTP packet; nil before the first.
    public func rolloverCounter(ssrc: UInt32) -> UInt32? {
        guard let place = try? place(of: ssrc), let source = state.pointee.sources?[place], !source.rtp.isEmpty else { return nil }
        return UInt32(truncatingIfNeeded: source.rtp.highest >> 16)
    }

    /// Unprotects an RTP packet in place (RFC 3711, section 3.3).
    /// - Parameter packet: exactly the packet as it came. Where this throws, all behind its header is worthless.
    /// - Returns: the plain packet's length in bytes; its header stays as it is.
    /// - Throws: `malformed`, `replay`, `authentication`, `tooManySources`, `library`.
    public func unprotect(_ packet: UnsafeMutableRawBufferPointer) throws(SRTPError) -> Int {
        let plainCount = packet.count - suite.tagBytes
        guard let header = PacketShape.rtpHeaderBytes(UnsafeRawBufferPointer(packet), count: plainCount), let base = packet.baseAddress
        else {
            throw .malformed
        }
        let ssrc = PacketShape.ssrc(base)
        let place = try place(of: ssrc)
        let window = place.flatMap { state.pointee.sources?[$0].rtp } ?? ReplayWindow()
        guard let index = window.estimate(PacketShape.sequence(base)), window.admits(index) else { throw .replay }
        if suite.isAEAD {
            try open(base, header: header, count: plainCount, ssrc: ssrc, index: index)
        } else {
            try verify(base, header: header, count: plainCount, ssrc: ssrc, index: index)
        }
        try use(place, ssrc) { $0.rtp.accept(index) }
        return plainCount
    }

    /// Unprotects a compound RTCP packet in place (RFC 3711, section 3.4). One that is authentic but not encrypted (E bit 0) is taken.
    /// - Parameter packet: exactly the packet as it came. Where this throws, all behind its first 8 bytes is worthless.
    /// - Returns: the plain packet's length in bytes.
    /// - Throws: `malformed`, `replay`, `authentication`, `tooManySources`, `library`.
    public func unprotectRTCP(_ packet: UnsafeMutableRawBufferPointer) throws(SRTPError) -> Int {
        let plainCount = packet.count - suite.rtcpOverhead
        guard PacketShape.isRTCP(UnsafeRawBufferPointer(packet), count: plainCount), let base = packet.baseAddress else { throw .malformed }
        let ssrc = PacketShape.rtcpSSRC(base)
        let word = RTCPCipher.word(suite, UnsafeRawBufferPointer(packet))
        let index = UInt64(word & ~RTCPCipher.encryptedBit)
        let place = try place(of: ssrc)
        let window = place.flatMap { state.pointee.sources?[$0].rtcp } ?? ReplayWindow()
        guard window.admits(index) else { throw .replay }
        let isAuthentic = withUnsafePointer(to: &state.pointee.rtcp) { keys in
            RTCPCipher.unprotect(suite, keys, base, plainCount: plainCount, word: word)
        }
        guard let isAuthentic else { throw .library }
        guard isAuthentic else { throw .authentication }
        try use(place, ssrc) { $0.rtcp.accept(index) }
        return plainCount
    }

    /// AEAD: tag and text in one go.
    private func open(_ packet: UnsafeMutableRawPointer, header: Int, count: Int, ssrc: UInt32, index: UInt64) throws(SRTPError) {
        let aad = OpenSSLCipher.AAD(bytes: packet, count: header)
        let isAuthentic = withContext { context, iv in
            PacketIV.writeGCM(state.pointee.rtp.saltHigh, state.pointee.rtp.saltLow, ssrc: ssrc, index: index, to: iv)
            return OpenSSLCipher.open(context, iv: iv, aad: aad, packet + header, count: count - header, tag: packet + count)
        }
        guard let isAuthentic else { throw .library }
        guard isAuthentic else { throw .authentication }
    }

    /// HMAC first: a forged packet costs no decryption.
    private func verify(_ packet: UnsafeMutableRawPointer, header: Int, count: Int, ssrc: UInt32, index: UInt64) throws(SRTPError) {
        let counter = UInt32(truncatingIfNeeded: index >> 16)
        guard state.pointee.rtp.authentication.verify(packet, count: count, counter: counter, tag: packet + count) else {
            throw .authentication
        }
        let isDone = withContext { context, iv in
            PacketIV.writeCM(state.pointee.rtp.saltHigh, state.pointee.rtp.saltLow, ssrc: ssrc, index: index, to: iv)
            return OpenSSLCipher.crypt(context, iv: iv, packet + header, packet + header, count: count - header)
        }
        guard isDone == true else { throw .library }
    }

    /// The context, kept if the packet was good: a stranger's packets must not make a listener cost more. Nil where memory is out.
    private func withContext(_ body: (OpaquePointer, UnsafeMutableRawPointer) -> Bool) -> Bool? {
        withUnsafeTemporaryAllocation(byteCount: 16, alignment: 8) { scratch in
            guard let iv = scratch.baseAddress else { return nil }
            if let context = state.pointee.context { return body(context, iv) }
            guard let context = withUnsafePointer(to: &state.pointee.rtp, { OpenSSLCipher.context(suite, key: $0) }) else { return nil }
            guard body(context, iv) else {
                OpenSSLCipher.free(context)
                return false
            }
            state.pointee.context = context
            return true
        }
    }

    /// Where an SSRC's windows are; nil for one that has not sent yet.
    private func place(of ssrc: UInt32) throws(SRTPError) -> Int? {
        if let sources = state.pointee.sources, let place = (0..<state.pointee.count).first(where: { sources[$0].ssrc == ssrc }) {
            return place
        }
        guard !retired.contains(ssrc) else { throw .replay }
        return nil
    }

    /// An SSRC has sent an authentic packet. A new one has just proved to be the peer's, and gets a place.
    private func use(_ known: Int?, _ ssrc: UInt32, _ change: (inout Source) -> Void) throws(SRTPError) {
        var place = known
        if place == nil {
            guard sourceCount < Self.sourceLimit else { throw .tooManySources }
            place = state.pointee.count < Self.windowLimit ? append(ssrc) : replaceOldest(by: ssrc)
        }
        guard let place, let sources = state.pointee.sources else { return }
        state.pointee.packets &+= 1
        sources[place].usedAt = state.pointee.packets
        change(&sources[place])
    }

    private func append(_ ssrc: UInt32) -> Int {
        let count = state.pointee.count
        if count == state.pointee.capacity {
            let capacity = max(1, 2 * count)
            let grown = UnsafeMutablePointer<Source>.allocate(capacity: capacity)
            if let sources = state.pointee.sources {
                grown.moveInitialize(from: sources, count: count)
                sources.deallocate()
            }
            state.pointee.sources = grown
            state.pointee.capacity = capacity
        }
        if let sources = state.pointee.sources { (sources + count).initialize(to: Source(ssrc: ssrc)) }
        state.pointee.count = count + 1
        return count
    }

    private func replaceOldest(by ssrc: UInt32) -> Int? {
        guard let sources = state.pointee.sources,
            let place = (0..<state.pointee.count).min(by: { sources[$0].usedAt < sources[$1].usedAt })
        else { return nil }
        retired.insert(sources[place].ssrc)
        sources[place] = Source(ssrc: ssrc)
        return place
    }
}
