#include "ir/text.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void reserve(text_buffer *text, size_t extra) {
    if (text->capacity - text->length > extra)
        return;
    size_t capacity = text->capacity ? text->capacity : 256;
    while (capacity - text->length <= extra)
        capacity *= 2;
    char *data = realloc(text->data, capacity);
    if (!data) {
        fputs("cslc: error: out of memory\n", stderr);
        exit(1);
    }
    text->data = data;
    text->capacity = capacity;
}

void text_append_bytes(text_buffer *text, const char *bytes, size_t length) {
    reserve(text, length);
    if (length)
        memcpy(text->data + text->length, bytes, length);
    text->length += length;
    text->data[text->length] = 0;
}

void text_append(text_buffer *text, const char *format, ...) {
    size_t room = text->capacity - text->length;
    va_list args;
    va_start(args, format);
    int length = vsnprintf(room ? text->data + text->length : NULL, room, format, args);
    va_end(args);
    if ((size_t)length >= room) { /* it did not fit */
        reserve(text, (size_t)length);
        va_start(args, format);
        vsnprintf(text->data + text->length, (size_t)length + 1, format, args);
        va_end(args);
    }
    text->length += (size_t)length;
}

void text_free(text_buffer *text) {
    free(text->data);
    *text = (text_buffer){0};
}

void text_append_number(text_buffer *text, double value) {
    if (isnan(value)) {
        text_append(text, "nan");
        return;
    }
    if (isinf(value)) {
        text_append(text, value > 0 ? "inf" : "-inf");
        return;
    }
    char digits[40];
    if (fabs(value) < 1e15 && value == floor(value) && !(value == 0 && signbit(value))) {
        text_append(text, "%.0f", value);
        return;
    }
    for (int precision = 1; precision <= 17; precision++) {
        snprintf(digits, sizeof digits, "%.*g", precision, value);
        if (strtod(digits, NULL) == value)
            break;
    }
    text_append(text, "%s", digits);
}

enum { FILE_LIMIT = 64 << 20 };

char *text_read_file(const char *path, size_t *length) {
    FILE *file = fopen(path, "rb");
    if (!file)
        return NULL;
    text_buffer text = {0};
    char block[1 << 16];
    size_t got;
    while ((got = fread(block, 1, sizeof block, file)) > 0 && text.length <= FILE_LIMIT)
        text_append_bytes(&text, block, got);
    int problem = ferror(file) ? (errno ? errno : EIO) : text.length > FILE_LIMIT ? EFBIG : 0;
    fclose(file);
    if (problem) {
        text_free(&text);
        errno = problem;
        return NULL;
    }
    text_append_bytes(&text, "", 0);
    *length = text.length;
    return text.data;
}

static int write_all(int file, const char *data, size_t length) {
    while (length > 0) {
        ssize_t written = write(file, data, length);
        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0)
            return -1;
        data += written;
        length -= (size_t)written;
    }
    return 0;
}

/* A device or pipe is written itself: a rename would put a file in its place. */
static int write_in_place(const char *path, const char *data, size_t length) {
    int file = open(path, O_WRONLY);
    if (file < 0)
        return -1;
    int status = write_all(file, data, length), problem = errno;
    if (close(file) != 0 && status == 0) {
        status = -1;
        problem = errno;
    }
    errno = problem;
    return status;
}

static int write_by_rename(const char *path, const char *data, size_t length) {
    text_buffer temporary = {0};
    text_append(&temporary, "%s.tmp", path);
    int file = open(temporary.data, O_WRONLY | O_CREAT | O_TRUNC, 0666);
    int status = file < 0 ? -1 : write_all(file, data, length);
    if (status == 0)
        status = fsync(file) && errno != EINVAL ? -1 : 0;
    int problem = errno;
    if (file >= 0 && close(file) != 0 && status == 0) {
        problem = errno;
        status = -1;
    }
    if (status == 0 && rename(temporary.data, path) != 0) {
        problem = errno;
        status = -1;
    }
    if (status != 0 && file >= 0)
        unlink(temporary.data);
    text_free(&temporary);
    errno = problem;
    return status;
}

int text_write_file(const char *path, const char *data, size_t length) {
    struct stat there;
    if (strcmp(path, "-") == 0)
        return write_all(STDOUT_FILENO, data, length);
    if (stat(path, &there) == 0 && !S_ISREG(there.st_mode))
        return write_in_place(path, data, length);
    /* a symbolic link stays, and its target is replaced */
    char *target = lstat(path, &there) == 0 && S_ISLNK(there.st_mode) ? realpath(path, NULL) : NULL;
    int status = write_by_rename(target ? target : path, data, length), problem = errno;
    free(target);
    errno = problem;
    return status;
}
