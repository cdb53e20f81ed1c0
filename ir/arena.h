/* Memory of one compilation: allocated piece by piece, freed at once. */
#ifndef IR_ARENA_H
#define IR_ARENA_H

#include <stddef.h>

typedef struct arena arena;

/* Returns NULL without memory. */
arena *arena_new(void);
void arena_free(arena *memory);
/* Bytes that the arena holds. */
size_t arena_bytes(const arena *memory);

/* Zeroed memory, 16-byte aligned. Never returns NULL: a compilation without memory ends the process with a message
 * and status 1, as no output file exists before the compilation has succeeded. */
void *arena_alloc(arena *memory, size_t size);
char *arena_strdup(arena *memory, const char *text);
char *arena_strndup(arena *memory, const char *text, size_t length);
char *arena_printf(arena *memory, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* A larger copy of an array for growing it: `old_count` elements are copied, the rest is zero. */
void *arena_grow(arena *memory, const void *old, size_t old_count, size_t new_count, size_t element_size);

/* Appends `value` to an array kept as (items, count, capacity) in an arena. */
#define ARENA_PUSH(memory, items, count, capacity, value)                                                              \
    do {                                                                                                               \
        if ((count) == (capacity)) {                                                                                   \
            (capacity) = (capacity) ? 2 * (capacity) : 8;                                                              \
            (items) = arena_grow((memory), (items), (size_t)(count), (size_t)(capacity), sizeof *(items));             \
        }                                                                                                              \
        (items)[(count)++] = (value);                                                                                  \
    } while (0)

#endif
