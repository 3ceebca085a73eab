import CLinux
import Glibc
import RTP

/// One TCP connection that carries datagrams (RFC 4571). Used by its worker's thread only.
///
/// What can't be written at once waits in a backlog; where that is full, the oldest goes: late voice is no voice, and the room waits for
/// nobody.
final class StreamConnection {
    /// Frames that wait: a second of voice.
    static let backlogMaximum = 50
    /// Two of the largest frames fit, so that there is always room to read.
    private static let bufferSize = 2 * (StreamFrame.headerSize + UDPSocket.datagramSize)
    /// What one connection may bring before the others have their turn, reads.
    private static let readsAtOnce = 8

    let descriptor: Int32
    let address: SocketAddress
    let token: UInt32
    let acceptedAt: Int64
    /// When its last authentic check came; nil: none has, and who is there is nobody.
    var provedAt: Int64?
    /// Whose check that was.
    var owner: ObjectIdentifier?
    /// Writing failed: it is closed when it is next looked at, which the kernel asks for.
    private(set) var isBroken = false
    /// Frames that were dropped.
    private(set) var dropped = 0
    private let buffer: UnsafeMutableRawPointer
    private var filled = 0
    private var backlog: [[UInt8]] = []
    /// Bytes of the backlog's first frame that the kernel has already.
    private var written = 0

    /// Takes the descriptor over.
    init(_ descriptor: Int32, _ address: SocketAddress, token: UInt32, at now: Int64) {
        (self.descriptor, self.address, self.token, acceptedAt) = (descriptor, address, token, now)
        buffer = .allocate(byteCount: Self.bufferSize, alignment: 16)
        var on: Int32 = 1
        setsockopt(descriptor, Int32(IPPROTO_TCP), TCP_NODELAY, &on, socklen_t(MemoryLayout<Int32>.size))
        // What waits in the kernel can't be dropped any more.
        var size: Int32 = 16_384
        setsockopt(descriptor, SOL_SOCKET, SO_SNDBUF, &size, socklen_t(MemoryLayout<Int32>.size))
    }

    deinit {
        close(descriptor)
        buffer.deallocate()
    }

    var isProved: Bool { provedAt != nil }
    var hasBacklog: Bool { !backlog.isEmpty }

    // MARK: In

    /// Reads what is there and gives each whole frame out; an empty one (a keep-alive) is none.
    /// - Parameter body: false: the peer is not to be listened to any more.
    /// - Returns: false: the connection has ended, or must.
    func receive(_ body: (UnsafeMutableRawBufferPointer) -> Bool) -> Bool {
        guard !isBroken else { return false }
        for _ in 0..<Self.readsAtOnce {
            let room = Self.bufferSize - filled
            let count = recv(descriptor, buffer + filled, room, Int32(MSG_DONTWAIT))
            guard count > 0 else { return count < 0 && (errno == EAGAIN || errno == EINTR) }
            filled += count
            guard giveOut(body) else { return false }
            if count < room { return true }
        }
        return true
    }

    private func giveOut(_ body: (UnsafeMutableRawBufferPointer) -> Bool) -> Bool {
        var start = 0
        scan: while true {
            let rest = UnsafeRawBufferPointer(start: buffer + start, count: filled - start).bindMemory(to: UInt8.self)
            switch StreamFrame(rest.span, maximum: UDPSocket.datagramSize) {
            case .partial: break scan
            case .tooLong: return false
            case .whole(let length):
                let payload = UnsafeMutableRawBufferPointer(start: buffer + start + StreamFrame.headerSize, count: length)
                start += StreamFrame.headerSize + length
                if length > 0, !body(payload) { return false }
            }
        }
        filled -= start
        memmove(buffer, buffer + start, filled)
        return true
    }

    // MARK: Out

    /// Sends a frame, with the length that it begins with; or keeps it until there is room.
    /// - Returns: whether an older one was dropped for it.
    func send(_ frame: UnsafeRawBufferPointer) -> Bool {
        guard !isBroken else { return false }
        var count = 0
        if backlog.isEmpty {
            count = write(frame)
            guard count < frame.count, !isBroken else { return false }
            written = count
        }
        backlog.append(Array(frame))
        guard backlog.count > Self.backlogMaximum else { return false }
        // A frame that is begun must be ended, or nothing behind it is understood.
        backlog.remove(at: written > 0 ? 1 : 0)
        dropped += 1
        return true
    }

    /// Writes of the backlog what the kernel takes now.
    func flush() {
        var done = 0
        while done < backlog.count, !isBroken {
            let frame = backlog[done]
            let start = written
            written += frame.withUnsafeBytes { write(UnsafeRawBufferPointer(rebasing: $0[start...])) }
            guard written == frame.count else { break }
            (done, written) = (done + 1, 0)
        }
        // Broken in the midst of it, there is nobody for the rest.
        if isBroken { backlog = [] } else { backlog.removeFirst(done) }
    }

    /// - Returns: the bytes that the kernel took.
    private func write(_ bytes: UnsafeRawBufferPointer) -> Int {
        let count = Glibc.send(descriptor, bytes.baseAddress, bytes.count, Int32(MSG_DONTWAIT) | Int32(MSG_NOSIGNAL))
        if count < 0, errno != EAGAIN, errno != EINTR { isBroken = true }
        return max(0, count)
    }
}
