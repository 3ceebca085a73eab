#include <stdbool.h>
#include <sys/time.h>
#include <time.h>

#include "CClock.h"

static _Thread_local bool is_told;
static _Thread_local int64_t told_ns;

void cclock_tell(int64_t ns) {
    told_ns = ns;
    is_told = true;
}

void cclock_forget(void) { is_told = false; }

int gettimeofday(struct timeval *restrict time, void *restrict zone) {
    (void)zone;
    if (is_told) {
        time->tv_sec = told_ns / 1000000000;
        time->tv_usec = told_ns % 1000000000 / 1000;
        return 0;
    }
    struct timespec now;
    if (clock_gettime(CLOCK_REALTIME, &now) != 0) return -1;
    time->tv_sec = now.tv_sec;
    time->tv_usec = now.tv_nsec / 1000;
    return 0;
}
