/// Why a codec could not do its work.
public struct CodecError: Error, Sendable, CustomStringConvertible {
    /// What kind of thing went wrong.
    public struct Code: Sendable, Hashable {
        private let name: String
        /// The parameters are none that the codec knows.
        public static let parameters = Code(name: "parameters")
        /// The data are broken.
        public static let data = Code(name: "data")
    }

    /// What kind of thing went wrong.
    public let code: Code
    /// Which codec, and what it says.
    public let description: String
}
