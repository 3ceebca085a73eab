import SecureRTP
import Testing

@Suite struct KeyTests {
    @Test func suites() {
        for suite in SRTPSuite.allCases {
            #expect(SRTPSuite(sdesName: suite.sdesName) == suite)
            #expect(SRTPSuite(dtlsProfile: suite.dtlsProfile) == suite)
        }
        #expect(SRTPSuite(sdesName: "AES_CM_128_HMAC_SHA1_32") == nil)
        #expect(SRTPSuite(dtlsProfile: 2) == nil)
        #expect(SRTPSuite.allCases.map(SRTPKey.byteCount) == [28, 44, 30])
        #expect(SRTPSuite.allCases.map(\.rtcpOverhead) == [20, 20, 14])
    }

    /// The example of RFC 4568, section 6.1, and the forms that devices send.
    @Test func sdes() throws {
        let suite = SRTPSuite.aesCM128HMACSHA1
        let text = "inline:d0RmdmcmVCspeEc3QGZiNWpVLFJhQX1cfHAwJSoj"
        let key = try SRTPKey(suite, sdes: text)
        #expect(key.sdes == text)
        #expect(key.withBytes { Array($0) } == Array("wDfvg&T+)xG7@fb5jU,RaA}\\|p0%*#".utf8))
        for more in ["|2^20", "|2^48", "|1048576", "|2^0", "|1"] { #expect(try SRTPKey(suite, sdes: text + more) == key) }
        for more in ["|", "|2^49", "|2^", "|-1", "|0", "|x", "|2^20|2^20", "|281474976710657", "|99999999999999999999"] {
            #expect(throws: SRTPKeyError.lifetime) { try SRTPKey(suite, sdes: text + more) }
        }
        for more in ["|1:4", "|2^20|1:4", "|2^20|1:32"] {
            #expect(throws: SRTPKeyError.masterKeyIdentifier) { try SRTPKey(suite, sdes: text + more) }
        }
        #expect(throws: SRTPKeyError.severalKeys) { try SRTPKey(suite, sdes: text + ";" + text) }
        #expect(throws: SRTPKeyError.notInline) { try SRTPKey(suite, sdes: String(text.dropFirst(7))) }
        #expect(throws: SRTPKeyError.notInline) { try SRTPKey(suite, sdes: "") }
        #expect(throws: SRTPKeyError.length(expected: 30, got: 0)) { try SRTPKey(suite, sdes: "inline:") }
        #expect(throws: SRTPKeyError.length(expected: 30, got: 27)) { try SRTPKey(suite, sdes: String(text.dropLast(4))) }
        #expect(throws: SRTPKeyError.length(expected: 28, got: 30)) { try SRTPKey(.aeadAES128GCM, sdes: text) }
        for wrong in ["inline:d0Rm dmcm", "inline:\u{e9}aaa", "inline:aaaaa", "inline:a=aa", "inline:====", "inline:aaa_"] {
            #expect(throws: SRTPKeyError.base64) { try SRTPKey(suite, sdes: wrong) }
        }
    }

    @Test func sdesOfAnyKey() throws {
        var random = Random(seed: 31)
        for _ in 0..<100 {
            for suite in SRTPSuite.allCases {
                let key = try random.key(suite)
                #expect(try SRTPKey(suite, sdes: key.sdes) == key)
                // Some leave the padding away.
                #expect(try SRTPKey(suite, sdes: key.sdes.filter { $0 != "=" } + "|2^31") == key)
                // Bits that belong to no byte must be 0: one key has one text.
                if key.sdes.hasSuffix("==") {
                    let spoiled = String(key.sdes.dropLast(3)) + "B=="
                    #expect(throws: SRTPKeyError.base64) { try SRTPKey(suite, sdes: spoiled) }
                }
            }
        }
    }

    @Test func dtlsExport() throws {
        for suite in SRTPSuite.allCases {
            let export = (0..<UInt8(SRTPKey.exportByteCount(suite))).map { $0 }
            let pair = try export.withUnsafeBytes { bytes throws in try SRTPKey.pair(suite, dtlsExport: bytes) }
            let (key, salt) = (suite.keyBytes, suite.saltBytes)
            #expect(pair.client.withBytes { Array($0) } == Array(export[..<key] + export[(2 * key)..<(2 * key + salt)]))
            #expect(pair.server.withBytes { Array($0) } == Array(export[key..<2 * key] + export[(2 * key + salt)...]))
            #expect(throws: SRTPKeyError.length(expected: export.count, got: 3)) {
                try export.withUnsafeBytes { bytes throws in
                    try SRTPKey.pair(suite, dtlsExport: UnsafeRawBufferPointer(rebasing: bytes[..<3]))
                }
            }
        }
    }

    @Test func keysAreRandomAndHidden() throws {
        for suite in SRTPSuite.allCases {
            let (one, other) = (try SRTPKey.random(suite), try SRTPKey.random(suite))
            #expect(one != other)
            #expect(one == one)
            for text in ["\(one)", String(reflecting: one), String(describing: Mirror(reflecting: one).children.count)] {
                #expect(!text.contains(one.sdes.dropFirst(7).prefix(8)))
            }
            #expect("\(one)" == "SRTPKey(\(suite.sdesName), hidden)")
            #expect(throws: SRTPKeyError.length(expected: SRTPKey.byteCount(suite), got: 5)) { try SRTPKey(suite, bytes: [1, 2, 3, 4, 5]) }
        }
    }

    @Test func errorsSayWhatToDo() {
        for error in SRTPError.allCases { #expect(error.description.hasPrefix("SRTP: ")) }
        #expect(SRTPKeyError.masterKeyIdentifier.description.contains("MKI"))
        #expect(SRTPKeyError.length(expected: 30, got: 4).description.contains("30 bytes"))
    }
}
