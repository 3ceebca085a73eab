import CLinux
import Glibc
import RTP
import SecureRTP

/// A stream's listeners with keys of their own: batch by batch, each one's copy is protected into a slot of the worker's arena, many per
/// call of the cipher, and sent from there.
final class SecureFanOut {
    /// Where a batch's copies are made; one for each worker, as only one batch is on its way at a time.
    final class Arena {
        static let slotSize = 2_048
        let bytes: UnsafeMutableRawPointer
        fileprivate let vectors: UnsafeMutablePointer<iovec>
        let cipher: SRTPBatch

        /// - Throws: `SRTPError` where memory is out.
        init() throws {
            cipher = try SRTPBatch()
            bytes = .allocate(byteCount: ListenerTable.batch * Arena.slotSize, alignment: 64)
            vectors = .allocate(capacity: ListenerTable.batch)
            for slot in 0..<ListenerTable.batch {
                // The payload behind the 12 bytes of header begins at 16: ciphers like it so.
                vectors[slot] = iovec(iov_base: bytes + slot * Arena.slotSize + 4, iov_len: 0)
            }
        }

        deinit {
            bytes.deallocate()
            vectors.deallocate()
        }
    }

    /// What is needed of a listener for each packet, side by side and without references.
    private struct Entry {
        var sender: SRTPSender.Reference
        /// Its own, or (0) the stream's.
        var ssrc: UInt32
        var sequenceOffset: UInt16
        var payloadType: UInt8
        var tagBytes: UInt8
        var dual: Bool
        /// Its first packet of this stream is still to come: its numbering is settled then.
        var isFresh = true
    }

    /// For how many listeners ahead the memory is asked.
    private static let ahead = 8

    private let table: ListenerTable
    private let arena: Arena
    private var entries: ContiguousArray<Entry> = []

    init(family: Int32, arena: Arena) {
        table = ListenerTable(family: family)
        self.arena = arena
    }

    var count: Int { table.count }

    func add(_ listener: Listener, _ sender: SRTPSender, to address: SocketAddress) {
        let index = table.append(listener, at: address)
        table.headers[index].header.msg_iov = arena.vectors + index % ListenerTable.batch
        entries.append(
            Entry(
                sender: sender.reference, ssrc: listener.ssrc ?? 0, sequenceOffset: listener.sequenceOffset,
                payloadType: listener.payloadType,
                tagBytes: UInt8(sender.suite.tagBytes), dual: listener.dual))
    }

    func setAddress(_ address: SocketAddress, of index: Int) { table.setAddress(address, of: index) }

    func remove(_ index: Int) {
        _ = table.remove(index)
        let last = entries.removeLast()
        if index < entries.count { entries[index] = last }
    }

    /// A listener's offset changed after a burst of its own, or what it hears of a dual floor.
    func reform(_ listener: Listener) {
        if let index = listener.index { (entries[index].sequenceOffset, entries[index].dual) = (listener.sequenceOffset, listener.dual) }
    }

    /// Who hears this stream in turn with another under one SSRC goes on behind what it heard there.
    func resettle() {
        for index in entries.indices where entries[index].ssrc != 0 { entries[index].isFresh = true }
    }

    func send(_ packet: FanOut.Packet, on socket: Int32, counts: inout SendCounts, between: () -> Void) {
        let end = table.count
        let own = packet.talker?.carrier == .secure ? packet.talker?.index ?? end : end
        var start = 0
        while start < end {
            let stop = min(start + ListenerTable.batch, end)
            sendBatch(packet, start, stop, except: own, on: socket, counts: &counts)
            start = stop
            if start < end { between() }
        }
    }

    /// Protects and sends what lies in one block of slots; a listener that gets nothing splits it.
    private func sendBatch(_ packet: FanOut.Packet, _ start: Int, _ stop: Int, except own: Int, on socket: Int32, counts: inout SendCounts)
    {
        let size = RTPHeader.size + packet.payload.count
        var runStart = start
        for index in start...stop {
            var isTaken = false
            if index + Self.ahead < stop { arena.cipher.prepare(entries[index + Self.ahead].sender) }
            if index < stop, index != own {
                if entries[index].isFresh { settle(index, packet) }
                let entry = entries[index]
                if !packet.dualOnly || entry.dual {
                    let slot = index % ListenerTable.batch
                    let out = arena.bytes + slot * Arena.slotSize + 4
                    packet.writeHeader(
                        entry.payloadType, offset: entry.sequenceOffset, ssrc: entry.ssrc == 0 ? packet.ssrc : entry.ssrc, to: out)
                    arena.vectors[slot].iov_len = size + Int(entry.tagBytes)
                    isTaken = arena.cipher.add(entry.sender, payload: packet.payload, out: out)
                }
            }
            guard !isTaken else { continue }
            if runStart < index {
                arena.cipher.flush()
                table.transmit(runStart, index, on: socket, more: false, counts: &counts) {}
            }
            runStart = index + 1
        }
    }

    private func settle(_ index: Int, _ packet: FanOut.Packet) {
        let listener = table.listeners[index]
        listener.settle(packet)
        entries[index].sequenceOffset = listener.sequenceOffset
        entries[index].isFresh = false
    }
}
