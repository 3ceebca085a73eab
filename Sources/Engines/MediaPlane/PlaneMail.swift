import Reactor
import Talk

/// The way into the media plane: finds the worker that an input is for. Made before the plane, so that what it talks to can hold it already.
public final class PlaneMail: Sendable {
    let map: PlaneMap
    let mailboxes: [Mailbox<WorkerMessage>]

    /// - Parameter workers: how many media workers there are; 1…64.
    public init(workers: Int) {
        precondition((1...64).contains(workers), "between 1 and 64 media workers")
        map = PlaneMap(workers: workers)
        mailboxes = (0..<workers).map { _ in Mailbox() }
    }

    /// Hands an input to its worker; what is posted for one group is taken in order.
    public func post(_ input: PlaneInput) {
        switch input {
        case .ownership: for mailbox in mailboxes { mailbox.post(.input(input)) }
        case .restore(let record, _): deliver(input, to: map.choose(for: record.gid))
        case .close(let groups):
            for (home, part) in Dictionary(grouping: groups, by: { map.home(of: $0) ?? 0 }) { deliver(.close(part), to: home) }
        case .signal(let request, _, _):
            if case .create = request.body {
                deliver(input, to: map.choose(for: request.gid))
            } else {
                deliver(input, to: map.home(of: request.gid) ?? 0)
            }
        case .door(.list, let token, let door):
            let collector = RoomCollector(workers: mailboxes.count, door: door, token: token)
            for mailbox in mailboxes { mailbox.post(.list(collector)) }
        case .door(let request, _, _): deliver(input, to: request.route.flatMap { map.home(of: $0) } ?? 0)
        case .lookedUp(let token, _): deliver(input, to: Int(token & PlaneMail.workerMask))
        case .roleCorrected(let gid, _, _, _): deliver(input, to: map.home(of: gid) ?? 0)
        }
    }

    /// A token's low bits are its worker's number.
    static let workerMask: UInt64 = 63

    private func deliver(_ input: PlaneInput, to worker: Int) { mailboxes[worker].post(.input(input)) }
}
