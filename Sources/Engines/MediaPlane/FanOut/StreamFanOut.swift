import RTP
import SecureRTP

/// A stream's listeners on TCP connections. Each one's copy is protected in a slot of the worker's arena, as for UDP, and goes out as a frame
/// of its own; whom the kernel does not take more for has a backlog, and nobody waits.
final class StreamFanOut {
    private struct Entry {
        let listener: Listener
        let sender: SRTPSender
        let connection: StreamConnection
        var isFresh = true
    }

    private let port: StreamPort
    private let arena: SecureFanOut.Arena
    private var entries: ContiguousArray<Entry> = []
    /// Frames of a batch, by slot, with their length before them; 0: none.
    private var sizes = [Int](repeating: 0, count: ListenerTable.batch)

    init(_ port: StreamPort, _ arena: SecureFanOut.Arena) { (self.port, self.arena) = (port, arena) }

    var count: Int { entries.count }

    func add(_ listener: Listener, _ sender: SRTPSender, on connection: StreamConnection) {
        listener.index = entries.count
        entries.append(Entry(listener: listener, sender: sender, connection: connection))
    }

    func address(of index: Int) -> SocketAddress { entries[index].connection.address }

    func remove(_ index: Int) {
        entries[index].listener.index = nil
        let last = entries.removeLast()
        guard index < entries.count else { return }
        entries[index] = last
        last.listener.index = index
    }

    /// Who hears this stream in turn with another under one SSRC goes on behind what it heard there.
    func resettle() { for index in entries.indices where entries[index].listener.ssrc != nil { entries[index].isFresh = true } }

    func send(_ packet: FanOut.Packet, counts: inout SendCounts, between: () -> Void) {
        let end = entries.count
        var start = 0
        while start < end {
            let stop = min(start + ListenerTable.batch, end)
            for index in start..<stop { sizes[index - start] = protect(index, packet, in: index - start) }
            arena.cipher.flush()
            for index in start..<stop where sizes[index - start] > 0 {
                port.send(UnsafeRawBufferPointer(start: frame(index - start), count: sizes[index - start]), on: entries[index].connection)
                counts.sent &+= 1
            }
            start = stop
            if start < end { between() }
        }
    }

    /// The RTP header begins at 4, as the ciphers like it; the frame's length stands before it.
    private func frame(_ slot: Int) -> UnsafeMutableRawPointer {
        arena.bytes + slot * SecureFanOut.Arena.slotSize + 4 - StreamFrame.headerSize
    }

    /// Queues a listener's copy.
    /// - Returns: the frame's size; 0: it gets nothing.
    private func protect(_ index: Int, _ packet: FanOut.Packet, in slot: Int) -> Int {
        let (listener, sender) = (entries[index].listener, entries[index].sender)
        guard listener !== packet.talker, !packet.dualOnly || listener.dual else { return 0 }
        if entries[index].isFresh {
            listener.settle(packet)
            entries[index].isFresh = false
        }
        let size = RTPHeader.size + packet.payload.count + sender.suite.tagBytes
        let bytes = frame(slot)
        let length = StreamFrame.header(size)
        bytes.storeBytes(of: length.0, as: UInt8.self)
        bytes.storeBytes(of: length.1, toByteOffset: 1, as: UInt8.self)
        let out = bytes + StreamFrame.headerSize
        packet.writeHeader(listener.payloadType, offset: listener.sequenceOffset, ssrc: listener.ssrc ?? packet.ssrc, to: out)
        return arena.cipher.add(sender.reference, payload: packet.payload, out: out) ? StreamFrame.headerSize + size : 0
    }
}
