/* A disk that fails on demand: preloaded into a process, it makes calls on the files under one folder fail, wait or
 * forget. KENPIN_FAULTY names the folder, KENPIN_FAULTS a file that the test maps too and writes its orders into. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { WRITE = 1, SYNC = 2, CREATE = 4, RESIZE = 8 };

struct orders {
    int32_t calls;    /* which calls are meant; 0: none */
    int32_t error;    /* errno, 0: the call succeeds (after its delay) */
    int32_t skip;     /* so many meant calls pass first */
    int32_t times;    /* so many fail then; -1: all */
    int32_t delay_ms; /* how long a meant call waits */
    int32_t forgets;  /* a failed sync takes what was written since the last good one with it */
    int32_t hits;     /* how many calls failed */
    char suffix[36];  /* of the files that are meant; empty: all under the folder */
};

/* What a write has replaced, newest first, while the disk forgets. */
struct undo {
    struct undo *next;
    dev_t device;
    ino_t inode;
    off_t offset, size;
    size_t length;
    char data[];
};

static struct orders *orders;
static const char *folder;
static struct undo *undone;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

__attribute__((constructor)) static void start(void)
{
    const char *path = getenv("KENPIN_FAULTS");
    folder = getenv("KENPIN_FAULTY");
    if (!path || !folder)
        return;
    int fd = REAL(open)(path, O_RDWR | O_CLOEXEC);
    void *map = mmap(NULL, sizeof *orders, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    if (map != MAP_FAILED)
        orders = map;
}

static int meant(int call, const char *path)
{
    size_t length = strlen(path), suffix = strlen(orders->suffix);
    return (orders->calls & call) && strncmp(path, folder, strlen(folder)) == 0 && length >= suffix
        && strcmp(path + length - suffix, orders->suffix) == 0;
}

/* The error of this call, 0 when it may go on. */
static int fault(int call, const char *path)
{
    int error = 0;
    if (!orders || !meant(call, path))
        return 0;
    if (orders->delay_ms) {
        struct timespec delay = {orders->delay_ms / 1000, orders->delay_ms % 1000 * 1000000L};
        nanosleep(&delay, NULL);
    }
    pthread_mutex_lock(&lock);
    if (orders->skip > 0)
        orders->skip--;
    else if (orders->error && orders->times != 0) {
        orders->times -= orders->times > 0;
        orders->hits++;
        error = orders->error;
    }
    pthread_mutex_unlock(&lock);
    return error;
}

static const char *path_of(int fd, char *path, size_t size)
{
    char link[32];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = orders && orders->calls ? readlink(link, path, size - 1) : -1;
    path[length > 0 ? length : 0] = 0;
    return path;
}

static int fault_of(int call, int fd)
{
    char path[4096];
    return fault(call, path_of(fd, path, sizeof path));
}

static void remember(int fd, off_t offset, size_t length)
{
    struct stat state;
    char path[4096];
    if (!orders || !orders->forgets || !meant(SYNC, path_of(fd, path, sizeof path)) || fstat(fd, &state))
        return;
    struct undo *before = malloc(sizeof *before + length);
    *before = (struct undo){.device = state.st_dev, .inode = state.st_ino, .offset = offset, .size = state.st_size};
    ssize_t found = pread(fd, before->data, length, offset);
    before->length = found > 0 ? found : 0;
    pthread_mutex_lock(&lock);
    before->next = undone;
    undone = before;
    pthread_mutex_unlock(&lock);
}

/* Forget what is remembered of a file; `restore` puts it back first. */
static void settle(int fd, int restore)
{
    struct stat state;
    if (!undone || fstat(fd, &state))
        return;
    pthread_mutex_lock(&lock);
    for (struct undo **at = &undone; *at;) {
        struct undo *before = *at;
        if (before->device != state.st_dev || before->inode != state.st_ino) {
            at = &before->next;
            continue;
        }
        if (restore) {
            if (REAL(pwrite)(fd, before->data, before->length, before->offset) < 0
                || REAL(ftruncate)(fd, before->size))
                abort();
        }
        *at = before->next;
        free(before);
    }
    pthread_mutex_unlock(&lock);
}

ssize_t write(int fd, const void *data, size_t length)
{
    int error = fault_of(WRITE, fd);
    if (error)
        return errno = error, -1;
    return REAL(write)(fd, data, length);
}

ssize_t pwrite(int fd, const void *data, size_t length, off_t offset)
{
    int error = fault_of(WRITE, fd);
    if (error)
        return errno = error, -1;
    remember(fd, offset, length);
    return REAL(pwrite)(fd, data, length, offset);
}

ssize_t pwrite64(int fd, const void *data, size_t length, off64_t offset)
{
    return pwrite(fd, data, length, offset);
}

static int sync_file(int fd, int (*real)(int))
{
    int error = fault_of(SYNC, fd);
    settle(fd, error != 0);
    if (error)
        return errno = error, -1;
    return real(fd);
}

int fsync(int fd)
{
    return sync_file(fd, REAL(fsync));
}

int fdatasync(int fd)
{
    return sync_file(fd, REAL(fdatasync));
}

int ftruncate(int fd, off_t size)
{
    int error = fault_of(RESIZE, fd);
    if (error)
        return errno = error, -1;
    return REAL(ftruncate)(fd, size);
}

int ftruncate64(int fd, off64_t size)
{
    return ftruncate(fd, size);
}

static int may_create(const char *path, int flags)
{
    if (flags & O_CREAT && access(path, F_OK)) {
        int error = fault(CREATE, path);
        if (error)
            return errno = error, 0;
    }
    return 1;
}

#define OPEN(name)                                                     \
    int name(const char *path, int flags, ...)                         \
    {                                                                  \
        va_list rest;                                                  \
        va_start(rest, flags);                                         \
        int mode = flags & O_CREAT ? va_arg(rest, int) : 0;            \
        va_end(rest);                                                  \
        return may_create(path, flags) ? REAL(name)(path, flags, mode) : -1; \
    }

OPEN(open)
OPEN(open64)
