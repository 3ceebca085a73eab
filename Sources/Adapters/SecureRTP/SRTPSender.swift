import COpenSSL

/// Protects what one peer hears: keeps the sending key expanded, the roll-over counter of each SSRC, and the SRTCP index.
///
/// For one thread at a time. Packets for many listeners go through an ``SRTPBatch``, which takes the sender's ``reference``.
public final class SRTPSender {
    /// A sender without counting its references: it is valid as long as the sender is.
    public struct Reference {
        let state: UnsafeMutablePointer<SenderState>
    }

    /// The sender for batches; the sender must outlive its use.
    public let reference: Reference
    private let byteCount: Int
    private var state: UnsafeMutablePointer<SenderState> { reference.state }

    /// The suite of its key.
    public var suite: SRTPSuite { state.pointee.suite }

    /// A sender that has sent nothing yet.
    /// - Throws: `library` where the backend is not available or memory is out.
    public init(_ key: SRTPKey, backend: SRTPBackend = .best) throws(SRTPError) {
        guard backend.isAvailable else { throw .library }
        let suite = key.suite
        let isExpandedHere = backend == .ipsecMB
        let head = Self.keyOffset
        byteCount = head + (isExpandedHere ? IPSecMB.expandedBytes(suite) : 0)
        let block = UnsafeMutableRawPointer.allocate(byteCount: byteCount, alignment: 64)
        block.initializeMemory(as: UInt8.self, repeating: 0, count: byteCount)
        let form: SenderState.Form =
            switch (backend, suite) {
            case (.openSSL, _): .openSSL
            case (.ipsecMB, .aeadAES128GCM): .gcm128
            case (.ipsecMB, .aeadAES256GCM): .gcm256
            case (.ipsecMB, .aesCM128HMACSHA1): .cm
            }
        let state = block.bindMemory(to: SenderState.self, capacity: 1)
        state.initialize(to: SenderState(form: form, suite: suite))
        reference = Reference(state: state)
        try Self.setKeys(state, key, expanded: isExpandedHere ? block + head : nil)
    }

    /// Where an expanded key begins, behind the state: at a cache line.
    static let keyOffset = (MemoryLayout<SenderState>.size + 63) & ~63

    private static func setKeys(
        _ state: UnsafeMutablePointer<SenderState>, _ key: SRTPKey, expanded: UnsafeMutableRawPointer?
    ) throws(SRTPError) {
        let rtp = UnsafeMutablePointer<SessionKeys>.allocate(capacity: 1)
        rtp.initialize(to: SessionKeys())
        defer {
            OPENSSL_cleanse(rtp, MemoryLayout<SessionKeys>.size)
            rtp.deallocate()
        }
        try SessionKeys.derive(key, .rtp, to: rtp)
        try withUnsafeMutablePointer(to: &state.pointee.rtcp) { (keys) throws(SRTPError) in
            try SessionKeys.derive(key, .rtcp, to: keys)
        }
        state.pointee.saltHigh = rtp.pointee.saltHigh
        state.pointee.saltLow = rtp.pointee.saltLow
        state.pointee.authentication = rtp.pointee.authentication
        if let expanded {
            guard IPSecMB.expand(key.suite, key: rtp, to: expanded) else { throw .library }
            state.pointee.key = expanded
        } else {
            guard let context = OpenSSLCipher.context(key.suite, key: rtp) else { throw .library }
            state.pointee.key = UnsafeMutableRawPointer(context)
        }
    }

    deinit {
        if state.pointee.form == .openSSL, let context = state.pointee.key { OpenSSLCipher.free(OpaquePointer(context)) }
        state.pointee.others?.deallocate()
        OPENSSL_cleanse(state, byteCount)
        UnsafeMutableRawPointer(state).deallocate()
    }

    /// The sequence number of the last packet sent with an SSRC; nil before the first. A stream that is heard again must go on behind it,
    /// by less than 2^15: the peer still has its roll-over counter.
    public func lastSequence(ssrc: UInt32) -> UInt16? {
        SenderState.last(state, ssrc: ssrc).map { UInt16(truncatingIfNeeded: $0) }
    }

    /// The roll-over counter of an SSRC: 0 at its first packet (RFC 3711, section 3.3.1); nil before that.
    public func rolloverCounter(ssrc: UInt32) -> UInt32? {
        SenderState.last(state, ssrc: ssrc).map { UInt32(truncatingIfNeeded: $0 >> 16) }
    }

