import BackOffice
import Glibc

exit(await BackOffice.program.run(Array(CommandLine.arguments.dropFirst())))
