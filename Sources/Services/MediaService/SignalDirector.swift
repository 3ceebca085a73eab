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
    /// The request consumer has something to say.
    case requests(KafkaEvent)
    /// The worker answered a request.
    case answered(SignalOutcome, token: UInt64)
    /// Something that a request needed was acknowledged by Kafka, or failed for good.
    case acknowledged(partition: Int32, generation: Int, offset: Int64)
    /// This node's claim is written; its offset is the epoch.
    case claimed(partition: Int32, generation: Int, epoch: Int64)
    /// The rooms of a partition were read to the end.
    case journal(partition: Int32, generation: Int, RoomJournal)
    /// Somebody's claim came by.
    case claimSeen(partition: Int32, node: String, epoch: Int64)
    /// A room's record changed by itself.
    case persist(RoomRecord)
    /// A door's request for a room.
    case administer(SignalRequest, then: @Sendable (ResultCode, String) -> Void)
    /// A talk's record is on Kafka.
    case published(TalkID)
    case stop
}

/// The control plane of the media service: which rooms are this node's, and what is asked of them on Kafka. A thread of its own takes inputs
/// in order, so that there is one order of events; it never blocks on Kafka, Redis or the media plane.
final class SignalDirector: Sendable {
    private let mailbox: Mailbox<DirectorInput>
    private let thread: ServiceThread

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

    /// - Parameter mailbox: made before it, so that what it talks to can already hold its other end.
    init(_ parts: Parts, mailbox: Mailbox<DirectorInput>) {
        self.mailbox = mailbox
        thread = ServiceThread(name: "director") {
            let state = DirectorState(parts, mailbox: mailbox)
            let poller = Poller()
            poller.watch(mailbox.descriptor, token: 0)
            while true {
                let now = Clocks.monotonicNs()
                poller.wait(until: state.nextDeadline, now: now) { _ in }
                for input in mailbox.take() {
                    if case .stop = input { return }
                    state.handle(input)
                }
                state.tick()
            }
        }
    }

    func post(_ input: DirectorInput) { mailbox.post(input) }

    /// Stops the thread. Blocks.
    func stop() {
        mailbox.post(.stop)
        thread.join()
    }
}

extension SignalDirector: RoomAdministration {
    func carryOut(_ request: SignalRequest, then: @escaping @Sendable (ResultCode, String) -> Void) {
        post(.administer(request, then: then))
    }
}
