import Messages
import Synchronization

/// The way of packets from one media worker to the recorder: a ring of bytes with one producer and one consumer.
///
/// `append` neither allocates, locks nor calls the kernel. The consumer looks by its own timer while a burst is open; only a burst's
/// start and end wake it. A full ring never stops the talk: what does not fit is counted, and the burst's record says so.
///
/// `@unchecked Sendable`: the memory between `tail` and `head` belongs to the consumer, the rest to the producer; the atomics hand it
/// over with release and acquire. The producer's own fields are used by its one thread only.
///
///      0                   1                   2                   3
///     +---------------------------------------------------------------+
///     | length of this entry, header included, a multiple of 8        |
///     +---------------+---------------+-------------------------------+
///     | kind          | marker        | sequence                      |
///     +---------------+---------------+-------------------------------+
///     | burst                         | timestamp                     |   32 bits each
///     +---------------------------------------------------------------+
///     | arrival, ns (64 bits)                                         |
///     +---------------------------------------------------------------+
///     | length of the payload         | unused                        |   32 bits each
///     +---------------------------------------------------------------+
///     | payload …                                                     |
public final class RecorderRing: @unchecked Sendable {
    /// What lies in the ring.
    enum Entry {
        case begin(burst: UInt32, BurstStart)
        case packet(burst: UInt32, RecordedPacket)
        case end(burst: UInt32, TalkRecord.Cause?)
        /// A burst of which nothing found room, and how long it was.
        case lost(BurstStart, durationMs: Int64)
    }

    private enum Kind: UInt8 {
        case begin = 1
        case packet = 2
        case end = 3
        case padding = 4
    }

    private struct SideTable {
        var starts: [UInt32: BurstStart] = [:]
        /// Ends that found no room in the ring; they hold after everything that lies in it.
        var lateEnds: [(burst: UInt32, cause: TalkRecord.Cause?)] = []
        /// Bursts that found no room at all.
        var lost: [(start: BurstStart, durationMs: Int64)] = []
        var wake: (@Sendable () -> Void)?
    }

    private static let headerBytes = 32
    private let memory: UnsafeMutableRawPointer
    private let capacity: Int
    private let head = Atomic<Int>(0)
    private let tail = Atomic<Int>(0)
    private let refused = Atomic<UInt64>(0)
    private let sides = Mutex(SideTable())
    // Producer only.
    private var knownTail = 0
    private var lastBurst: UInt32 = 0
    private var cut: Set<UInt32> = []
    /// Bursts whose beginning found no room yet, and when their last packet came.
    private var unbegun: [UInt32: (start: BurstStart, lastNs: UInt64)] = [:]

    /// - Parameter capacityBytes: rounded up to a power of two; 8 MiB hold a minute of 20 talkers' speech.
    public init(capacityBytes: Int = 8 << 20) {
        var size = 4096
        while size < capacityBytes { size *= 2 }
        capacity = size
        memory = .allocate(byteCount: size, alignment: 64)
    }

    deinit { memory.deallocate() }

    /// How many packets found no room.
    public var refusedPackets: UInt64 { refused.load(ordering: .relaxed) }

    // MARK: Producer

    /// A burst begins; rare, so it may lock and allocate. Where the ring is full, it is recorded from when there is room.
    public func begin(_ start: BurstStart) -> BurstHandle {
        lastBurst &+= 1
        if !begin(lastBurst, start) { unbegun[lastBurst] = (start, start.startNs) }
        return BurstHandle(number: lastBurst)
    }

    private func begin(_ burst: UInt32, _ start: BurstStart) -> Bool {
        sides.withLock { $0.starts[burst] = start }
        guard put(.begin, burst: burst) else {
            _ = sides.withLock { $0.starts.removeValue(forKey: burst) }
            return false
        }
        sides.withLock { $0.wake }?()
        return true
    }

    /// A packet of a burst, in any order of sequence numbers.
    /// - Parameter arrivalNs: CLOCK_MONOTONIC, ns.
    /// - Returns: false where the ring is full; the burst's record will say that something is missing.
    public func append(
        _ handle: BurstHandle, sequence: UInt16, timestamp: UInt32, marker: Bool, arrivalNs: UInt64, payload: UnsafeRawBufferPointer
    ) -> Bool {
        if !unbegun.isEmpty, let (start, _) = unbegun[handle.number] {
            unbegun[handle.number] = begin(handle.number, start) ? nil : (start, arrivalNs)
            cut.insert(handle.number)
        }
        let taken =
            unbegun[handle.number] == nil
            && put(
                .packet, burst: handle.number, sequence: sequence, timestamp: timestamp, flag: marker ? 1 : 0, arrivalNs: arrivalNs,
                payload: payload)
        if !taken {
            refused.wrappingAdd(1, ordering: .relaxed)
            cut.insert(handle.number)
        }
        return taken
    }

