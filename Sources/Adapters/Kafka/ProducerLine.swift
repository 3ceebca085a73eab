import CRdKafka
import Glibc
import Synchronization

/// A producer's client and what is on its way through it. An idempotent client that lost count with a broker (after elections, say) fails for
/// good: then another takes its place, and what was not acknowledged is sent again, in its order. Records may come twice by that, never not.
///
/// `@unchecked`: its state is in a mutex.
final class ProducerLine: ClientContext, @unchecked Sendable {
    /// What its thread is asked for.
    enum Wish: Sendable {
        case flush(within: Duration, then: @Sendable (Bool) -> Void)
        case stop(within: Duration, then: @Sendable () -> Void)
    }

    private struct State {
        /// Nil before the start and after the end.
        var handle: ClientHandle?
        /// The client failed for good: what is sent waits for the next one.
        var isBroken = false
        /// What goes through the next client.
        var left: [Parcel] = []
        var nextNumber: UInt64 = 0
        var wishes: [Wish] = []
        var isStopping = false
        var isEnded = false
    }
    private let state = Mutex(State())
    private let make: @Sendable (ProducerLine) throws -> ClientHandle
    private let queueMax: Int
    /// A client that fails at once is not followed by the next at once.
    private static let renewalPauseMs: UInt32 = 1_000

    /// - Parameters:
    ///   - queueMax: how many records may wait for the next client.
    ///   - make: a new client, whose callbacks come to this line.
    init(
        log: @escaping @Sendable (Int, String) -> Void, queueMax: Int, make: @escaping @Sendable (ProducerLine) throws -> ClientHandle
    ) {
        (self.queueMax, self.make) = (queueMax, make)
        super.init(log: log)
    }

    /// Makes the first client.
    func open() throws {
        let first = try make(self)
        state.withLock { $0.handle = first }
    }

    /// The client of the moment; nil after the end.
    var handle: ClientHandle? { state.withLock { $0.handle } }
    var isBroken: Bool { state.withLock { $0.isBroken } }
    /// How many records wait for their acknowledgement.
    var waiting: Int {
        let (handle, left) = state.withLock { ($0.handle, $0.left.count) }
        return left + (handle.map { Int(rd_kafka_outq_len($0.client)) } ?? 0)
    }

    // MARK: Records

    func send(_ record: OutgoingRecord, _ onDelivery: @escaping @Sendable (Result<DeliveryReceipt, KafkaError>) -> Void) throws(KafkaError)
    {
        let broken = try state.withLock { state throws(KafkaError) -> ClientHandle? in
            guard !state.isStopping, let handle = state.handle else { throw KafkaError(.closed, "the Kafka producer is closed") }
            let parcel = Parcel(record, number: state.nextNumber, onDelivery)
            state.nextNumber += 1
            guard !state.isBroken else {
                guard state.left.count < queueMax else { throw KafkaError(RD_KAFKA_RESP_ERR__QUEUE_FULL, "record for \(record.topic)") }
                state.left.append(parcel)
                return nil
            }
            do throws(KafkaError) {
                try parcel.produce(handle.client)
                return nil
            } catch {
                guard error.isFatal else { throw error }
                state.isBroken = true
                state.left.append(parcel)
                return handle
            }
        }
        if let broken { wake(broken) }
    }

    /// A delivery report, on the producer's thread.
    fileprivate func answered(_ parcel: Parcel, _ code: rd_kafka_resp_err_t, _ receipt: DeliveryReceipt, _ client: OpaquePointer) {
        guard code != RD_KAFKA_RESP_ERR_NO_ERROR else { return parcel.onDelivery(.success(receipt)) }
        // What fails because its client did is not to blame.
        let isKept =
            rd_kafka_fatal_error(client, nil, 0) != RD_KAFKA_RESP_ERR_NO_ERROR && code != RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE
            && state.withLock { state in
                guard !state.isStopping else { return false }
                state.isBroken = true
                state.left.append(parcel)
                return true
            }
        if !isKept { parcel.onDelivery(.failure(KafkaError(code, "record for \(parcel.record.topic)"))) }
    }

    override func clientError(_ error: KafkaError, _ client: OpaquePointer) {
        log(error.isFatal ? 3 : 4, error.description)
        if error.isFatal { state.withLock { $0.isBroken = true } }
    }

    /// Puts another client in the place of one that failed for good; on the producer's thread.
    func renew() {
        guard let old = state.withLock({ $0.isStopping ? nil : $0.handle }) else { return }
        rd_kafka_purge(old.client, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT)
        rd_kafka_flush(old.client, 10_000)
        usleep(ProducerLine.renewalPauseMs * 1_000)
        let new: ClientHandle
        do {
            new = try make(self)
        } catch {
            return log(3, "no new Kafka producer: \(error)")
        }
        let (count, refused) = state.withLock { state in
            let parcels = state.left.sorted { $0.number < $1.number }
            (state.handle, state.left, state.isBroken) = (new, [], false)
            var refused: [(Parcel, KafkaError)] = []
            for parcel in parcels {
                do throws(KafkaError) { try parcel.produce(new.client) } catch { refused.append((parcel, error)) }
            }
            return (parcels.count, refused)
        }
        log(4, "the Kafka producer begins anew; \(count) records are sent again")
        for (parcel, error) in refused { parcel.onDelivery(.failure(error)) }
    }

    // MARK: Wishes

