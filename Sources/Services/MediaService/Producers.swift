import Kafka

/// The service's two ways to Kafka, each with a connection of its own. A broker takes a connection's records one after the other: what
/// nobody waits for may not stand before an answer. A topic is always written through the same one, so that its order holds.
struct Producers: Sendable {
    /// At once: answers, requests that are passed on, talk records.
    let prompt: KafkaProducer
    /// Some milliseconds' worth together, for nobody waits: rooms, claims, dead letters; link quality (a whole room's comes at once); floor
    /// messages (when thousands join at once each would be a request to Kafka, and people see no difference).
    /// What a crash takes of rooms and dead letters comes again with its request, whose offset waits for them.
    let gathering: KafkaProducer

    /// - Throws: `KafkaError` with code `configuration` that names the property.
    init(_ settings: KafkaSettings) throws {
        prompt = try KafkaProducer(settings)
        var gather = KafkaProducerSettings()
        gather.lingerMs = 20
        gathering = try KafkaProducer(settings, gather)
    }

    /// Sends what waits, and stops.
    func close() async {
        async let first: Void = prompt.close()
        await gathering.close()
        await first
    }
}
