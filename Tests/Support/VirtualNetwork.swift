import PeerSession

/// An address of the virtual network: 10.x.y.z and a port.
public struct VirtualAddress: PeerAddress, CustomStringConvertible {
    /// The host's number.
    public var host: UInt32
    /// The port.
    public var port: UInt16
    /// A host's port.
    public init(_ host: UInt32, _ port: UInt16) { (self.host, self.port) = (host, port) }
    /// 10.x.y.z, from the host's number.
    public var bytes: [UInt8] {
        [10, UInt8(truncatingIfNeeded: host >> 16), UInt8(truncatingIfNeeded: host >> 8), UInt8(truncatingIfNeeded: host)]
    }
    /// For messages.
    public var description: String { bytes.map(String.init).joined(separator: ".") + ":\(port)" }
}

/// Somebody on the virtual network: is given datagrams and the time, and sends by the network.
public protocol VirtualNode: AnyObject {
    /// Where it is reached now.
    var address: VirtualAddress { get }
    /// When it wants `tick`, ns; nil: never.
    var deadline: Int64? { get }
    /// Does what is due.
    func tick(at now: Int64)
    /// Takes a datagram.
    func receive(_ datagram: [UInt8], from source: VirtualAddress, at now: Int64)
}

/// What a network does to datagrams. Reordering comes of delays that differ.
public struct NetworkConditions: Sendable, CustomStringConvertible {
    /// Lost, of a hundred.
    public var loss: Int
    /// Come twice, of a hundred.
    public var duplication: Int
    /// How long they take, ms.
    public var delayMs: ClosedRange<Int>
    /// A network that does this.
    public init(loss: Int, duplication: Int, delayMs: ClosedRange<Int>) {
        (self.loss, self.duplication, self.delayMs) = (loss, duplication, delayMs)
    }
    /// A good line.
    public static let clean = NetworkConditions(loss: 0, duplication: 0, delayMs: 20...20)
    /// A phone at the edge of its cell.
    public static let bad = NetworkConditions(loss: 30, duplication: 10, delayMs: 10...150)
    /// For messages.
    public var description: String { "\(loss) % loss, \(duplication) % twice, \(delayMs.lowerBound) to \(delayMs.upperBound) ms" }
}

/// Carries datagrams between nodes in virtual time. All that happens follows from the seed.
public final class VirtualNetwork {
    /// ns since the network began.
    public private(set) var now: Int64 = 0
    /// May change at any time.
    public var conditions: NetworkConditions
    private var random: SeededRandom
    private var nodes: [any VirtualNode] = []
    private var events = EventQueue()

    /// An empty network.
    public init(seed: UInt64, _ conditions: NetworkConditions) { (random, self.conditions) = (SeededRandom(seed), conditions) }

    /// Somebody is there from now on.
    public func join(_ node: any VirtualNode) { nodes.append(node) }

    /// Sends a datagram; the source may be anything, as on the real one.
    public func send(_ datagram: [UInt8], from source: VirtualAddress, to target: VirtualAddress) {
        for _ in 0..<(random.chance(conditions.duplication) ? 2 : 1) where !random.chance(conditions.loss) {
            let delay = Int64(Int.random(in: conditions.delayMs, using: &random)) * 1_000_000
            events.push(.arrival(datagram, from: source, to: target), at: now + delay)
        }
    }

    /// Does something at a time.
    public func plan(at time: Int64, _ action: @escaping () -> Void) { events.push(.plan(action), at: time) }

    /// Lets time go by until `isDone`, or the end.
    /// - Returns: whether it was done by then.
    @discardableResult public func run(until end: Int64, _ isDone: () -> Bool = { false }) -> Bool {
        while !isDone() {
            var next = events.earliest ?? .max
            for node in nodes { next = min(next, node.deadline ?? .max) }
            guard next <= end else {
                now = max(now, end)
                return false
            }
            now = max(now, next)
            step()
        }
        return true
    }

    /// All that is due now.
    private func step() {
        while let event = events.pop(until: now) {
            switch event {
            case .plan(let action): action()
            // Where nobody is any more, a NAT has forgotten the port.
            case .arrival(let datagram, let source, let target):
                nodes.first { $0.address == target }?.receive(datagram, from: source, at: now)
            }
        }
        for node in nodes { if let deadline = node.deadline, deadline <= now { node.tick(at: now) } }
    }
}

/// What is to come, in the order of time, and of what was there first.
private struct EventQueue {
    enum Event {
        case arrival([UInt8], from: VirtualAddress, to: VirtualAddress)
        case plan(() -> Void)
    }
    private struct Entry {
        var at: Int64
        var event: Event
    }
    /// The next one last.
    private var entries: [Entry] = []

    var earliest: Int64? { entries.last?.at }

    mutating func push(_ event: Event, at time: Int64) {
        let place = entries.lastIndex { $0.at > time }.map { $0 + 1 } ?? 0
        entries.insert(Entry(at: time, event: event), at: place)
    }

    mutating func pop(until now: Int64) -> Event? {
        guard let next = entries.last, next.at <= now else { return nil }
        entries.removeLast()
        return next.event
    }
}
