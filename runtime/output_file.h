/* Files that appear whole or not at all: everything the runtime writes goes through here. */
#ifndef RT_OUTPUT_FILE_H
#define RT_OUTPUT_FILE_H

#include "runtime/error.h"

#include <stddef.h>
#include <stdio.h>

typedef struct {
    FILE *stream;    /* opened for PATH.tmp; write here with stdio */
    char *path;      /* where the file will be */
    char *temporary; /* where it is being written; NULL where PATH is a device or pipe, which is written itself */
} rt_output_file;

/* Opens PATH.tmp for writing. Returns 0, or -1 with a message naming the path. */
int rt_output_open(rt_output_file *output, const char *path, rt_error *error);

/* Writes `size` bytes; returns 0, or -1 with a message (the caller then abandons the file). */
int rt_output_write(rt_output_file *output, const void *bytes, size_t size, rt_error *error);

/* Flushes and syncs the temporary file, renames it to its path and syncs the folder. On failure (a full disk, say) the
 * temporary file is gone, whatever was at the path is as before, and -1 is returned with a message. */
int rt_output_commit(rt_output_file *output, rt_error *error);

/* Throws the unfinished file away. */
void rt_output_abandon(rt_output_file *output);

/* Creates the folder and those above it that are missing. Returns 0, or -1 with a message. */
int rt_make_folders(const char *path, rt_error *error);

#endif
