#include "runtime/output_file.h"

#include "runtime/interrupt.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

static char *append(const char *text, const char *ending) {
    size_t length = strlen(text), extra = strlen(ending);
    char *joined = malloc(length + extra + 1);
    if (!joined)
        return NULL;
    memcpy(joined, text, length);
    memcpy(joined + length, ending, extra + 1);
    return joined;
}

static void forget(rt_output_file *output) {
    if (output->temporary)
        rt_interrupt_keeps(output->temporary);
    free(output->path);
    free(output->temporary);
    *output = (rt_output_file){0};
}

/* What a rename should replace: a symbolic link stays and its target is written. On the heap. */
static char *target_of(const char *path) {
    struct stat status;
    char *target = lstat(path, &status) == 0 && S_ISLNK(status.st_mode) ? realpath(path, NULL) : NULL;
    return target ? target : append(path, "");
}

/* Whether `path` still names the open file. */
static int is_named(int descriptor, const char *path) {
    struct stat open_file, named;
    return fstat(descriptor, &open_file) == 0 && stat(path, &named) == 0 && open_file.st_dev == named.st_dev &&
           open_file.st_ino == named.st_ino;
}

/* Opens a file that no other process is writing, emptied; NULL with errno EWOULDBLOCK where one is. A file that another
 * process renamed between its opening and its locking here is that one's work: the name is opened again. */
static FILE *open_alone(const char *path) {
    int descriptor = -1;
    do {
        if (descriptor >= 0)
            close(descriptor);
        descriptor = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
        if (descriptor < 0)
            return NULL;
        if (flock(descriptor, LOCK_EX | LOCK_NB) && errno == EWOULDBLOCK) {
            close(descriptor);
            errno = EWOULDBLOCK;
            return NULL;
        }
    } while (!is_named(descriptor, path));
    FILE *stream = ftruncate(descriptor, 0) ? NULL : fdopen(descriptor, "wb");
    if (!stream)
        close(descriptor);
    return stream;
}

int rt_output_open(rt_output_file *output, const char *path, rt_error *error) {
    *output = (rt_output_file){.path = target_of(path)};
    output->temporary = output->path ? append(output->path, ".tmp") : NULL;
    if (!output->path || !output->temporary) {
        forget(output);
        return rt_fail(error, "no memory to write %s", path);
    }
    struct stat status;
    int there = stat(path, &status) == 0;
    if (there && S_ISDIR(status.st_mode)) {
        forget(output);
        return rt_fail(error, "cannot write %s: it is a folder", path);
    }
    if (there && !S_ISREG(status.st_mode)) { /* a device or pipe must not be replaced by a file */
        free(output->temporary);
        output->temporary = NULL;
    }
    output->stream = output->temporary ? open_alone(output->temporary) : fopen(path, "wb");
    if (!output->stream) {
        int reason = errno;
        forget(output);
        return rt_fail(error, "cannot write %s: %s", path,
                       reason == EWOULDBLOCK ? "another process is writing it" : strerror(reason));
    }
    if (output->temporary)
        rt_interrupt_removes(output->temporary);
    return 0;
}

int rt_output_write(rt_output_file *output, const void *bytes, size_t size, rt_error *error) {
    if (size == 0 || fwrite(bytes, 1, size, output->stream) == size)
        return 0;
    return rt_fail(error, "cannot write %s: %s", output->path, strerror(errno));
}

/* A rename is durable only once its folder is on the disk. Some file systems cannot sync folders: not an error. */
static void sync_folder_of(const char *path) {
    char *folder = append(path, "");
    if (!folder)
        return;
    char *slash = strrchr(folder, '/');
    if (slash)
        slash[slash == folder ? 1 : 0] = 0;
    int descriptor = open(slash ? folder : ".", O_RDONLY | O_DIRECTORY);
    if (descriptor >= 0) {
        (void)fsync(descriptor);
        close(descriptor);
    }
    free(folder);
}

int rt_output_commit(rt_output_file *output, rt_error *error) {
    int failed = ferror(output->stream) || fflush(output->stream) ||
                 (output->temporary && (fsync(fileno(output->stream)) || rename(output->temporary, output->path)));
    int reason = errno;
    if (!failed) { /* closed last: it ends the lock */
        failed = fclose(output->stream);
        reason = errno;
        output->stream = NULL;
    }
    if (failed) {
        rt_fail(error, "cannot write %s: %s", output->path, strerror(reason));
        rt_output_abandon(output);
        return -1;
    }
    sync_folder_of(output->path);
    forget(output);
    return 0;
}

void rt_output_abandon(rt_output_file *output) {
    if (output->temporary)
        unlink(output->temporary);
    if (output->stream)
        fclose(output->stream);
    forget(output);
}

int rt_lock_folder(const char *path, int *lock, rt_error *error) {
    *lock = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (*lock < 0 || flock(*lock, LOCK_EX | LOCK_NB) == 0)
        return 0;
    int taken = errno == EWOULDBLOCK;
    close(*lock);
    *lock = -1;
    return taken ? rt_fail(error, "another run is writing to %s", path) : 0;
}

void rt_fill_standard_streams(void) {
    for (int stream = STDIN_FILENO; stream <= STDERR_FILENO; stream++) /* open takes the lowest number that is free */
        if (fcntl(stream, F_GETFD) < 0)
            (void)open("/dev/null", stream == STDIN_FILENO ? O_WRONLY : O_RDONLY);
}

int rt_flush_standard_output(rt_error *error) {
    if (fflush(stdout))
        return rt_fail(error, "cannot write to standard output: %s", strerror(errno));
    return ferror(stdout) ? rt_fail(error, "cannot write to standard output") : 0; /* the reason is forgotten */
}

int rt_make_folders(const char *path, rt_error *error) {
    char *partial = append(path, "/");
    if (!partial)
        return rt_fail(error, "no memory to create the folder %s", path);
    int result = 0;
    for (char *at = partial + 1; *at && result == 0; at++) {
        if (*at != '/')
            continue;
        *at = 0;
        struct stat status;
        if (mkdir(partial, 0777) && errno != EEXIST)
            result = rt_fail(error, "cannot create the folder %s: %s", partial, strerror(errno));
        else if (stat(partial, &status) || !S_ISDIR(status.st_mode))
            result = rt_fail(error, "%s is not a folder", partial);
        *at = '/';
    }
    free(partial);
    return result;
}
