import CWebSockets
import Synchronization

/// An open WebSocket. Anybody may send and close, from any thread; on the service thread this costs no hop.
///
/// `@unchecked Sendable`: `wsi` and what assembles messages are used on the service thread only; the rest is behind the mutex.
public final class WebSocketConnection: @unchecked Sendable {
    enum Phase {
        case open
        case closing(code: UInt16, reason: String, initiator: WebSocketClosure.Initiator)
        case closed
    }

    private struct Message {
        let bytes: [UInt8]
        let isText: Bool
    }

    private struct State {
        var phase = Phase.open
        var queue: [Message] = []
        var head = 0
        var waitingBytes = 0
        var scheduled = false
    }

    /// Differs from that of every other connection of the process.
    public let id: UInt64
    /// The peer's address.
    public let remoteAddress: String

    private let loop: ServiceLoop
    private let settings: WebSocketSettings
    private let overflowMessage: [UInt8]?
    private let handler: any WebSocketHandler
    private let state = Mutex(State())
    // Service thread only.
    private var wsi: OpaquePointer?
    private var assembling: [UInt8] = []
    /// A write failed: it is closed at the next turn.
    private var isBroken = false
    private var peerClosure: (code: UInt16, reason: String)?

    private static let lastID = Atomic<UInt64>(0)

    init(
        loop: ServiceLoop, settings: WebSocketSettings, handler: any WebSocketHandler, overflowMessage: [UInt8]?, remoteAddress: String
    ) {
        id = Self.lastID.wrappingAdd(1, ordering: .relaxed).newValue
        self.loop = loop
        self.settings = settings
        self.handler = handler
        self.overflowMessage = overflowMessage
        self.remoteAddress = remoteAddress
    }

    /// Sends a text message; `bytes` must be UTF-8.
    /// - Returns: false where the connection is closing or closed, or this message made its queue overflow.
    @discardableResult
    public func send(text bytes: [UInt8]) -> Bool { enqueue(Message(bytes: bytes, isText: true)) }

    /// Sends a binary message.
    /// - Returns: false where the connection is closing or closed, or this message made its queue overflow.
    @discardableResult
    public func send(binary bytes: [UInt8]) -> Bool { enqueue(Message(bytes: bytes, isText: false)) }

    /// Closes after what waits has been sent.
    /// - Parameter reason: at most 123 bytes of UTF-8.
    public func close(code: UInt16 = 1000, reason: String = "") {
        let isClosing = state.withLock { state in
            guard case .open = state.phase else { return false }
            state.phase = .closing(code: code, reason: reason, initiator: .local)
            state.scheduled = true
            return true
        }
        // Even where sending is scheduled: the time that a stalled peer has begins now.
        if isClosing { wake() }
    }

    /// How many bytes wait to be sent.
    public var waitingBytes: Int { state.withLock { $0.waitingBytes } }

    private func enqueue(_ message: Message) -> Bool {
        let (accepted, schedule) = state.withLock { state -> (Bool, Bool) in
            guard case .open = state.phase else { return (false, false) }
            guard state.waitingBytes + message.bytes.count <= settings.queueLimitBytes else {
                // What waits is of no use to a reader this slow; it is told, and that is all it gets.
                state.queue = overflowMessage.map { [Message(bytes: $0, isText: true)] } ?? []
                state.head = 0
                state.waitingBytes = overflowMessage?.count ?? 0
                state.phase = .closing(code: 1013, reason: "reading too slowly", initiator: .overflow)
                state.scheduled = true
                return (false, true)
            }
            state.queue.append(message)
            state.waitingBytes += message.bytes.count
            return (true, Self.scheduleOnce(&state))
        }
        if schedule { wake() }
        return accepted
    }

    private static func scheduleOnce(_ state: inout State) -> Bool {
        defer { state.scheduled = true }
        return !state.scheduled
    }

    private func wake() {
        if loop.isCurrent { sendWaiting() } else { loop.post(.writable(self)) }
    }

    // MARK: Service thread

    /// Sends what waits, at once where the socket takes it: most often it does, and another turn of the loop is saved.
    func sendWaiting() {
        guard let wsi else { return }
        let isClosing = state.withLock { state in if case .open = state.phase { false } else { true } }
        // A peer that takes nothing more must not keep a connection that is to be closed.
        if isClosing { lws_set_timeout(wsi, PENDING_TIMEOUT_CLOSE_SEND, 5) }
        // A connection can be closed in its own callback only.
        if isClosing || lws_partial_buffered(wsi) != 0 || !sendQueue(wsi) { loop.wantWritable(wsi) }
    }

