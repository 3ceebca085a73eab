import Glibc
import JSON

/// What stands in Redis of a live media node, `media:node:{id}` (MESSAGES.md §2).
struct NodeCard {
    var address: String
    var region: String
    private let processors: Int
    private var last: (cpuNs: Int64, nowNs: Int64)

    /// - Parameter nowNs: monotonic, as in ``json(rooms:participants:nowNs:)``.
    init(address: String, region: String, processors: Int, nowNs: Int64) {
        (self.address, self.region, self.processors) = (address, region, processors)
        last = (Self.cpuNs(), nowNs)
    }

    /// The card as it is now. `load` is what this process took of the machine's processors since the card before, 0…1.
    mutating func json(rooms: Int, participants: Int, nowNs: Int64) -> JSONValue {
        let now = (cpuNs: Self.cpuNs(), nowNs: nowNs)
        let load = Self.share(of: now.cpuNs - last.cpuNs, in: now.nowNs - last.nowNs, processors: processors)
        last = now
        return [
            "address": .string(address), "region": .string(region), "rooms": .int(Int64(rooms)), "participants": .int(Int64(participants)),
            "load": .double(load),
        ]
    }

    /// To the thousandth.
    static func share(of cpuNs: Int64, in elapsedNs: Int64, processors: Int) -> Double {
        guard elapsedNs > 0, processors > 0 else { return 0 }
        let share = Double(cpuNs) / (Double(elapsedNs) * Double(processors))
        return (min(max(share, 0), 1) * 1_000).rounded() / 1_000
    }

    /// The processor time of this process so far.
    private static func cpuNs() -> Int64 {
        var time = timespec()
        clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time)
        return Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec)
    }
}
