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
        let message = FloorMessage(
            gid: gid, epoch: epoch, seq: news.seq, atMs: atMs, state: state, uid: news.participant?.uid ?? news.uid,
            display: news.participant?.display, role: news.participant?.role, holder: news.holder, talkID: news.talkID, tier: news.tier,
            queue: news.queue,
            participants: news.participants.map { list in
                list.map { FloorMessage.Participant(uid: $0.uid, role: $0.role, display: $0.display, joinedMs: $0.joinedMs) }
            })
        send(message.encoded(ip: ip), gid, to: topics.floor, by: producers.gathering)
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
