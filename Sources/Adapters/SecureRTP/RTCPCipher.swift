// SRTCP (RFC 3711, section 3.4, and RFC 7714, section 9.2):
//
//   header, SSRC (8 bytes) │ encrypted │ GCM's tag (16) │ E, index (4)
//   header, SSRC (8 bytes) │ encrypted │ E, index (4) │ HMAC's tag (10)

/// Protects and unprotects an RTCP packet. It is rare, so the key is expanded for each: that is a microsecond, and no memory per peer.
enum RTCPCipher {
    static let encryptedBit: UInt32 = 1 << 31
    static let wordBytes = 4

    static func protect(
        _ suite: SRTPSuite, _ keys: UnsafePointer<SessionKeys>, _ packet: UnsafeMutableRawPointer, count: Int, index: UInt32
    ) -> Bool {
        let (header, body, end) = (PacketShape.rtcpHeader, packet + PacketShape.rtcpHeader, packet + count)
        let word = suite.isAEAD ? end + suite.tagBytes : end
        word.storeBytes(of: (encryptedBit | index).bigEndian, as: UInt32.self)
        let isDone: Bool? = with(suite, keys, packet, index) { context, iv in
            if suite.isAEAD {
                let aad = OpenSSLCipher.AAD(bytes: packet, count: header, trailer: word)
                return OpenSSLCipher.seal(context, iv: iv, aad: aad, body, body, count: count - header, tag: end)
            }
            guard OpenSSLCipher.crypt(context, iv: iv, body, body, count: count - header) else { return false }
            keys.pointee.authentication.sign(packet, count: count + wordBytes, counter: nil, to: word + wordBytes)
            return true
        }
        return isDone ?? false
    }

    /// The word of the E bit and the index, in a packet that is long enough for it.
    static func word(_ suite: SRTPSuite, _ packet: UnsafeRawBufferPointer) -> UInt32 {
        let offset = packet.count - wordBytes - (suite.isAEAD ? 0 : suite.tagBytes)
        return UInt32(bigEndian: packet.loadUnaligned(fromByteOffset: offset, as: UInt32.self))
    }

    /// Checks and decrypts in place; nil where OpenSSL refuses for want of memory, false for a wrong tag.
    static func unprotect(
        _ suite: SRTPSuite, _ keys: UnsafePointer<SessionKeys>, _ packet: UnsafeMutableRawPointer, plainCount: Int, word value: UInt32
    ) -> Bool? {
        let (header, body, end) = (PacketShape.rtcpHeader, packet + PacketShape.rtcpHeader, packet + plainCount)
        let isEncrypted = value & encryptedBit != 0
        if !suite.isAEAD {
            let tag = end + wordBytes
            guard keys.pointee.authentication.verify(packet, count: plainCount + wordBytes, counter: nil, tag: tag) else { return false }
            if !isEncrypted { return true }
        }
        return with(suite, keys, packet, value & ~encryptedBit) { context, iv in
            guard suite.isAEAD else { return OpenSSLCipher.crypt(context, iv: iv, body, body, count: plainCount - header) }
            let word = UnsafeRawPointer(end + suite.tagBytes)
            // Without encryption all of it is additional data (RFC 7714, section 9.3).
            let aad = OpenSSLCipher.AAD(bytes: packet, count: isEncrypted ? header : plainCount, trailer: word)
            return OpenSSLCipher.open(context, iv: iv, aad: aad, body, count: isEncrypted ? plainCount - header : 0, tag: end)
        }
    }

    private static func with<Result>(
        _ suite: SRTPSuite, _ keys: UnsafePointer<SessionKeys>, _ packet: UnsafeRawPointer, _ index: UInt32,
        _ body: (OpaquePointer, UnsafeRawPointer) -> Result
    ) -> Result? {
        guard let context = OpenSSLCipher.context(suite, key: keys) else { return nil }
        defer { OpenSSLCipher.free(context) }
        return withUnsafeTemporaryAllocation(byteCount: 16, alignment: 8) { scratch in
            guard let iv = scratch.baseAddress else { return nil }
            let ssrc = PacketShape.rtcpSSRC(packet)
            if suite.isAEAD {
                PacketIV.writeGCM(keys.pointee.saltHigh, keys.pointee.saltLow, ssrc: ssrc, index: UInt64(index), to: iv)
            } else {
                PacketIV.writeCM(keys.pointee.saltHigh, keys.pointee.saltLow, ssrc: ssrc, index: UInt64(index), to: iv)
            }
            return body(context, iv)
        }
    }
}
