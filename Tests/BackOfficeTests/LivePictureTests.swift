import Database
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

    /// The list of participants that so many events lead to, by the table's own steps.
    private func list(_ events: [FloorMessage]) throws -> (picture: LivePicture, people: [FloorMessage.Participant]) {
        var (picture, people) = (LivePicture(), [FloorMessage.Participant]())
        for event in events {
            guard case .applied(let steps) = picture.apply(event) else { continue }
            for step in steps {
                switch step {
                case .clear: people = []
                case .put(let one): people = people.filter { $0.uid != one.uid } + [one]
                case .remove(let uid): people.removeAll { $0.uid == uid }
                case .setRole(let uid, let role): for index in people.indices where people[index].uid == uid { people[index].role = role }
                }
            }
        }
        return (picture, people)
    }

    @Test func eventsBuildThePicture() throws {
        var events = [event(1, .joined, anna), event(2, .joined, bo), event(3, .taken, anna, holder: anna)]
        var (picture, people) = try list(events)
        #expect(people.map(\.uid) == [anna, bo])
        #expect(picture.holder == anna)
        #expect(picture.sinceMs == 3000)
        events.append(event(4, .left, anna))
        (picture, people) = try list(events)
        #expect(people.map(\.uid) == [bo])
        #expect(picture.holder == nil)
        #expect(picture.sinceMs == nil)
    }

    /// A press in a group of thousands must not touch them.
    @Test func whatIsNotAboutWhoIsThereChangesNoList() {
        var picture = LivePicture()
        _ = picture.apply(event(1, .joined, anna))
        #expect(picture.apply(event(2, .taken, anna, holder: anna)) == .applied([]))
        #expect(picture.apply(event(3, .queue, bo, holder: anna)) == .applied([]))
        #expect(picture.apply(event(4, .idle, anna)) == .applied([]))
        #expect(picture.apply(event(5, .role, anna)) == .applied([.setRole(anna, .manager)]))
    }

    @Test func whatWasSeenOrIsStaleChangesNothing() {
        var picture = LivePicture()
        _ = picture.apply(event(1, .joined, anna))
        let before = picture
        #expect(picture.apply(event(1, .joined, anna)) == .repeated)
        #expect(picture.apply(event(7, .joined, bo, epoch: 4)) == .repeated)
        #expect(picture == before)
    }

    @Test func afterAGapTheListWaitsForTheSnapshot() throws {
        var events = [event(1, .joined, anna), event(3, .joined, bo, holder: bo)]
        var (picture, people) = try list(events)
        #expect(people.map(\.uid) == [anna])
        #expect(picture.holder == bo)
        #expect(!picture.isComplete)
        let all = [FloorMessage.Participant(uid: bo, role: .owner, display: "Bo", joinedMs: 1)]
        events.append(event(4, .snapshot, people: all))
        (picture, people) = try list(events)
        #expect(people == all)
        #expect(picture.isComplete)
    }

    @Test func aNewEpochBeginsAnew() throws {
        #expect(try list([event(1, .joined, anna), event(1, .joined, bo, epoch: 6)]).people.map(\.uid) == [bo])
    }

    @Test func thePictureSurvivesTheTable() {
        var picture = LivePicture()
        _ = picture.apply(event(1, .joined, anna))
        _ = picture.apply(event(2, .taken, anna, holder: anna))
        #expect(LivePicture(stored: picture.stored(gid)) == picture)
    }

    /// No event tells again whose emergencies are on: a picture of the shape before keeps them.
    @Test func anOlderPictureKeepsItsEmergencies() async throws {
        let database = try await openTestDatabase(version: 2)
        let old =
            #"{"complete":true,"emergencies":[1],"epoch":5,"gid":1,"participants":[{"display":"d","joined_ms":1,"role":0,"uid":1}],"seq":7}"#
        try await database.run { _ = try $0.execute("INSERT INTO live (gid, picture) VALUES (1, ?)", [.text(old)]) }
        try await Migrations(directory: testMigrations).apply(to: database)
        let gid = gid
        let picture = try await database.run { try LiveTable.find(gid, $0) }
        #expect(picture.emergencies == [anna])
        #expect(picture.seq == 7)
        #expect(!picture.isComplete)
        await database.close()
    }

    @Test func theTableKeepsTheListRowByRow() async throws {
        let database = try await openTestDatabase()
        let (gid, anna, bo) = (gid, anna, bo)
        let events = [
            event(1, .joined, anna), event(2, .joined, bo), event(3, .role, bo), event(3, .left, bo), event(4, .taken, anna, holder: anna),
        ]
        let other = FloorMessage.Participant(uid: bo, role: .member, display: "Bo", joinedMs: 7)
        let snapshot = event(5, .snapshot, holder: anna, people: [other])
        try await database.transaction { connection in
            #expect(try events.map { try LiveTable.apply($0, connection) } == [.new, .new, .new, .seen, .new])
            #expect(try LiveTable.participants(gid, connection).map(\.uid) == [anna, bo])
            #expect(try LiveTable.find(gid, connection).holder == anna)
            #expect(try LiveTable.apply(snapshot, connection) == .new)
            #expect(try LiveTable.participants(gid, connection) == [other])
            try LiveTable.delete(gid, connection)
            #expect(try LiveTable.find(gid, connection) == LivePicture())
            #expect(try LiveTable.participants(gid, connection).isEmpty)
        }
        await database.close()
    }

    /// Another Kafka counts its epochs anew: pictures of the one before would stand above all that comes.
    @Test func picturesOfAnotherKafkaAreForgotten() async throws {
        let database = try await openTestDatabase()
        let (gid, joined) = (gid, event(1, .joined, anna))
        func start(_ cluster: String) async throws -> (seq: Int64, people: Int) {
            try await database.transaction { connection in
                try LiveTable.belong(to: cluster, connection)
                return (try LiveTable.find(gid, connection).seq, try LiveTable.participants(gid, connection).count)
            }
        }
        #expect(try await start("first") == (0, 0))
        _ = try await database.transaction { connection in try LiveTable.apply(joined, connection) }
        #expect(try await start("first") == (1, 1))
        #expect(try await start("second") == (0, 0))
        await database.close()
    }
}
