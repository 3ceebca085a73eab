import CLinux
import Glibc

/// The message headers and addresses of a stream's listeners, kept from packet to packet so that sendmmsg(2) takes them as they are.
///
/// A place in it is a number below `count`; the last one moves into the place of one that goes. Used by its worker's thread only.
final class ListenerTable {
    private let family: Int32
    private var capacity = 8
    private(set) var headers: UnsafeMutablePointer<clinux_mmsghdr>
    private var addresses: UnsafeMutableRawPointer
    private(set) var listeners: ContiguousArray<Listener> = []
    private static let addressSize = 32

    init(family: Int32) {
        self.family = family
        headers = .allocate(capacity: capacity)
        addresses = .allocate(byteCount: capacity * ListenerTable.addressSize, alignment: 8)
    }

    deinit {
        headers.deallocate()
        addresses.deallocate()
    }

    var count: Int { listeners.count }

    /// Gives a listener the next place.
    func append(_ listener: Listener, at address: SocketAddress) -> Int {
        if count == capacity { grow() }
        let index = count
        headers[index] = clinux_mmsghdr()
        headers[index].header.msg_iovlen = 1
        setAddress(address, of: index)
        listeners.append(listener)
        listener.index = index
        return index
    }

    /// Takes a place away.
    /// - Returns: the place that the last listener left to come here, where it did.
    func remove(_ index: Int) -> Int? {
        listeners[index].index = nil
        let last = listeners.removeLast()
        guard index < count else { return nil }
        memcpy(addresses + index * ListenerTable.addressSize, addresses + count * ListenerTable.addressSize, ListenerTable.addressSize)
        headers[index].header.msg_namelen = headers[count].header.msg_namelen
        listeners[index] = last
        last.index = index
        return count
    }

    func setAddress(_ address: SocketAddress, of index: Int) {
        let place = addresses + index * ListenerTable.addressSize
        headers[index].header.msg_namelen = address.write(to: place, family: family)
        headers[index].header.msg_name = place
    }

    private func grow() {
        let newHeaders = UnsafeMutablePointer<clinux_mmsghdr>.allocate(capacity: capacity * 2)
        let newAddresses = UnsafeMutableRawPointer.allocate(byteCount: capacity * 2 * ListenerTable.addressSize, alignment: 8)
        newHeaders.moveInitialize(from: headers, count: count)
        memcpy(newAddresses, addresses, count * ListenerTable.addressSize)
        for index in 0..<count { newHeaders[index].header.msg_name = newAddresses + index * ListenerTable.addressSize }
        headers.deallocate()
        addresses.deallocate()
        (headers, addresses) = (newHeaders, newAddresses)
        capacity *= 2
    }
}

/// What sending cost and lost.
struct SendCounts {
    /// Packets of the stream, whoever heard them, and their payloads' bytes.
    var packets: UInt64 = 0
    var octets: UInt64 = 0
    /// Datagrams that the kernel took, and did not take.
    var sent: UInt64 = 0
    var refusedByKernel: UInt64 = 0
}

extension ListenerTable {
    /// How many go to the kernel in one call; control is looked at between them. That takes some 0.1 ms, and the call a fiftieth of it.
    static let batch = 32

    /// Sends the places from `start` to `end`.
    /// - Parameters:
    ///   - more: more is sent behind it.
    ///   - between: called between batches, while more is to be sent.
    func transmit(_ start: Int, _ end: Int, on socket: Int32, more: Bool, counts: inout SendCounts, between: () -> Void) {
        var index = start
        while index < end {
            let wanted = min(ListenerTable.batch, end - index)
            let sent = Int(clinux_sendmmsg(socket, headers + index, UInt32(wanted), Int32(MSG_DONTWAIT)))
            if sent > 0 {
                counts.sent &+= UInt64(sent)
                index += sent
            } else {
                // This one's way is closed (a full buffer, an ICMP error): the others still get theirs.
                counts.refusedByKernel &+= 1
                index += 1
            }
            if index < end || more { between() }
        }
    }
}
