import CLinux
import Glibc
import Synchronization

/// Values for a thread from any other, in the order of posting: a bounded queue and an eventfd that the thread's poller watches.
public final class Mailbox<Message: Sendable>: Sendable {
    /// Readable while something waits.
    public let descriptor: Int32
    private let capacity: Int
    private let queue = Mutex<[Message]>([])
    private let waiting = Atomic<Bool>(false)

    /// An empty mailbox.
    /// - Parameter capacity: how many messages may wait; a post beyond that is refused, unless it must be taken.
    public init(capacity: Int = 1 << 20) {
        self.capacity = capacity
        descriptor = eventfd(0, Int32(EFD_NONBLOCK | EFD_CLOEXEC))
        precondition(descriptor >= 0, "eventfd: out of file descriptors")
    }

    deinit { close(descriptor) }

    /// Whether something waits: a cheap look between batches.
    public var hasMessages: Bool { waiting.load(ordering: .acquiring) }

    /// Puts a message in.
    /// - Parameter must: also where the mailbox is full: for the message that ends its thread.
    /// - Returns: false when the mailbox is full; the message is not taken then.
    @discardableResult
    public func post(_ message: Message, must: Bool = false) -> Bool {
        let (taken, wake) = queue.withLock { queue -> (Bool, Bool) in
            guard must || queue.count < capacity else { return (false, false) }
            queue.append(message)
            return (true, queue.count == 1)
        }
        if wake {
            waiting.store(true, ordering: .releasing)
            var one: UInt64 = 1
            _ = write(descriptor, &one, 8)
        }
        return taken
    }

    /// Takes all that waits. Reads the eventfd in any case: it may be written after its message was taken.
    public func take() -> [Message] {
        var count: UInt64 = 0
        _ = read(descriptor, &count, 8)
        return queue.withLock { queue in
            waiting.store(false, ordering: .releasing)
            let messages = queue
            queue = []
            return messages
        }
    }
}
