import Synchronization

/// A number that only rises, such as packets sent; one atomic addition a step, from any thread.
public final class Counter: Sendable {
    private let count = Atomic<UInt64>(0)

    init() {}

    /// Adds to the number.
    public func increment(by amount: Int = 1) {
        guard amount > 0 else { return }
        count.wrappingAdd(UInt64(amount), ordering: .relaxed)
    }

    /// The present number.
    public var value: UInt64 { count.load(ordering: .relaxed) }
}

/// A number that rises and falls, such as rooms that are open.
public final class Gauge: Sendable {
    private let bits = Atomic<UInt64>(Double(0).bitPattern)

    init() {}

    /// Sets the number.
    public func set(_ value: Double) { bits.store(value.bitPattern, ordering: .relaxed) }

    /// Sets the number.
    public func set(_ value: Int) { set(Double(value)) }

    /// Adds to the number; a negative amount takes away.
    public func add(_ amount: Double) {
        var old = bits.load(ordering: .relaxed)
        while true {
            let new = (Double(bitPattern: old) + amount).bitPattern
            let (done, seen) = bits.compareExchange(expected: old, desired: new, ordering: .relaxed)
            if done { return }
            old = seen
        }
    }

    /// The present number.
    public var value: Double { Double(bitPattern: bits.load(ordering: .relaxed)) }
}

/// How often values fell below each of some bounds, such as latencies in seconds.
///
/// The counts live in memory of their own, because a Swift array can't hold atomics; it is `@unchecked Sendable` because every access
/// to that memory is atomic.
public final class Histogram: @unchecked Sendable {
    /// Bounds in seconds that fit latencies from 0.1 ms to 10 s.
    public static let latencyBoundsS: [Double] = [
        0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10,
    ]

    let bounds: [Double]
    // One count per bound and one for what is above all of them; not cumulative.
    private let counts: UnsafeMutablePointer<Atomic<UInt64>>
    private let total = Gauge()

    init(bounds: [Double]) {
        self.bounds = bounds.sorted()
        counts = .allocate(capacity: bounds.count + 1)
        for index in 0...bounds.count { (counts + index).initialize(to: Atomic(0)) }
    }

    deinit {
        counts.deinitialize(count: bounds.count + 1)
        counts.deallocate()
    }

    /// Counts one value.
    public func observe(_ value: Double) {
        let index = bounds.firstIndex { value <= $0 } ?? bounds.count
        counts[index].wrappingAdd(1, ordering: .relaxed)
        total.add(value)
    }

    /// Counts one duration, in seconds.
    public func observe(_ duration: Duration) {
        observe(Double(duration.components.seconds) + Double(duration.components.attoseconds) * 1e-18)
    }

    /// How many values were counted, and their sum.
    public var summary: (count: UInt64, sum: Double) { (cumulative.last ?? 0, total.value) }

    /// Per bound, and then for all, how many values are not above it.
    var cumulative: [UInt64] {
        var sum: UInt64 = 0
        return (0...bounds.count).map { index in
            sum += counts[index].load(ordering: .relaxed)
            return sum
        }
    }
}
