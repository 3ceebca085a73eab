import Database
import Foundation
import Messages
import Talk
import Testing

@testable import BackOffice

@Suite struct LivePictureTests {
    let gid: GroupID
    let anna: UserID
    let bo: UserID

    init() throws {
        gid = try #require(GroupID(1))
        anna = try #require(UserID(1))
        bo = try #require(UserID(2))
    }

    private func event(
        _ seq: Int64, _ state: FloorMessage.State, _ uid: UserID? = nil, epoch: Int64 = 5, holder: UserID? = nil,
        people: [FloorMessage.Participant]? = nil
    ) -> FloorMessage {
        FloorMessage(
            gid: gid, epoch: epoch, seq: seq, atMs: seq * 1000, state: state, uid: uid, display: "d", role: .manager, holder: holder,
            talkID: nil, tier: .normal, queue: [], participants: people)
    }

    @Test func emergenciesStayUntilTheyAreEnded() {
        var picture = LivePicture()
        _ = picture.apply(event(1, .emergency, anna))
        _ = picture.apply(event(2, .emergency, bo))
        _ = picture.apply(event(3, .idle))
        // Another owner's first event: a snapshot does not tell of emergencies.
        _ = picture.apply(event(1, .snapshot, epoch: 6, people: []))
        #expect(picture.emergencies == [anna, bo])
        #expect(LivePicture(stored: picture.stored(gid)) == picture)
        _ = picture.apply(event(2, .cancelled, anna, epoch: 6))
        #expect(picture.emergencies == [bo])
        _ = picture.apply(event(3, .cancelled, epoch: 6))
        #expect(picture.emergencies.isEmpty)
    }

    @Test func eventsBuildThePicture() {
        var picture = LivePicture()
        #expect(picture.apply(event(1, .joined, anna)) == .applied)
        #expect(picture.apply(event(2, .joined, bo)) == .applied)
        #expect(picture.apply(event(3, .taken, anna, holder: anna)) == .applied)
        #expect(picture.participants.map(\.uid) == [anna, bo])
        #expect(picture.holder == anna)
        #expect(picture.sinceMs == 3000)
        #expect(picture.apply(event(4, .left, anna)) == .applied)
        #expect(picture.participants.map(\.uid) == [bo])
        #expect(picture.holder == nil)
        #expect(picture.sinceMs == nil)
    }

    @Test func whatWasSeenOrIsStaleChangesNothing() {
        var picture = LivePicture()
        _ = picture.apply(event(1, .joined, anna))
        let before = picture
        #expect(picture.apply(event(1, .joined, anna)) == .repeated)
        #expect(picture.apply(event(7, .joined, bo, epoch: 4)) == .repeated)
        #expect(picture == before)
    }

    @Test func afterAGapTheListWaitsForTheSnapshot() {
        var picture = LivePicture()
        _ = picture.apply(event(1, .joined, anna))
        _ = picture.apply(event(3, .joined, bo, holder: bo))
        #expect(picture.participants.map(\.uid) == [anna])
        #expect(picture.holder == bo)
        #expect(!picture.isComplete)
        let people = [FloorMessage.Participant(uid: bo, role: .owner, display: "Bo", joinedMs: 1)]
        _ = picture.apply(event(4, .snapshot, people: people))
        #expect(picture.participants == people)
        #expect(picture.isComplete)
    }

    @Test func aNewEpochBeginsAnew() {
        var picture = LivePicture()
        _ = picture.apply(event(1, .joined, anna))
        _ = picture.apply(event(1, .joined, bo, epoch: 6))
        #expect(picture.participants.map(\.uid) == [bo])
    }

    @Test func thePictureSurvivesTheTable() {
        var picture = LivePicture()
        _ = picture.apply(event(1, .joined, anna))
        _ = picture.apply(event(2, .taken, anna, holder: anna))
        #expect(LivePicture(stored: picture.stored(gid)) == picture)
    }

    /// Another Kafka counts its epochs anew: pictures of the one before would stand above all that comes.
    @Test func picturesOfAnotherKafkaAreForgotten() async throws {
        let database = try await Database(path: NSTemporaryDirectory() + "live-test-\(UUID().uuidString).sqlite")
        let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
        try await Migrations(directory: root.path + "/schemas/sql/bo").apply(to: database)
        let (gid, joined) = (gid, event(1, .joined, anna))
        func start(_ cluster: String) async throws -> LivePicture {
            try await database.transaction { connection in
                try LiveTable.belong(to: cluster, connection)
                return try LiveTable.find(gid, connection)
            }
        }
        #expect(try await start("first") == LivePicture())
        try await database.transaction { connection in
            var picture = LivePicture()
            _ = picture.apply(joined)
            try LiveTable.write(picture, gid, connection)
        }
        #expect(try await start("first").participants.map(\.uid) == [anna])
        #expect(try await start("second") == LivePicture())
        await database.close()
    }
}
