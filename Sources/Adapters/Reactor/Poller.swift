import CLinux
import Glibc

/// epoll(7) for one thread: waits until one of its descriptors is readable, or has room for output where that is asked for, or a time has
/// come.
public final class Poller {
    /// Readable itself while one of its descriptors is ready: another poller may watch it.
    public let descriptor: Int32
    private let events: UnsafeMutablePointer<epoll_event>
    private static let capacity = 256

    /// A poller that watches nothing.
    public init() {
        descriptor = epoll_create1(Int32(EPOLL_CLOEXEC))
        precondition(descriptor >= 0, "epoll_create1: out of file descriptors")
        events = .allocate(capacity: Poller.capacity)
    }

    deinit {
        close(descriptor)
        events.deallocate()
    }

    /// Watches a descriptor for readability; `wait` tells of it by `token`.
    public func watch(_ fd: Int32, token: UInt32) {
        control(EPOLL_CTL_ADD, fd, token, output: false)
    }

    /// From now on waits for room for output too, or no longer.
    public func change(_ fd: Int32, token: UInt32, output: Bool) { control(EPOLL_CTL_MOD, fd, token, output: output) }

    /// Watches a descriptor no longer.
    public func forget(_ fd: Int32) { control(EPOLL_CTL_DEL, fd, 0, output: false) }

    private func control(_ operation: Int32, _ fd: Int32, _ token: UInt32, output: Bool) {
        var event = epoll_event()
        event.events = output ? EPOLLIN.rawValue | EPOLLOUT.rawValue : EPOLLIN.rawValue
        event.data.u32 = token
        epoll_ctl(descriptor, operation, fd, &event)
    }

    /// Waits for readiness or `deadline` (monotonic ns; nil: for ever), and tells which tokens are ready.
    public func wait(until deadline: Int64?, now: Int64, _ body: (UInt32) -> Void) {
        var timeout: Int32 = -1
        // Rounded up: to wake before the time would spin.
        if let deadline { timeout = Int32(clamping: max(0, (deadline - now + 999_999) / 1_000_000)) }
        let count = epoll_wait(descriptor, events, Int32(Poller.capacity), timeout)
        for index in 0..<max(0, Int(count)) { body(events[index].data.u32) }
    }
}
