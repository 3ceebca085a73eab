import CFuzzer
import FuzzBodies
import Glibc

// usage: Fuzz TARGET [libFuzzer's options and corpus folders]; without a target the names are told.
//        Fuzz TARGET --seeds FOLDER   writes the target's good inputs there, for the fuzzer to start from

nonisolated(unsafe) private var chosen: FuzzTarget?

guard CommandLine.argc > 1, let target = FuzzTarget.all.first(where: { $0.name == CommandLine.arguments[1] }) else {
    print(FuzzTarget.all.map(\.name).joined(separator: "\n"))
    exit(CommandLine.argc > 1 ? 2 : 0)
}
chosen = target
if CommandLine.arguments.dropFirst(2).first == "--seeds", let folder = CommandLine.arguments.last {
    for (index, seed) in target.seeds.enumerated() {
        guard let file = fopen("\(folder)/seed-\(index)", "w") else { exit(1) }
        fwrite(seed, 1, seed.count, file)
        fclose(file)
    }
    exit(0)
}
// libFuzzer reads the words behind the target's name.
var words: [UnsafeMutablePointer<CChar>?] = [strdup("Fuzz")] + CommandLine.arguments.dropFirst(2).map { strdup($0) } + [nil]
var count = Int32(words.count - 1)
words.withUnsafeMutableBufferPointer { buffer in
    var argv = buffer.baseAddress
    _ = LLVMFuzzerRunDriver(&count, &argv) { data, size in
        chosen?.body(Array(UnsafeBufferPointer(start: data, count: size)))
        return 0
    }
}
