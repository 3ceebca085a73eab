import JSON
import Kafka
import MediaPlane
import Messages
import Reactor
import ServiceKit
import Talk
import Telemetry

/// The director's memory: which rooms are here, and what is under way for them.
final class DirectorState {
    /// A partition that is, or is about to be, this node's.
    struct Partition {
        /// Tells an assignment from an earlier one: what is late for that one is passed over.
        var generation: Int
        var window = OffsetWindow()
        var isReady = false
        var epoch: Int64?
        var journal: RoomJournal?
        /// Requests that came before the rooms were read.
        var backlog: [KafkaRecord] = []
        /// The rooms here.
        var rooms: Set<GroupID> = []
    }
    typealias MonotonicNs = Int64

    let parts: SignalDirector.Parts
    let mailbox: Mailbox<DirectorInput>
    let outbox: SignalOutbox
    var partitions: [Int32: Partition] = [:]
    var generations = 0
    /// What was decided and whose answer waits for talk records.
    private var waitingForTalks: [(task: SignalTask, outcome: SignalOutcome, deadline: MonotonicNs)] = []
    private var published: [TalkID] = []
    /// What Kafka's full queue did not take, in order.
    private var refused: [(OutgoingRecord, RequestPlace)] = []
    /// When it is offered again.
    private var offeredAt: MonotonicNs = 0
    private static let offerEveryNs: MonotonicNs = 200_000_000
    private let answered: Counter
    private let deadLettered: Counter
    private let moved: Counter
    private static let talkWaitNs: MonotonicNs = 5_000_000_000

    init(_ parts: SignalDirector.Parts, mailbox: Mailbox<DirectorInput>, notes: Mailbox<DirectorNote>) {
        (self.parts, self.mailbox) = (parts, mailbox)
        outbox = SignalOutbox(topics: parts.topics, producers: parts.producers, notes: notes, log: parts.log)
        answered = parts.metrics.counter("signal_responses_total", help: "Signal requests answered")
        deadLettered = parts.metrics.counter("dead_letters_total", help: "Records that could not be read")
        moved = parts.metrics.counter("signal_moved_total", help: "Requests produced again onto their own partition")
        tellReadiness()
    }

    /// When `tick` is due.
    var nextDeadline: MonotonicNs? {
        let offer = refused.isEmpty ? nil : offeredAt + Self.offerEveryNs
        return [waitingForTalks.map(\.deadline).min(), offer].compactMap { $0 }.min()
    }

    func handle(_ input: DirectorInput) {
        switch input {
        case .claimed(let partition, let generation, let epoch):
            guard partitions[partition]?.generation == generation else { return }
            partitions[partition]?.epoch = epoch
            openIfComplete(partition)
        case .journal(let partition, let generation, let journal):
            guard partitions[partition]?.generation == generation else { return }
            partitions[partition]?.journal = journal
            openIfComplete(partition)
        case .claimSeen(let partition, let node, let epoch): claimSeen(partition, node, epoch)
        case .administer(let request, let then): administer(request, then)
        case .published(let talk):
            published.append(talk)
            if published.count > 256 { published.removeFirst() }
            answerThoseWithTalks(Clocks.monotonicNs())
        case .stop: break
        }
    }

    func handle(_ note: DirectorNote) {
        switch note {
        case .decided(let task, let outcome): decided(task, outcome)
        case .persist(let record): keep(record)
        case .acknowledged(let place): acknowledge(place)
        case .refused(let record, let place): send(record, for: place)
        }
    }

    /// What the request consumer says.
    func handle(_ event: KafkaEvent) {
        switch event {
        case .records(let records): for record in records { take(record) }
        case .assigned(let assigned): assign(assigned.map(\.partition))
        case .revoked(let revoked, let lost): for one in revoked { revoke(one.partition, lost: lost) }
        case .down: parts.readiness.block("kafka", "no broker can be reached")
        case .up: parts.readiness.clear("kafka")
        case .error(let error): parts.log.warning("request consumer", ["error": .describing(error)])
        case .endOfPartition: break
        }
    }

