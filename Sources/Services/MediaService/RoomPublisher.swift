import Kafka
import Messages
import Reactor
import Room
import Talk
import Telemetry

/// Puts on Kafka what happens in rooms and how their links are, on a thread of its own: a large room's snapshot is 350 KB of JSON, and a
/// media worker that wrote it would let a press wait for 15 ms. In the order in which it was told, some milliseconds' worth at a time,
/// for nobody waits for it.
final class RoomPublisher: Sendable {
    private enum News: Sendable {
        case floor(RoomNews, GroupID, epoch: Int64, atMs: Int64)
        case quality(QualityMessage)
        case stop
    }

    private let mailbox = Mailbox<News>()
    private let thread: ServiceThread
    private let lost: Counter
    private static let gatheringNs: Int64 = 20_000_000

    /// - Parameters:
    ///   - ip: this node's address, which stands in each message.
    ///   - lost: counts what Kafka did not get.
    init(ip: String, topics: TopicNames, producer: KafkaProducer, lost: Counter) {
        self.lost = lost
        let mailbox = self.mailbox
        let desk = Desk(ip: ip, topics: topics, producer: producer, lost: lost)
        thread = ServiceThread(name: "room-news") {
            let (arrival, pause) = (Poller(), Poller())
            arrival.watch(mailbox.descriptor, token: 0)
            while true {
                arrival.wait(until: nil, now: 0) { _ in }
                let now = Clocks.monotonicNs()
                pause.wait(until: now + Self.gatheringNs, now: now) { _ in }
                for news in mailbox.take() {
                    switch news {
                    case .floor(let news, let gid, let epoch, let atMs): desk.publish(news, of: gid, epoch: epoch, atMs: atMs)
                    case .quality(let quality): desk.publish(quality)
                    case .stop: return
                    }
                }
            }
        }
    }

    /// Something happened in a room.
    func publish(_ news: RoomNews, of gid: GroupID, epoch: Int64, atMs: Int64) { post(.floor(news, gid, epoch: epoch, atMs: atMs)) }

    /// A link was measured.
    func publish(_ quality: QualityMessage) { post(.quality(quality)) }

    private func post(_ news: News) {
        if !mailbox.post(news) { lost.increment() }
    }

    /// Hands the producer what was told until now, and stops. Blocks for some milliseconds.
    func stop() {
        mailbox.post(.stop, must: true)
        thread.join()
    }

    /// Writes the messages; the thread's.
    private struct Desk: Sendable {
        let ip: String
        let topics: TopicNames
        let producer: KafkaProducer
        let lost: Counter

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
            send(message.encoded(ip: ip), gid, to: topics.floor)
        }

        /// What of each name there is room for in one message: Kafka takes some 1,000,000 bytes, and without its name a participant needs 90.
        private static func nameBytes(of count: Int) -> Int {
            guard count > 0 else { return .max }
            // As JSON a byte of a name may take six.
            return max(0, 900_000 / count - 90) / 6
        }

        func publish(_ quality: QualityMessage) { send(quality.encoded(ip: ip), quality.gid, to: topics.quality) }

        /// What is of the moment is not kept: a full queue in a long outage loses it, and counts it.
        private func send(_ value: [UInt8], _ gid: GroupID, to topic: String) {
            let lost = self.lost
            do {
                try producer.send(OutgoingRecord(topic: topic, key: Array(gid.description.utf8), value: value)) { result in
                    if case .failure = result { lost.increment() }
                }
            } catch {
                lost.increment()
            }
        }
    }
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
