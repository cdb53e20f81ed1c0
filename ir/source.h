/* Source files and places in them. Every value of every IR remembers the place that made it. */
#ifndef IR_SOURCE_H
#define IR_SOURCE_H

#include "ir/arena.h"

#include <stdint.h>

/* The part of a method that something belongs to: whatever its text's place, as library code serves all of them. */
typedef enum {
    SOURCE_NO_COMPONENT,
    SOURCE_AUGMENT,
    SOURCE_ENCODER,
    SOURCE_EXTRACT,
    SOURCE_SIMILARITY,
    SOURCE_LOSS,
    SOURCE_TRAIN, /* optimizer, schedule, moving averages, queues */
    SOURCE_COMPONENT_COUNT
} source_component;

/* A range of text on one line of one file. File 0 with line 0 means "nowhere". */
typedef struct {
    int32_t file;      /* index into the source table */
    int32_t line;      /* from 1 */
    int32_t column;    /* from 1, in bytes */
    int32_t length;    /* bytes, at least 1 */
    int32_t component; /* a source_component */
} source_span;

typedef struct {
    const char *path; /* as the user would name it */
    const char *text; /* NULL when known by name only (IR read from a file) */
    size_t length;
} source_file;

typedef struct {
    arena *memory;
    source_file *files;
    int count, capacity;
} source_table;

/* Adds a file (or finds one of the same path) and returns its index. `text` is kept, not copied. */
int source_add(source_table *table, const char *path, const char *text, size_t length);
/* The text of line `line` without its line end; *length is 0 when unknown. */
const char *source_line(const source_table *table, int file, int line, size_t *length);
/* "encoder"; "none" for SOURCE_NO_COMPONENT. */
const char *source_component_name(source_component component);

#endif
