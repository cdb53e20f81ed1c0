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

/* Opens PATH.tmp for writing, and locks it until the file is committed or abandoned. Returns 0, or -1 with a message
 * naming the path, also where another process is writing it. */
int rt_output_open(rt_output_file *output, const char *path, rt_error *error);

/* Writes `size` bytes; returns 0, or -1 with a message (the caller then abandons the file). */
int rt_output_write(rt_output_file *output, const void *bytes, size_t size, rt_error *error);

/* Flushes and syncs the temporary file, renames it to its path and syncs the folder. On failure (a full disk, say) the
 * temporary file is gone, whatever was at the path is as before, and -1 is returned with a message. */
int rt_output_commit(rt_output_file *output, rt_error *error);

/* Throws the unfinished file away. */
void rt_output_abandon(rt_output_file *output);

/* Keeps a folder for this process until the descriptor is closed: `*lock`, or -1 where there is no such folder yet or
 * its file system has no locks. Returns 0, or -1 with a message where another process keeps it. */
int rt_lock_folder(const char *path, int *lock, rt_error *error);

/* Puts something that can be neither read nor written where standard input, output or error is closed, so that no file
 * that is opened later takes its place and what is printed. At the start of a program. */
void rt_fill_standard_streams(void);

/* Writes out what was printed. Returns 0, or -1 with a message where standard output did not take all of it, now or
 * before. */
int rt_flush_standard_output(rt_error *error);

/* Creates the folder and those above it that are missing. Returns 0, or -1 with a message. */
int rt_make_folders(const char *path, rt_error *error);

#endif
