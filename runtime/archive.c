/* Files and tar archives (POSIX ustar as far as data sets need it) over zlib. */
#include "runtime/archive.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <zlib.h>

enum { TAR_BLOCK = 512, TAR_NAME = 100, TAR_SIZE = 124, TAR_CHECKSUM = 148, TAR_KIND = 156, TAR_FIELD = 12 };

#define MOST_FILE_BYTES ((int64_t)1 << 32) /* what a header may claim before we call it damaged */

typedef struct {
    const char *path;
    gzFile stream;
    rt_error *error;
} archive_reader;

const char *rt_base_name(const char *path) {
    const char *slash = strrchr(path, '/');
    return slash == NULL ? path : slash + 1;
}

char *rt_path_join(const char *folder, const char *name) {
    size_t length = strlen(folder);
    while (length > 1 && folder[length - 1] == '/') {
        length--;
    }
    char *path = malloc(length + strlen(name) + 2);
    if (path != NULL) {
        sprintf(path, "%.*s/%s", (int)length, folder, name);
    }
    return path;
}

void rt_file_free(rt_file *file) {
    free(file->name);
    free(file->bytes);
    *file = (rt_file){0};
}

void rt_file_list_free(rt_file_list *list) {
    for (int i = 0; i < list->count; i++) {
        rt_file_free(&list->files[i]);
    }
    free(list->files);
    *list = (rt_file_list){0};
}

int rt_file_list_add(rt_file_list *list, rt_file file, rt_error *error) {
    if (list->count == list->capacity) {
        int capacity = list->capacity == 0 ? 8 : 2 * list->capacity;
        rt_file *files = realloc(list->files, (size_t)capacity * sizeof *files);
        if (files == NULL) {
            return rt_fail(error, "%s: out of memory", file.name);
        }
        list->files = files;
        list->capacity = capacity;
    }
    list->files[list->count++] = file;
    return 0;
}

static int file_allocate(rt_file *file, const char *name, int64_t size, rt_error *error) {
    file->name = strdup(name);
    file->bytes = malloc((size_t)size + 1);
    file->size = (size_t)size;
    if (file->name == NULL || file->bytes == NULL) {
        rt_file_free(file);
        return rt_fail(error, "%s: out of memory for its %lld bytes", name, (long long)size);
    }
    file->bytes[size] = 0; /* so that text files are strings */
    return 0;
}

static int read_stream(FILE *stream, const char *path, rt_file *file, rt_error *error) {
    struct stat status;
    if (fstat(fileno(stream), &status) != 0 || !S_ISREG(status.st_mode)) {
        return rt_fail(error, "%s: not a regular file", path);
    }
    if (file_allocate(file, path, status.st_size, error) != 0) {
        return -1;
    }
    if (fread(file->bytes, 1, file->size, stream) != file->size) {
        rt_file_free(file);
        return rt_fail(error, "%s: cannot read: %s", path, ferror(stream) ? strerror(errno) : "shorter than its size");
    }
    return 0;
}

int rt_file_read(const char *path, rt_file *file, rt_error *error) {
    *file = (rt_file){0};
    FILE *stream = fopen(path, "rb");
    if (stream == NULL) {
        return rt_fail(error, "%s: cannot open: %s", path, strerror(errno));
    }
    int result = read_stream(stream, path, file, error);
    fclose(stream);
    return result;
}

/* Reads exactly `size` bytes. */
static int read_exactly(archive_reader *reader, void *to, int64_t size) {
    for (int64_t done = 0; done < size;) {
        int64_t left = size - done;
        int got = gzread(reader->stream, (char *)to + done, (unsigned)(left < 1 << 30 ? left : 1 << 30));
        if (got < 0) {
            int code;
            return rt_fail(reader->error, "%s: damaged archive: %s", reader->path, gzerror(reader->stream, &code));
        }
        if (got == 0) {
            return rt_fail(reader->error, "%s: truncated archive", reader->path);
        }
        done += got;
    }
    return 0;
}

/* A file of the archive. Its header may claim gigabytes that are not there, so memory grows with what is read. */
static int read_growing(archive_reader *reader, const char *name, int64_t size, rt_file *file) {
    const int64_t first = 1 << 20;
    if (file_allocate(file, name, 0, reader->error) != 0) {
        return -1;
    }
    for (int64_t done = 0; done < size; done = (int64_t)file->size) {
        int64_t wanted = done < first ? first : 2 * done;
        int64_t total = wanted < size ? wanted : size;
        uint8_t *grown = realloc(file->bytes, (size_t)total + 1);
        if (grown == NULL) {
            return rt_fail(reader->error, "%s: out of memory for its %lld bytes", name, (long long)size);
        }
        file->bytes = grown;
        file->size = (size_t)total;
        file->bytes[total] = 0;
        if (read_exactly(reader, file->bytes + done, total - done) != 0) {
            return -1;
        }
    }
    return 0;
}

