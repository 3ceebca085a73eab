import TestTraits
import Testing

@testable import SecureRTP

/// The examples of the RFCs.
@Suite(.oneAtATime) struct VectorTests {
    /// RFC 3711, appendix B.3.
    @Test func keyDerivation() throws {
        let key = try SRTPKey(
            .aesCM128HMACSHA1, bytes: bytes(hex: "E1F97A0D3E018BE0D64FA32C06DE4139 0EC675AD498AFEEBB6960B3AABE6"))
        func derive(_ label: UInt8, _ count: Int) -> [UInt8] {
            var output = [UInt8](repeating: 0, count: count)
            let isDone = output.withUnsafeMutableBytes { bytes in
                bytes.baseAddress.map { SessionKeys.derive(key, label: label, to: $0, count: count) } ?? false
            }
            return isDone ? output : []
        }
        #expect(derive(0, 16) == bytes(hex: "C61E7A93744F39EE10734AFE3FF7A087"))
        #expect(derive(2, 14) == bytes(hex: "30CBBC08863D8C85D49DB34A9AE1"))
        #expect(
            derive(1, 94)
                == bytes(
                    hex: """
                        CEBE321F6FF7716B6FD4AB49AF256A156D38BAA48F0A0ACF3C34E2359E6CDBCE
                        E049646C43D9327AD175578EF72270986371C10C9A369AC2F94A8C5FBCDDDC25
                        6D6E919A48B610EF17C2041E474035766B68642C59BBFC2F34DB60DBDFB2DC68
                        """.filter { !$0.isWhitespace }.prefix(188).description))
    }

    /// RFC 3711, appendix B.2.
    @Test func counterModeKeystream() throws {
        let key = bytes(hex: "2B7E151628AED2A6ABF7158809CF4F3C")
        let high: UInt64 = 0xf0f1_f2f3_f4f5_f6f7
        let low: UInt64 = 0xf8f9_fafb_fcfd_0000
        var (iv, stream) = ([UInt8](repeating: 0, count: 16), [UInt8](repeating: 0, count: 0xff02 * 16))
        let context = try #require(OpenSSLCipher.context(.aesCM128HMACSHA1, key: key))
        defer { OpenSSLCipher.free(context) }
        iv.withUnsafeMutableBytes { iv in
            guard let start = iv.baseAddress else { return }
            PacketIV.writeCM(high, low, ssrc: 0, index: 0, to: start)
            stream.withUnsafeMutableBytes { stream in
                guard let text = stream.baseAddress else { return }
                #expect(OpenSSLCipher.crypt(context, iv: start, text, text, count: stream.count))
            }
        }
        #expect(
            Array(stream[..<48])
                == bytes(hex: "E03EAD0935C95E80E166B16DD92B4EB4 D23513162B02D0F72A43A2FE4A5F97AB 41E95B3BB0A2E8DD477901E4FCA894C0"))
        #expect(
            Array(stream[(0xfeff * 16)...].prefix(48))
                == bytes(hex: "EC8CDF7398607CB0F2D21675EA9EA1E4 362B7C3C6773516318A077D7FC5073AE 6A2CC3787889374FBEB4C81B17BA6C44"))
    }

    static let quote = bytes(
        hex: "8040f17b 8041f8d3 5501a0b2 47616c6c 69612065 7374206f 6d6e6973 20646976 69736120 696e2070 61727465 73207472 6573")
    static let report = bytes(
        hex: "81c8000d 4d617273 4e545031 4e545032 52545020 0000042a 0000e930 4c756e61 deadbeef deadbeef deadbeef deadbeef deadbeef")
    static let salt: (UInt64, UInt64) = (0x5175_6964_2070_726f, 0x2071_756f_0000_0000)

    /// RFC 7714, sections 16.1.1 and 16.2.1: SRTP.
    @Test(arguments: [
        (
            SRTPSuite.aeadAES128GCM,
            """
            8040f17b 8041f8d3 5501a0b2 f24de3a3 fb34de6c acba861c 9d7e4bca be633bd5 0d294e6f 42a5f47a 51c7d19b 36de3adf 8833899d 7f27beb1
            6a9152cf 765ee439 0cce
            """
        ),
        (
            SRTPSuite.aeadAES256GCM,
            """
            8040f17b 8041f8d3 5501a0b2 32b1de78 a822fe12 ef9f78fa 332e33aa b1801238 9a58e2f3 b50b2a02 76ffae0f 1ba63799 b87b7aa3 db36dfff
            d6b0f9bb 7878d7a7 6c13
            """
        ),
    ])
    func aeadRTP(_ suite: SRTPSuite, _ expected: String) throws {
        let key = (0..<UInt8(suite.keyBytes)).map { $0 }
        for isMultiBuffer in [false, true] where !isMultiBuffer || IPSecMB.isAvailable {
            var packet = Self.quote + [UInt8](repeating: 0, count: 16)
            packet.withUnsafeMutableBytes { packet in
                guard let base = packet.baseAddress else { return }
                let iv = UnsafeMutableRawPointer.allocate(byteCount: 16 + 1_024, alignment: 64)
                let expanded = UnsafeMutableRawPointer.allocate(byteCount: 2_048, alignment: 64)
                defer {
                    iv.deallocate()
                    expanded.deallocate()
                }
                PacketIV.writeGCM(Self.salt.0, Self.salt.1, ssrc: 0x5501_a0b2, index: 0xf17b, to: iv)
                #expect(Array(UnsafeRawBufferPointer(start: iv, count: 12)) == bytes(hex: "51753c65 80c2726f 20718414"))
                let count = Self.quote.count - 12
                if isMultiBuffer, let functions = IPSecMB.functions {
                    #expect(IPSecMB.expand(suite, key: key, to: expanded))
                    let seal = suite == .aeadAES128GCM ? IPSecMB.sealGCM128 : IPSecMB.sealGCM256
                    seal(functions, expanded, iv + 16, base + 12, base + 12, count, iv, base, 12)
                } else if let context = OpenSSLCipher.context(suite, key: key) {
                    defer { OpenSSLCipher.free(context) }
                    let aad = OpenSSLCipher.AAD(bytes: base, count: 12)
                    #expect(
                        OpenSSLCipher.seal(context, iv: iv, aad: aad, base + 12, base + 12, count: count, tag: base + Self.quote.count))
                }
            }
            #expect(packet == bytes(hex: expected))
        }
    }

    /// RFC 7714, sections 17.1 and 17.3: SRTCP, encrypted.
    @Test(arguments: [
        (
            SRTPSuite.aeadAES128GCM,
            """
            81c8000d 4d617273 63e94885 dcdab67c a727d766 2f6b7e99 7ff5c0f7 6c06f32d c676a5f1 730d6fda 4ce09b46 86303ded 0bb9275b c84aa458
            96cf4d2f c5abf872 45d9eade 800005d4
            """
        ),
        (
            SRTPSuite.aeadAES256GCM,
            """
            81c8000d 4d617273 d50ae4d1 f5ce5d30 4ba297e4 7d470c28 2c3ece5d bffe0a50 a2eaa5c1 110555be 8415f658 c61de047 6f1b6fad 1d1eb30c
            4446839f 57ff6f6c b26ac3be 800005d4
            """
        ),
    ])
    func aeadRTCP(_ suite: SRTPSuite, _ expected: String) throws {
        var keys = SessionKeys()
        (keys.saltHigh, keys.saltLow) = Self.salt
        withUnsafeMutableBytes(of: &keys.cipher) { $0.copyBytes(from: (0..<UInt8(suite.keyBytes)).map { $0 }) }
        var packet = Self.report + [UInt8](repeating: 0, count: suite.rtcpOverhead)
        packet.withUnsafeMutableBytes { packet in
            guard let base = packet.baseAddress else { return }
            #expect(RTCPCipher.protect(suite, &keys, base, count: Self.report.count, index: 0x5d4))
        }
        #expect(packet == bytes(hex: expected))
        packet.withUnsafeMutableBytes { packet in
            guard let base = packet.baseAddress else { return }
            #expect(RTCPCipher.unprotect(suite, &keys, base, plainCount: Self.report.count, word: 0x8000_05d4) == true)
        }
        #expect(Array(packet[..<Self.report.count]) == Self.report)
    }
}
