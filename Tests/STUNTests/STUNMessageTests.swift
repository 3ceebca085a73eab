import Crypto
import STUN
import Testing

@Suite struct STUNMessageTests {
    private static let transaction: [UInt8] = [0xB7, 0xE7, 0xA7, 0x01, 0xBC, 0x34, 0xD6, 0x86, 0xFA, 0x87, 0xDF, 0xAE]
    /// RFC 5769's short-term password.
    private static let password = "VOkJxbRl1RmTxUk/WvJxBt"

    private static func bytes(_ hex: String) -> [UInt8] {
        let digits = hex.filter(\.isHexDigit)
        return stride(from: 0, to: digits.count, by: 2).compactMap { offset in
            let start = digits.index(digits.startIndex, offsetBy: offset)
            return UInt8(digits[start..<digits.index(start, offsetBy: 2)], radix: 16)
        }
    }
    private static let header = "2112A442 B7E7A701 BC34D686 FA87DFAE"
    /// RFC 5769 §2.1.
    static let request = bytes(
        """
        00010058 \(header) 80220010 5354554E 20746573 7420636C 69656E74 00240004 6E0001FF 80290008 932FF9B1 51263B36
        00060009 6576746A 3A683676 59202020 00080014 9AEAA70C BFD8CB56 781EF2B5 B2D3F249 C1B571A2 80280004 E57A3BCF
        """)
    /// RFC 5769 §2.2.
    static let response4 = bytes(
        """
        0101003C \(header) 8022000B 74657374 20766563 746F7220 00200008 0001A147 E112A643
        00080014 2B91F599 FD9E90C3 8C7489F9 2AF9BA53 F06BE7D7 80280004 C07D4C96
        """)
    /// RFC 5769 §2.3.
    static let response6 = bytes(
        """
        01010048 \(header) 8022000B 74657374 20766563 746F7220 00200014 0002A147 0113A9FA A5D3F179 BC25F4B5 BED2B9D9
        00080014 A382954E 4BE67BF1 1784C97C 8292C275 BFE3ED41 80280004 C8FB0B4C
        """)

    private func hmac(_ key: [UInt8], _ text: [UInt8]) -> [UInt8] { Digests.hmacSHA1(key: key, text) }
    private func read(_ datagram: [UInt8]) -> STUNMessage? { STUNMessage(datagram.span) }
    private func isSTUN(_ datagram: [UInt8]) -> Bool { STUNMessage.isSTUN(datagram.span) }
    private func isAuthentic(_ message: STUNMessage?, _ password: String = Self.password) -> Bool {
        message?.isAuthentic(password: password, hmac: hmac) ?? false
    }

    @Test func sampleRequestOfRFC5769() throws {
        let message = try #require(read(Self.request))
        #expect(message.kind == .bindingRequest && message.transaction == Self.transaction && message.username == "evtj:h6vY")
        #expect(isAuthentic(message))
        #expect(!isAuthentic(message, "VOkJxbRl1RmTxUk/WvJxBT") && !isAuthentic(message, ""))
    }

    @Test(arguments: [response4, response6]) func sampleResponsesOfRFC5769(_ datagram: [UInt8]) throws {
        let message = try #require(read(datagram))
        #expect(message.kind == .bindingSuccess && message.transaction == Self.transaction && message.username == nil)
        #expect(isAuthentic(message))
    }

    /// The mapped addresses of §2.2 and §2.3 stand in our answers as they do there.
    @Test func answersMapTheAddressAsTheSamplesDo() throws {
        let six = Self.bytes("20010DB8 12345678 00112233 44556677")
        for (address, attribute) in [([192, 0, 2, 1], Self.response4[36..<48]), (six, Self.response6[36..<60])] {
            let answer = STUNMessage.success(
                transaction: Self.transaction, address: address, port: 32_853, password: Self.password, hmac: hmac)
            #expect(Array(answer[20..<20 + attribute.count]) == Array(attribute))
            let message = try #require(read(answer))
            #expect(message.kind == .bindingSuccess && message.transaction == Self.transaction && isAuthentic(message))
        }
    }