    /// Protects one RTP packet in place, CSRCs and header extension in the clear.
    /// - Parameters:
    ///   - packet: the packet in its first bytes, and room for the tag behind it.
    ///   - count: the packet's length in bytes.
    /// - Returns: the length with the tag.
    /// - Throws: `malformed`, `noRoom`, or `sequence` for a sequence number that was used, which would use a keystream twice, or lies more
    ///   than 63 behind the highest; `tooManySources` after 256 SSRCs, `keyExhausted` after 2^48 packets.
    public func protect(_ packet: UnsafeMutableRawBufferPointer, count: Int) throws(SRTPError) -> Int {
        let suite = state.pointee.suite
        guard let header = PacketShape.rtpHeaderBytes(UnsafeRawBufferPointer(packet), count: count), let base = packet.baseAddress else {
            throw .malformed
        }
        guard packet.count >= count + suite.tagBytes else { throw .noRoom }
        let ssrc = PacketShape.ssrc(base)
        guard let index = SenderState.advance(state, ssrc: ssrc, sequence: PacketShape.sequence(base)) else {
            throw SenderState.refusal(state, ssrc: ssrc)
        }
        guard Self.protect(state, base, header: header, payload: base + header, count: count - header, ssrc: ssrc, index: index) else {
            throw .library
        }
        return count + suite.tagBytes
    }

    /// Writes ciphertext and tag behind a header; the payload may already stand there.
    static func protect(
        _ state: UnsafeMutablePointer<SenderState>, _ packet: UnsafeMutableRawPointer, header: Int, payload: UnsafeRawPointer, count: Int,
        ssrc: UInt32, index: UInt64
    ) -> Bool {
        withUnsafeTemporaryAllocation(byteCount: 16 + IPSecMB.contextBytes, alignment: 16) { scratch in
            guard let key = state.pointee.key, let iv = scratch.baseAddress else { return false }
            let (high, low, output) = (state.pointee.saltHigh, state.pointee.saltLow, packet + header)
            if state.pointee.suite.isAEAD {
                PacketIV.writeGCM(high, low, ssrc: ssrc, index: index, to: iv)
            } else {
                PacketIV.writeCM(high, low, ssrc: ssrc, index: index, to: iv)
            }
            switch state.pointee.form {
            case .gcm128:
                guard let functions = IPSecMB.functions else { return false }
                IPSecMB.sealGCM128(functions, key, iv + 16, payload, output, count: count, iv: iv, aad: packet, aadCount: header)
                return true
            case .gcm256:
                guard let functions = IPSecMB.functions else { return false }
                IPSecMB.sealGCM256(functions, key, iv + 16, payload, output, count: count, iv: iv, aad: packet, aadCount: header)
                return true
            case .cm:
                // One packet alone gains nothing from many lanes; the first round key is the key itself.
                guard let context = OpenSSLCipher.context(.aesCM128HMACSHA1, key: key) else { return false }
                defer { OpenSSLCipher.free(context) }
                guard OpenSSLCipher.crypt(context, iv: iv, payload, output, count: count) else { return false }
            case .openSSL:
                let context = OpaquePointer(key)
                if state.pointee.suite.isAEAD {
                    return OpenSSLCipher.seal(
                        context, iv: iv, aad: .init(bytes: packet, count: header), payload, output, count: count, tag: output + count)
                }
                guard OpenSSLCipher.crypt(context, iv: iv, payload, output, count: count) else { return false }
            }
            let counter = UInt32(truncatingIfNeeded: index >> 16)
            state.pointee.authentication.sign(packet, count: header + count, counter: counter, to: output + count)
            return true
        }
    }

    /// Protects a compound RTCP packet in place (RFC 3711, section 3.4; RFC 7714, section 9).
    /// - Parameters:
    ///   - packet: the packet in its first bytes, and room for ``SRTPSuite/rtcpOverhead`` bytes behind it.
    ///   - count: the packet's length in bytes.
    /// - Returns: the length with tag and index.
    /// - Throws: `malformed`, `noRoom`, `keyExhausted` after 2^31 packets.
    public func protectRTCP(_ packet: UnsafeMutableRawBufferPointer, count: Int) throws(SRTPError) -> Int {
        let suite = state.pointee.suite
        guard PacketShape.isRTCP(UnsafeRawBufferPointer(packet), count: count), let base = packet.baseAddress else { throw .malformed }
        guard packet.count >= count + suite.rtcpOverhead else { throw .noRoom }
        let index = state.pointee.rtcpIndex
        guard index < 1 << 31 else { throw .keyExhausted }
        state.pointee.rtcpIndex = index + 1
        let isDone = withUnsafePointer(to: &state.pointee.rtcp) { keys in
            RTCPCipher.protect(suite, keys, base, count: count, index: index)
        }
        guard isDone else { throw .library }
        return count + suite.rtcpOverhead
    }
}
