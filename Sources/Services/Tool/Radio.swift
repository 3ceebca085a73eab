import AudioCodecs
import JSON
import RTP
import Reactor
import Synchronization
import Web

/// A device: joins a group through door A with plain RTP, asks for the floor, talks, and hears the others.
final class Radio: Sendable {
    /// What a radio is.
    struct Options: Sendable {
        var url: String
        var room: Int64
        var uid: Int64
        var display: String
        var payloadType: UInt8 = 100
        /// Keeps what it hears.
        var records = false
    }
    /// What it heard.
    struct Heard: Sendable {
        var packets = 0
        var gaps = 0
        var bursts = 0
        var last: UInt16?
        var payloads: [[UInt8]] = []
    }
    private struct State: Sendable {
        var heard = Heard()
        var sequence = UInt16.random(in: 0 ... .max)
        var timestamp = UInt32.random(in: 0 ... .max)
        var isOpen = true
    }

    let options: Options
    private let janus: JanusClient
    private let handle: Int64
    private let socket: RTPSocket
    private let ssrc = UInt32.random(in: 1 ... .max)
    private let state = Mutex(State())
    /// Floor events as they come: `{"state": "granted", …}`.
    let floor: AsyncStream<JSONValue>
    private let floorEvents: AsyncStream<JSONValue>.Continuation

    /// Joins.
    /// - Throws: what the door answers, with its code.
    static func join(_ options: Options, through client: WebSocketClient) async throws -> Radio {
        let janus = try await JanusClient.connect(options.url, through: client)
        let (floor, events) = AsyncStream<JSONValue>.makeStream()
        let handle = try await janus.attach { data in
            if data["audiobridge"]?.string == "floor" { events.yield(data) }
        }
        let socket = try RTPSocket()
        let joined = try await janus.message(
            handle,
            [
                "request": "join", "room": .int(options.room), "id": .int(options.uid), "display": .string(options.display), "floor": true,
                "rtp": ["ip": "127.0.0.1", "port": .int(Int64(socket.port)), "payload_type": .int(Int64(options.payloadType))],
            ])
        guard let ip = joined["rtp"]?["ip"]?.string, let port = joined["rtp"]?["port"]?.integer else {
            throw ToolError("joined without media: \(joined.text)")
        }
        socket.connect(ip: ip, port: UInt16(clamping: port))
        return Radio(options, janus, handle, socket, floor, events)
    }

    private init(
        _ options: Options, _ janus: JanusClient, _ handle: Int64, _ socket: RTPSocket, _ floor: AsyncStream<JSONValue>,
        _ events: AsyncStream<JSONValue>.Continuation
    ) {
        (self.options, self.janus, self.handle, self.socket) = (options, janus, handle, socket)
        (self.floor, floorEvents) = (floor, events)
        ServiceThread(name: "radio-\(options.uid)") { [weak self] in
            var buffer = [UInt8](repeating: 0, count: 2_048)
            while self?.state.withLock({ $0.isOpen }) == true {
                guard let count = socket.receive(into: &buffer) else { continue }
                self?.received(Array(buffer.prefix(count)))
            }
        }.detach()
    }

    private func received(_ datagram: [UInt8]) {
        guard !RTPHeader.isRTCP(datagram.span), let header = RTPHeader(datagram.span) else { return }
        state.withLock { state in
            state.heard.packets += 1
            if header.marker { state.heard.bursts += 1 }
            if let last = state.heard.last { state.heard.gaps += max(0, Int(Int16(bitPattern: header.sequence &- last)) - 1) }
            state.heard.last = header.sequence
            if options.records {
                state.heard.payloads.append(Array(datagram[header.payloadOffset..<header.payloadOffset + header.payloadSize]))
            }
        }
    }

    /// What it heard so far.
    var heard: Heard { state.withLock { $0.heard } }

    /// Asks something of the floor; what comes of it is in `floor`.
    /// - Parameter action: `request`, `release`, `emergency` …
    func ask(_ action: String, priority: Int = 0) {
        janus.post(handle, ["request": "floor", "action": .string(action), "priority": .int(Int64(priority))])
    }

    /// Sends speech in real time until it ends or `goesOn` says no.
    /// - Returns: how many packets were sent.
    func send(_ speech: Speech, while goesOn: @Sendable () -> Bool = { true }) async -> Int {
        await send(count: speech.packets.count, every: .milliseconds(20), while: goesOn) { speech.packets[$0] }
    }

    /// Sends packets that bear their time.
    func sendStamped(count: Int, every interval: Duration) async -> Int {
        await send(count: count, every: interval, while: { true }) { _ in StampedPayload.make(Clocks.monotonicNs()) }
    }

    private func send(count: Int, every interval: Duration, while goesOn: @Sendable () -> Bool, payload: @Sendable (Int) -> [UInt8]) async
        -> Int
    {
        let clock = ContinuousClock()
        var next = clock.now
        for index in 0..<count {
            guard goesOn() else { return index }
            let (sequence, timestamp) = state.withLock { state in
                state.sequence &+= 1
                state.timestamp &+= 960
                return (state.sequence, state.timestamp)
            }
            let header = RTPHeader.bytes(
                marker: index == 0, payloadType: options.payloadType, sequence: sequence, timestamp: timestamp, ssrc: ssrc)
            socket.send(header + payload(index))
            next += interval
            try? await Task.sleep(until: next, clock: clock)
        }
        return count
    }

    /// What it heard, decoded: 16 kHz.
    func recording() throws -> WAV {
        var decoder = try OpusDecoder(sampleRate: 16_000)
        var samples: [Int16] = []
        var frame: [Int16] = []
        for payload in heard.payloads {
            frame.removeAll(keepingCapacity: true)
            _ = try decoder.decode(payload, into: &frame)
            samples += frame
        }
        return WAV(sampleRate: 16_000, samples: samples)
    }

    /// Leaves.
    func close() async {
        _ = try? await janus.message(handle, ["request": "leave"])
        state.withLock { $0.isOpen = false }
        floorEvents.finish()
        janus.close()
    }
}
