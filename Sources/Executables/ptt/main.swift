import Glibc
import Tool

exit(await Tool.run(Array(CommandLine.arguments.dropFirst())))
