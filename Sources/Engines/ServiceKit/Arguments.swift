/// What a service's command line asks for.
struct Arguments: Hashable {
    enum Action: Hashable {
        case run
        case checkConfig
        case version
        case help
        case subcommand(String, [String])
    }

    var action = Action.run
    var configFile: String?

    /// - Returns: nil and what is wrong, or the arguments.
    static func parse(_ arguments: [String], subcommands: [String]) -> (arguments: Arguments?, problem: String) {
        var result = Arguments()
        var rest = arguments[...]
        while let argument = rest.popFirst() {
            switch argument {
            case "--help", "-h": result.action = .help
            case "--version": result.action = .version
            case "--check-config": result.action = .checkConfig
            case "--config":
                guard let file = rest.popFirst() else { return (nil, "--config needs a file") }
                result.configFile = file
            case let text where text.hasPrefix("--config="): result.configFile = String(text.dropFirst("--config=".count))
            case let name where subcommands.contains(name):
                var own: [String] = []
                // --config may stand behind the subcommand too.
                while let next = rest.popFirst() {
                    if next == "--config", let file = rest.popFirst() { result.configFile = file } else { own.append(next) }
                }
                result.action = .subcommand(name, own)
            default: return (nil, "unknown argument \(argument)")
            }
        }
        return (result, "")
    }
}
