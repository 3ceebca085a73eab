import JSON
import Kafka
import MediaPlane
import Messages
import Reactor
import ServiceKit
import Talk
import Telemetry

/// The director's memory. Made and used on its thread.
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
    /// A request that the worker has.
    struct Pending {
        var request: SignalRequest
        var partition: Int32
        var generation: Int
        /// Nil for a door's request: nothing is committed.
        var offset: Int64?
        var headers: [KafkaHeader]
        var then: (@Sendable (ResultCode, String) -> Void)?
        var outcome: SignalOutcome?
        var deadline: MonotonicNs?
    }
    typealias MonotonicNs = Int64

    let parts: SignalDirector.Parts
    let mailbox: Mailbox<DirectorInput>
    var partitions: [Int32: Partition] = [:]
    var pending: [UInt64: Pending] = [:]
    var nextToken: UInt64 = 1
    var generations = 0
    /// Requests whose answer waits for talk records.
    var waitingForTalks: [UInt64] = []
    var published: [TalkID] = []
    let answered: Counter
    let deadLettered: Counter
    let moved: Counter
    private static let talkWaitNs: MonotonicNs = 5_000_000_000

    init(_ parts: SignalDirector.Parts, mailbox: Mailbox<DirectorInput>) {
        (self.parts, self.mailbox) = (parts, mailbox)
        answered = parts.metrics.counter("signal_responses_total", help: "Signal requests answered")
        deadLettered = parts.metrics.counter("dead_letters_total", help: "Records that could not be read")
        moved = parts.metrics.counter("signal_moved_total", help: "Requests produced again onto their own partition")
        tellReadiness()
    }

    var nextDeadline: MonotonicNs? { waitingForTalks.compactMap { pending[$0]?.deadline }.min() }

    func handle(_ input: DirectorInput) {
        switch input {
        case .requests(let event): handle(event)
        case .answered(let outcome, let token): answered(outcome, token)
        case .acknowledged(let partition, let generation, let offset):
            guard partitions[partition]?.generation == generation else { return }
            if let commit = partitions[partition]?.window.acknowledge(offset) { parts.store(partition, commit) }
        case .claimed(let partition, let generation, let epoch):
            guard partitions[partition]?.generation == generation else { return }
            partitions[partition]?.epoch = epoch
            openIfComplete(partition)
        case .journal(let partition, let generation, let journal):
            guard partitions[partition]?.generation == generation else { return }
            partitions[partition]?.journal = journal
            openIfComplete(partition)
        case .claimSeen(let partition, let node, let epoch): claimSeen(partition, node, epoch)
        case .persist(let record): keep(record)
        case .administer(let request, let then): administer(request, then)
        case .published(let talk):
            published.append(talk)
            if published.count > 256 { published.removeFirst() }
            answerThoseWithTalks()
        case .stop: break
        }
    }

    func tick() {
        guard !waitingForTalks.isEmpty else { return }
        answerThoseWithTalks()
    }

    private func handle(_ event: KafkaEvent) {
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
        let generation = partition.generation
        switch SignalRequest.read(record.value) {
        case .ignored: acknowledge(record, generation)
        case .bad(let reason, let answer):
            bury(record, reason, generation)
            if let answer { self.answer(answer, to: record, generation) }
            acknowledge(record, generation)
        case .request(let request):
            let home = Murmur2.partition(gid: request.gid.value, count: parts.partitions)
            if home != record.partition {
                move(record, request, to: home, generation)
                return
            }
            let token = nextToken
            nextToken += 1
            pending[token] = Pending(
                request: request, partition: record.partition, generation: generation, offset: record.offset,
                headers: Self.echoed(record.headers))
            parts.plane.post(.signal(request, token: token, epoch: partition.epoch ?? 0))
        }
    }

    private func acknowledge(_ record: KafkaRecord, _ generation: Int) {
        handle(.acknowledged(partition: record.partition, generation: generation, offset: record.offset))
    }

    /// What goes from a request to its response (MESSAGES.md §1).
    private static func echoed(_ headers: [KafkaHeader]) -> [KafkaHeader] {
        headers.filter { ["request-id", "traceparent"].contains($0.name) }
    }

    /// Puts a request onto its group's own partition; never twice.
    private func move(_ record: KafkaRecord, _ request: SignalRequest, to home: Int32, _ generation: Int) {
        if record.header("moved") != nil {
            let why = "group \(request.gid) belongs on partition \(home): it was moved once already, try again"
            answer(request.response(.notReady, why), to: record, generation)
        } else {
            moved.increment()
            let again = OutgoingRecord(
                topic: parts.topics.signalRequests, partition: home, key: Array(request.gid.description.utf8), value: record.value,
                headers: record.headers + [KafkaHeader("moved", "1")])
            produce(again, for: record.partition, generation, record.offset)
        }
        acknowledge(record, generation)
    }

    private func bury(_ record: KafkaRecord, _ reason: String, _ generation: Int) {
        deadLettered.increment()
        parts.log.warning(
            "dead letter",
            ["topic": .string(record.topic), "partition": .int(record.partition), "offset": .int(record.offset), "error": .string(reason)])
        produce(
            DeadLetter.record(of: record, reason: reason, topic: parts.topics.deadLetter), for: record.partition, generation, record.offset)
    }

    private func answer(_ response: SignalResponse, to record: KafkaRecord, _ generation: Int) {
        let out = OutgoingRecord(
            topic: parts.topics.signalResponses, key: Array(String(response.gid).utf8), value: response.encoded,
            headers: Self.echoed(record.headers))
        answered.increment()
        produce(out, for: record.partition, generation, record.offset)
    }

    /// Produces what an offset waits for.
    private func produce(_ record: OutgoingRecord, for partition: Int32, _ generation: Int, _ offset: Int64?) {
        if let offset { partitions[partition]?.window.expect(1, of: offset) }
        let isAwaited = record.topic == parts.topics.signalResponses || record.topic == parts.topics.signalRequests
        let producer = isAwaited ? parts.producers.prompt : parts.producers.gathering
        let (mailbox, log) = (self.mailbox, parts.log)
        // A record that Kafka will never take (too large) holds up nobody; it is told.
        @Sendable func done(_ error: (any Error)?) {
            if let error { log.error("not produced", ["topic": .string(record.topic), "error": .describing(error)]) }
            if let offset { mailbox.post(.acknowledged(partition: partition, generation: generation, offset: offset)) }
        }
        do {
            try producer.send(record) { result in
                if case .failure(let error) = result { done(error) } else { done(nil) }
            }
        } catch {
            done(error)
        }
    }

    // MARK: Answers

    private func answered(_ outcome: SignalOutcome, _ token: UInt64) {
        guard pending[token] != nil else { return }
        if outcome.ended.contains(where: { !published.contains($0) }) {
            pending[token]?.outcome = outcome
            pending[token]?.deadline = Clocks.monotonicNs() + DirectorState.talkWaitNs
            waitingForTalks.append(token)
            return
        }
        finish(token, outcome)
    }

    /// Destroyed rooms are answered when the records of their open talks are out, or have taken too long.
    private func answerThoseWithTalks() {
        let now = Clocks.monotonicNs()
        for token in waitingForTalks {
            guard let one = pending[token], let outcome = one.outcome else { continue }
            let isComplete = outcome.ended.allSatisfy { published.contains($0) }
            guard isComplete || (one.deadline ?? 0) <= now else { continue }
            waitingForTalks.removeAll { $0 == token }
            finish(token, outcome)
        }
    }

    private func finish(_ token: UInt64, _ outcome: SignalOutcome) {
        guard let one = pending.removeValue(forKey: token) else { return }
        let gid = one.request.gid
        // The answer goes first, for somebody waits for it; the request's offset waits for both.
        if one.then == nil {
            let response = one.request.response(outcome.code, outcome.message)
            answered.increment()
            produce(
                OutgoingRecord(
                    topic: parts.topics.signalResponses, key: Array(gid.description.utf8), value: response.encoded, headers: one.headers),
                for: one.partition, one.generation, one.offset)
        }
        switch outcome.change {
        case .none: break
        case .keep(let record):
            partitions[one.partition]?.rooms.insert(gid)
            produce(roomRecord(gid, record.encoded, record.epoch, one.partition), for: one.partition, one.generation, one.offset)
        case .tombstone:
            partitions[one.partition]?.rooms.remove(gid)
            let epoch = partitions[one.partition]?.epoch ?? 0
            produce(roomRecord(gid, nil, epoch, one.partition), for: one.partition, one.generation, one.offset)
        }
        if let offset = one.offset { handle(.acknowledged(partition: one.partition, generation: one.generation, offset: offset)) }
        one.then?(outcome.code, outcome.message ?? "")
        parts.log.info(
            "signal request",
            [
                "gid": .int(gid.value), "type": .int(one.request.signalType), "dispatcher": .int(one.request.dispatcher),
                "code": .int(outcome.code.rawValue),
            ])
    }

    func roomRecord(_ gid: GroupID, _ value: [UInt8]?, _ epoch: Int64, _ partition: Int32) -> OutgoingRecord {
        OutgoingRecord(
            topic: parts.topics.rooms, partition: partition, key: Array(gid.description.utf8), value: value,
            headers: [KafkaHeader("epoch", String(epoch))])
    }

    private func keep(_ record: RoomRecord) {
        let home = Murmur2.partition(gid: record.gid.value, count: parts.partitions)
        produce(roomRecord(record.gid, record.encoded, record.epoch, home), for: home, 0, nil)
    }

    private func administer(_ request: SignalRequest, _ then: @escaping @Sendable (ResultCode, String) -> Void) {
        let home = Murmur2.partition(gid: request.gid.value, count: parts.partitions)
        guard let partition = partitions[home], partition.isReady else {
            then(.notReady, "room \(request.gid) is not served by this node yet: try again")
            return
        }
        let token = nextToken
        nextToken += 1
        pending[token] = Pending(
            request: request, partition: home, generation: partition.generation, offset: nil, headers: [], then: then)
        parts.plane.post(.signal(request, token: token, epoch: partition.epoch ?? 0))
    }
}