    func opened(_ wsi: OpaquePointer, request: HTTPRequest) {
        self.wsi = wsi
        handler.opened(self, request: request)
        // What was sent before the handshake was over waits for this.
        if state.withLock({ $0.scheduled }) { loop.wantWritable(wsi) }
    }

    /// The socket takes more; not 0 closes the connection.
    func writable(_ wsi: OpaquePointer) -> Int32 {
        guard !isBroken else { return -1 }
        if sendQueue(wsi) { return closeIfWanted(wsi) }
        if isBroken { return -1 }
        loop.wantWritable(wsi)
        return 0
    }

    /// Sends of what waits as much as the socket takes, some at a time; whether that was all.
    private func sendQueue(_ wsi: OpaquePointer) -> Bool {
        for _ in 0..<64 {
            let next = state.withLock { state -> (message: Message, isLast: Bool)? in
                guard state.head < state.queue.count else {
                    state.queue.removeAll(keepingCapacity: state.queue.count < 64)
                    state.head = 0
                    state.scheduled = false
                    return nil
                }
                let message = state.queue[state.head]
                state.head += 1
                state.waitingBytes -= message.bytes.count
                return (message, state.head == state.queue.count)
            }
            guard let (message, isLast) = next else { return true }
            isBroken = !loop.write(wsi, capacity: message.bytes.count, message.isText ? LWS_WRITE_TEXT : LWS_WRITE_BINARY) { buffer in
                buffer.copyBytes(from: message.bytes)
                return message.bytes.count
            }
            if isBroken { return false }
            if !isLast && lws_send_pipe_choked(wsi) != 0 { break }
        }
        compactQueue()
        return false
    }

    private func compactQueue() {
        state.withLock { state in
            guard state.head > 256 else { return }
            state.queue.removeFirst(state.head)
            state.head = 0
        }
    }

    private func closeIfWanted(_ wsi: OpaquePointer) -> Int32 {
        guard case .closing(let code, let reason, _) = state.withLock({ $0.phase }) else { return 0 }
        closeReason(wsi, code, reason)
        return -1
    }

    private func closeReason(_ wsi: OpaquePointer, _ code: UInt16, _ reason: String) {
        var text = Array(reason.utf8.prefix(123))
        text.withUnsafeMutableBufferPointer { lws_close_reason(wsi, lws_close_status(UInt32(code)), $0.baseAddress, $0.count) }
    }

    /// A part of a message; not 0 closes the connection.
    func received(_ wsi: OpaquePointer, _ bytes: UnsafeRawBufferPointer) -> Int32 {
        guard case .open = state.withLock({ $0.phase }) else { return 0 }
        if lws_is_first_fragment(wsi) != 0 { assembling.removeAll(keepingCapacity: true) }
        // What a frame claims to bring still may be anything: it is compared, and nothing added to it.
        let remaining = lws_remaining_packet_payload(wsi)
        guard remaining >= 0, remaining <= settings.messageLimitBytes - assembling.count - bytes.count else {
            // The rest of the message is read and dropped: closing at once would reset the connection, and the code be lost.
            assembling = []
            close(code: 1009, reason: "message over \(settings.messageLimitBytes) bytes")
            return 0
        }
        assembling += bytes
        guard lws_is_final_fragment(wsi) != 0 else { return 0 }
        let message = assembling
        assembling = []
        if lws_frame_is_binary(wsi) != 0 { handler.binary(self, message) } else { handler.text(self, message) }
        return 0
    }

    /// The peer sent a close frame: two bytes of code, then the reason.
    func peerCloses(_ bytes: UnsafeRawBufferPointer) {
        guard bytes.count >= 2 else {
            peerClosure = (1005, "")
            return
        }
        peerClosure = (UInt16(bytes[0]) << 8 | UInt16(bytes[1]), String(decoding: bytes.dropFirst(2), as: UTF8.self))
    }

    func ended() {
        guard wsi != nil else { return }
        wsi = nil
        let phase = state.withLock { state in
            defer {
                state.phase = .closed
                state.queue = []
                state.waitingBytes = 0
            }
            return state.phase
        }
        let closure =
            switch phase {
            case .closing(let code, let reason, let initiator): WebSocketClosure(initiator: initiator, code: code, reason: reason)
            case .open, .closed:
                if let peerClosure {
                    WebSocketClosure(initiator: .peer, code: peerClosure.code, reason: peerClosure.reason)
                } else {
                    WebSocketClosure(initiator: .network, code: 1006, reason: "")
                }
            }
        handler.closed(self, closure)
    }
}
