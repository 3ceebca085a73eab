import CLinux
import Glibc
import JSON
import RTP
import Reactor
import Synchronization
import Web

/// `ptt load`: many plain-RTP radios at once, in this one process. Each payload bears the time at which it was sent.
enum LoadCommand {
    static func run(_ arguments: [String]) async throws -> Int32 {
        let words = try Words(
            arguments, valued: ["url", "dir", "room", "listeners", "talkers", "seconds", "rate", "first-uid"], flags: ["json"])
        let url = try words["url"] ?? StackAddress(directory: words["dir"] ?? "run").janus
        guard let room = Int64(try words.required("room")) else { throw ToolError("--room is a number") }
        let listeners = try words.integer("listeners", default: 100)
        let talkers = max(1, try words.integer("talkers", default: 1))
        let seconds = try words.integer("seconds", default: 10)
        let rate = max(1, try words.integer("rate", default: 50))
        let firstUID = Int64(try words.integer("first-uid", default: 1_000_000))
        let client = try WebSocketClient(subprotocols: ["janus-protocol"])
        let janus = try await JanusClient.connect(url, through: client)
        let receiver = try LoadReceiver(count: listeners)
        for index in 0..<listeners {
            let handle = try await janus.attach { _ in }
            let port = receiver.ports[index]
            _ = try await janus.message(
                handle,
                [
                    "request": "join", "room": .int(room + Int64(index % talkers)), "id": .int(firstUID + Int64(index)), "events": "none",
                    "listen_only": true, "rtp": ["ip": "127.0.0.1", "port": .int(Int64(port))],
                ])
            if (index + 1) % 500 == 0 { Terminal.error("joined \(index + 1) of \(listeners)") }
        }
        receiver.start()
        var sent = 0
        try await withThrowingTaskGroup(of: Int.self) { group in
            for index in 0..<talkers {
                group.addTask {
                    let options = Radio.Options(
                        url: url, room: room + Int64(index), uid: firstUID - 1 - Int64(index), display: "load \(index)")
                    return try await talk(options, through: client, seconds: seconds, rate: rate)
                }
            }
            for try await count in group { sent += count }
        }
        try await Task.sleep(for: .milliseconds(500))
        let result = receiver.stop()
        let expected = sent * listeners / talkers
        let report: JSONValue = [
            "listeners": .int(Int64(listeners)), "talkers": .int(Int64(talkers)), "seconds": .int(Int64(seconds)),
            "packets_sent": .int(Int64(sent)), "expected": .int(Int64(expected)), "delivered": .int(Int64(result.delivered)),
            "lost": .int(Int64(max(0, expected - result.delivered))), "latency_ms": result.latencies.json,
        ]
        Terminal.out(String(decoding: report.encoded(pretty: !words.has("json")), as: UTF8.self))
        janus.close()
        await client.stop()
        return 0
    }

    /// One talk is no longer than this: T2 ends it after 30 s where nobody has set it otherwise.
    private static let talkSeconds = 25

    /// Holds the floor and sends at the rate, each packet with its time; in several talks where one would be too long.
    private static func talk(_ options: Radio.Options, through client: WebSocketClient, seconds: Int, rate: Int) async throws -> Int {
        let radio = try await Radio.join(options, through: client)
        var events = radio.floor.makeAsyncIterator()
        var (left, sent) = (seconds * rate, 0)
        while left > 0 {
            radio.ask("request")
            while let event = await events.next(), event["state"]?.string != "granted" {
                if event["state"]?.string == "denied" { throw ToolError("room \(options.room): the floor was denied") }
            }
            let count = min(left, talkSeconds * rate)
            sent += await radio.sendStamped(count: count, every: .nanoseconds(1_000_000_000 / rate))
            left -= count
            radio.ask("release")
        }
        try? await Task.sleep(for: .milliseconds(300))
        await radio.close()
        return sent
    }
}

/// How late packets were, in ms.
struct Latencies: Sendable {
    private var values: [Float] = []

    mutating func add(_ nanoseconds: Int64) { values.append(Float(nanoseconds) / 1e6) }
    mutating func merge(_ other: Latencies) { values += other.values }