    // MARK: Requests

    private func take(_ record: KafkaRecord) {
        guard let partition = partitions[record.partition] else { return }
        guard partition.isReady else {
            partitions[record.partition]?.backlog.append(record)
            return
        }
        partitions[record.partition]?.window.begin(record.offset)
        let place = RequestPlace(partition: record.partition, generation: partition.generation, offset: record.offset)
        switch SignalRequest.read(record.value) {
        case .ignored: acknowledge(place)
        case .bad(let reason, let answer):
            bury(record, reason, place)
            if let answer { self.answer(answer, to: record, place) }
            acknowledge(place)
        case .request(let request):
            let home = Murmur2.partition(gid: request.gid.value, count: parts.partitions)
            if home == record.partition { carryOut(request, of: record, place) } else { move(record, request, to: home, place) }
        }
    }

    /// Has the room's worker decide. It sends the answer itself, for somebody waits for that; what can't be answered yet comes back.
    private func carryOut(_ request: SignalRequest, of record: KafkaRecord, _ place: RequestPlace) {
        expect(1, of: place)
        let (outbox, answered, headers) = (self.outbox, self.answered, record.headers)
        post(
            SignalTask(request: request, place: place) { outcome in
                answered.increment()
                outbox.send(outbox.record(of: request.response(outcome.code, outcome.message), echoing: headers), for: place)
            })
    }

    private func post(_ task: SignalTask) {
        let notes = outbox.notes
        // From now on, for the partition may go before the worker's word is heard: then it closes the room, too.
        if case .create = task.request.body { partitions[task.place.partition]?.rooms.insert(task.request.gid) }
        parts.plane.post(
            .signal(task.request, epoch: partitions[task.place.partition]?.epoch ?? 0) { outcome in
                if outcome.ended.isEmpty { task.answer(outcome) }
                notes.post(.decided(task, outcome))
            })
    }

    private func administer(_ request: SignalRequest, _ then: @escaping @Sendable (ResultCode, String) -> Void) {
        let home = Murmur2.partition(gid: request.gid.value, count: parts.partitions)
        guard let partition = partitions[home], partition.isReady else {
            then(.notReady, "room \(request.gid) is not served by this node yet: try again")
            return
        }
        let place = RequestPlace(partition: home, generation: partition.generation, offset: nil)
        post(SignalTask(request: request, place: place) { outcome in then(outcome.code, outcome.message ?? "") })
    }

    /// Puts a request onto its group's own partition; never twice.
    private func move(_ record: KafkaRecord, _ request: SignalRequest, to home: Int32, _ place: RequestPlace) {
        if record.header("moved") != nil {
            let why = "group \(request.gid) belongs on partition \(home): it was moved once already, try again"
            answer(request.response(.notReady, why), to: record, place)
        } else {
            moved.increment()
            let again = OutgoingRecord(
                topic: parts.topics.signalRequests, partition: home, key: Array(request.gid.description.utf8), value: record.value,
                headers: record.headers + [KafkaHeader("moved", "1")])
            produce(again, for: place)
        }
        acknowledge(place)
    }

    private func bury(_ record: KafkaRecord, _ reason: String, _ place: RequestPlace) {
        deadLettered.increment()
        parts.log.warning(
            "dead letter",
            ["topic": .string(record.topic), "partition": .int(record.partition), "offset": .int(record.offset), "error": .string(reason)])
        produce(DeadLetter.record(of: record, reason: reason, topic: parts.topics.deadLetter), for: place)
    }

    private func answer(_ response: SignalResponse, to record: KafkaRecord, _ place: RequestPlace) {
        answered.increment()
        produce(outbox.record(of: response, echoing: record.headers), for: place)
    }

    // MARK: What was decided