    /// A burst is over.
    public func end(_ handle: BurstHandle, cause: TalkRecord.Cause?) {
        let cause = cut.remove(handle.number) == nil ? cause : .spoolFull
        if let (start, lastNs) = unbegun.removeValue(forKey: handle.number) {
            let durationMs = Int64((max(lastNs, start.startNs) - start.startNs) / 1_000_000) + 20
            sides.withLock { $0.lost.append((start, durationMs)) }
        } else if !put(.end, burst: handle.number, flag: Capture.causeCode(cause)) {
            sides.withLock { $0.lateEnds.append((handle.number, cause)) }
        }
        sides.withLock { $0.wake }?()
    }

    private func put(
        _ kind: Kind, burst: UInt32, sequence: UInt16 = 0, timestamp: UInt32 = 0, flag: UInt8 = 0, arrivalNs: UInt64 = 0,
        payload: UnsafeRawBufferPointer = UnsafeRawBufferPointer(start: nil, count: 0)
    ) -> Bool {
        let length = (Self.headerBytes + payload.count + 7) & ~7
        var position = head.load(ordering: .relaxed)
        let offset = position & (capacity - 1)
        // An entry lies in one piece: the rest of the memory's end is skipped where it is too short.
        let skipped = capacity - offset < length ? capacity - offset : 0
        if position + skipped + length - knownTail > capacity {
            knownTail = tail.load(ordering: .acquiring)
            guard position + skipped + length - knownTail <= capacity else { return false }
        }
        if skipped > 0 {
            // At least 8 bytes: all entries are multiples of 8.
            (memory + offset).storeBytes(of: UInt32(skipped), as: UInt32.self)
            (memory + offset).storeBytes(of: Kind.padding.rawValue, toByteOffset: 4, as: UInt8.self)
            position += skipped
        }
        let entry = memory + (position & (capacity - 1))
        entry.storeBytes(of: UInt32(length), as: UInt32.self)
        entry.storeBytes(of: kind.rawValue, toByteOffset: 4, as: UInt8.self)
        entry.storeBytes(of: flag, toByteOffset: 5, as: UInt8.self)
        entry.storeBytes(of: sequence, toByteOffset: 6, as: UInt16.self)
        entry.storeBytes(of: burst, toByteOffset: 8, as: UInt32.self)
        entry.storeBytes(of: timestamp, toByteOffset: 12, as: UInt32.self)
        entry.storeBytes(of: arrivalNs, toByteOffset: 16, as: UInt64.self)
        entry.storeBytes(of: UInt32(payload.count), toByteOffset: 24, as: UInt32.self)
        if let base = payload.baseAddress { (entry + Self.headerBytes).copyMemory(from: base, byteCount: payload.count) }
        head.store(position + length, ordering: .releasing)
        return true
    }

    // MARK: Consumer

    /// Sets what is called when a burst begins or ends.
    func onWake(_ wake: (@Sendable () -> Void)?) { sides.withLock { $0.wake = wake } }

    /// Takes everything that lies in the ring, in order.
    func drain(_ body: (Entry) -> Void) {
        // Taken first: whatever was put before such an end lies in the ring by now.
        let (lateEnds, lost) = sides.withLock { sides in
            defer { (sides.lateEnds, sides.lost) = ([], []) }
            return (sides.lateEnds, sides.lost)
        }
        let end = head.load(ordering: .acquiring)
        var position = tail.load(ordering: .relaxed)
        while position < end {
            let entry = memory + (position & (capacity - 1))
            let length = Int(entry.load(as: UInt32.self))
            let burst = entry.load(fromByteOffset: 8, as: UInt32.self)
            switch Kind(rawValue: entry.load(fromByteOffset: 4, as: UInt8.self)) {
            case .begin:
                if let start = sides.withLock({ $0.starts.removeValue(forKey: burst) }) { body(.begin(burst: burst, start)) }
            case .packet: body(.packet(burst: burst, packet(at: entry)))
            case .end: body(.end(burst: burst, Capture.cause(entry.load(fromByteOffset: 5, as: UInt8.self))))
            case .padding, nil: break
            }
            position += length
            tail.store(position, ordering: .releasing)
        }
        for (burst, cause) in lateEnds { body(.end(burst: burst, cause)) }
        for (start, durationMs) in lost { body(.lost(start, durationMs: durationMs)) }
    }

    private func packet(at entry: UnsafeMutableRawPointer) -> RecordedPacket {
        let count = Int(entry.load(fromByteOffset: 24, as: UInt32.self))
        return RecordedPacket(
            sequence: entry.load(fromByteOffset: 6, as: UInt16.self), timestamp: entry.load(fromByteOffset: 12, as: UInt32.self),
            marker: entry.load(fromByteOffset: 5, as: UInt8.self) != 0, arrivalNs: entry.load(fromByteOffset: 16, as: UInt64.self),
            payload: Array(UnsafeRawBufferPointer(start: entry + Self.headerBytes, count: count)))
    }
}

/// A packet as it was accepted.
struct RecordedPacket: Sendable, Hashable {
    var sequence: UInt16
    var timestamp: UInt32
    var marker: Bool
    /// CLOCK_MONOTONIC, ns.
    var arrivalNs: UInt64
    var payload: [UInt8]
}
