import COpenSSL

/// Bytes that are wiped when nobody has them any more.
///
/// `unchecked` Sendable is right: the bytes are written before `init` returns and only read from then on.
final class Secret: @unchecked Sendable {
    private let memory: UnsafeMutableRawBufferPointer

    var bytes: UnsafeRawBufferPointer { UnsafeRawBufferPointer(memory) }

    init<Failure: Error>(count: Int, _ write: (UnsafeMutableRawBufferPointer) throws(Failure) -> Void) throws(Failure) {
        memory = .allocate(byteCount: count, alignment: 8)
        memory.initializeMemory(as: UInt8.self, repeating: 0)
        try write(memory)
    }

    deinit {
        OPENSSL_cleanse(memory.baseAddress, memory.count)
        memory.deallocate()
    }

    /// In a time that does not depend on where they differ.
    static func isEqual(_ left: UnsafeRawBufferPointer, _ right: UnsafeRawBufferPointer) -> Bool {
        left.count == right.count && CRYPTO_memcmp(left.baseAddress, right.baseAddress, left.count) == 0
    }
}
