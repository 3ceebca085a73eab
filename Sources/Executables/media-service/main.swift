import Glibc
import MediaService

exit(await MediaService.program.run(Array(CommandLine.arguments.dropFirst())))
