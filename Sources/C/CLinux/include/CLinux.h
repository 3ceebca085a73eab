#ifndef TALKBURST_CLINUX_H
#define TALKBURST_CLINUX_H

// What Glibc's module map can't give Swift. Each says why it is here.

#include <netinet/in.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

/// The layout of `struct mmsghdr`, which needs _GNU_SOURCE before the first system header: Swift's Glibc is compiled without it.
struct clinux_mmsghdr {
    struct msghdr header;
    unsigned int length;
};

/// sendmmsg(2): GNU extension.
int clinux_sendmmsg(int socket, struct clinux_mmsghdr *messages, unsigned int count, int flags);
/// recvmmsg(2) without a timeout: GNU extension.
int clinux_recvmmsg(int socket, struct clinux_mmsghdr *messages, unsigned int count, int flags);
/// accept4(2), nonblocking and closed on exec: GNU extension.
int clinux_accept(int socket, struct sockaddr *address, socklen_t *length);
/// pthread_setname_np(3) for the calling thread: GNU extension.
void clinux_name_thread(const char *name);
/// How late the kernel may wake the calling thread, and each thread that it starts from now on, ns (PR_SET_TIMERSLACK; prctl(2) is
/// variadic). Returns what it was.
long clinux_set_timer_slack(long nanoseconds);
/// Asks the scheduler for turns of `nanoseconds` (100,000 to 100,000,000; 0: the usual) for the calling thread and each that it starts from
/// now on: the shorter, the sooner it runs when it is woken. sched_setattr(2), which libc has no function for; kernels before 6.12 take no
/// notice.
void clinux_set_slice(unsigned long nanoseconds);
/// Puts the calling thread before all that is not real-time (sched(7): SCHED_RR, priority 1 to 99, the higher first); what it starts is as usual
/// again. Returns 0, or -1 where it has neither CAP_SYS_NICE nor as much RLIMIT_RTPRIO.
int clinux_set_realtime(int priority);
/// Whether clinux_set_realtime would do it for a thread of this process: tried on one that ends with the call.
bool clinux_may_be_realtime(int priority);
/// fork(2) and execve(2), which Swift can't call one after the other: the child gets its own process group and dies with the
/// thread that calls this (PR_SET_PDEATHSIG), which must live as long as the process. Returns the pid or -1.
pid_t clinux_spawn(const char *path, char *const arguments[], char *const environment[], int output, int error);

#endif