    private func decided(_ task: SignalTask, _ outcome: SignalOutcome) {
        change(task, outcome)
        if outcome.ended.isEmpty { return finish(task, outcome) }
        waitingForTalks.append((task, outcome, Clocks.monotonicNs() + DirectorState.talkWaitNs))
        answerThoseWithTalks(Clocks.monotonicNs())
    }

    func tick() {
        let now = Clocks.monotonicNs()
        answerThoseWithTalks(now)
        guard !refused.isEmpty, now >= offeredAt + Self.offerEveryNs else { return }
        offeredAt = now
        refused.removeFirst(refused.prefix { outbox.take($0, for: $1) }.count)
    }

    /// Destroyed rooms are answered when the records of their open talks are out, or have taken too long.
    private func answerThoseWithTalks(_ now: MonotonicNs) {
        guard !waitingForTalks.isEmpty else { return }
        let due = waitingForTalks.filter { $0.deadline <= now || $0.outcome.ended.allSatisfy { published.contains($0) } }
        guard !due.isEmpty else { return }
        waitingForTalks.removeAll { $0.deadline <= now || $0.outcome.ended.allSatisfy { published.contains($0) } }
        for one in due {
            one.task.answer(one.outcome)
            finish(one.task, one.outcome)
        }
    }

    /// What becomes of the room's record goes out at once, in the order of the decisions. The request's offset waits for it.
    private func change(_ task: SignalTask, _ outcome: SignalOutcome) {
        let (gid, place) = (task.request.gid, task.place)
        switch outcome.change {
        case .none: break
        case .keep(let record):
            partitions[place.partition]?.rooms.insert(gid)
            produce(roomRecord(gid, record.encoded, record.epoch, place.partition), for: place)
        case .tombstone:
            partitions[place.partition]?.rooms.remove(gid)
            produce(roomRecord(gid, nil, partitions[place.partition]?.epoch ?? 0, place.partition), for: place)
        }
    }

    /// The answer is on its way.
    private func finish(_ task: SignalTask, _ outcome: SignalOutcome) {
        acknowledge(task.place)
        parts.log.info(
            "signal request",
            [
                "gid": .int(task.request.gid.value), "type": .int(task.request.signalType),
                "dispatcher": .int(task.request.dispatcher), "code": .int(outcome.code.rawValue),
            ])
    }

    private func roomRecord(_ gid: GroupID, _ value: [UInt8]?, _ epoch: Int64, _ partition: Int32) -> OutgoingRecord {
        OutgoingRecord(
            topic: parts.topics.rooms, partition: partition, key: Array(gid.description.utf8), value: value,
            headers: [KafkaHeader("epoch", String(epoch))])
    }

    private func keep(_ record: RoomRecord) {
        let home = Murmur2.partition(gid: record.gid.value, count: parts.partitions)
        send(
            roomRecord(record.gid, record.encoded, record.epoch, home), for: RequestPlace(partition: home, generation: 0, offset: nil))
    }

    // MARK: Offsets

    /// Produces what an offset waits for.
    private func produce(_ record: OutgoingRecord, for place: RequestPlace) {
        expect(1, of: place)
        send(record, for: place)
    }

    /// In order: behind what waits for room it waits too, for the last record of a room is the one that counts.
    private func send(_ record: OutgoingRecord, for place: RequestPlace) {
        if refused.isEmpty, outbox.take(record, for: place) { return }
        if refused.isEmpty { parts.log.warning("Kafka's queue is full: records wait", ["topic": .string(record.topic)]) }
        refused.append((record, place))
    }

    private func expect(_ count: Int, of place: RequestPlace) {
        guard let offset = place.offset, partitions[place.partition]?.generation == place.generation else { return }
        partitions[place.partition]?.window.expect(count, of: offset)
    }

    private func acknowledge(_ place: RequestPlace) {
        guard let offset = place.offset, partitions[place.partition]?.generation == place.generation else { return }
        if let commit = partitions[place.partition]?.window.acknowledge(offset) { parts.store(place.partition, commit) }
    }
}
