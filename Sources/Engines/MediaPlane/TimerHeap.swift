import Floor

/// Deadlines, of rooms for instance, earliest first; outdated entries are passed over when they come up.
struct TimerHeap<Key> {
    struct Entry {
        var at: MonotonicNs
        var key: Key
    }
    private var entries: [Entry] = []

    var earliest: MonotonicNs? { entries.first?.at }

    mutating func push(_ entry: Entry) {
        entries.append(entry)
        var index = entries.count - 1
        while index > 0, entries[index].at < entries[(index - 1) / 2].at {
            entries.swapAt(index, (index - 1) / 2)
            index = (index - 1) / 2
        }
    }

    mutating func pop(until now: MonotonicNs) -> Entry? {
        guard let first = entries.first, first.at <= now else { return nil }
        entries.swapAt(0, entries.count - 1)
        entries.removeLast()
        var index = 0
        while true {
            var least = index
            for child in [2 * index + 1, 2 * index + 2] where child < entries.count && entries[child].at < entries[least].at {
                least = child
            }
            if least == index { return first }
            entries.swapAt(index, least)
            index = least
        }
    }
}
