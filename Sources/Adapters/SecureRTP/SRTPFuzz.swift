/// What a fuzzer runs; in the library, so that it cannot rot.
public enum SRTPFuzz {
    /// Feeds bytes to receivers of every suite as RTP, as RTCP and as the text of a key.
    /// - Returns: how many took them, which is none for whoever has not the key.
    public static func run(_ bytes: UnsafeRawBufferPointer) -> Int {
        var taken = 0
        let copy = UnsafeMutableRawBufferPointer.allocate(byteCount: bytes.count, alignment: 1)
        defer { copy.deallocate() }
        for suite in SRTPSuite.allCases {
            guard let key = try? SRTPKey(suite, bytes: [UInt8](repeating: 0x5a, count: SRTPKey.byteCount(suite))),
                let receiver = try? SRTPReceiver(key), let sender = try? SRTPSender(key)
            else { continue }
            copy.copyMemory(from: bytes)
            if (try? receiver.unprotect(copy)) != nil { taken += 1 }
            copy.copyMemory(from: bytes)
            if (try? receiver.unprotectRTCP(copy)) != nil { taken += 1 }
            // What is protected here comes back whole, whatever it is.
            let room = UnsafeMutableRawBufferPointer.allocate(byteCount: bytes.count + suite.rtcpOverhead, alignment: 1)
            defer { room.deallocate() }
            room.copyMemory(from: bytes)
            if let length = try? sender.protect(room, count: bytes.count) {
                let plain = try? receiver.unprotect(UnsafeMutableRawBufferPointer(rebasing: room[..<length]))
                if plain != bytes.count || !room.prefix(bytes.count).elementsEqual(bytes) { taken += 1 }
            }
            _ = try? SRTPKey(suite, sdes: "inline:" + String(decoding: bytes, as: UTF8.self))
        }
        return taken
    }
}