    var json: JSONValue {
        let sorted = values.sorted()
        func percentile(_ part: Double) -> JSONValue {
            guard !sorted.isEmpty else { return .null }
            let value = sorted[min(sorted.count - 1, Int(Double(sorted.count) * part))]
            return .double(Double(Int(value * 1_000)) / 1_000)
        }
        return ["p50": percentile(0.5), "p90": percentile(0.9), "p99": percentile(0.99), "max": percentile(1)]
    }
}

/// The sockets of all listeners, read by one thread.
final class LoadReceiver: Sendable {
    struct Result: Sendable {
        var delivered = 0
        var latencies = Latencies()
    }
    /// Where each listens.
    let ports: [UInt16]
    private let descriptors: [Int32]
    private let result = Mutex(Result())
    private let stopped = Atomic<Bool>(false)

    /// - Throws: `ToolError` where there are not enough descriptors.
    init(count: Int) throws(ToolError) {
        var limit = rlimit()
        let resource = __rlimit_resource_t(RLIMIT_NOFILE.rawValue)
        getrlimit(resource, &limit)
        limit.rlim_cur = limit.rlim_max
        setrlimit(resource, &limit)
        var descriptors: [Int32] = []
        var ports: [UInt16] = []
        for index in 0..<count {
            let descriptor = socket(AF_INET, Int32(SOCK_DGRAM.rawValue) | Int32(SOCK_NONBLOCK.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
            var address = sockaddr_in()
            address.sin_family = sa_family_t(AF_INET)
            address.sin_addr.s_addr = inet_addr("127.0.0.1")
            var length = socklen_t(MemoryLayout<sockaddr_in>.size)
            let code = withUnsafeMutablePointer(to: &address) {
                $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { pointer in
                    bind(descriptor, pointer, length) == 0 ? getsockname(descriptor, pointer, &length) : -1
                }
            }
            guard descriptor >= 0, code == 0 else {
                throw ToolError("socket \(index + 1) of \(count): \(String(cString: strerror(errno))); raise ulimit -n")
            }
            descriptors.append(descriptor)
            ports.append(UInt16(bigEndian: address.sin_port))
        }
        (self.descriptors, self.ports) = (descriptors, ports)
    }

    deinit { for descriptor in descriptors { close(descriptor) } }

    /// Starts counting.
    func start() {
        ServiceThread(name: "load-receiver") { [self] in
            let poller = Poller()
            for (index, descriptor) in descriptors.enumerated() { poller.watch(descriptor, token: UInt32(index)) }
            var own = Result()
            var buffer = [UInt8](repeating: 0, count: 2_048)
            while !stopped.load(ordering: .relaxed) {
                let now = Clocks.monotonicNs()
                poller.wait(until: now + 100_000_000, now: now) { token in
                    let count = recv(descriptors[Int(token)], &buffer, buffer.count, 0)
                    guard count >= RTPHeader.size + StampedPayload.size, !RTPHeader.isRTCP(buffer.span) else { return }
                    own.delivered += 1
                    // Every sixteenth is enough for percentiles, and keeps the memory small.
                    if own.delivered % 16 == 0 { own.latencies.add(Clocks.monotonicNs() - StampedPayload.read(buffer, at: RTPHeader.size)) }
                }
            }
            result.withLock { $0 = own }
        }.detach()
    }

    /// Ends counting.
    func stop() -> Result {
        stopped.store(true, ordering: .relaxed)
        usleep(300_000)
        return result.withLock { $0 }
    }
}

/// A payload like a 20 ms Opus packet of 24 kbit/s, that bears a monotonic time.
enum StampedPayload {
    static let size = 60

    static func make(_ nanoseconds: Int64) -> [UInt8] {
        // TOC: SILK wide band, 20 ms, one frame (RFC 6716 §3.1).
        var bytes: [UInt8] = [0x48]
        withUnsafeBytes(of: nanoseconds.littleEndian) { bytes += $0 }
        return bytes + [UInt8](repeating: 0x55, count: size - bytes.count)
    }

    static func read(_ bytes: [UInt8], at offset: Int) -> Int64 {
        var value: UInt64 = 0
        for index in (0..<8).reversed() { value = value << 8 | UInt64(bytes[offset + 1 + index]) }
        return Int64(bitPattern: value)
    }
}
