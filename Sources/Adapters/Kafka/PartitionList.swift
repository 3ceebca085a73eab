import CRdKafka

/// Owns a `rd_kafka_topic_partition_list_t`.
final class PartitionList {
    private let pointer: UnsafeMutablePointer<rd_kafka_topic_partition_list_t>

    convenience init(_ partitions: [TopicPartition]) {
        self.init(partitions.map { TopicPartitionOffset($0, Int64(RD_KAFKA_OFFSET_INVALID)) })
    }

    init(_ offsets: [TopicPartitionOffset]) {
        pointer = rd_kafka_topic_partition_list_new(Int32(clamping: offsets.count))
        for place in offsets {
            let element = rd_kafka_topic_partition_list_add(pointer, place.topicPartition.topic, place.topicPartition.partition)
            element?.pointee.offset = place.offset
        }
    }

    deinit { rd_kafka_topic_partition_list_destroy(pointer) }

    /// Lends the list; without `withExtendedLifetime` it might be destroyed while the library still reads it.
    func lend<Result>(_ body: (UnsafeMutablePointer<rd_kafka_topic_partition_list_t>) -> Result) -> Result {
        withExtendedLifetime(self) { body(pointer) }
    }

    var offsets: [TopicPartitionOffset] {
        lend { elements(of: $0).map { TopicPartitionOffset(TopicPartition(String(cString: $0.topic), $0.partition), $0.offset) } }
    }

    var failures: [(TopicPartition, rd_kafka_resp_err_t)] {
        lend { list in
            elements(of: list).filter { $0.err != RD_KAFKA_RESP_ERR_NO_ERROR }.map {
                (TopicPartition(String(cString: $0.topic), $0.partition), $0.err)
            }
        }
    }
}

/// The elements of a list that somebody else owns.
func elements(of list: UnsafeMutablePointer<rd_kafka_topic_partition_list_t>) -> UnsafeBufferPointer<rd_kafka_topic_partition_t> {
    UnsafeBufferPointer(start: list.pointee.elems, count: Int(list.pointee.cnt))
}
