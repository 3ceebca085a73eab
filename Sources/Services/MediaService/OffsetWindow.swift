/// One partition's requests that are under way: what may be committed is the first offset that is not yet fully acknowledged
/// (MESSAGES.md, "Delivery").
struct OffsetWindow {
    private struct Entry {
        var offset: Int64
        /// What must still be acknowledged.
        var open: Int
    }
    private var entries: [Entry] = []
    private var first = 0

    /// A record was read; it needs `count` acknowledgements.
    mutating func begin(_ offset: Int64) { entries.append(Entry(offset: offset, open: 1)) }

    /// More must be acknowledged than was thought.
    mutating func expect(_ count: Int, of offset: Int64) {
        if let index = index(of: offset) { entries[index].open += count }
    }

    /// Something was acknowledged.
    /// - Returns: the offset to commit (the next one to read), where it moved.
    mutating func acknowledge(_ offset: Int64) -> Int64? {
        guard let index = index(of: offset), entries[index].open > 0 else { return nil }
        entries[index].open -= 1
        var commit: Int64?
        while first < entries.count, entries[first].open == 0 {
            commit = entries[first].offset + 1
            first += 1
        }
        if first > 1_024, first * 2 > entries.count {
            entries.removeFirst(first)
            first = 0
        }
        return commit
    }

    /// How many are under way.
    var count: Int { entries.count - first }

    /// Offsets rise: the place is found by halving.
    private func index(of offset: Int64) -> Int? {
        var (low, high) = (first, entries.count)
        while low < high {
            let middle = (low + high) / 2
            if entries[middle].offset < offset { low = middle + 1 } else { high = middle }
        }
        return low < entries.count && entries[low].offset == offset ? low : nil
    }
}
