import CRdKafka

/// What went wrong with Kafka, in librdkafka's own words, and whether trying again can help.
public struct KafkaError: Error, Sendable, Hashable, CustomStringConvertible {
    /// The kinds a caller can act on; more may come.
    public struct Code: Sendable, Hashable, CustomStringConvertible {
        private enum Kind: String { case queueFull, timedOut, unknownTopic, topicExists, down, configuration, closed, notOwned, other }
        private let kind: Kind
        /// The producer holds as many records as it may; try again later.
        public static let queueFull = Code(kind: .queueFull)
        /// No answer in time.
        public static let timedOut = Code(kind: .timedOut)
        /// The topic or the partition is not there.
        public static let unknownTopic = Code(kind: .unknownTopic)
        /// The topic is there already.
        public static let topicExists = Code(kind: .topicExists)
        /// No broker can be reached.
        public static let down = Code(kind: .down)
        /// A property is unknown or its value is not possible.
        public static let configuration = Code(kind: .configuration)
        /// The client was closed.
        public static let closed = Code(kind: .closed)
        /// The partition is not, or no longer, assigned to this consumer.
        public static let notOwned = Code(kind: .notOwned)
        /// Anything else: see the message.
        public static let other = Code(kind: .other)
        /// The kind's name.
        public var description: String { kind.rawValue }
    }

    /// The kind.
    public let code: Code
    /// librdkafka's name of the error, such as `_TRANSPORT`; empty where it is not librdkafka's.
    public let name: String
    /// What happened, to whom.
    public let message: String
    /// Whether the same call can succeed later.
    public let isRetriable: Bool
    /// Whether the client can't go on and must be made anew.
    public let isFatal: Bool

    /// `message (name)`.
    public var description: String { name.isEmpty ? message : "\(message) (\(name))" }

    init(_ code: Code, _ message: String, isRetriable: Bool = false) {
        self.code = code
        self.name = ""
        self.message = message
        self.isRetriable = isRetriable
        self.isFatal = false
    }

    init(_ response: rd_kafka_resp_err_t, _ context: String, detail: String? = nil, isFatal: Bool = false) {
        self.name = String(cString: rd_kafka_err2name(response))
        self.message = "\(context): \(detail ?? String(cString: rd_kafka_err2str(response)))"
        self.code = Self.codes[response.rawValue] ?? .other
        self.isFatal = isFatal || response == RD_KAFKA_RESP_ERR__FATAL
        self.isRetriable = !self.isFatal && Self.retriable.contains(response.rawValue)
    }

    /// Takes over a `rd_kafka_error_t`, which it destroys.
    init(taking error: OpaquePointer, _ context: String) {
        self.init(
            rd_kafka_error_code(error), context, detail: String(cString: rd_kafka_error_string(error)),
            isFatal: rd_kafka_error_is_fatal(error) != 0)
        rd_kafka_error_destroy(error)
    }

    private static let codes: [Int32: Code] = [
        RD_KAFKA_RESP_ERR__QUEUE_FULL.rawValue: .queueFull, RD_KAFKA_RESP_ERR__TIMED_OUT.rawValue: .timedOut,
        RD_KAFKA_RESP_ERR__MSG_TIMED_OUT.rawValue: .timedOut, RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT.rawValue: .timedOut,
        RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC.rawValue: .unknownTopic, RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION.rawValue: .unknownTopic,
        RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART.rawValue: .unknownTopic,
        RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS.rawValue: .topicExists, RD_KAFKA_RESP_ERR__TRANSPORT.rawValue: .down,
        RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN.rawValue: .down, RD_KAFKA_RESP_ERR__RESOLVE.rawValue: .down,
        RD_KAFKA_RESP_ERR__INVALID_ARG.rawValue: .configuration, RD_KAFKA_RESP_ERR__DESTROY.rawValue: .closed,
        RD_KAFKA_RESP_ERR__STATE.rawValue: .notOwned, RD_KAFKA_RESP_ERR__PURGE_QUEUE.rawValue: .closed,
        RD_KAFKA_RESP_ERR__PURGE_INFLIGHT.rawValue: .closed,
    ]

    // What passes by itself: an outage, an election, a rebalance. librdkafka says it only of some errors.
    private static let retriable: Set<Int32> = [
        RD_KAFKA_RESP_ERR__QUEUE_FULL.rawValue, RD_KAFKA_RESP_ERR__TIMED_OUT.rawValue, RD_KAFKA_RESP_ERR__MSG_TIMED_OUT.rawValue,
        RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT.rawValue, RD_KAFKA_RESP_ERR__TRANSPORT.rawValue,
        RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN.rawValue, RD_KAFKA_RESP_ERR__RESOLVE.rawValue, RD_KAFKA_RESP_ERR__WAIT_COORD.rawValue,
        RD_KAFKA_RESP_ERR_COORDINATOR_NOT_AVAILABLE.rawValue, RD_KAFKA_RESP_ERR_COORDINATOR_LOAD_IN_PROGRESS.rawValue,
        RD_KAFKA_RESP_ERR_NOT_COORDINATOR.rawValue, RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE.rawValue,
        RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION.rawValue, RD_KAFKA_RESP_ERR_NETWORK_EXCEPTION.rawValue,
        RD_KAFKA_RESP_ERR_REBALANCE_IN_PROGRESS.rawValue, RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS.rawValue,
        RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS_AFTER_APPEND.rawValue, RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART.rawValue,
    ]
}
