import Kafka
import Messages
import Reactor
import Telemetry

/// Where a request was read. What it needs on Kafka is counted there; a door's request has no offset, and nothing to commit.
struct RequestPlace: Sendable {
    var partition: Int32
    /// Of the partition's assignment: what is late for an earlier one is passed over.
    var generation: Int
    var offset: Int64?
}

/// How answers, room records and dead letters go to Kafka. Any thread's: nothing here waits.
struct SignalOutbox: Sendable {
    let topics: TopicNames
    let producers: Producers
    let notes: Mailbox<DirectorNote>
    let log: Logger

    /// Sends a record; that it is there is noted for the place it belongs to.
    /// - Returns: false where Kafka's queue is full, as in a long outage: it is to be sent again when there is room.
    func take(_ record: OutgoingRecord, for place: RequestPlace) -> Bool {
        let isAwaited = record.topic == topics.signalResponses || record.topic == topics.signalRequests
        let producer = isAwaited ? producers.prompt : producers.gathering
        let (notes, log) = (self.notes, self.log)
        // A record that Kafka will never take (too large) holds up nobody; it is told.
        @Sendable func done(_ error: (any Error)?) {
            if let error { log.error("not produced", ["topic": .string(record.topic), "error": .describing(error)]) }
            if place.offset != nil { notes.post(.acknowledged(place)) }
        }
        do throws(KafkaError) {
            try producer.send(record) { result in
                if case .failure(let error) = result { done(error) } else { done(nil) }
            }
        } catch {
            if error.code == .queueFull { return false }
            done(error)
        }
        return true
    }

    /// Sends an answer, from any thread.
    func send(_ answer: OutgoingRecord, for place: RequestPlace) {
        if !take(answer, for: place) { notes.post(.refused(answer, place)) }
    }

    /// An answer's record, with what goes from a request's headers to it (MESSAGES.md §1).
    func record(of response: SignalResponse, echoing headers: [KafkaHeader]) -> OutgoingRecord {
        OutgoingRecord(
            topic: topics.signalResponses, key: Array(String(response.gid).utf8), value: response.encoded,
            headers: headers.filter { ["request-id", "traceparent"].contains($0.name) })
    }
}
