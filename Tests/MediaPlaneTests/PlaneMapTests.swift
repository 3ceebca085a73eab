import Talk
import Testing

@testable import MediaPlane

/// Where rooms and people go (ARCHITECTURE.md, "One home, many branches").
@Suite struct PlaneMapTests {
    @Test func aRoomGoesWhereTheFewestPeopleAreAndOfThoseTheFewestRooms() throws {
        let map = PlaneMap(workers: 3)
        #expect(map.choose(for: try group(1)) == 0)
        #expect(map.choose(for: try group(2)) == 1)
        #expect(map.choose(for: try group(2)) == 1, "it stays")
        #expect(map.choose(for: try group(3)) == 2)
        // Uneven rooms: 0 has a crowd, 2 a few people.
        for _ in 0..<50 { _ = map.place(home: 0, counts: [0, 0, 0], sharing: 1_000) }
        for _ in 0..<5 { _ = map.place(home: 2, counts: [0, 0, 0], sharing: 1_000) }
        for gid in 4...6 as ClosedRange<Int64> { #expect(map.choose(for: try group(gid)) == 1) }
        for _ in 0..<6 { _ = map.place(home: 1, counts: [0, 0, 0], sharing: 1_000) }
        #expect(map.choose(for: try group(7)) == 2)
        // The crowd has left.
        map.count(onWorker: 0, by: -50)
        #expect(map.choose(for: try group(8)) == 0)
        map.forget(try group(8))
        #expect(map.home(of: try group(8)) == nil && map.roomCount == 7)
    }

    @Test func aRoomIsSharedFromSoManyOnAndItsPartsAreEven() {
        let map = PlaneMap(workers: 3)
        var counts = [0, 0, 0]
        for _ in 0..<10 { counts[map.place(home: 1, counts: counts, sharing: 10)] += 1 }
        #expect(counts == [0, 10, 0])
        for _ in 0..<110 { counts[map.place(home: 1, counts: counts, sharing: 10)] += 1 }
        #expect(counts == [40, 40, 40])
        // Of two with as few of the room's people, the one with fewer of others'.
        map.count(onWorker: 0, by: 7)
        #expect(map.place(home: 1, counts: counts, sharing: 10) == 1)
        #expect(map.place(home: 1, counts: [40, 41, 40], sharing: 10) == 2)
    }
}
