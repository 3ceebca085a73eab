import Testing

@testable import RTP

@Suite struct MCPTMessageTests {
    /// An APP packet of SSRC 5 with this subtype and these fields.
    private func wire(_ subtype: UInt8, _ fields: [UInt8]) -> [UInt8] {
        [0x80 | subtype, 204, 0, UInt8(2 + fields.count / 4), 0, 0, 0, 5, 0x4D, 0x43, 0x50, 0x54] + fields
    }
    private func read(_ bytes: [UInt8]) -> MCPTMessage? { RTCPPacket.read(bytes.span).first.flatMap(MCPTMessage.init) }

    /// TS 24.380 table 8.2.2.1-1.
    @Test(arguments: zip(MCPTMessage.Kind.allCases, [0, 1, 2, 3, 4, 5, 6, 8, 9, 10] as [UInt8]))
    func everyKindHasItsSubtype(_ kind: MCPTMessage.Kind, _ subtype: UInt8) {
        let plain = MCPTMessage(kind, ssrc: 5, fields: [])
        #expect(plain.encoded == wire(subtype, []))
        #expect(read(wire(subtype, [])) == plain)
        let acknowledged = MCPTMessage(kind, ssrc: 5, fields: [], wantsAck: true)
        #expect(acknowledged.encoded == wire(subtype | 0x10, []))
        #expect(read(wire(subtype | 0x10, [])) == acknowledged)
    }

    @Test(arguments: [7, 11, 12, 13, 14, 15] as [UInt8]) func otherSubtypesAreNone(_ subtype: UInt8) {
        #expect(read(wire(subtype, [])) == nil)
        #expect(read(wire(subtype | 0x10, [])) == nil)
    }

    static let fields: [(MCPTMessage.Field, [UInt8])] = [
        (.priority(5), [0, 2, 5, 0]),
        (.duration(30), [1, 2, 0, 30]),
        (.cause(4), [2, 2, 0, 4]),
        (.queueInfo(position: 254, priority: 3), [3, 2, 254, 3]),
        (.grantedParty("17"), [4, 2, 0x31, 0x37]),
        (.permission(1), [5, 2, 0, 1]),
        (.userID("9007199254740991"), [6, 16] + Array("9007199254740991".utf8) + [0, 0]),
        (.queueSize(300), [7, 2, 1, 44]),
        (.sequence(0xABCD), [8, 2, 0xAB, 0xCD]),
        (.queuedUser("123"), [9, 3, 0x31, 0x32, 0x33, 0, 0, 0]),
        (.source(2), [10, 2, 0, 2]),
        (.messageType(1), [12, 2, 1, 0]),
        (.indicator([.normal, .queueing]), [13, 2, 0x84, 0]),
        (.ssrc(0xDEAD_BEEF), [14, 6, 0xDE, 0xAD, 0xBE, 0xEF, 0, 0]),
    ]

    @Test(arguments: fields) func everyFieldHasItsBytes(_ field: MCPTMessage.Field, _ bytes: [UInt8]) {
        let message = MCPTMessage(.taken, ssrc: 5, fields: [field])
        #expect(message.encoded == wire(2, bytes))
        #expect(read(wire(2, bytes)) == message)
    }

    @Test func allFieldsTogether() {
        let message = MCPTMessage(.granted, ssrc: 5, fields: Self.fields.map(\.0), wantsAck: true)
        #expect(message.encoded == wire(0x11, Self.fields.flatMap(\.1)))
        #expect(read(message.encoded) == message)
    }

    @Test func textsOfEveryLengthArePaddedTo32Bits() {
        for length in 0...255 {
            let text = String(repeating: "u", count: length)
            let message = MCPTMessage(.request, ssrc: 5, fields: [.userID(text), .priority(9)])
            #expect(message.encoded.count % 4 == 0)
            #expect(read(message.encoded) == message, "\(length) bytes")
        }
    }

    @Test func indicatorsHaveTheirBits() {
        let bits: [(MCPTMessage.Indicator, UInt16)] = [
            (.normal, 0x8000), (.broadcast, 0x4000), (.system, 0x2000), (.emergency, 0x1000), (.imminentPeril, 0x0800),
            (.queueing, 0x0400), (.dualFloor, 0x0200),
        ]
        for (indicator, bit) in bits { #expect(indicator.rawValue == bit) }
        let message = read(wire(0, [13, 2, 0x10, 0]))
        #expect(message?.indicator == .emergency)
        #expect(read(wire(0, []))?.indicator == [])
    }

    @Test func priorityIsTheFieldsOrNone() {
        #expect(read(wire(0, [0, 2, 200, 0]))?.priority == 200)
        #expect(read(wire(0, []))?.priority == 0)
    }

    /// A Deny's cause may be followed by a phrase (§8.2.3.4): its length counts both.
    @Test func causeWithAPhrase() {
        let phrase = wire(3, [2, 6, 0, 1] + Array("busy".utf8) + [0, 2, 7, 0])
        // 2 + 6 bytes are a multiple of 4: the next field follows at once.
        #expect(read(phrase)?.fields == [.cause(1), .priority(7)])
    }

    @Test func unknownAndBrokenFieldsArePassedOver() {
        #expect(read(wire(0, [99, 2, 1, 1, 0, 2, 7, 0]))?.fields == [.priority(7)])
        #expect(read(wire(0, [1, 1, 9, 0, 0, 2, 7, 0]))?.fields == [.priority(7)], "a duration of one byte")
        #expect(read(wire(0, [14, 2, 0, 1, 0, 2, 7, 0]))?.fields == [.priority(7)], "an SSRC of two bytes")
        #expect(read(wire(0, [0, 2, 7, 0, 6, 200, 0x31, 0x32]))?.fields == [.priority(7)], "longer than the packet")
        #expect(read(wire(0, [0, 0, 0, 0]))?.fields == [])
    }

    @Test func otherNamesAreNotOurs() {
        #expect(MCPTMessage(.application(subtype: 0, ssrc: 5, name: Array("MCPC".utf8), data: [])) == nil)
        #expect(MCPTMessage(.bye([5])) == nil)
    }
}
