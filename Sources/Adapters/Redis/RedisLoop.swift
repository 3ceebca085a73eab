import CHiredis
import CLinux
import Glibc

/// The client's thread: one `poll` on the connection and the inbox, so that a deadline holds while Redis is silent.
struct RedisLoop: ~Copyable {
    private static let firstPause = Duration.milliseconds(50)
    private static let longestPause = Duration.seconds(2)
    private static let connectLimit = Duration.seconds(2)
    /// How often Redis is asked whether it lives, and how long it may take to say so.
    private static let probeEvery = Duration.seconds(1)
    private static let probeLimit = Duration.seconds(2)
    /// After so many limits without an answer another connection is tried: the other end may be gone without a word.
    private static let missesMax = 4

    /// A unit that was sent: nil `then` once its deadline is over; its answers must still be taken off the stream.
    private struct Sent {
        var name: String
        var answersLeft: Int
        var deadline: ContinuousClock.Instant
        var then: (@Sendable (Result<RedisReply, RedisError>) -> Void)?
    }

    private let address: RedisAddress
    private let shared: RedisShared
    private let onUpChange: @Sendable (Bool) -> Void
    private var connection: UnsafeMutablePointer<redisContext>?
    private var isConnecting = false
    private var waiting: [RedisClient.Command] = []
    private var sent: [Sent] = []
    private var hasOutput = false
    private var pause = firstPause
    private var nextAttempt = ContinuousClock.now
    private var lastCause = "not connected yet"
    /// When the next probe is due; while one is under way, when it is given up.
    private var probeAt = ContinuousClock.now
    private var isProbing = false
    private var misses = 0

    init(address: RedisAddress, shared: RedisShared, onUpChange: @escaping @Sendable (Bool) -> Void) {
        self.address = address
        self.shared = shared
        self.onUpChange = onUpChange
    }

    mutating func run() {
        while takeInbox() {
            let now = ContinuousClock.now
            expire(now)
            if connection == nil, now >= nextAttempt { connect(now) }
            if isConnecting, now >= nextAttempt { lose("no connection within 2 s") }
            if connection != nil, !isConnecting {
                probe(now)
                if connection != nil { send() }
            }
            waitForSomething(now)
        }
        disconnect(RedisError(.closed, "the Redis client is closed"))
        for command in waiting { command.then(.failure(RedisError(.closed, "the Redis client is closed"))) }
        let waiters = shared.inbox.withLock { inbox in
            inbox.isEnded = true
            defer { inbox.onEnd = [] }
            return inbox.onEnd
        }
        waiters.forEach { $0() }
    }

    /// Takes what was submitted; false when the client is closed.
    private mutating func takeInbox() -> Bool {
        var count: UInt64 = 0
        _ = read(shared.wakeup, &count, 8)
        let (commands, isClosing) = shared.inbox.withLock { inbox in
            defer { inbox.commands = [] }
            return (inbox.commands, inbox.isClosing)
        }
        waiting += commands
        return !isClosing
    }

    // MARK: the connection

    private mutating func connect(_ now: ContinuousClock.Instant) {
        guard let context = redisConnectNonBlock(address.host, Int32(clamping: address.port)) else { return }
        connection = context
        guard context.pointee.err == 0 else { return lose(Self.cause(context)) }
        isConnecting = true
        nextAttempt = now + Self.connectLimit
    }

    private mutating func connected() {
        isConnecting = false
        pause = Self.firstPause
        var on: Int32 = 1
        if let connection { setsockopt(connection.pointee.fd, Int32(IPPROTO_TCP), TCP_NODELAY, &on, 4) }
        for line in address.greetings {
            append(line)
            sent.append(Sent(name: line[0], answersLeft: 1, deadline: .now + .seconds(3600), then: nil))
        }
        // It is there once it has answered.
        (isProbing, misses, probeAt) = (false, 0, .now)
    }

    private func tell(isUp: Bool) {
        if shared.isUp.exchange(isUp, ordering: .relaxed) != isUp { onUpChange(isUp) }
    }

    /// Finds out about a Redis that holds its connections and answers nothing. The connection stays for a while: its answers may still come.
    private mutating func probe(_ now: ContinuousClock.Instant) {
        guard now >= probeAt else { return }
        if isProbing {
            lastCause = "Redis at \(address.host):\(address.port): no answer within 2 s"
            tell(isUp: false)
            misses += 1
            guard misses < Self.missesMax else { return lose("no answer for \(2 * Self.missesMax) s") }
            probeAt = now + Self.probeLimit
            return
        }
        append(["PING"])
        sent.append(Sent(name: "PING", answersLeft: 1, deadline: now + .seconds(3600), then: nil))
        (isProbing, probeAt) = (true, now + Self.probeLimit)
    }

    private mutating func lose(_ cause: String) {
        lastCause = "Redis at \(address.host):\(address.port): \(cause)"
        disconnect(RedisError(.down, lastCause))
        nextAttempt = ContinuousClock.now + pause
        pause = min(pause * 2, Self.longestPause)
    }

    private mutating func disconnect(_ error: RedisError) {
        if let connection { redisFree(connection) }
        connection = nil
        isConnecting = false
        hasOutput = false
        let lost = sent
        sent = []
        for one in lost { answer(one.then, .failure(error)) }
        tell(isUp: false)
    }

