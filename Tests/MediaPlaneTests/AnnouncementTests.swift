import Floor
import RTP
import Room
import Talk
import TestTraits
import Testing

@testable import MediaPlane

/// Files that are played to a room, several at once.
@Suite(.oneAtATime, .timeLimit(.minutes(5))) struct AnnouncementTests {
    /// A room with somebody who hears everything and is told everything.
    private struct Hall {
        let bench: PlaneBench
        let gid: GroupID
        let radio: BenchSocket

        init(_ gid: Int64, mode: RoomMode) async throws {
            (bench, self.gid, radio) = (try PlaneBench(), try group(gid), try BenchSocket())
            bench.open(self.gid, mode: mode)
            var joining = bench.joining(try user(1))
            joining.events = .all
            _ = try await bench.ask(.join(self.gid, joining, radio.media))
        }

        /// A file of so many packets of 20 ms; each says which it is.
        func play(_ id: String, _ count: Int, loop: Bool = false) async throws(Refusal) {
            let name = id.utf8.first ?? 0
            let packets = (0..<count).map { (payload: [name, UInt8($0 & 255)] as [UInt8], samples: 960) }
            _ = try await bench.ask(.extra(gid, .play(Announcement(id: id, packets: packets, loop: loop))))
        }
        func stop(_ id: String) async throws(Refusal) { _ = try await bench.ask(.extra(gid, .stopFile(id))) }
        func isPlaying(_ id: String) async throws -> Bool {
            guard case .exists(let isPlaying) = try await bench.ask(.extra(gid, .isPlaying(id))) else { return false }
            return isPlaying
        }
        func hear(_ count: Int) throws -> [(header: RTPHeader, payload: [UInt8])] {
            try (0..<count).map { try #require(try radio.hear(), "packet \($0)") }
        }
    }
    private static func name(_ text: String) -> UInt8 { text.utf8.first ?? 0 }

    @Test func aPTTRoomPlaysOneAfterTheOther() async throws {
        let hall = try await Hall(490, mode: .ptt)
        defer { hall.bench.plane.stop() }
        try await hall.play("a", 500)
        for id in ["b", "c", "d"] { try await hall.play(id, 3) }
        var playing: [Bool] = []
        for id in ["a", "b", "c", "d"] { playing.append(try await hall.isPlaying(id)) }
        #expect(playing == [true, false, false, false])
        var heard = try hall.hear(5)
        // One that waits, and the one that plays.
        try await hall.stop("c")
        try await hall.stop("a")
        while heard.last.map({ $0.payload != [Self.name("d"), 2] }) ?? true { heard += try hall.hear(1) }
        let rest = heard.suffix(6)
        #expect(rest.map(\.payload) == ["b", "d"].flatMap { id in (0..<3).map { [Self.name(id), UInt8($0)] } })
        #expect(heard.dropLast(6).allSatisfy { $0.payload[0] == Self.name("a") })
        // One stream, with a burst for each.
        #expect(heard.filter(\.header.marker).map(\.payload) == ["a", "b", "d"].map { [Self.name($0), 0] })
        for (one, next) in zip(heard, heard.dropFirst()) {
            let step = next.header.timestamp &- one.header.timestamp
            #expect(next.header.sequence == one.header.sequence &+ 1 && (next.header.marker ? step >= 960 && step < 1 << 31 : step == 960))
        }
        while try await hall.isPlaying("d") {}
        #expect(hall.bench.door.announcements == ["+a", "-a", "+b", "-b", "+d", "-d"])
        await #expect(throws: Refusal.self) { try await hall.stop("c") }
    }

    @Test func theLineIsBoundedAndHasEachNameOnce() async throws {
        let hall = try await Hall(491, mode: .ptt)
        defer { hall.bench.plane.stop() }
        for number in 0..<16 { try await hall.play("n\(number)", 500) }
        let twice = await #expect(throws: Refusal.self) { try await hall.play("n3", 1) }
        #expect(twice?.code == .idExists && twice?.message.contains("waits") == true)
        let full = await #expect(throws: Refusal.self) { try await hall.play("more", 1) }
        #expect(full?.message.contains("stop_file") == true)
        try await hall.stop("n9")
        try await hall.play("more", 1)
    }

    /// What waits behind a file that is played again and again comes between two rounds.
    @Test func aLoopGivesWayBetweenItsRounds() async throws {
        let hall = try await Hall(492, mode: .ptt)
        defer { hall.bench.plane.stop() }
        try await hall.play("loop", 3, loop: true)
        try await hall.play("gong", 2)
        var heard: [[UInt8]] = []
        while heard.suffix(4) != [[Self.name("gong"), 1], [Self.name("loop"), 0], [Self.name("loop"), 1], [Self.name("loop"), 2]] {
            heard += try hall.hear(1).map(\.payload)
        }
        let first = try #require(heard.firstIndex { $0[0] == Self.name("gong") })
        #expect(heard[first - 1] == [Self.name("loop"), 2] && heard[first] == [Self.name("gong"), 0])
        #expect(hall.bench.door.announcements == ["+loop", "-loop", "+gong", "-gong", "+loop"])
    }

    /// Who talks is heard instead; then what is played goes on, as a burst of its own.
    @Test func aTalkHasPrecedence() async throws {
        let hall = try await Hall(493, mode: .ptt)
        defer { hall.bench.plane.stop() }
        let (talker, speaker) = (try BenchSocket(ssrc: 77), try user(2))
        let info = try await hall.bench.join(speaker, in: hall.gid, talker.media)
        try await hall.play("a", 5_000)
        var heard = try hall.hear(3)
        try await hall.bench.floor(.request(speaker, tier: .normal, priority: 0, queue: nil), of: speaker, in: hall.gid)
        for number in UInt8(0)..<3 { try talker.talk([9, number, 9], to: info.media.address) }
        while heard.last?.payload != [9, 2, 9] { heard += try hall.hear(1) }
        try await hall.bench.floor(.release(speaker), of: speaker, in: hall.gid)
        heard += try hall.hear(3)
        #expect(heard.suffix(6).map(\.header.marker) == [true, false, false, true, false, false])
        #expect(heard.suffix(3).allSatisfy { $0.payload[0] == Self.name("a") } && heard.filter(\.header.marker).count == 3)
        for (one, next) in zip(heard, heard.dropFirst()) {
            #expect(next.header.sequence == one.header.sequence &+ 1)
            #expect(next.header.timestamp &- one.header.timestamp < 1 << 31, "it never runs backwards")
        }
        try await hall.stop("a")
    }

    @Test func anOpenRoomPlaysThemAtOnce() async throws {
        let hall = try await Hall(494, mode: .open)
        defer { hall.bench.plane.stop() }
        for id in ["a", "b"] { try await hall.play(id, 1_000) }
        var playing: [Bool] = []
        for id in ["a", "b"] { playing.append(try await hall.isPlaying(id)) }
        #expect(playing == [true, true] && hall.bench.door.announcements == ["+a", "+b"])
        // The mix, a packet for each 20 ms.
        let heard = try hall.hear(10)
        #expect(heard[0].header.marker && zip(heard, heard.dropFirst()).allSatisfy { $1.header.timestamp &- $0.header.timestamp == 960 })
        try await hall.stop("a")
        #expect(try await hall.isPlaying("b"))
        _ = try hall.hear(10)
        try await hall.stop("b")
        #expect(hall.bench.door.announcements == ["+a", "+b", "-a", "-b"])
    }
}
