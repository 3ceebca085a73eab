import Kafka
import MediaPlane
import Messages
import Room
import Talk
import Telemetry

/// Where what happens in rooms goes: Kafka, Redis, and the director. Called on the worker's thread; nothing here waits.
struct PlaneOutput: MediaPlaneOutput {
    let ip: String
    let topics: TopicNames
    let producers: Producers
    let roles: RoleDirectory
    let note: @Sendable (DirectorNote) -> Void
    let lost: Counter

    func lookUp(_ uid: UserID, in gid: GroupID, token: UInt64) { roles.lookUp(uid, in: gid, token: token) }

    func correctLater(_ uid: UserID, in gid: GroupID, generation: UInt64) { roles.correctLater(uid, in: gid, generation: generation) }

    func publish(_ news: RoomNews, of gid: GroupID, epoch: Int64, atMs: Int64) {
        guard let state = FloorMessage.State(rawValue: news.state.rawValue) else { return }
        let nameBytes = Self.nameBytes(of: news.participants?.count ?? 0)
        let message = FloorMessage(
            gid: gid, epoch: epoch, seq: news.seq, atMs: atMs, state: state, uid: news.participant?.uid ?? news.uid,
            display: news.participant?.display, role: news.participant?.role, holder: news.holder, talkID: news.talkID, tier: news.tier,
            queue: news.queue,
            participants: news.participants.map { list in
                list.map { one in
                    let display = one.display.utf8.count <= nameBytes ? one.display : one.display.cut(toBytes: nameBytes)
                    return FloorMessage.Participant(uid: one.uid, role: one.role, display: display, joinedMs: one.joinedMs)
                }
            })
        send(message.encoded(ip: ip), gid, to: topics.floor, by: producers.gathering)
    }

    /// What of each name there is room for in one message: Kafka takes some 1,000,000 bytes, and without its name a participant needs 90.
    private static func nameBytes(of count: Int) -> Int {
        guard count > 0 else { return .max }
        // As JSON a byte of a name may take six.
        return max(0, 900_000 / count - 90) / 6
    }

    func publish(_ quality: QualityMessage) { send(quality.encoded(ip: ip), quality.gid, to: topics.quality, by: producers.gathering) }

    /// What is of the moment is not kept: a full queue in a long outage loses it, and counts it.
    private func send(_ value: [UInt8], _ gid: GroupID, to topic: String, by producer: KafkaProducer) {
        let lost = self.lost
        do {
            try producer.send(OutgoingRecord(topic: topic, key: Array(gid.description.utf8), value: value)) { result in
                if case .failure = result { lost.increment() }
            }
        } catch {
            lost.increment()
        }
    }

    func persist(_ record: RoomRecord) { note(.persist(record)) }

    func presence(_ uid: UserID, online: Bool) { roles.presence(uid, online: online) }
}

extension String {
    /// Its beginning, of whole characters.
    fileprivate func cut(toBytes limit: Int) -> String {
        var count = 0
        return String(
            prefix { character in
                count += character.utf8.count
                return count <= limit
            })
    }
}
