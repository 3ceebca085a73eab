#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "CLinux.h"

_Static_assert(sizeof(struct clinux_mmsghdr) == sizeof(struct mmsghdr), "clinux_mmsghdr must have the layout of mmsghdr");

int clinux_sendmmsg(int socket, struct clinux_mmsghdr *messages, unsigned int count, int flags) {
    return sendmmsg(socket, (struct mmsghdr *)messages, count, flags);
}

int clinux_recvmmsg(int socket, struct clinux_mmsghdr *messages, unsigned int count, int flags) {
    return recvmmsg(socket, (struct mmsghdr *)messages, count, flags, NULL);
}

int clinux_accept(int socket, struct sockaddr *address, socklen_t *length) {
    return accept4(socket, address, length, SOCK_NONBLOCK | SOCK_CLOEXEC);
}

void clinux_name_thread(const char *name) { pthread_setname_np(pthread_self(), name); }

long clinux_set_timer_slack(long nanoseconds) {
    long before = prctl(PR_GET_TIMERSLACK);
    prctl(PR_SET_TIMERSLACK, (unsigned long)nanoseconds);
    return before;
}

void clinux_set_slice(unsigned long nanoseconds) {
    // struct sched_attr, which libc's headers lack: its first version, of 48 bytes (linux/sched/types.h).
    struct {
        uint32_t size, policy;
        uint64_t flags;
        int32_t nice;
        uint32_t priority;
        uint64_t runtime, deadline, period;
    } attributes = {.size = 48, .nice = getpriority(PRIO_PROCESS, 0), .runtime = nanoseconds};
    syscall(SYS_sched_setattr, 0, &attributes, 0);
}

int clinux_set_realtime(int priority) {
    // 0 is the calling thread for the kernel, and libc passes it on.
    struct sched_param parameters = {.sched_priority = priority};
    return sched_setscheduler(0, SCHED_RR | SCHED_RESET_ON_FORK, &parameters);
}

static void *try_realtime(void *priority) {
    *(int *)priority = clinux_set_realtime(*(int *)priority);
    return NULL;
}

bool clinux_may_be_realtime(int priority) {
    pthread_t thread;
    if (pthread_create(&thread, NULL, try_realtime, &priority) != 0) return false;
    pthread_join(thread, NULL);
    return priority == 0;
}

pid_t clinux_spawn(const char *path, char *const arguments[], char *const environment[], int output, int error) {
    pid_t parent = getpid();
    pid_t child = fork();
    if (child != 0) { return child; }
    // From here only what is safe after a fork of a process with threads.
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    // What is ignored stays ignored in another program; the child decides for itself.
    signal(SIGTERM, SIG_DFL);
    signal(SIGINT, SIG_DFL);
    signal(SIGPIPE, SIG_DFL);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) { _exit(127); }
    setpgid(0, 0);
    if (output >= 0) { dup2(output, STDOUT_FILENO); }
    if (error >= 0) { dup2(error, STDERR_FILENO); }
    close_range(3, ~0U, 0);
    execve(path, arguments, environment);
    _exit(127);
}
