/* LD_PRELOAD: a disk that fails as the file BAD_DISK says, for as long as it says so.
 *
 *   full       what makes a file longer is refused with ENOSPC; what is there can be overwritten
 *   io         every fsync and fdatasync fails with EIO
 *   readonly   every write, and every opening for writing, is refused with EROFS
 *
 * Only SQLite's calls are met: logs and sockets are written with write(), the lock file is opened through openat().
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static int fails(const char *how) {
    char said[16] = "";
    const char *path = getenv("BAD_DISK");
    int fd = path ? (int)syscall(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC) : -1;
    if (fd < 0) return 0;
    ssize_t length = syscall(SYS_read, fd, said, sizeof said - 1);
    syscall(SYS_close, fd);
    return length > 0 && strcmp(said, how) == 0;
}

static int refused(int error) {
    errno = error;
    return -1;
}

ssize_t pwrite64(int fd, const void *data, size_t length, off64_t offset) {
    struct stat file;
    if (fails("readonly")) return refused(EROFS);
    if (fails("full") && fstat(fd, &file) == 0 && offset + (off64_t)length > file.st_size) return refused(ENOSPC);
    return syscall(SYS_pwrite64, fd, data, length, offset);
}

ssize_t pwrite(int fd, const void *data, size_t length, off_t offset) { return pwrite64(fd, data, length, offset); }

int fsync(int fd) { return fails("io") ? refused(EIO) : (int)syscall(SYS_fsync, fd); }

int fdatasync(int fd) { return fails("io") ? refused(EIO) : (int)syscall(SYS_fdatasync, fd); }

int ftruncate64(int fd, off64_t size) {
    return fails("readonly") ? refused(EROFS) : (int)syscall(SYS_ftruncate, fd, size);
}

int open64(const char *path, int flags, ...) {
    va_list rest;
    va_start(rest, flags);
    mode_t mode = (flags & O_CREAT) ? va_arg(rest, mode_t) : 0;
    va_end(rest);
    int writes = (flags & O_ACCMODE) != O_RDONLY;
    if (writes && strstr(path, "router.db") && fails("readonly")) return refused(EROFS);
    return (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode);
}
