// usage: first PROGRAM ARGUMENT…
// Runs it as the media service runs the threads that packets and people wait for (Pace.prompt): before others where the system allows it
// (nice -10), and at once when it is woken (a turn of 0.1 ms).
#define _GNU_SOURCE
#include <stdint.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

int main(int argc, char **argv) {
    if (argc < 2) return 2;
    setpriority(PRIO_PROCESS, 0, -10);
    // struct sched_attr's first version (linux/sched/types.h), which libc's headers lack.
    struct {
        uint32_t size, policy;
        uint64_t flags;
        int32_t nice;
        uint32_t priority;
        uint64_t runtime, deadline, period;
    } attributes = {.size = 48, .nice = getpriority(PRIO_PROCESS, 0), .runtime = 100000};
    syscall(SYS_sched_setattr, 0, &attributes, 0);
    execv(argv[1], argv + 1);
    perror(argv[1]);
    return 1;
}
