import FileArchive
import Glibc

exit(await FileArchive.program.run(Array(CommandLine.arguments.dropFirst())))
