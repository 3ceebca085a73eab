import JSON
import JanusDoor
import Kafka
import MediaPlane
import Messages
import Reactor
import ServiceKit
import Synchronization
import Talk
import Telemetry

/// What comes to the director, in order.
enum DirectorInput: Sendable {
    /// This node's claim is written; its offset is the epoch.
    case claimed(partition: Int32, generation: Int, epoch: Int64)
    /// The rooms of a partition were read to the end.
    case journal(partition: Int32, generation: Int, RoomJournal)
    /// Somebody's claim came by.
    case claimSeen(partition: Int32, node: String, epoch: Int64)
    /// A door's request for a room.
    case administer(SignalRequest, then: @Sendable (ResultCode, String) -> Void)
    /// A talk's record is on Kafka.
    case published(TalkID)
    case stop
}

/// What nobody waits for: it may come to the director some milliseconds later, many in one go.
enum DirectorNote: Sendable {
    /// The worker decided; the answer is on its way already where no talk ended by it.
    case decided(SignalTask, SignalOutcome)
    /// A room's record changed by itself. In one order with what is decided: the last record is what is restored.
    case persist(RoomRecord)
    /// Something that a request needed was acknowledged by Kafka, or failed for good.
    case acknowledged(RequestPlace)
    /// Kafka's queue is full: to be sent again when there is room.
    case refused(OutgoingRecord, RequestPlace)
}

/// A request that a worker is to decide.
struct SignalTask: Sendable {
    var request: SignalRequest
    var place: RequestPlace
    /// Any thread's; called once.
    var answer: @Sendable (SignalOutcome) -> Void
}

/// The control plane of the media service: which rooms are this node's, and what is asked of them on Kafka. Requests go to their room's worker
/// on the thread that polls for them, and are answered by the worker: the director's own thread keeps the books behind them. One at a time
/// uses the state, so that there is one order of events; nobody blocks on Kafka, Redis or the media plane meanwhile.
final class SignalDirector: Sendable {
    private let mailbox: Mailbox<DirectorInput>
    private let books: Books
    private let thread: ServiceThread
    /// How long notes are gathered, so that a thousand requests a second don't wake the thread thousands of times.
    private static let gatheringNs: Int64 = 20_000_000

    /// The state with its lock, for the thread that is started before the director is whole.
    private final class Books: Sendable {
        let state: Mutex<DirectorState>
        init(_ state: sending DirectorState) { self.state = Mutex(state) }
    }

    /// What the director works with.
    struct Parts: Sendable {
        var node: String
        var topics: TopicNames
        var partitions: Int
        var producers: Producers
        var readRooms: @Sendable (_ partitions: [Int32], _ then: @escaping @Sendable (Int32, RoomJournal) -> Void) -> Void
        var plane: MediaPlane
        var store: @Sendable (_ partition: Int32, _ offset: Int64) -> Void
        var readiness: Readiness
        var metrics: Metrics
        var log: Logger
    }

    /// - Parameters:
    ///   - mailbox: made before it, so that what it talks to can already hold its other end.
    ///   - notes: likewise, for what nobody waits for.
    init(_ parts: Parts, mailbox: Mailbox<DirectorInput>, notes: Mailbox<DirectorNote>) {
        self.mailbox = mailbox
        let books = Books(DirectorState(parts, mailbox: mailbox, notes: notes))
        self.books = books
        thread = ServiceThread(name: "director") {
            let (any, urgent) = (Poller(), Poller())
            for poller in [any, urgent] { poller.watch(mailbox.descriptor, token: 0) }
            any.watch(notes.descriptor, token: 1)
            while true {
                let deadline = books.state.withLock { $0.nextDeadline }
                var (now, isUrgent) = (Clocks.monotonicNs(), false)
                any.wait(until: deadline, now: now) { token in if token == 0 { isUrgent = true } }
                if !isUrgent, notes.hasMessages {
                    now = Clocks.monotonicNs()
                    urgent.wait(until: now + SignalDirector.gatheringNs, now: now) { _ in }
                }
                for note in notes.take() { books.state.withLock { $0.handle(note) } }
                for input in mailbox.take() {
                    if case .stop = input { return }
                    books.state.withLock { $0.handle(input) }
                }
                books.state.withLock { $0.tick() }
            }
        }
    }

    /// Takes what the request consumer says, on its thread.
    func take(_ event: KafkaEvent) { books.state.withLock { $0.handle(event) } }

    func post(_ input: DirectorInput) { mailbox.post(input) }

    /// Stops the thread. Blocks.
    func stop() {
        mailbox.post(.stop, must: true)
        thread.join()
    }
}

extension SignalDirector: RoomAdministration {
    func carryOut(_ request: SignalRequest, then: @escaping @Sendable (ResultCode, String) -> Void) {
        post(.administer(request, then: then))
    }
}
