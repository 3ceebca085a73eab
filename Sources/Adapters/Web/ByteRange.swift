/// What a `Range` header asks of a resource of a certain length (RFC 9110, 14.2).
public enum ByteRange: Hashable, Sendable {
    /// The whole resource: the header is absent, not understood, or asks for several ranges.
    case whole
    /// These bytes.
    case part(Range<Int>)
    /// Nothing of what is asked for exists.
    case unsatisfiable

    /// Reads a header's value.
    /// - Parameter length: the resource's, in bytes; 0…
    public init(header: String?, length: Int) {
        self = .whole
        guard let header, header.lowercased().hasPrefix("bytes=") else { return }
        let spec = header.dropFirst("bytes=".count).filter { $0 != " " && $0 != "\t" }
        let parts = spec.split(separator: "-", omittingEmptySubsequences: false)
        guard parts.count == 2, !spec.contains(",") else { return }
        let digits: (Substring) -> Bool = { $0.utf8.allSatisfy { (48...57).contains($0) } }
        guard digits(parts[0]), digits(parts[1]) else { return }
        // A number too large for Int lies behind every end.
        let first = Int(parts[0]) ?? Int.max
        let last = Int(parts[1]) ?? Int.max
        switch (parts[0].isEmpty, parts[1].isEmpty) {
        case (true, true): return
        case (true, false): self = last == 0 || length == 0 ? .unsatisfiable : .part(max(0, length - last)..<length)
        case (false, true): self = first >= length ? .unsatisfiable : .part(first..<length)
        case (false, false):
            guard first <= last else { return }
            self = first >= length ? .unsatisfiable : .part(first..<(min(last, length - 1) + 1))
        }
    }
}
