import CWebSockets
import Foundation
import Glibc
import Synchronization
import Telemetry
import Threads

/// One libwebsockets context and the one thread that serves it; servers and clients are built on it.
///
/// `@unchecked Sendable`: `context`, `bell`, `protocols`, `scratch` and the delegate are set before the thread starts, then used on the service
/// thread only; whatever other threads touch is behind the mutex.
final class ServiceLoop: @unchecked Sendable {
    private static let creation = NSLock()
    /// What gets libwebsockets' callbacks, on the service thread. The result goes back to the library: not 0 closes the connection.
    protocol Delegate: AnyObject {
        func handle(_ wsi: OpaquePointer, _ reason: lws_callback_reasons, _ input: UnsafeMutableRawPointer?, _ length: Int) -> Int32
    }

    enum Job {
        case writable(WebSocketConnection)
        case run(@Sendable () -> Void)
    }

    private struct Mailbox {
        var jobs: [Job] = []
        var closed = false
        var ended: [CheckedContinuation<Void, Never>] = []
    }

    private let mailbox = Mutex(Mailbox())
    private let threadID = Atomic<UInt>(0)
    private var context: OpaquePointer?
    /// libev's loop, of which libwebsockets is a guest: so each turn is ours to end the thread after.
    private let events: OpaquePointer
    /// Rings on the service thread when the mailbox is no longer empty.
    private var bell: UnsafeMutablePointer<talkburst_bell>?
    private var protocols: UnsafeMutablePointer<lws_protocols>
    private let protocolCount: Int
    private let host: UnsafeMutablePointer<CChar>?
    private let retry: UnsafeMutablePointer<lws_retry_bo_t>
    private let pace: Pace
    private var delegate: (any Delegate)?
    private var ending = false
    /// What is done every second; service thread only.
    private var everySecond: (body: @Sendable () -> Void, at: Int)?
    /// A buffer for one frame or one part of a body, the bytes libwebsockets wants in front included; service thread only.
    private var scratch: UnsafeMutableRawBufferPointer

    /// - Parameters:
    ///   - protocols: the WebSocket subprotocols that may be negotiated.
    ///   - listen: where to listen; nil for clients.
    init(protocols names: [String], listen: (host: String, port: Int)?, settings: WebSettings) throws(WebError) {
        LibraryLog.start()
        pace = settings.pace
        protocolCount = names.count + 1
        protocols = .allocate(capacity: protocolCount + 1)
        protocols.initialize(repeating: lws_protocols(), count: protocolCount + 1)
        for (index, name) in (["http"] + names).enumerated() {
            protocols[index].name = UnsafePointer(strdup(name))
            protocols[index].callback = serviceCallback
            protocols[index].rx_buffer_size = 4096
        }
        retry = .allocate(capacity: 1)
        retry.initialize(to: lws_retry_bo_t())
        retry.pointee.secs_since_valid_ping = settings.webSocket.pingAfterS
        retry.pointee.secs_since_valid_hangup = settings.webSocket.dropAfterS
        scratch = .allocate(byteCount: talkburst_lws_pre() + 16 * 1024, alignment: 16)
        let anyAddress = ["", "0.0.0.0", "::"]
        host = listen.flatMap { anyAddress.contains($0.host) ? nil : strdup($0.host == "localhost" ? "127.0.0.1" : $0.host) }

        guard let events = talkburst_loop_new() else { throw WebError(code: .listen, description: "no event loop: out of descriptors") }
        self.events = events
        bell = talkburst_bell_new(events, bellHeard, Unmanaged.passUnretained(self).toOpaque())
        var loops: [UnsafeMutableRawPointer?] = [UnsafeMutableRawPointer(events)]

        var info = lws_context_creation_info()
        info.protocols = UnsafePointer(protocols)
        info.port = Int32(listen?.port ?? Int(CONTEXT_PORT_NO_LISTEN))
        info.iface = UnsafePointer(host)
        info.gid = -1
        info.uid = -1
        info.user = Unmanaged.passUnretained(self).toOpaque()
        info.options =
            UInt64(LWS_SERVER_OPTION_LIBEV) | UInt64(LWS_SERVER_OPTION_VALIDATE_UTF8) | UInt64(LWS_SERVER_OPTION_FAIL_UPON_UNABLE_TO_BIND)
        if listen.map({ !$0.host.contains(":") }) ?? false { info.options |= UInt64(LWS_SERVER_OPTION_DISABLE_IPV6) }
        info.timeout_secs = UInt32(settings.peerTimeoutS)
        info.keepalive_timeout = Int32(settings.keepAliveS)
        info.max_http_header_data2 = 16 * 1024
        info.pt_serv_buf_size = 16 * 1024
        info.retry_and_idle_policy = UnsafePointer(retry)
        // The library loads its event loop's plugin and counts its users in plain globals: one context is made at a time.
        Self.creation.lock()
        let created = loops.withUnsafeMutableBufferPointer { buffer in
            info.foreign_loops = buffer.baseAddress
            return lws_create_context(&info)
        }
        Self.creation.unlock()
        guard let created else {
            let place = listen.map { "\($0.host):\($0.port)" } ?? "a client"
            throw WebError(code: .listen, description: "can't listen on \(place): the address is in use, or not one of this machine")
        }
        context = created
    }

    deinit { freeStorage() }

    /// The port that is listened on.
    var port: Int { Int(lws_get_vhost_port(lws_get_vhost_by_name(context, "default"))) }

