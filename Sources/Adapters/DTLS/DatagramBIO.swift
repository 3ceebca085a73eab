import COpenSSL

/// Datagrams to and from OpenSSL, which knows streams and files by itself: each write is one datagram, each read takes one.
final class DatagramQueue {
    /// What goes out, one by one.
    var outgoing: [[UInt8]] = []
    /// The datagram that is being read.
    var incoming: UnsafeRawBufferPointer?
    /// The largest datagram that goes out, bytes (RFC 8261: 1,200 fits everywhere).
    static let mtu = 1_200

    /// How OpenSSL reaches it.
    private static let method: BIOMethod = BIOMethod()

    /// A BIO over this queue, which must outlive it.
    func makeBIO() -> OpaquePointer? {
        guard let bio = BIO_new(DatagramQueue.method.pointer) else { return nil }
        BIO_set_data(bio, Unmanaged.passUnretained(self).toOpaque())
        BIO_set_init(bio, 1)
        return bio
    }

    fileprivate static func of(_ bio: OpaquePointer?) -> DatagramQueue? {
        BIO_get_data(bio).map { Unmanaged<DatagramQueue>.fromOpaque($0).takeUnretainedValue() }
    }
}

/// `unchecked` Sendable is right: it is made once and only read.
private final class BIOMethod: @unchecked Sendable {
    let pointer: OpaquePointer?

    init() {
        pointer = BIO_meth_new(Int32(BIO_TYPE_SOURCE_SINK) | BIO_get_new_index(), "datagrams")
        BIO_meth_set_write(pointer) { bio, bytes, count in
            guard let queue = DatagramQueue.of(bio), let bytes, count > 0 else { return -1 }
            queue.outgoing.append(Array(UnsafeRawBufferPointer(start: bytes, count: Int(count))))
            return count
        }
        BIO_meth_set_read(pointer) { bio, bytes, count in
            BIO_clear_flags(bio, Int32(BIO_FLAGS_READ | BIO_FLAGS_WRITE | BIO_FLAGS_IO_SPECIAL | BIO_FLAGS_SHOULD_RETRY))
            guard let queue = DatagramQueue.of(bio), let datagram = queue.incoming, let bytes, count > 0 else {
                BIO_set_flags(bio, Int32(BIO_FLAGS_READ | BIO_FLAGS_SHOULD_RETRY))
                return -1
            }
            // What is longer than OpenSSL's buffer is cut, as recvfrom(2) does.
            let taken = min(Int(count), datagram.count)
            UnsafeMutableRawBufferPointer(start: bytes, count: taken).copyMemory(from: UnsafeRawBufferPointer(rebasing: datagram[..<taken]))
            queue.incoming = nil
            return Int32(taken)
        }
        BIO_meth_set_ctrl(pointer) { _, command, _, _ in
            switch command {
            case BIO_CTRL_FLUSH, BIO_CTRL_DUP: 1
            case Int32(BIO_CTRL_DGRAM_QUERY_MTU), Int32(BIO_CTRL_DGRAM_GET_FALLBACK_MTU): DatagramQueue.mtu
            default: 0
            }
        }
    }
}
