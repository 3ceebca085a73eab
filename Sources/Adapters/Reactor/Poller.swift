import CLinux
import Glibc

/// epoll(7) for one thread: waits until one of a few descriptors is readable, or a time has come.
public final class Poller {
    private let descriptor: Int32
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
        var event = epoll_event()
        event.events = EPOLLIN.rawValue
        event.data.u32 = token
        epoll_ctl(descriptor, EPOLL_CTL_ADD, fd, &event)
    }

    /// Waits for readability or `deadline` (monotonic ns; nil: for ever), and tells which tokens are readable.
    public func wait(until deadline: Int64?, now: Int64, _ body: (UInt32) -> Void) {
        var timeout: Int32 = -1
        // Rounded up: to wake before the time would spin.
        if let deadline { timeout = Int32(clamping: max(0, (deadline - now + 999_999) / 1_000_000)) }
        let count = epoll_wait(descriptor, events, Int32(Poller.capacity), timeout)
        for index in 0..<max(0, Int(count)) { body(events[index].data.u32) }
    }
}
