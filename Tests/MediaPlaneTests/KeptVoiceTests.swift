import RTP
import Testing

@testable import MediaPlane

/// The voice that asks for the floor in a room with implicit requests.
@Suite struct KeptVoiceTests {
    private func uplink(_ arrivals: [Int64]) throws -> Uplink {
        let bytes = RTPHeader.bytes(marker: false, payloadType: 100, sequence: 1, timestamp: 2, ssrc: 3)
        let read = RTPHeader(bytes.span)
        let header = try #require(read)
        let uplink = Uplink()
        uplink.kept = arrivals.map { Uplink.KeptPacket(header: header, payload: [1, 2, 3], arrivalNs: $0) }
        return uplink
    }

    @Test func whatIsBeingSaidIsHeardOnce() throws {
        let uplink = try uplink([1_000_000_000, 1_020_000_000, 1_040_000_000])
        #expect(uplink.takeKept(at: 1_060_000_000).count == 3)
        #expect(uplink.takeKept(at: 1_060_000_000).isEmpty)
    }

    /// Who waited in the queue and is granted seconds later begins with what they say then.
    @Test func whatWasSaidLongBeforeTheGrantIsNotHeard() throws {
        let uplink = try uplink([1_000_000_000, 1_020_000_000, 5_000_000_000])
        #expect(uplink.takeKept(at: 5_010_000_000).map(\.arrivalNs) == [5_000_000_000])
        #expect(uplink.kept.isEmpty)
    }
}
