// usage: first PROGRAM ARGUMENT…
// Runs it as the media service runs the threads that packets and people wait for (Pace.realTime): whatever else computes, where the system
// allows it. Its threads and children have the same.
#define _GNU_SOURCE
#include <sched.h>
#include <stdio.h>
#include <unistd.h>

int main(int argc, char **argv) {
    if (argc < 2) return 2;
    struct sched_param parameters = {.sched_priority = 2};
    sched_setscheduler(0, SCHED_RR, &parameters);
    execv(argv[1], argv + 1);
    perror(argv[1]);
    return 1;
}