    func ask(_ wish: Wish) {
        let (isEnded, handle) = state.withLock { state in
            if case .stop = wish { state.isStopping = true }
            if !state.isEnded { state.wishes.append(wish) }
            return (state.isEnded, state.handle)
        }
        guard !isEnded else { return Self.answerAfterEnd(wish) }
        if let handle { wake(handle) }
    }

    func takeWishes() -> [Wish] {
        state.withLock { state in
            defer { state.wishes = [] }
            return state.wishes
        }
    }

    /// After this nobody serves wishes any more; what came meanwhile is answered here.
    func end() {
        let (wishes, left, handle) = state.withLock { state in
            state.isEnded = true
            defer { (state.wishes, state.left, state.handle) = ([], [], nil) }
            return (state.wishes, state.left, state.handle)
        }
        for parcel in left { parcel.onDelivery(.failure(KafkaError(.closed, "the Kafka producer is closed"))) }
        wishes.forEach(Self.answerAfterEnd)
        withExtendedLifetime(handle) {}
    }

    static func answerAfterEnd(_ wish: Wish) {
        switch wish {
        case .flush(_, let then): then(true)
        case .stop(_, let then): then()
        }
    }

    private func wake(_ handle: ClientHandle) {
        guard let queue = rd_kafka_queue_get_main(handle.client) else { return }
        rd_kafka_queue_yield(queue)
        rd_kafka_queue_destroy(queue)
    }
}

/// A record on its way; what its delivery report finds by its opaque.
final class Parcel: Sendable {
    let record: OutgoingRecord
    /// In the order of sending.
    let number: UInt64
    let onDelivery: @Sendable (Result<DeliveryReceipt, KafkaError>) -> Void

    init(_ record: OutgoingRecord, number: UInt64, _ onDelivery: @escaping @Sendable (Result<DeliveryReceipt, KafkaError>) -> Void) {
        (self.record, self.number, self.onDelivery) = (record, number, onDelivery)
    }

    /// Hands it to the library, which keeps it until the report.
    func produce(_ client: OpaquePointer) throws(KafkaError) {
        let opaque = Unmanaged.passRetained(self)
        var headers: OpaquePointer?
        if !record.headers.isEmpty {
            headers = rd_kafka_headers_new(record.headers.count)
            for header in record.headers {
                header.value.withUnsafeBytes { _ = rd_kafka_header_add(headers, header.name, -1, $0.baseAddress, $0.count) }
            }
        }
        let refusal = record.topic.withCString { topic in
            withOptionalBytes(record.key) { key in
                withOptionalBytes(record.value) { value in
                    var parts = [rd_kafka_vu_t](repeating: rd_kafka_vu_t(), count: 5)
                    parts[0].vtype = RD_KAFKA_VTYPE_TOPIC
                    parts[0].u.cstr = topic
                    parts[1].vtype = RD_KAFKA_VTYPE_PARTITION
                    parts[1].u.i32 = record.partition ?? RD_KAFKA_PARTITION_UA
                    parts[2].vtype = RD_KAFKA_VTYPE_MSGFLAGS
                    parts[2].u.i = RD_KAFKA_MSG_F_COPY
                    parts[3].vtype = RD_KAFKA_VTYPE_OPAQUE
                    parts[3].u.ptr = opaque.toOpaque()
                    parts[4].vtype = RD_KAFKA_VTYPE_KEY
                    parts[4].u.mem = .init(ptr: UnsafeMutableRawPointer(mutating: key.baseAddress), size: key.count)
                    var body = rd_kafka_vu_t()
                    body.vtype = RD_KAFKA_VTYPE_VALUE
                    body.u.mem = .init(ptr: UnsafeMutableRawPointer(mutating: value.baseAddress), size: value.count)
                    parts.append(body)
                    if let headers {
                        var part = rd_kafka_vu_t()
                        part.vtype = RD_KAFKA_VTYPE_HEADERS
                        part.u.headers = headers
                        parts.append(part)
                    }
                    return rd_kafka_produceva(client, parts, parts.count)
                }
            }
        }
        guard let refusal else { return }
        // On a refusal the library has not taken the headers.
        if let headers { rd_kafka_headers_destroy(headers) }
        opaque.release()
        throw KafkaError(taking: refusal, "record for \(record.topic)")
    }
}

/// librdkafka's report on a record.
func answerDelivery(_ client: OpaquePointer?, _ report: UnsafePointer<rd_kafka_message_t>?, _ opaque: UnsafeMutableRawPointer?) {
    guard let client, let opaque, let report = report?.pointee, let pointer = report._private else { return }
    let parcel = Unmanaged<Parcel>.fromOpaque(pointer).takeRetainedValue()
    guard let line = Unmanaged<ClientContext>.fromOpaque(opaque).takeUnretainedValue() as? ProducerLine else { return }
    line.answered(parcel, report.err, DeliveryReceipt(partition: report.partition, offset: report.offset), client)
}

private func withOptionalBytes<Result>(_ bytes: [UInt8]?, _ body: (UnsafeRawBufferPointer) -> Result) -> Result {
    guard let bytes else { return body(UnsafeRawBufferPointer(start: nil, count: 0)) }
    // An empty array may have no address, and no address would be a null key or a tombstone.
    if bytes.isEmpty { return withUnsafeBytes(of: UInt8(0)) { body(UnsafeRawBufferPointer(rebasing: $0[0..<0])) } }
    return bytes.withUnsafeBytes(body)
}
