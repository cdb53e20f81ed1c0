/* Whole files in memory, read from a folder or out of a .tar.gz. Private to the runtime. */
#ifndef RT_ARCHIVE_H
#define RT_ARCHIVE_H

#include "runtime/error.h"

#include <stddef.h>
#include <stdint.h>

typedef struct {
    char *name; /* the path it was read from; inside an archive the member's path */
    uint8_t *bytes;
    size_t size;
} rt_file;

typedef struct {
    rt_file *files;
    int count, capacity;
} rt_file_list;

/* Says whether a member of an archive is to be kept; gets its base name. */
typedef int (*rt_file_filter)(const char *base_name);

/* The part of a path behind its last slash. */
const char *rt_base_name(const char *path);

/* `folder`/`name` on the heap, or NULL without memory. */
char *rt_path_join(const char *folder, const char *name);

/* Reads one file whole. Returns 0, or -1 with a message that names it; the caller frees with rt_file_free. */
int rt_file_read(const char *path, rt_file *file, rt_error *error);
void rt_file_free(rt_file *file);

/* Appends the wanted regular files of a tar archive, gzipped or plain, in the archive's order. Reads the archive to
 * its end, so that truncation and a wrong checksum are always found. Returns 0 or -1; frees nothing of `list`. */
int rt_archive_read(const char *path, rt_file_filter wanted, rt_file_list *list, rt_error *error);

/* Adds a file and takes over its memory; returns -1 without memory. */
int rt_file_list_add(rt_file_list *list, rt_file file, rt_error *error);
void rt_file_list_free(rt_file_list *list);

#endif
