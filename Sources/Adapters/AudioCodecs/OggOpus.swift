/// The packets of an Ogg Opus file (RFC 3533, RFC 7845).
public enum OggOpus {
    /// Nil where the pages are broken. The two header packets are left out.
    public static func packets(_ bytes: [UInt8]) -> [[UInt8]]? {
        var packets: [[UInt8]] = []
        var partial: [UInt8] = []
        var offset = 0
        while offset + 27 <= bytes.count {
            guard bytes[offset..<offset + 4].elementsEqual("OggS".utf8) else { return nil }
            let segments = Int(bytes[offset + 26])
            var position = offset + 27 + segments
            guard position <= bytes.count else { return nil }
            for index in 0..<segments {
                let size = Int(bytes[offset + 27 + index])
                guard position + size <= bytes.count else { return nil }
                partial += bytes[position..<position + size]
                position += size
                if size < 255 {
                    packets.append(partial)
                    partial = []
                }
            }
            offset = position
        }
        return packets.count > 2 ? Array(packets.dropFirst(2)) : nil
    }
}