    @Test func ourRequestIsReadAgain() throws {
        for name in ["a", "ab", "abc", "abcd", "früh:spät"] {
            let datagram = STUNMessage.request(transaction: Self.transaction, username: name, password: "p", hmac: hmac)
            #expect(datagram.count % 4 == 0)
            let message = try #require(read(datagram))
            #expect(message.kind == .bindingRequest && message.username == name && message.transaction == Self.transaction)
            #expect(isAuthentic(message, "p") && !isAuthentic(message, "q"))
        }
    }

    /// The fingerprint is over everything before it: no bit may change. Only its own type may, which makes it some unknown attribute.
    @Test func everyChangedBitIsRefused() {
        let type = Self.request.count - 8
        for index in Self.request.indices where index != type && index != type + 1 {
            for bit in 0..<8 {
                var datagram = Self.request
                datagram[index] ^= 1 << bit
                let isAccepted = isAuthentic(read(datagram))
                #expect(!isAccepted, "byte \(index), bit \(bit)")
            }
        }
    }

    @Test func wrongIntegrityUnderARightFingerprintIsReadButNotAuthentic() throws {
        let datagram = STUNMessage.request(transaction: Self.transaction, username: "u", password: "right") { key, text in
            var digest = hmac(key, text)
            digest[19] ^= 1
            return digest
        }
        let message = try #require(read(datagram))
        #expect(message.username == "u" && !isAuthentic(message, "right"))
    }

    @Test func integrityMayStandWithoutFingerprintButNotTheOtherWayRound() {
        var datagram = Array(Self.request.dropLast(8))
        datagram[3] = 0x50
        #expect(isAuthentic(read(datagram)))
        let bare: [UInt8] = [0, 1, 0, 0] + Self.request[4..<20]
        #expect(read(bare)?.kind == .bindingRequest && !isAuthentic(read(bare)))
    }

    /// What follows MESSAGE-INTEGRITY is not covered by it, and doesn't count (RFC 8489 §14.5).
    @Test func aUsernameBehindTheIntegrityIsIgnored() throws {
        var datagram = Array(Self.request.dropLast(8)) + [0, 6, 0, 4] + Array("evil".utf8)
        datagram[3] = 0x58
        let message = try #require(read(datagram))
        #expect(message.username == "evtj:h6vY" && isAuthentic(message))
    }

    @Test func truncationAtEveryLengthIsRefused() {
        for length in 0..<Self.request.count {
            #expect(read(Array(Self.request.prefix(length))) == nil, "\(length) bytes")
            // Also where the header's length says the same.
            guard length >= 20 else { continue }
            var cut = Array(Self.request.prefix(length))
            (cut[2], cut[3]) = (UInt8((length - 20) >> 8), UInt8((length - 20) & 0xFF))
            #expect(!isAuthentic(read(cut)) || length == Self.request.count - 8)
        }
    }

    @Test func attributesThatReachOutOfTheMessageAreRefused() {
        var datagram = Self.request
        datagram[23] = 0xFF
        #expect(read(datagram) == nil)
    }

    @Test func otherProtocolsAndMethodsAreTold() {
        #expect(isSTUN(Self.request))
        #expect(!isSTUN(Array(Self.request.prefix(19))) && !isSTUN([]))
        #expect(!isSTUN([0x80] + Self.request.dropFirst()), "RTP")
        #expect(!isSTUN([4] + Self.request.dropFirst()))
        let allocate: [UInt8] = [0, 3, 0, 0] + Self.request[4..<20]
        #expect(isSTUN(allocate) && read(allocate) == nil)
        let error: [UInt8] = [1, 0x11, 0, 0] + Self.request[4..<20]
        let indication: [UInt8] = [0, 0x11, 0, 0] + Self.request[4..<20]
        #expect(read(error)?.kind == .bindingError && read(indication)?.kind == .bindingIndication)
    }

    @Test func wrongLengthsAreRefused() {
        for length in [0x54, 0x5C, 0x57, 0xFF] as [UInt8] {
            var datagram = Self.request
            datagram[3] = length
            #expect(read(datagram) == nil)
        }
        let long = [0, 1, 0x06, 0] + Self.request[4..<20] + [0x80, 0x22, 0x05, 0xFC] + [UInt8](repeating: 0, count: 1_532)
        #expect(read(long) == nil, "more than a datagram of ours may have")
    }
}
