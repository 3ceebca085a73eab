/// What every client needs to know to reach Kafka.
public struct KafkaSettings: Sendable {
    /// `host:port`, several with commas.
    public var bootstrap: String
    /// The name by which the brokers' logs know this client.
    public var clientId: String
    /// More librdkafka properties, such as `fetch.wait.max.ms` or `security.protocol`; they win over what this adapter sets,
    /// and what the kind of client doesn't know stops its making.
    public var properties: [String: String]
    /// Takes what librdkafka has to say: a syslog severity (3 error, 4 warning, 6 info, 7 debug) and the line. Called on librdkafka's threads.
    public var log: @Sendable (_ severity: Int, _ line: String) -> Void

    /// Settings for the brokers at `bootstrap`.
    public init(
        bootstrap: String, clientId: String = "talkburst", properties: [String: String] = [:],
        log: @escaping @Sendable (_ severity: Int, _ line: String) -> Void = { _, _ in }
    ) {
        self.bootstrap = bootstrap
        self.clientId = clientId
        self.properties = properties
        self.log = log
    }
}

/// How a producer sends.
public struct KafkaProducerSettings: Sendable {
    /// How long a record waits for company in its batch, in milliseconds.
    public var lingerMs = 0
    /// How long a record may wait for its acknowledgement before it fails, in milliseconds; 0: for ever.
    public var messageTimeoutMs = 0
    /// How many records may wait; more are refused with `queueFull`.
    public var queueMaxMessages = 500_000

    /// The defaults: no linger, no time limit, 500,000 records.
    public init() {}
}