    private static func cause(_ context: UnsafeMutablePointer<redisContext>) -> String {
        withUnsafeBytes(of: context.pointee.errstr) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
    }

    // MARK: commands

    private mutating func send() {
        for command in waiting {
            for line in command.lines { append(line) }
            let name = command.lines.count > 1 ? "MULTI" : command.lines.first?.first ?? ""
            sent.append(Sent(name: name, answersLeft: command.lines.count, deadline: command.deadline, then: command.then))
        }
        waiting.removeAll(keepingCapacity: true)
    }

    private mutating func append(_ line: [String]) {
        // RESP's array of bulk strings, written by hand: hiredis wants C pointers to every argument for the same bytes.
        var text = "*\(line.count)\r\n"
        for argument in line { text += "$\(argument.utf8.count)\r\n\(argument)\r\n" }
        var bytes = Array(text.utf8)
        bytes.withUnsafeMutableBytes { buffer in
            _ = redisAppendFormattedCommand(connection, buffer.baseAddress?.assumingMemoryBound(to: CChar.self), buffer.count)
        }
        hasOutput = true
    }

    private func answer(_ then: (@Sendable (Result<RedisReply, RedisError>) -> Void)?, _ result: Result<RedisReply, RedisError>) {
        guard let then else { return }
        shared.inbox.withLock { $0.waiting -= 1 }
        then(result)
    }

    private mutating func expire(_ now: ContinuousClock.Instant) {
        if waiting.contains(where: { $0.deadline <= now }) {
            let late = waiting.filter { $0.deadline <= now }
            waiting.removeAll { $0.deadline <= now }
            for command in late { answer(command.then, .failure(RedisError(.down, "\(command.lines[0].first ?? ""): \(lastCause)"))) }
        }
        for index in sent.indices where sent[index].deadline <= now && sent[index].then != nil {
            answer(sent[index].then, .failure(RedisError(.deadline, "\(sent[index].name): no answer from Redis in time")))
            sent[index].then = nil
        }
    }

    // MARK: waiting

    private mutating func waitForSomething(_ now: ContinuousClock.Instant) {
        var earliest = waiting.map(\.deadline).min()
        if let deadline = sent.lazy.filter({ $0.then != nil }).map(\.deadline).min() { earliest = min(earliest ?? deadline, deadline) }
        let next = connection == nil || isConnecting ? nextAttempt : probeAt
        earliest = min(earliest ?? next, next)
        var timeoutMs: Int32 = -1
        if let earliest {
            let (seconds, attoseconds) = now.duration(to: earliest).components
            timeoutMs = Int32(clamping: max(0, seconds * 1000 + attoseconds / 1_000_000_000_000_000 + 1))
        }
        var sockets = [pollfd(fd: shared.wakeup, events: Int16(POLLIN), revents: 0)]
        if let connection {
            let events = isConnecting ? POLLOUT : hasOutput ? POLLIN | POLLOUT : POLLIN
            sockets.append(pollfd(fd: connection.pointee.fd, events: Int16(events), revents: 0))
        }
        guard poll(&sockets, nfds_t(sockets.count), timeoutMs) > 0, let connection, let socket = sockets.last, socket.revents != 0,
            sockets.count == 2
        else { return }
        if isConnecting {
            var error: Int32 = 0
            var size = socklen_t(4)
            getsockopt(connection.pointee.fd, SOL_SOCKET, SO_ERROR, &error, &size)
            return error == 0 ? connected() : lose(String(cString: strerror(error)))
        }
        if hasOutput, socket.revents & Int16(POLLOUT) != 0 {
            var isDone: Int32 = 0
            guard redisBufferWrite(connection, &isDone) == REDIS_OK else { return lose(Self.cause(connection)) }
            hasOutput = isDone == 0
        }
        if socket.revents & ~Int16(POLLOUT) != 0 { takeReplies(connection) }
    }

    private mutating func takeReplies(_ connection: UnsafeMutablePointer<redisContext>) {
        guard redisBufferRead(connection) == REDIS_OK else { return lose(Self.cause(connection)) }
        while true {
            var pointer: UnsafeMutableRawPointer?
            guard redisReaderGetReply(connection.pointee.reader, &pointer) == REDIS_OK else { return lose("an answer can't be read") }
            guard let pointer else { return }
            let reply = RedisReply(pointer.assumingMemoryBound(to: redisReply.self).pointee)
            freeReplyObject(pointer)
            guard !sent.isEmpty else { return lose("an answer to nothing") }
            sent[0].answersLeft -= 1
            guard sent[0].answersLeft == 0 else { continue }
            let one = sent.removeFirst()
            // Whatever it answers, it lives.
            if isProbing { (isProbing, misses, probeAt) = (false, 0, .now + Self.probeEvery) }
            tell(isUp: true)
            if case .error(let message) = reply {
                // What a greeting hears (a wrong password) has no caller; every command after it tells.
                answer(one.then, .failure(RedisError(.server, "\(one.name): \(message)")))
            } else {
                answer(one.then, .success(reply))
            }
        }
    }
}
