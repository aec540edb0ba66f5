/* LD_PRELOAD: every fsync and fdatasync takes SLOW_DISK_US microseconds longer, as on a network disk. */
#define _GNU_SOURCE
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static void wait_longer(void) {
    const char *given = getenv("SLOW_DISK_US");
    long us = given ? atol(given) : 0;
    struct timespec pause = {us / 1000000, us % 1000000 * 1000};
    nanosleep(&pause, NULL);
}

int fsync(int fd) {
    wait_longer();
    return (int)syscall(SYS_fsync, fd);
}

int fdatasync(int fd) {
    wait_longer();
    return (int)syscall(SYS_fdatasync, fd);
}
