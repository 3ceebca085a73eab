/// A header of a record: a name and bytes.
public struct KafkaHeader: Sendable, Hashable {
    /// The name; may repeat within a record.
    public var name: String
    /// The value; empty where the header has none.
    public var value: [UInt8]

    /// A header of bytes.
    public init(_ name: String, _ value: [UInt8]) {
        self.name = name
        self.value = value
    }

    /// A header of text.
    public init(_ name: String, _ text: String) { self.init(name, Array(text.utf8)) }

    /// The value as text.
    public var text: String { String(decoding: value, as: UTF8.self) }
}

/// One partition of a topic.
public struct TopicPartition: Sendable, Hashable, CustomStringConvertible {
    /// The topic's name.
    public var topic: String
    /// The partition's number, from 0.
    public var partition: Int32

    /// Names a partition.
    public init(_ topic: String, _ partition: Int32) {
        self.topic = topic
        self.partition = partition
    }

    /// `topic[partition]`.
    public var description: String { "\(topic)[\(partition)]" }
}

/// A place in a partition.
public struct TopicPartitionOffset: Sendable, Hashable {
    /// The partition.
    public var topicPartition: TopicPartition
    /// The offset; where it is stored or committed, of the first record not done.
    public var offset: Int64

    /// Names a place.
    public init(_ topicPartition: TopicPartition, _ offset: Int64) {
        self.topicPartition = topicPartition
        self.offset = offset
    }
}

/// A record as it was read.
public struct KafkaRecord: Sendable, Hashable {
    /// The topic.
    public let topic: String
    /// The partition.
    public let partition: Int32
    /// The place in the partition.
    public let offset: Int64
    /// Milliseconds since 1970, as the broker or the producer set it; -1 where there is none.
    public let timestampMs: Int64
    /// The key, or nil.
    public let key: [UInt8]?
    /// The value; nil is a tombstone.
    public let value: [UInt8]?
    /// The headers in their order.
    public let headers: [KafkaHeader]

    /// The value of the last header of this name.
    public func header(_ name: String) -> [UInt8]? { headers.last { $0.name == name }?.value }

    /// The record's partition.
    public var topicPartition: TopicPartition { TopicPartition(topic, partition) }
}

/// A record to send.
public struct OutgoingRecord: Sendable, Hashable {
    /// The topic.
    public var topic: String
    /// The partition, or nil: murmur2 of the key, random without one.
    public var partition: Int32?
    /// The key, or nil.
    public var key: [UInt8]?
    /// The value; nil is a tombstone.
    public var value: [UInt8]?
    /// The headers in their order.
    public var headers: [KafkaHeader]

    /// A record to send.
    public init(topic: String, partition: Int32? = nil, key: [UInt8]?, value: [UInt8]?, headers: [KafkaHeader] = []) {
        self.topic = topic
        self.partition = partition
        self.key = key
        self.value = value
        self.headers = headers
    }
}

/// Where an acknowledged record stands.
public struct DeliveryReceipt: Sendable, Hashable {
    /// The partition.
    public let partition: Int32
    /// The offset.
    public let offset: Int64
}
