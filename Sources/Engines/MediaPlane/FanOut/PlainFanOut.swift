import CLinux
import Glibc
import RTP

/// A stream's listeners without encryption: every distinct form of a packet is written once, and each listener's message header points to
/// its form. Per packet nothing is done per listener but sendmmsg(2) itself.
///
/// The pointers are stable while a packet is on its way: what goes in the middle of it is taken away after it.
final class PlainFanOut {
    /// A form of the packet: what differs between listeners.
    struct Form: Hashable {
        var payloadType: UInt8
        var sequenceOffset: UInt16
        /// Its own (a forwarder's), or nil: the stream's.
        var ssrc: UInt32?
    }
    /// A form's bytes, and how many listeners point to it.
    final class Variant {
        let vector: UnsafeMutablePointer<iovec>
        let bytes: UnsafeMutableRawPointer
        let form: Form
        var listeners = 0
        init(_ form: Form) {
            self.form = form
            vector = .allocate(capacity: 1)
            bytes = .allocate(byteCount: RTPHeader.size + FanOut.payloadMaximum, alignment: 64)
            vector.initialize(to: iovec(iov_base: bytes, iov_len: 0))
        }
        deinit {
            vector.deallocate()
            bytes.deallocate()
        }
    }

    private let table: ListenerTable
    private var variants: ContiguousArray<Variant> = []
    private var places: [Form: Variant] = [:]
    private var isSending = false

    init(family: Int32) { table = ListenerTable(family: family) }

    var count: Int { table.count }

    func add(_ listener: Listener, to address: SocketAddress) { point(table.append(listener, at: address), to: listener) }

    func setAddress(_ address: SocketAddress, of index: Int) { table.setAddress(address, of: index) }

    func remove(_ index: Int) {
        release(table.listeners[index])
        if let from = table.remove(index) { table.headers[index].header.msg_iov = table.headers[from].header.msg_iov }
    }

    /// A listener's form changed: its payload type, or its offset after a burst of its own.
    func reform(_ listener: Listener) {
        guard let index = listener.index else { return }
        release(listener)
        point(index, to: listener)
    }

    func send(_ packet: FanOut.Packet, on socket: Int32, counts: inout SendCounts, between: () -> Void) {
        guard table.count > 0, let payload = packet.payload.baseAddress else { return }
        for variant in variants where variant.listeners > 0 {
            packet.writeHeader(
                variant.form.payloadType, offset: variant.form.sequenceOffset, ssrc: variant.form.ssrc ?? packet.ssrc, to: variant.bytes)
            memcpy(variant.bytes + RTPHeader.size, payload, packet.payload.count)
            variant.vector.pointee.iov_len = RTPHeader.size + packet.payload.count
        }
        isSending = true
        defer { isSending = false }
        let end = table.count
        let own = packet.talker?.carrier == .plain ? packet.talker?.index ?? end : end
        if packet.dualOnly {
            // Those who hear both may stand anywhere: run by run, and control is looked at behind each.
            var index = 0
            while index < end {
                let start = index
                while index < end, index != own, table.listeners[index].dual { index += 1 }
                if index > start { table.transmit(start, index, on: socket, more: index < end, counts: &counts, between: between) }
                while index < end, index == own || !table.listeners[index].dual { index += 1 }
            }
        } else {
            table.transmit(0, min(own, end), on: socket, more: own + 1 < end, counts: &counts, between: between)
            table.transmit(own + 1, end, on: socket, more: false, counts: &counts, between: between)
        }
    }

    private func point(_ index: Int, to listener: Listener) {
        let form = Form(payloadType: listener.payloadType, sequenceOffset: listener.sequenceOffset, ssrc: listener.ssrc)
        let variant: Variant
        if let known = places[form] {
            variant = known
        } else {
            // An unused one is kept until here, so that a form in use never moves.
            if !isSending, places.count > 32 { forgetUnused() }
            variant = Variant(form)
            places[form] = variant
            variants.append(variant)
        }
        variant.listeners += 1
        table.headers[index].header.msg_iov = variant.vector
        listener.variant = variant
    }

    private func release(_ listener: Listener) {
        listener.variant?.listeners -= 1
        listener.variant = nil
    }

    private func forgetUnused() {
        variants.removeAll { $0.listeners == 0 }
        places = places.filter { $0.value.listeners > 0 }
    }
}
