import CLinux
import CRdKafka
import Threads

/// Owns one `rd_kafka_t` and the callbacks' context; whoever holds it may call the library with it.
///
/// `@unchecked`: librdkafka's functions may be called from any thread, and the pointer never changes.
final class ClientHandle: @unchecked Sendable {
    let client: OpaquePointer
    private let opaque: UnsafeMutableRawPointer

    /// Makes a client of `kind`. `context` is what callbacks get as their opaque, kept until the client is gone.
    init(
        _ kind: rd_kafka_type_t, settings: KafkaSettings, defaults: [String: String], context: ClientContext,
        configure: (OpaquePointer) -> Void = { _ in }
    ) throws {
        guard let configuration = rd_kafka_conf_new() else { throw KafkaError(.other, "librdkafka gave no configuration") }
        var taken = false
        defer { if !taken { rd_kafka_conf_destroy(configuration) } }
        var properties = defaults
        properties["bootstrap.servers"] = settings.bootstrap
        properties["client.id"] = settings.clientId
        properties["log.connection.close"] = "false"
        properties.merge(settings.properties) { _, given in given }
        var text = [CChar](repeating: 0, count: 512)
        // A lone broker that comes back tells at first of a cluster without brokers. librdkafka from 2.11 on then knows nobody to ask any
        // more, and begins anew with the bootstrap servers only after this time, by default five minutes. Older ones keep those they knew,
        // and don't know the property.
        _ = rd_kafka_conf_set(configuration, "metadata.recovery.rebootstrap.trigger.ms", "1000", &text, text.count)
        for (name, value) in properties.sorted(by: { $0.key < $1.key }) {
            guard rd_kafka_conf_set(configuration, name, value, &text, text.count) == RD_KAFKA_CONF_OK else {
                throw KafkaError(.configuration, "Kafka property \(name)=\(value): \(message(text))")
            }
        }
        let opaque = Unmanaged.passRetained(context).toOpaque()
        rd_kafka_conf_set_opaque(configuration, opaque)
        rd_kafka_conf_set_log_cb(configuration, forwardLog)
        rd_kafka_conf_set_error_cb(configuration, forwardError)
        configure(configuration)
        // The library waits for its timers in whole milliseconds, rounded down, and asks over and over through the rest of the last one.
        // Its threads, which inherit this from the one that makes them, are woken after that rest.
        let slack = clinux_set_timer_slack(2_000_000)
        defer { _ = clinux_set_timer_slack(slack) }
        guard let client = rd_kafka_new(kind, configuration, &text, text.count) else {
            Unmanaged<ClientContext>.fromOpaque(opaque).release()
            throw KafkaError(.configuration, "Kafka client for \(settings.bootstrap): \(message(text))")
        }
        taken = true
        self.client = client
        self.opaque = opaque
    }

    deinit {
        let corpse = Corpse(client: client, opaque: opaque)
        // Destroying waits for the library's threads, so it gets one of its own.
        NamedThread.start("kafka-destroy") {
            rd_kafka_destroy_flags(corpse.client, Int32(RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE))
            Unmanaged<ClientContext>.fromOpaque(corpse.opaque).release()
        }
    }

    // `@unchecked`: handed over whole from the dying owner to the thread that destroys it.
    private struct Corpse: @unchecked Sendable {
        let client: OpaquePointer
        let opaque: UnsafeMutableRawPointer
    }
}

/// What librdkafka's callbacks reach through their opaque pointer; each kind of client overrides what it wants to hear.
class ClientContext: @unchecked Sendable {  // `@unchecked`: only constant, sendable members here; subclasses say theirs.
    let log: @Sendable (Int, String) -> Void

    init(log: @escaping @Sendable (Int, String) -> Void) { self.log = log }

    /// An error of the client as a whole, on the thread that polls.
    func clientError(_ error: KafkaError, _ client: OpaquePointer) {}
}

/// The text in a C buffer that ends with a zero.
func message(_ buffer: [CChar]) -> String { String(decoding: buffer.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self) }

private func forwardLog(_ client: OpaquePointer?, _ level: Int32, _ facility: UnsafePointer<CChar>?, _ text: UnsafePointer<CChar>?) {
    guard let client, let opaque = rd_kafka_opaque(client), let text else { return }
    Unmanaged<ClientContext>.fromOpaque(opaque).takeUnretainedValue().log(Int(level), String(cString: text))
}

private func forwardError(_ client: OpaquePointer?, _ code: Int32, _ reason: UnsafePointer<CChar>?, _ opaque: UnsafeMutableRawPointer?) {
    guard let client, let opaque else { return }
    var response = rd_kafka_resp_err_t(rawValue: code)
    var detail = reason.map { String(cString: $0) }
    let isFatal = response == RD_KAFKA_RESP_ERR__FATAL
    if isFatal {
        var text = [CChar](repeating: 0, count: 512)
        response = rd_kafka_fatal_error(client, &text, text.count)
        detail = message(text)
    }
    let error = KafkaError(response, "Kafka", detail: detail, isFatal: isFatal)
    Unmanaged<ClientContext>.fromOpaque(opaque).takeUnretainedValue().clientError(error, client)
}
