import CLinux
import Glibc

/// A media worker's one UDP port, with the buffers of its batches. Used by its worker's thread only.
final class UDPSocket {
    /// How many datagrams one recvmmsg(2) takes.
    static let receiveBatch = 64
    /// The largest datagram that is taken whole; what is longer is cut, and fails to parse or to matter.
    static let datagramSize = 2_048

    let descriptor: Int32
    let family: Int32
    let port: UInt16
    private let headers: UnsafeMutablePointer<clinux_mmsghdr>
    private let vectors: UnsafeMutablePointer<iovec>
    private let addresses: UnsafeMutablePointer<sockaddr_storage>
    private let buffers: UnsafeMutableRawPointer

    /// Binds.
    /// - Throws: `SocketError` that names the address and the kernel's reason.
    init(_ address: SocketAddress, bufferBytes: Int) throws(SocketError) {
        let bound = try BoundSocket(address, SOCK_DGRAM)
        (descriptor, family, port) = (bound.descriptor, bound.family, bound.port)
        var size = Int32(clamping: bufferBytes)
        for option in [SO_RCVBUF, SO_SNDBUF] {
            setsockopt(descriptor, SOL_SOCKET, option, &size, socklen_t(MemoryLayout<Int32>.size))
        }
        headers = .allocate(capacity: UDPSocket.receiveBatch)
        vectors = .allocate(capacity: UDPSocket.receiveBatch)
        addresses = .allocate(capacity: UDPSocket.receiveBatch)
        buffers = .allocate(byteCount: UDPSocket.receiveBatch * UDPSocket.datagramSize, alignment: 64)
        for index in 0..<UDPSocket.receiveBatch {
            vectors[index] = iovec(iov_base: buffers + index * UDPSocket.datagramSize, iov_len: UDPSocket.datagramSize)
            headers[index] = clinux_mmsghdr()
            headers[index].header.msg_name = UnsafeMutableRawPointer(addresses + index)
            headers[index].header.msg_iov = vectors + index
            headers[index].header.msg_iovlen = 1
        }
    }

    deinit {
        close(descriptor)
        headers.deallocate()
        vectors.deallocate()
        addresses.deallocate()
        buffers.deallocate()
    }

    /// Takes a batch of datagrams.
    /// - Parameter before: called once the datagrams are here, before the first is given out.
    /// - Returns: how many there were; `receiveBatch`: there may be more.
    func receive(before: () -> Void, _ body: (SocketAddress, UnsafeMutableRawBufferPointer) -> Void) -> Int {
        for index in 0..<UDPSocket.receiveBatch { headers[index].header.msg_namelen = socklen_t(MemoryLayout<sockaddr_storage>.size) }
        let count = Int(clinux_recvmmsg(descriptor, headers, UInt32(UDPSocket.receiveBatch), Int32(MSG_DONTWAIT)))
        guard count > 0 else { return 0 }
        before()
        for index in 0..<count {
            guard let from = SocketAddress(UnsafeRawPointer(addresses + index)) else { continue }
            body(from, UnsafeMutableRawBufferPointer(start: buffers + index * UDPSocket.datagramSize, count: Int(headers[index].length)))
        }
        return count
    }

    /// For datagrams that are no media. The socket must outlive it.
    var sender: DatagramSender { DatagramSender(descriptor: descriptor, family: family) }
}

/// Sends single datagrams from a worker's port, from any thread: RTCP, STUN, DTLS.
struct DatagramSender: Sendable {
    fileprivate let descriptor: Int32
    fileprivate let family: Int32

    func send(_ datagram: [UInt8], to address: SocketAddress) {
        var place = sockaddr_storage()
        withUnsafeMutableBytes(of: &place) { raw in
            guard let start = raw.baseAddress else { return }
            let length = address.write(to: start, family: family)
            sendto(
                descriptor, datagram, datagram.count, Int32(MSG_DONTWAIT), raw.assumingMemoryBound(to: sockaddr.self).baseAddress, length)
        }
    }
}