static int skip_bytes(archive_reader *reader, int64_t size) {
    char block[8 * TAR_BLOCK];
    while (size > 0) {
        int64_t part = size < (int64_t)sizeof block ? size : (int64_t)sizeof block;
        if (read_exactly(reader, block, part) != 0) {
            return -1;
        }
        size -= part;
    }
    return 0;
}

/* An octal number of a header field, -1 where it is none. */
static int64_t parse_octal(const uint8_t *field, int length) {
    int64_t value = 0;
    int digits = 0;
    for (int i = 0; i < length && field[i] != 0; i++) {
        if (field[i] == ' ') {
            continue;
        }
        if (field[i] < '0' || field[i] > '7') {
            return -1;
        }
        value = value * 8 + (field[i] - '0');
        digits++;
    }
    return digits > 0 ? value : -1;
}

static int checksum_holds(const uint8_t *header) {
    int64_t sum = 0;
    for (int i = 0; i < TAR_BLOCK; i++) {
        int in_checksum = i >= TAR_CHECKSUM && i < TAR_CHECKSUM + 8;
        sum += in_checksum ? ' ' : header[i];
    }
    return parse_octal(header + TAR_CHECKSUM, 8) == sum;
}

static int all_zero(const uint8_t *header) {
    for (int i = 0; i < TAR_BLOCK; i++) {
        if (header[i] != 0) {
            return 0;
        }
    }
    return 1;
}

static int read_member(archive_reader *reader, const uint8_t *header, rt_file_filter wanted, rt_file_list *list) {
    char name[TAR_NAME + 1] = {0};
    memcpy(name, header, TAR_NAME);
    int64_t size = parse_octal(header + TAR_SIZE, TAR_FIELD);
    if (size < 0 || size > MOST_FILE_BYTES) {
        return rt_fail(reader->error, "%s: damaged archive: absurd size of member '%s'", reader->path, name);
    }
    int64_t padding = (TAR_BLOCK - size % TAR_BLOCK) % TAR_BLOCK;
    int regular = header[TAR_KIND] == '0' || header[TAR_KIND] == 0;
    if (!regular || !wanted(rt_base_name(name))) {
        return skip_bytes(reader, size + padding);
    }
    rt_file file = {0};
    if (read_growing(reader, name, size, &file) != 0 || rt_file_list_add(list, file, reader->error) != 0) {
        rt_file_free(&file);
        return -1;
    }
    return skip_bytes(reader, padding); /* NOLINT(clang-analyzer-unix.Malloc): the list has the bytes now */
}

/* Behind the end mark only zlib's own check of the stream is left. */
static int read_to_end(archive_reader *reader) {
    char block[8 * TAR_BLOCK];
    int got;
    while ((got = gzread(reader->stream, block, sizeof block)) > 0) {
    }
    int code = Z_OK;
    const char *message = gzerror(reader->stream, &code);
    if (got < 0 || (code != Z_OK && code != Z_STREAM_END)) {
        return rt_fail(reader->error, "%s: damaged archive: %s", reader->path, message);
    }
    return 0;
}

static int read_members(archive_reader *reader, rt_file_filter wanted, rt_file_list *list) {
    for (int first = 1;; first = 0) {
        uint8_t header[TAR_BLOCK];
        if (read_exactly(reader, header, TAR_BLOCK) != 0) {
            return -1;
        }
        if (all_zero(header)) {
            return read_to_end(reader);
        }
        if (!checksum_holds(header)) {
            return rt_fail(reader->error,
                           first ? "%s: not a tar archive (plain or gzipped)"
                                 : "%s: damaged archive: wrong checksum of a member's header",
                           reader->path);
        }
        if (read_member(reader, header, wanted, list) != 0) {
            return -1;
        }
    }
}

int rt_archive_read(const char *path, rt_file_filter wanted, rt_file_list *list, rt_error *error) {
    archive_reader reader = {path, gzopen(path, "rb"), error};
    if (reader.stream == NULL) {
        return rt_fail(error, "%s: cannot open: %s", path, strerror(errno));
    }
    gzbuffer(reader.stream, 1 << 17);
    int result = read_members(&reader, wanted, list);
    gzclose(reader.stream);
    return result;
}
