import COpenSSL
import Glibc

/// HMAC-SHA1 with its key worked in: the states behind the inner and the outer pad, in which intel-ipsec-mb takes them too.
struct AuthenticationKey {
    var inner = InlineArray<5, UInt32>(repeating: 0)
    var outer = InlineArray<5, UInt32>(repeating: 0)

    /// The length of a session key in bytes (RFC 3711, section 8.2).
    static let byteCount = 20
    /// The length of the tag in bytes: HMAC_SHA1_80.
    static let tagBytes = 10

    /// The tag over the packet and the roll-over counter, or over an RTCP packet with its index (RFC 3711, section 4.2).
    /// - Parameter tag: room for the 10 bytes.
    func sign(_ packet: UnsafeRawPointer, count: Int, counter: UInt32?, to tag: UnsafeMutableRawPointer) {
        withUnsafeTemporaryAllocation(byteCount: 20, alignment: 4) { digest in
            guard let start = digest.baseAddress else { return }
            var word = (counter ?? 0).bigEndian
            withUnsafeBytes(of: self) { states in
                let inner = states.bindMemory(to: UInt32.self).baseAddress
                talkburst_hmac_sha1(
                    inner, inner.map { $0 + 5 }, packet, count, &word, counter == nil ? 0 : 4, start.assumingMemoryBound(to: UInt8.self))
            }
            tag.copyMemory(from: start, byteCount: Self.tagBytes)
        }
    }
}

extension AuthenticationKey {
    /// Whether a tag is right, in a time that does not depend on where it differs.
    func verify(_ packet: UnsafeRawPointer, count: Int, counter: UInt32?, tag: UnsafeRawPointer) -> Bool {
        withUnsafeTemporaryAllocation(byteCount: Self.tagBytes, alignment: 4) { expected in
            guard let start = expected.baseAddress else { return false }
            sign(packet, count: count, counter: counter, to: start)
            return CRYPTO_memcmp(start, tag, Self.tagBytes) == 0
        }
    }
}

/// What a packet is of, for the labels of RFC 3711, section 4.3.1.
enum PacketKind: UInt8 {
    case rtp = 0
    case rtcp = 3
}

/// The session keys for RTP or RTCP under one master key (RFC 3711, section 4.3; RFC 7714, section 11; the key derivation rate is 0).
/// It lies in memory of a sender or a receiver, which wipes it.
struct SessionKeys {
    /// The cipher's key in its first `keyBytes` bytes.
    var cipher = InlineArray<4, UInt64>(repeating: 0)
    /// The salt as big-endian numbers, to make IVs with: bytes 0…7, and from byte 8 on to the left (4 bytes for GCM, 6 for CM).
    var saltHigh: UInt64 = 0
    var saltLow: UInt64 = 0
    /// For AES_CM_128_HMAC_SHA1_80 only.
    var authentication = AuthenticationKey()

    /// Derives them in place.
    static func derive(_ key: SRTPKey, _ kind: PacketKind, to keys: UnsafeMutablePointer<SessionKeys>) throws(SRTPError) {
        keys.initialize(to: SessionKeys())
        let suite = key.suite
        // A 96-bit salt is padded with zeros at its end (RFC 7714, section 11).
        let isDone = withUnsafeTemporaryAllocation(byteCount: 32, alignment: 8) { scratch in
            defer { OPENSSL_cleanse(scratch.baseAddress, scratch.count) }
            let cipher = UnsafeMutableRawPointer(keys)
            guard derive(key, label: kind.rawValue, to: cipher, count: suite.keyBytes), let work = scratch.baseAddress,
                derive(key, label: kind.rawValue + 2, to: work, count: suite.saltBytes)
            else { return false }
            for index in suite.saltBytes..<16 { scratch[index] = 0 }
            keys.pointee.saltHigh = UInt64(bigEndian: work.load(as: UInt64.self))
            keys.pointee.saltLow = UInt64(bigEndian: work.load(fromByteOffset: 8, as: UInt64.self))
            if suite.isAEAD { return true }
            guard derive(key, label: kind.rawValue + 1, to: work, count: AuthenticationKey.byteCount) else { return false }
            withUnsafeMutableBytes(of: &keys.pointee.authentication) { states in
                let inner = states.bindMemory(to: UInt32.self).baseAddress
                talkburst_hmac_sha1_prepare(work, AuthenticationKey.byteCount, inner, inner.map { $0 + 5 })
            }
            return true
        }
        guard isDone else { throw .library }
    }

    /// The first bytes of the keystream under the master key for a label (RFC 3711, section 4.3.3).
    static func derive(_ key: SRTPKey, label: UInt8, to output: UnsafeMutableRawPointer, count: Int) -> Bool {
        key.withBytes { master in
            guard let base = master.baseAddress,
                let context = OpenSSLCipher.counterContext(key: base, keyBytes: key.suite.keyBytes)
            else { return false }
            defer { OpenSSLCipher.free(context) }
            return withUnsafeTemporaryAllocation(byteCount: 16, alignment: 8) { iv in
                guard let start = iv.baseAddress else { return false }
                memset(start, 0, 16)
                memcpy(start, base + key.suite.keyBytes, key.suite.saltBytes)
                // The label is byte 7 of the 14: above it only index DIV rate, which is 0.
                iv[7] ^= label
                memset(output, 0, count)
                return OpenSSLCipher.crypt(context, iv: start, output, output, count: count)
            }
        }
    }
}

/// The IV of a packet.
enum PacketIV {
    /// RFC 7714, section 8.1, or of RTCP 9.1: 00 00, SSRC, roll-over counter, sequence number (of RTCP 00 00, SSRC, 00 00, index), XOR salt.
    @inline(__always)
    static func writeGCM(_ high: UInt64, _ low: UInt64, ssrc: UInt32, index: UInt64, to iv: UnsafeMutableRawPointer) {
        iv.storeBytes(of: (high ^ (UInt64(ssrc) << 16 | index >> 32)).bigEndian, as: UInt64.self)
        iv.storeBytes(
            of: (UInt32(truncatingIfNeeded: low >> 32) ^ UInt32(truncatingIfNeeded: index)).bigEndian, toByteOffset: 8, as: UInt32.self)
    }

    /// RFC 3711, section 4.1.1: salt × 2^16 XOR SSRC × 2^64 XOR index × 2^16.
    @inline(__always)
    static func writeCM(_ high: UInt64, _ low: UInt64, ssrc: UInt32, index: UInt64, to iv: UnsafeMutableRawPointer) {
        iv.storeBytes(of: (high ^ UInt64(ssrc)).bigEndian, as: UInt64.self)
        iv.storeBytes(of: (low ^ index << 16).bigEndian, toByteOffset: 8, as: UInt64.self)
    }
}
