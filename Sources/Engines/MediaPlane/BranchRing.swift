import CLinux
import Glibc
import RTP
import Synchronization
import Talk

/// The way of media from one worker to another: a ring of bytes with one producer and one consumer, so that a packet crosses threads once
/// and without an allocation or a lock. What must keep its order with media (a burst's begin and end) goes through it too.
///
/// A full ring drops and counts: a worker that falls behind never stalls the room.
///
/// `@unchecked Sendable`: the memory between `tail` and `head` belongs to the consumer, the rest to the producer; the atomics hand it
/// over with release and acquire.
final class BranchRing: @unchecked Sendable {
    /// What lies in the ring, by its first byte.
    enum Kind: UInt8 {
        /// Home → branch: a placed packet for everybody there but its talker.
        case packet = 1
        /// Home → branch: a burst begins; the talker is `uid`.
        case opened = 2
        /// Home → branch: it is over; `sequence` is how many numbers it took.
        case closed = 3
        /// Branch → home: a packet of the talker `uid`, as it came.
        case uplink = 4
        /// To the end of the memory.
        case padding = 5
        /// Home → branch, open rooms: `uid` is heard from now on, and gets a mix of its own.
        case soloBegin = 6
        /// Home → branch: `uid` is not heard any more.
        case soloEnd = 7
        /// Home → branch: the mix for `uid`.
        case solo = 8
    }

    /// An entry's head; 48 bytes, then the payload, then padding to 16.
    struct Head {
        var length: UInt32 = 0
        var kind: UInt8 = 0
        /// Home → branch: 1 for the override.
        var stream: UInt8 = 0
        var marker: Bool = false
        /// Home → branch: only who hears both streams.
        var dualOnly: Bool = false
        var gid: Int64 = 0
        var uid: Int64 = 0
        var arrivalNs: Int64 = 0
        var timestamp: UInt32 = 0
        var ssrc: UInt32 = 0
        var sequence: UInt16 = 0
        var payloadSize: UInt16 = 0
        var unused: UInt32 = 0
    }

    private static let headSize = MemoryLayout<Head>.size
    private let capacity: Int
    private let memory: UnsafeMutableRawPointer
    private let head = Atomic<Int>(0)
    private let tail = Atomic<Int>(0)
    private var knownTail = 0
    /// Packets that found no room; the producer's.
    private(set) var dropped: UInt64 = 0

    /// - Parameter capacityBytes: a power of two; 1 MiB holds over a second of 200 talkers.
    init(capacityBytes: Int = 1 << 20) {
        capacity = capacityBytes
        memory = .allocate(byteCount: capacityBytes, alignment: 64)
    }

    deinit { memory.deallocate() }

    /// Puts an entry in; false where there is no room. Packets leave the last sixteenth to bursts' begins and ends, which thus are never lost.
    func put(_ entry: Head, payload: UnsafeRawBufferPointer = UnsafeRawBufferPointer(start: nil, count: 0)) -> Bool {
        let length = (Self.headSize + payload.count + 15) & ~15
        var position = head.load(ordering: .relaxed)
        let offset = position & (capacity - 1)
        let skipped = capacity - offset < length ? capacity - offset : 0
        let limit = payload.count == 0 ? capacity : capacity - capacity / 16
        if position + skipped + length - knownTail > limit {
            knownTail = tail.load(ordering: .acquiring)
            guard position + skipped + length - knownTail <= limit else {
                dropped &+= 1
                return false
            }
        }
        if skipped > 0 {
            (memory + offset).storeBytes(of: UInt32(skipped), as: UInt32.self)
            (memory + offset).storeBytes(of: Kind.padding.rawValue, toByteOffset: 4, as: UInt8.self)
            position += skipped
        }
        var entry = entry
        entry.length = UInt32(length)
        entry.payloadSize = UInt16(payload.count)
        let place = memory + (position & (capacity - 1))
        place.storeBytes(of: entry, as: Head.self)
        if let start = payload.baseAddress { (place + Self.headSize).copyMemory(from: start, byteCount: payload.count) }
        head.store(position + length, ordering: .releasing)
        return true
    }

    /// Whether something lies in it: one load.
    var hasEntries: Bool { head.load(ordering: .acquiring) != tail.load(ordering: .relaxed) }

    /// Takes what lies in the ring when it is called, in order.
    /// - Parameter first: called when it is known how much that is, before anything is taken: what was posted before it is there by then.
    func drain(after first: () -> Void, _ body: (Kind, Head, UnsafeRawBufferPointer) -> Void) {
        let end = head.load(ordering: .acquiring)
        var position = tail.load(ordering: .relaxed)
        guard position < end else { return }
        first()
        while position < end {
            let place = memory + (position & (capacity - 1))
            let length = Int(place.load(as: UInt32.self))
            let kind = Kind(rawValue: place.load(fromByteOffset: 4, as: UInt8.self)) ?? .padding
            if kind != .padding {
                let entry = place.load(as: Head.self)
                body(kind, entry, UnsafeRawBufferPointer(start: place + Self.headSize, count: Int(entry.payloadSize)))
            }
            position += length
            tail.store(position, ordering: .releasing)
        }
    }
}

/// All rings between workers, and how a sleeping one is woken.
final class BranchRings: Sendable {
    private let rings: [[BranchRing?]]
    private let bells: [Bell]

    init(workers: Int) {
        rings = (0..<workers).map { from in (0..<workers).map { to in from == to ? nil : BranchRing() } }
        bells = (0..<workers).map { _ in Bell() }
    }

    /// The ring from one worker to another; nil for the same.
    func ring(from: Int, to: Int) -> BranchRing? { rings[from][to] }

    /// The rings that lead to a worker.
    func incoming(to worker: Int) -> [BranchRing] { rings.compactMap { $0[worker] } }

    /// Wakes a worker where it sleeps, or is about to.
    func bell(of worker: Int) -> Bell { bells[worker] }
}

/// Wakes a worker for what lies in its rings; costs a system call only where it was not rung already.
final class Bell: Sendable {
    /// Readable after a ring.
    let descriptor: Int32
    private let isRung = Atomic<Bool>(false)

    init() {
        descriptor = eventfd(0, Int32(EFD_NONBLOCK | EFD_CLOEXEC))
        precondition(descriptor >= 0, "eventfd: out of file descriptors")
    }

    deinit { close(descriptor) }

    func ring() {
        guard !isRung.exchange(true, ordering: .acquiringAndReleasing) else { return }
        var one: UInt64 = 1
        _ = write(descriptor, &one, 8)
    }

    /// The worker is awake; to be called before it looks at its rings.
    func quieten() {
        var count: UInt64 = 0
        _ = read(descriptor, &count, 8)
        isRung.store(false, ordering: .releasing)
    }
}
