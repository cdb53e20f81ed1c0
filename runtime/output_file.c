#include "runtime/output_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
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
    output->stream = fopen(output->temporary ? output->temporary : path, "wb");
    if (!output->stream) {
        int reason = errno;
        forget(output);
        return rt_fail(error, "cannot write %s: %s", path, strerror(reason));
    }
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
    int failed =
        ferror(output->stream) || fflush(output->stream) || (output->temporary && fsync(fileno(output->stream)));
    int reason = errno;
    if (fclose(output->stream) && !failed) {
        failed = 1;
        reason = errno;
    }
    output->stream = NULL;
    if (!failed && output->temporary && rename(output->temporary, output->path)) {
        failed = 1;
        reason = errno;
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
    if (output->stream)
        fclose(output->stream);
    if (output->temporary)
        unlink(output->temporary);
    forget(output);
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
