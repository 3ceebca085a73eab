import Testing

@testable import RTP

@Suite struct RTCPPacketTests {
    private let block = ReportBlock(
        ssrc: 0x1111_2222, fractionLost: 64, totalLost: -2, highestSequence: 0x0001_FFFF, jitter: 48, lastReport: 0xAABB_CCDD,
        delaySinceLastReport: 65_536)
    private let blockBytes: [UInt8] = [
        0x11, 0x11, 0x22, 0x22, 64, 0xFF, 0xFF, 0xFE, 0, 1, 0xFF, 0xFF, 0, 0, 0, 48, 0xAA, 0xBB, 0xCC, 0xDD, 0, 1, 0, 0,
    ]

    private func read(_ bytes: [UInt8]) -> [RTCPPacket] { RTCPPacket.read(bytes.span) }

    @Test func senderReport() {
        let bytes: [UInt8] =
            [0x81, 200, 0, 12, 0, 0, 0, 7, 1, 2, 3, 4, 5, 6, 7, 8, 0, 0, 0xBB, 0x80, 0, 0, 0, 9, 0, 0, 1, 0] + blockBytes
        let value = RTCPPacket.senderReport(
            ssrc: 7, ntp: 0x0102_0304_0506_0708, timestamp: 48_000, packets: 9, octets: 256, blocks: [block])
        #expect(read(bytes) == [value])
        #expect(value.encoded == bytes)
    }

    @Test func receiverReportWithAndWithoutBlocks() {
        let bytes: [UInt8] = [0x82, 201, 0, 13, 0, 0, 0, 7] + blockBytes + blockBytes
        let value = RTCPPacket.receiverReport(ssrc: 7, blocks: [block, block])
        #expect(read(bytes) == [value])
        #expect(value.encoded == bytes)
        #expect(read([0x80, 201, 0, 1, 0, 0, 0, 7]) == [.receiverReport(ssrc: 7, blocks: [])])
    }

    @Test func bye() {
        let bytes: [UInt8] = [0x82, 203, 0, 2, 0, 0, 0, 1, 0, 0, 0, 2]
        #expect(read(bytes) == [.bye([1, 2])])
        #expect(RTCPPacket.bye([1, 2]).encoded == bytes)
        // With a reason, which nobody needs.
        #expect(read([0x81, 203, 0, 3, 0, 0, 0, 1, 3, 0x62, 0x79, 0x65, 0, 0, 0, 0]) == [.bye([1])])
        #expect(read([0x80, 203, 0, 0]) == [.bye([])])
    }

    @Test func application() {
        let bytes: [UInt8] = [0x92, 204, 0, 3, 0, 0, 0, 5, 0x4D, 0x43, 0x50, 0x54, 0, 2, 1, 0]
        let value = RTCPPacket.application(subtype: 0x12, ssrc: 5, name: Array("MCPT".utf8), data: [0, 2, 1, 0])
        #expect(read(bytes) == [value])
        #expect(value.encoded == bytes)
    }

    @Test func descriptionWithItsCanonicalName() {
        let bytes = RTCPPacket.cname("ab", ssrc: 3)
        #expect(bytes == [0x81, 202, 0, 3, 0, 0, 0, 3, 1, 2, 0x61, 0x62, 0, 0, 0, 0])
        #expect(read(bytes) == [.other(type: 202)])
        for length in 0...260 {
            let one = RTCPPacket.cname(String(repeating: "x", count: length), ssrc: 3)
            #expect(one.count % 4 == 0 && one.last == 0 && Int(one[9]) == min(length, 255))
            #expect(read(one) == [.other(type: 202)])
        }
        #expect(RTCPPacket.other(type: 202).encoded.isEmpty)
    }

    @Test func compoundAndReducedSize() {
        let receiver = RTCPPacket.receiverReport(ssrc: 7, blocks: [block])
        let application = RTCPPacket.application(subtype: 0, ssrc: 7, name: MCPTMessage.name, data: [])
        let compound = receiver.encoded + RTCPPacket.cname("radio", ssrc: 7) + application.encoded
        #expect(read(compound) == [receiver, .other(type: 202), application])
        #expect(read(application.encoded) == [application], "an APP alone (RFC 5506)")
    }

    @Test func feedbackIsPassedOver() {
        let nack: [UInt8] = [0x81, 205, 0, 3, 0, 0, 0, 1, 0, 0, 0, 2, 0, 1, 0, 0]
        #expect(read(nack + RTCPPacket.bye([1]).encoded) == [.other(type: 205), .bye([1])])
    }

    @Test func paddingIsNoContent() {
        let bytes: [UInt8] = [0xA0, 204, 0, 3, 0, 0, 0, 5, 0x4D, 0x43, 0x50, 0x54, 0, 0, 0, 4]
        #expect(read(bytes) == [.application(subtype: 0, ssrc: 5, name: MCPTMessage.name, data: [])])
        for wrong in [0, 3, 16, 255] as [UInt8] {
            #expect(read(bytes.dropLast() + [wrong]).isEmpty, "padding of \(wrong)")
        }
    }

    @Test func truncationKeepsWhatCameBefore() {
        let first = RTCPPacket.bye([1])
        let second = RTCPPacket.senderReport(ssrc: 7, ntp: 1, timestamp: 2, packets: 3, octets: 4, blocks: [block])
        let whole = first.encoded + second.encoded
        for length in 0..<whole.count {
            #expect(read(Array(whole.prefix(length))) == (length >= 8 ? [first] : []), "\(length) bytes")
        }
        #expect(read(whole) == [first, second])
    }

    @Test func moreBlocksOrSourcesThanBytesIsMalformed() {
        #expect(read([0x82, 201, 0, 7, 0, 0, 0, 7] + blockBytes).isEmpty)
        #expect(read([0x81, 200, 0, 6] + [UInt8](repeating: 0, count: 24)).isEmpty)
        #expect(read([0x82, 203, 0, 1, 0, 0, 0, 1]).isEmpty)
        #expect(read([0x80, 204, 0, 1, 0, 0, 0, 1]).isEmpty)
        #expect(read([0x40, 203, 0, 0]).isEmpty, "another version")
    }
}
