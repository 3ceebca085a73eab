// usage: first PROGRAM ARGUMENT…
// Runs it as the media service runs the threads that packets and people wait for (Pace.prompt): before others where the system allows it
// (nice -10), and at once when it is woken (a turn of 0.1 ms), by the same code.
#include "../Sources/C/CLinux/CLinux.c"

#include <stdio.h>

int main(int argc, char **argv) {
    if (argc < 2) return 2;
    setpriority(PRIO_PROCESS, 0, -10);
    clinux_set_slice(100000);
    execv(argv[1], argv + 1);
    perror(argv[1]);
    return 1;
}
