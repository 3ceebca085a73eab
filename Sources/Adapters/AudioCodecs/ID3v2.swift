/// Writes an ID3v2.4 tag (id3.org, "ID3v2.4.0-structure"): UTF-8 text frames, no padding.
public struct ID3v2: Sendable, Hashable {
    private var frames: [UInt8] = []

    /// An empty tag.
    public init() {}

    /// Adds a text frame: `TIT2` title, `TPE1` artist, `TALB` album, `TDRC` date (`2026-01-31T12:00:00`).
    public mutating func add(_ id: String, _ text: String) { addFrame(id, Array(text.utf8)) }

    /// Adds a text of one's own name (`TXXX`).
    public mutating func add(custom name: String, _ text: String) { addFrame("TXXX", Array(name.utf8) + [0] + Array(text.utf8)) }

    /// The bytes that belong in front of the first MP3 frame.
    public var bytes: [UInt8] { Array("ID3".utf8) + [4, 0, 0] + Self.syncsafe(frames.count) + frames }

    /// How many bytes at the beginning of a file are its tag; 0 where it has none.
    public static func length(ofTagIn head: [UInt8]) -> Int {
        guard head.count >= 10, head.starts(with: "ID3".utf8), head[6..<10].allSatisfy({ $0 < 0x80 }) else { return 0 }
        return 10 + head[6..<10].reduce(0) { $0 << 7 | Int($1) }
    }

    private mutating func addFrame(_ id: String, _ content: [UInt8]) {
        // 3: UTF-8.
        frames += Array(id.utf8) + Self.syncsafe(content.count + 1) + [0, 0, 3] + content
    }

    /// A number in four bytes of seven bits.
    private static func syncsafe(_ number: Int) -> [UInt8] { [21, 14, 7, 0].map { UInt8(number >> $0 & 0x7f) } }
}
