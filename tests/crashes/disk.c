/* A disk that forgets, and a process that dies: loaded before libc (LD_PRELOAD) by tests/crashes.

   Every call that changes a file below H2Q_FOLDER is a point. `disk_kill_at(n)` kills the process
   before the n-th point that orders things (rename, link, unlink, truncation, fsync).
   `disk_log(path)` writes every point, with its data, to a file, from which disk.py works out what
   a loss of power would have left. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

static const char *folder;
static long kill_at, points;
static int log_fd = -1;

__attribute__((constructor)) static void begin(void) { folder = getenv("H2Q_FOLDER"); }
void disk_kill_at(long n) { kill_at = n; points = 0; }
long disk_points(void) { return points; }
void disk_log(const char *path) {
    log_fd = syscall(SYS_openat, AT_FDCWD, path, O_CREAT | O_WRONLY | O_APPEND, 0600);
}

static int ours(const char *path) {
    return folder && path && strncmp(path, folder, strlen(folder)) == 0;
}

static int path_of(int fd, char *path) {
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, path, 4095);
    if (n < 0) return 0;
    path[n] = 0;
    return ours(path);
}

static int64_t inode_of(int fd) {
    struct stat about;
    return fstat(fd, &about) ? -1 : (int64_t)about.st_ino;
}

static void point(void) {
    points++;
    if (points == kill_at) syscall(SYS_kill, syscall(SYS_getpid), SIGKILL);
}

static void note(char op, int64_t inode, int64_t a, const void *data, int64_t n) {
    if (log_fd < 0) return;
    int64_t head[4] = {op, inode, a, n};
    struct iovec parts[2] = {{head, sizeof head}, {(void *)data, n}};
    if (syscall(SYS_writev, log_fd, parts, 2) < 0) abort();
}

static void note_two(char op, const char *from, const char *to) {
    char both[8192];
    int n = snprintf(both, sizeof both, "%s\n%s", from, to);
    note(op, 0, 0, both, n);
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

static int opened(const char *path, int flags, int mode, int (*real)(const char *, int, ...)) {
    int mine = ours(path), was = mine && access(path, F_OK) == 0;
    if (mine && was && (flags & O_TRUNC)) point();
    int fd = real(path, flags, mode);
    if (mine && fd >= 0) {
        if (!was && (flags & O_CREAT)) note('C', inode_of(fd), 0, path, strlen(path));
        else if (flags & O_TRUNC) note('T', inode_of(fd), 0, "", 0);
    }
    return fd;
}

#define OPEN(name)                                                                               \
    int name(const char *path, int flags, ...) {                                                 \
        va_list more;                                                                            \
        va_start(more, flags);                                                                   \
        int mode = (flags & (O_CREAT | O_TMPFILE)) ? va_arg(more, int) : 0;                      \
        va_end(more);                                                                            \
        return opened(path, flags, mode, (int (*)(const char *, int, ...))dlsym(RTLD_NEXT, #name)); \
    }
OPEN(open)
OPEN(open64)

#define WRITE(name, type, position)                                                              \
    {                                                                                            \
        char path[4096];                                                                         \
        if (n > 0 && path_of(fd, path)) note('W', inode_of(fd), position, data, n);              \
    }

ssize_t write(int fd, const void *data, size_t size) {
    ssize_t n = REAL(write)(fd, data, size);
    WRITE(write, off_t, lseek(fd, 0, SEEK_CUR) - n)
    return n;
}
ssize_t pwrite(int fd, const void *data, size_t size, off_t at) {
    ssize_t n = REAL(pwrite)(fd, data, size, at);
    WRITE(pwrite, off_t, at)
    return n;
}
ssize_t pwrite64(int fd, const void *data, size_t size, off64_t at) {
    ssize_t n = REAL(pwrite64)(fd, data, size, at);
    WRITE(pwrite64, off64_t, at)
    return n;
}

#define TRUNCATE(name, type)                                                                     \
    int name(int fd, type size) {                                                                \
        char path[4096];                                                                         \
        int mine = path_of(fd, path);                                                            \
        if (mine) point();                                                                       \
        int done = REAL(name)(fd, size);                                                         \
        if (mine && !done) note('T', inode_of(fd), size, "", 0);                                 \
        return done;                                                                             \
    }
TRUNCATE(ftruncate, off_t)
TRUNCATE(ftruncate64, off64_t)

#define SYNC(name)                                                                               \
    int name(int fd) {                                                                           \
        char path[4096];                                                                         \
        int mine = path_of(fd, path);                                                            \
        if (mine) {                                                                              \
            struct stat about;                                                                   \
            point();                                                                             \
            fstat(fd, &about);                                                                   \
            if (S_ISDIR(about.st_mode)) note('D', 0, 0, path, strlen(path));                     \
            else note('S', about.st_ino, 0, "", 0);                                              \
        }                                                                                        \
        return REAL(name)(fd);                                                                   \
    }
SYNC(fsync)
SYNC(fdatasync)

#define TWO(name, op)                                                                            \
    int name(const char *from, const char *to) {                                                 \
        int mine = ours(from) || ours(to);                                                       \
        if (mine) point();                                                                       \
        int done = REAL(name)(from, to);                                                         \
        if (mine && !done) note_two(op, from, to);                                               \
        return done;                                                                             \
    }
TWO(rename, 'R')
TWO(link, 'L')

#define ONE(name, op)                                                                            \
    int name(const char *path) {                                                                 \
        int mine = ours(path);                                                                   \
        if (mine) point();                                                                       \
        int done = REAL(name)(path);                                                             \
        if (mine && !done) note(op, 0, 0, path, strlen(path));                                   \
        return done;                                                                             \
    }
ONE(unlink, 'U')
ONE(rmdir, 'X')

int unlinkat(int at, const char *path, int flags) { /* shutil.rmtree */
    char whole[8192];
    int mine = path_of(at, whole) && path[0] != '/';
    if (mine) {
        point();
        strcat(strcat(whole, "/"), path);
    }
    int done = REAL(unlinkat)(at, path, flags);
    if (mine && !done) note(flags & AT_REMOVEDIR ? 'X' : 'U', 0, 0, whole, strlen(whole));
    return done;
}
int linkat(int from_at, const char *from, int to_at, const char *to, int flags) {
    int mine = ours(from) || ours(to);
    if (mine) point();
    int done = REAL(linkat)(from_at, from, to_at, to, flags);
    if (mine && !done) note_two('L', from, to);
    return done;
}
int mkdir(const char *path, mode_t mode) {
    int done = REAL(mkdir)(path, mode);
    if (ours(path) && !done) note('M', 0, 0, path, strlen(path));
    return done;
}
void disk_acknowledge(long n) { note('A', 0, n, "", 0); }