    /// Starts the service thread, which keeps this object and the delegate until `end()`.
    func start(_ delegate: any Delegate) {
        self.delegate = delegate
        NamedThread.start("web", pace) { self.serve() }
    }

    /// Whether the caller runs on the service thread.
    var isCurrent: Bool { UInt(pthread_self()) == threadID.load(ordering: .relaxed) }

    /// Puts a job into the mailbox and wakes the service thread, once for all jobs that wait.
    func post(_ job: Job) {
        let isFirst = mailbox.withLock { mailbox in
            guard !mailbox.closed else { return false }
            mailbox.jobs.append(job)
            return mailbox.jobs.count == 1
        }
        // Not while the lock is held, which the thread that wakes wants first of all.
        if isFirst { talkburst_bell_ring(events, bell) }
    }

    /// Does something every second from now on, also while nothing else happens.
    func repeatEverySecond(_ body: @escaping @Sendable () -> Void) {
        post(.run { self.everySecond = (body, 0) })
    }

    /// Ends the service thread: all connections are closed, and when this returns no callback runs any more.
    func end() async {
        post(.run { self.ending = true })
        await withCheckedContinuation { continuation in
            let over = mailbox.withLock { mailbox in
                if !mailbox.closed { mailbox.ended.append(continuation) }
                return mailbox.closed
            }
            if over { continuation.resume() }
        }
    }

    /// The context, for making client connections on the service thread.
    var contextOnServiceThread: OpaquePointer? { context }

    /// Asks for one more writable callback; service thread only.
    func wantWritable(_ wsi: OpaquePointer) { lws_callback_on_writable(wsi) }

    /// Lets `fill` write a payload of at most `capacity` bytes into the buffer, then sends what it says; service thread only.
    /// - Returns: false where the connection is broken.
    func write(
        _ wsi: OpaquePointer, capacity: Int, _ kind: lws_write_protocol, _ fill: (UnsafeMutableRawBufferPointer) -> Int
    ) -> Bool {
        let front = talkburst_lws_pre()
        if scratch.count < front + capacity {
            scratch.deallocate()
            scratch = .allocate(byteCount: front + capacity, alignment: 16)
        }
        let payload = UnsafeMutableRawBufferPointer(rebasing: scratch[front...])
        let count = fill(payload)
        guard count >= 0, let base = payload.baseAddress else { return false }
        return lws_write(wsi, base.assumingMemoryBound(to: UInt8.self), count, kind) >= 0
    }

    fileprivate func handle(
        _ wsi: OpaquePointer, _ reason: lws_callback_reasons, _ input: UnsafeMutableRawPointer?, _ length: Int
    ) -> Int32 {
        if reason == LWS_CALLBACK_EVENT_WAIT_CANCELLED {
            // Told once for each protocol.
            tick()
            return 0
        }
        return delegate?.handle(wsi, reason, input, length) ?? 0
    }

    private func serve() {
        threadID.store(UInt(pthread_self()), ordering: .relaxed)
        let tick = talkburst_tick_start(events, context)
        while !ending { talkburst_loop_turn(events) }
        talkburst_tick_stop(events, tick)
        let continuations = mailbox.withLock { mailbox in
            mailbox.closed = true
            mailbox.jobs = []
            return mailbox.ended
        }
        lws_context_destroy(context)
        (delegate, everySecond) = (nil, nil)
        for continuation in continuations { continuation.resume() }
    }

    private func tick() {
        guard let (body, at) = everySecond else { return }
        var now = timespec()
        clock_gettime(CLOCK_MONOTONIC_COARSE, &now)
        guard now.tv_sec != at else { return }
        everySecond?.at = now.tv_sec
        body()
    }

    fileprivate func drain() {
        let jobs = mailbox.withLock { mailbox in
            let jobs = mailbox.jobs
            mailbox.jobs = []
            return jobs
        }
        for job in jobs {
            switch job {
            case .writable(let connection): connection.sendWaiting()
            case .run(let body): body()
            }
        }
    }

    private func freeStorage() {
        for index in 0..<protocolCount { free(UnsafeMutableRawPointer(mutating: protocols[index].name)) }
        protocols.deallocate()
        retry.deallocate()
        scratch.deallocate()
        free(host)
        if let bell { talkburst_bell_free(events, bell) }
        talkburst_loop_free(events)
    }
}

/// What the bell calls.
private func bellHeard(_ owner: UnsafeMutableRawPointer?) {
    if let owner { Unmanaged<ServiceLoop>.fromOpaque(owner).takeUnretainedValue().drain() }
}

/// What libwebsockets calls; the context's user pointer is the loop.
private func serviceCallback(
    _ wsi: OpaquePointer?, _ reason: lws_callback_reasons, _ user: UnsafeMutableRawPointer?, _ input: UnsafeMutableRawPointer?,
    _ length: Int
) -> Int32 {
    guard let wsi, let context = lws_get_context(wsi), let owner = lws_context_user(context) else { return 0 }
    return Unmanaged<ServiceLoop>.fromOpaque(owner).takeUnretainedValue().handle(wsi, reason, input, length)
}

/// libwebsockets' own log, turned into lines of level debug.
private enum LibraryLog {
    private static let logger = Logger("libwebsockets")
    private static let started: Void = {
        // The library's errors and warnings; its lower levels say something for each packet.
        lws_set_log_level(LLL_ERR | LLL_WARN) { _, line in
            guard let line else { return }
            var text = String(cString: line)
            while text.last?.isNewline ?? false { text.removeLast() }
            LibraryLog.logger.debug("library says", ["line": .string(text)])
        }
    }()

    static func start() { _ = started }
}
