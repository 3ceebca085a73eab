import CLinux
import Glibc
import RTP
import Synchronization
import Talk

/// The way of media from one worker to another: a ring of bytes with one producer and one consumer, so that a packet crosses threads once
/// and without an allocation or a lock.
///
/// A worker that falls behind never stalls the room: a full ring gives up its oldest packets, and counts them. What begins and ends bursts
/// is never given up: it waits in a list of its own, each with the place in the ring that it stands before, and is taken in order with media.
///
/// `@unchecked Sendable`: the memory between `tail` and `head` belongs to the consumer, the rest to the producer; the atomics hand it
/// over with release and acquire. An entry is the consumer's alone from its claim (the lowest bit of `tail`) until it has copied it: only
/// an entry that is not claimed is given up, and however long the consumer is at work on one, that is the oldest.
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
        /// When it came to its first worker, monotonic.
        var arrivalNs: Int64 = 0
        var timestamp: UInt32 = 0
        var ssrc: UInt32 = 0
        var sequence: UInt16 = 0
        var payloadSize: UInt16 = 0
        /// Branch → home: the audio level (RFC 6464), −dBov 0…127.
        var level: UInt8 = Head.noLevel
        /// So that the payload begins at a multiple of 16.
        private var unused: (UInt8, UInt8, UInt8) = (0, 0, 0)
        /// The packet bears none.
        static let noLevel: UInt8 = 128
    }

    private static let headSize = MemoryLayout<Head>.size
    /// In `tail`: the consumer copies the entry there. Entries begin at multiples of 16.
    private static let claimed = 1
    private let capacity: Int
    private let memory: UnsafeMutableRawPointer
    /// The entry that the consumer is at work on.
    private let current: UnsafeMutableRawPointer
    private let head = Atomic<Int>(0)
    private let tail = Atomic<Int>(0)
    private var knownTail = 0
    /// Begins and ends of bursts, each before what stands at `position`.
    private struct Mark: Sendable {
        var position: Int
        var head: Head
    }
    private struct Marks: Sendable {
        var waiting: [Mark] = []
    }
    private let marks = Mutex(Marks())
    private let markCount = Atomic<Int>(0)

    /// - Parameter capacityBytes: a power of two; 1 MiB holds over a second of 200 talkers.
    init(capacityBytes: Int = 1 << 20) {
        capacity = capacityBytes
        memory = .allocate(byteCount: capacityBytes, alignment: 64)
        current = .allocate(byteCount: Self.headSize + FanOut.payloadMaximum + 16, alignment: 64)
    }

    deinit {
        memory.deallocate()
        current.deallocate()
    }

    /// Puts the begin or end of a burst in.
    func put(_ mark: Head) {
        let position = head.load(ordering: .relaxed)
        marks.withLock { $0.waiting.append(Mark(position: position, head: mark)) }
        markCount.wrappingAdd(1, ordering: .releasing)
    }

    /// Puts a packet in.
    /// - Parameter payload: 1…`FanOut.payloadMaximum` bytes; a longer one (of a file that is played) is given up, as no fan-out would send it.
    /// - Returns: how many packets were given up for it: the oldest ones, or (the consumer was stopped in the middle of a copy) this one.
    func put(_ entry: Head, payload: UnsafeRawBufferPointer) -> Int {
        guard payload.count <= FanOut.payloadMaximum else { return 1 }
        let length = (Self.headSize + payload.count + 15) & ~15
        var position = head.load(ordering: .relaxed)
        let offset = position & (capacity - 1)
        let skipped = capacity - offset < length ? capacity - offset : 0
        var (dropped, waits) = (0, 0)
        while position + skipped + length - knownTail > capacity {
            let seen = tail.load(ordering: .acquiring)
            knownTail = seen & ~Self.claimed
            guard position + skipped + length - knownTail > capacity else { break }
            guard seen == knownTail else {
                waits += 1
                if waits > 1_000 { return dropped + 1 }
                continue
            }
            let place = memory + (seen & (capacity - 1))
            let (size, kind) = (Int(place.load(as: UInt32.self)), place.load(fromByteOffset: 4, as: UInt8.self))
            guard tail.compareExchange(expected: seen, desired: seen + size, ordering: .acquiringAndReleasing).exchanged else { continue }
            if kind != Kind.padding.rawValue { dropped += 1 }
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
        return dropped
    }

    /// Whether something lies in it.
    var hasEntries: Bool {
        head.load(ordering: .acquiring) != tail.load(ordering: .relaxed) || markCount.load(ordering: .acquiring) > 0
    }

    /// Takes what lies in the ring when it is called, in order.
    /// - Parameter first: called when it is known how much that is, before anything is taken: what was posted before it is there by then.
    func drain(after first: () -> Void, _ body: (Kind, Head, UnsafeRawBufferPointer) -> Void) {
        let end = head.load(ordering: .acquiring)
        // A packet's marks were put in before it: after `head` they are seen, too.
        var marks = takeMarks(upTo: end)[...]
        guard !marks.isEmpty || tail.load(ordering: .relaxed) < end else { return }
        first()
        while true {
            let position = tail.load(ordering: .acquiring)
            while let mark = marks.first, mark.position <= position {
                marks.removeFirst()
                take(mark, body)
            }
            guard position < end else { break }
            // Not where it was given up meanwhile.
            guard
                tail.compareExchange(expected: position, desired: position | Self.claimed, ordering: .acquiringAndReleasing).exchanged
            else { continue }
            let place = memory + (position & (capacity - 1))
            let length = Int(place.load(as: UInt32.self))
            let kind = Kind(rawValue: place.load(fromByteOffset: 4, as: UInt8.self)) ?? .padding
            if kind != .padding { current.copyMemory(from: place, byteCount: length) }
            tail.store(position + length, ordering: .releasing)
            guard kind != .padding else { continue }
            let entry = current.load(as: Head.self)
            body(kind, entry, UnsafeRawBufferPointer(start: current + Self.headSize, count: Int(entry.payloadSize)))
        }
        for mark in marks { take(mark, body) }
    }

    private func take(_ mark: Mark, _ body: (Kind, Head, UnsafeRawBufferPointer) -> Void) {
        body(Kind(rawValue: mark.head.kind) ?? .padding, mark.head, UnsafeRawBufferPointer(start: nil, count: 0))
    }

    private func takeMarks(upTo end: Int) -> [Mark] {
        guard markCount.load(ordering: .acquiring) > 0 else { return [] }
        let taken = marks.withLock { marks in
            let count = marks.waiting.firstIndex { $0.position > end } ?? marks.waiting.count
            let taken = Array(marks.waiting.prefix(count))
            marks.waiting.removeFirst(count)
            return taken
        }
        markCount.wrappingSubtract(taken.count, ordering: .relaxed)
        return taken
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
