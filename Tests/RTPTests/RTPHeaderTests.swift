import Testing

@testable import RTP

@Suite struct RTPHeaderTests {
    /// V=2, M=1, PT 100, sequence 0x1234, timestamp 0x01020304, SSRC 0xDEADBEEF.
    private let fixed: [UInt8] = [0x80, 0xE4, 0x12, 0x34, 1, 2, 3, 4, 0xDE, 0xAD, 0xBE, 0xEF]

    // Not in the macros themselves: a span can't leave its statement.
    private func read(_ packet: [UInt8], levelExtension: UInt8 = 0) -> RTPHeader? {
        RTPHeader(packet.span, levelExtension: levelExtension)
    }
    private func isRTCP(_ packet: [UInt8]) -> Bool { RTPHeader.isRTCP(packet.span) }
    private func with(_ bits: UInt8, _ rest: [UInt8]) -> [UInt8] { [0x80 | bits] + fixed.dropFirst() + rest }

    @Test func goldenBytesBothWays() throws {
        let packet = fixed + [9, 9, 9]
        let header = try #require(read(packet))
        #expect(header.marker && header.payloadType == 100 && header.sequence == 0x1234)
        #expect(header.timestamp == 0x0102_0304 && header.ssrc == 0xDEAD_BEEF && header.level == nil)
        #expect(header.payloadOffset == 12 && header.payloadSize == 3)
        #expect(RTPHeader.bytes(marker: true, payloadType: 100, sequence: 0x1234, timestamp: 0x0102_0304, ssrc: 0xDEAD_BEEF) == fixed)
    }

    @Test func emptyPayloadIsWellFormed() throws {
        let header = try #require(read(fixed))
        #expect(header.payloadSize == 0)
    }

    @Test(arguments: [UInt8(0x00), 0x40, 0xC0]) func otherVersionsAreRefused(_ version: UInt8) {
        let packet = [version] + fixed.dropFirst()
        #expect(read(packet) == nil)
    }

    @Test func paddingIsLeftOut() throws {
        let packet = with(0x20, [7, 7, 0, 0, 3])
        let header = try #require(read(packet))
        #expect(header.payloadOffset == 12 && header.payloadSize == 2)
        let whole = with(0x20, [0, 0, 3])
        #expect(read(whole)?.payloadSize == 0)
    }

    @Test func impossiblePaddingIsRefused() {
        for rest in [[7, 7, 0], [7, 7, 4], [255]] as [[UInt8]] {
            let packet = with(0x20, rest)
            #expect(read(packet) == nil, "\(rest)")
        }
    }

    @Test func contributingSourcesAreSkipped() throws {
        let packet = with(2, [0, 0, 0, 1, 0, 0, 0, 2, 0x55])
        let header = try #require(read(packet))
        #expect(header.payloadOffset == 20 && header.payloadSize == 1)
    }

    @Test func contributingSourcesAndExtensionAndPaddingTogether() throws {
        let packet = with(0x31, [0, 0, 0, 1] + [0xBE, 0xDE, 0, 1, 0x10, 0x8A, 0, 0] + [1, 2, 3] + [0, 2])
        let header = try #require(read(packet, levelExtension: 1))
        #expect(header.payloadOffset == 24 && header.payloadSize == 3 && header.level == 10)
    }

    @Test func levelsAreFoundUnderTheirId() {
        // Padding, id 2 with three bytes, id 5 with the voice bit set and level 60, padding.
        let packet = with(0x10, [0xBE, 0xDE, 0, 2, 0, 0x22, 1, 2, 3, 0x50, 0xBC, 0] + [42])
        #expect(read(packet, levelExtension: 5)?.level == 60)
        #expect(read(packet, levelExtension: 2)?.level == 1)
        #expect(read(packet, levelExtension: 7)?.level == nil)
        #expect(read(packet)?.level == nil, "nothing was asked for")
        #expect(read(packet, levelExtension: 5)?.payloadSize == 1)
    }

    @Test func brokenAndOtherExtensionsHaveNoLevel() {
        // Id 15 ends the list; an element longer than the extension; the two-byte form.
        for content in [[0xF0, 0x50, 0xBC, 0], [0x5F, 0xBC, 0, 0]] as [[UInt8]] {
            let packet = with(0x10, [0xBE, 0xDE, 0, 1] + content)
            #expect(read(packet, levelExtension: 5) != nil)
            #expect(read(packet, levelExtension: 5)?.level == nil, "\(content)")
        }
        let twoByte = with(0x10, [0x10, 0x00, 0, 1, 5, 1, 0xBC, 0])
        #expect(read(twoByte, levelExtension: 5)?.level == nil)
    }

    @Test func truncationAtEveryLengthIsRefusedOrShortensThePayload() {
        let headerSize = 12 + 4 + 8
        let packet = with(0x11, [0, 0, 0, 1] + [0xBE, 0xDE, 0, 1, 0x10, 0x8A, 0, 0] + [1, 2, 3])
        for length in 0...packet.count {
            let cut = Array(packet.prefix(length))
            let header = read(cut, levelExtension: 1)
            #expect((header != nil) == (length >= headerSize), "\(length) bytes")
            #expect(header.map { $0.payloadSize == length - headerSize } ?? true)
        }
    }

    @Test func rtcpIsToldFromRTP() {
        for (second, expected) in [(191, false), (192, true), (200, true), (204, true), (223, true), (224, false), (100, false)] {
            let packet: [UInt8] = [0x80, UInt8(second), 0, 0]
            #expect(isRTCP(packet) == expected, "\(second)")
        }
        let one: [UInt8] = [0x80]
        #expect(!isRTCP(one))
    }
}
