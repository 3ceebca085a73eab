import CSRTP
import Glibc
import SecureRTP

/// Seeded randomness: the same packets in every run.
struct Random: RandomNumberGenerator {
    private var state: UInt64
    init(seed: UInt64) { state = seed }
    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var z = state
        z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
        z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
        return z ^ (z >> 31)
    }
    mutating func bytes(_ count: Int) -> [UInt8] { (0..<count).map { _ in UInt8.random(in: 0 ... .max, using: &self) } }
    mutating func key(_ suite: SRTPSuite) throws -> SRTPKey { try SRTPKey(suite, bytes: bytes(SRTPKey.byteCount(suite))) }
}

func bytes(hex: String) -> [UInt8] {
    let digits = hex.filter { $0.isHexDigit }
    return stride(from: 0, to: digits.count, by: 2).compactMap { UInt8(digits.dropFirst($0).prefix(2), radix: 16) }
}

enum Packets {
    static func rtp(
        _ random: inout Random, sequence: UInt16, ssrc: UInt32 = 0x1234_5678, payload: Int? = nil, csrcs: Int = 0,
        extensionWords: Int? = nil
    ) -> [UInt8] {
        var packet: [UInt8] = [0x80 | (extensionWords == nil ? 0 : 0x10) | UInt8(csrcs), 111, UInt8(sequence >> 8), UInt8(sequence & 255)]
        packet += random.bytes(4)
        packet += big(ssrc)
        packet += random.bytes(4 * csrcs)
        if let extensionWords {
            packet += [0xbe, 0xde, UInt8(extensionWords >> 8), UInt8(extensionWords & 255)] + random.bytes(4 * extensionWords)
        }
        return packet + random.bytes(payload ?? Int.random(in: 0...1_200, using: &random))
    }

    static func rtcp(_ random: inout Random, ssrc: UInt32 = 0x1234_5678, words: Int) -> [UInt8] {
        [0x80, 201, UInt8((words + 1) >> 8), UInt8((words + 1) & 255)] + big(ssrc) + random.bytes(4 * words)
    }

    static func big(_ value: UInt32) -> [UInt8] { withUnsafeBytes(of: value.bigEndian) { Array($0) } }
}

extension SRTPSender {
    func protected(_ packet: [UInt8]) throws(SRTPError) -> [UInt8] {
        let room = UnsafeMutableRawBufferPointer.allocate(byteCount: packet.count + suite.tagBytes, alignment: 1)
        defer { room.deallocate() }
        room.copyBytes(from: packet)
        return Array(room.prefix(try protect(room, count: packet.count)))
    }
    func protectedRTCP(_ packet: [UInt8]) throws(SRTPError) -> [UInt8] {
        let room = UnsafeMutableRawBufferPointer.allocate(byteCount: packet.count + suite.rtcpOverhead, alignment: 1)
        defer { room.deallocate() }
        room.copyBytes(from: packet)
        return Array(room.prefix(try protectRTCP(room, count: packet.count)))
    }
}

extension SRTPReceiver {
    func plain(_ packet: [UInt8]) throws(SRTPError) -> [UInt8] {
        // Exactly as long as the packet, so that the address sanitizer sees a step beyond it.
        let room = UnsafeMutableRawBufferPointer.allocate(byteCount: packet.count, alignment: 1)
        defer { room.deallocate() }
        room.copyBytes(from: packet)
        return Array(room.prefix(try unprotect(room)))
    }
    func plainRTCP(_ packet: [UInt8]) throws(SRTPError) -> [UInt8] {
        let room = UnsafeMutableRawBufferPointer.allocate(byteCount: packet.count, alignment: 1)
        defer { room.deallocate() }
        room.copyBytes(from: packet)
        return Array(room.prefix(try unprotectRTCP(room)))
    }
}

/// libsrtp2 as the yardstick, in one direction.
final class Yardstick {
    private var session: srtp_t?
    private static let isReady = srtp_init() == srtp_err_status_ok

    struct Failure: Error { var status: UInt32 }

    init(_ key: SRTPKey, sending: Bool, rtcpInTheClear: Bool = false) throws {
        guard Self.isReady else { throw Failure(status: .max) }
        var policy = srtp_policy_t()
        switch key.suite {
        case .aeadAES128GCM:
            srtp_crypto_policy_set_aes_gcm_128_16_auth(&policy.rtp)
            srtp_crypto_policy_set_aes_gcm_128_16_auth(&policy.rtcp)
        case .aeadAES256GCM:
            srtp_crypto_policy_set_aes_gcm_256_16_auth(&policy.rtp)
            srtp_crypto_policy_set_aes_gcm_256_16_auth(&policy.rtcp)
        case .aesCM128HMACSHA1:
            srtp_crypto_policy_set_rtp_default(&policy.rtp)
            srtp_crypto_policy_set_rtcp_default(&policy.rtcp)
        }
        if rtcpInTheClear { policy.rtcp.sec_serv = sec_serv_auth }
        policy.ssrc.type = sending ? ssrc_any_outbound : ssrc_any_inbound
        policy.window_size = 128
        let status = key.withBytes { bytes in
            var copy = Array(bytes)
            return copy.withUnsafeMutableBufferPointer { pointer in
                policy.key = pointer.baseAddress
                return srtp_create(&session, &policy)
            }
        }
        guard status == srtp_err_status_ok else { throw Failure(status: status.rawValue) }
    }

    deinit { if let session { srtp_dealloc(session) } }

    private func run(
        _ packet: [UInt8], _ body: (srtp_t?, UnsafeMutableRawPointer?, UnsafeMutablePointer<Int32>) -> srtp_err_status_t
    ) throws -> [UInt8] {
        var room = packet + [UInt8](repeating: 0, count: Int(SRTP_MAX_TRAILER_LEN) + 8)
        var count = Int32(packet.count)
        let status = room.withUnsafeMutableBytes { body(session, $0.baseAddress, &count) }
        guard status == srtp_err_status_ok else { throw Failure(status: status.rawValue) }
        return Array(room.prefix(Int(count)))
    }

    func protect(_ packet: [UInt8]) throws -> [UInt8] { try run(packet, srtp_protect) }
    func unprotect(_ packet: [UInt8]) throws -> [UInt8] { try run(packet, srtp_unprotect) }
    func protectRTCP(_ packet: [UInt8]) throws -> [UInt8] { try run(packet, srtp_protect_rtcp) }
    func unprotectRTCP(_ packet: [UInt8]) throws -> [UInt8] { try run(packet, srtp_unprotect_rtcp) }
}

let backends = SRTPBackend.allCases.filter(\.isAvailable)
