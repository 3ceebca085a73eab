/// What protects packets for many listeners. Both give the same bytes.
public enum SRTPBackend: Sendable, Hashable, CaseIterable {
    /// intel-ipsec-mb, for CPUs with AES and carry-less multiplication.
    case ipsecMB
    /// OpenSSL with one kept context per listener, anywhere.
    case openSSL

    /// The fastest that the CPU has; found out once.
    public static let best: SRTPBackend = IPSecMB.isAvailable ? .ipsecMB : .openSSL

    /// Whether it is built in and the CPU has what it needs.
    public var isAvailable: Bool { self == .openSSL || IPSecMB.isAvailable }

    /// The library, its version and the CPU's extension it uses, for `--version` and metrics: "intel-ipsec-mb 1.3.0 (AVX-512)".
    public var name: String { self == .ipsecMB ? IPSecMB.name : OpenSSLCipher.name }
}
