import Foundation
import JSON
import Kafka
import Messages
import Synchronization
import Talk
import Telemetry

/// Asks the media service over Kafka and finds the answers by their `request-id`.
final class SignalClient: Sendable {
    private let producer: KafkaProducer
    private let topic: String
    private let waiting = Mutex<[String: @Sendable (SignalResponse?) -> Void]>([:])
    private let answered: Counter
    private let unanswered: Counter

    init(producer: KafkaProducer, topic: String, metrics: Metrics) {
        (self.producer, self.topic) = (producer, topic)
        answered = metrics.counter("bo_signals_answered_total", help: "Signal requests that the media service answered")
        unanswered = metrics.counter("bo_signals_unanswered_total", help: "Signal requests without an answer in time")
    }

    /// Sends a request and awaits its answer; one that says "try again" (503) is asked again while there is time.
    /// - Returns: nil when there was no answer in time; the request may still be carried out.
    func ask(_ request: SignalRequest, within timeout: Duration) async -> SignalResponse? {
        let deadline = ContinuousClock.now + timeout
        var last: SignalResponse?
        while true {
            let left = ContinuousClock.now.duration(to: deadline)
            guard left > .zero else { break }
            guard let response = await ask(value: request.encoded, gid: request.gid, requestID: UUID().uuidString, within: left) else {
                break
            }
            last = response
            if response.code != .notReady { break }
            try? await Task.sleep(for: .milliseconds(50))
        }
        return last
    }

    /// Sends a request's bytes under an id of the caller's.
    func ask(value: [UInt8], gid: GroupID, requestID: String, within timeout: Duration) async -> SignalResponse? {
        let response: SignalResponse? = await withCheckedContinuation { continuation in
            waiting.withLock { $0[requestID] = { continuation.resume(returning: $0) } }
            let record = OutgoingRecord(
                topic: topic, key: Array(gid.description.utf8), value: value, headers: [KafkaHeader("request-id", requestID)])
            do {
                try producer.send(record) { result in if case .failure = result { self.resolve(requestID, nil) } }
                Task {
                    try? await Task.sleep(for: timeout)
                    self.resolve(requestID, nil)
                }
            } catch {
                resolve(requestID, nil)
            }
        }
        (response == nil ? unanswered : answered).increment()
        return response
    }

    /// Takes what came on the response topic; others' answers are passed over unread.
    func take(_ records: [KafkaRecord]) {
        for record in records {
            guard let id = record.header("request-id").map({ String(decoding: $0, as: UTF8.self) }),
                waiting.withLock({ $0[id] != nil }), let value = record.value, let message = try? JSONValue(parsing: value),
                let response = SignalResponse(message)
            else { continue }
            resolve(id, response)
        }
    }

    private func resolve(_ requestID: String, _ response: SignalResponse?) {
        waiting.withLock { $0.removeValue(forKey: requestID) }?(response)
    }
}
