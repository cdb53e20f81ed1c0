#include "ir/arena.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum {
    CHUNK_BYTES = 1 << 20,
    LARGE_CHUNK_BYTES = 16 << 20, /* of an arena that has grown to half of that */
    LARGE_PAGE_BYTES = 2 << 20,
    ALIGNMENT = 16
};

typedef struct chunk {
    struct chunk *next;
    size_t used, size;
    void *block; /* that it lies in */
    _Alignas(ALIGNMENT) char bytes[];
} chunk;

struct arena {
    chunk *chunks;
    size_t bytes; /* of all chunks */
};

static chunk *chunk_of_size(size_t size) {
    chunk *made = calloc(1, sizeof *made + size);
    if (made)
        *made = (chunk){.block = made, .size = size};
    return made;
}

/* In large pages where the system has them: the first touch of small ones would take a compilation more time than many
 * a pass. */
static chunk *large_chunk(void) {
    void *block = calloc(1, LARGE_CHUNK_BYTES + LARGE_PAGE_BYTES);
    if (!block)
        return NULL;
    chunk *made = (void *)(((uintptr_t)block + LARGE_PAGE_BYTES - 1) / LARGE_PAGE_BYTES * LARGE_PAGE_BYTES);
    madvise(made, LARGE_CHUNK_BYTES, MADV_HUGEPAGE);
    *made = (chunk){.block = block, .size = LARGE_CHUNK_BYTES - sizeof *made};
    return made;
}

static chunk *chunk_new(const arena *memory, size_t size) {
    bool large = memory->bytes >= LARGE_CHUNK_BYTES / 2;
    if (size > (large ? LARGE_CHUNK_BYTES : CHUNK_BYTES) / 4)
        return chunk_of_size(size);
    return large ? large_chunk() : chunk_of_size(CHUNK_BYTES);
}

arena *arena_new(void) {
    return calloc(1, sizeof(arena));
}

void arena_free(arena *memory) {
    if (!memory)
        return;
    for (chunk *at = memory->chunks; at;) {
        chunk *next = at->next;
        free(at->block);
        at = next;
    }
    free(memory);
}

size_t arena_bytes(const arena *memory) {
    return memory->bytes;
}

static _Noreturn void out_of_memory(void) {
    fputs("cslc: error: out of memory\n", stderr);
    exit(1);
}

void *arena_alloc(arena *memory, size_t size) {
    if (size > SIZE_MAX / 2)
        out_of_memory();
    size = (size + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    chunk *top = memory->chunks;
    if (!top || top->size - top->used < size) {
        chunk *made = chunk_new(memory, size);
        if (!made)
            out_of_memory();
        memory->bytes += made->size;
        /* A large piece gets a chunk of its own behind the current one, which still has room for small ones. */
        if (top && made->size == size) {
            made->next = top->next;
            top->next = made;
        } else {
            made->next = top;
            memory->chunks = made;
        }
        top = made;
    }
    void *piece = top->bytes + top->used;
    top->used += size;
    return piece;
}

char *arena_strndup(arena *memory, const char *text, size_t length) {
    char *copy = arena_alloc(memory, length + 1);
    memcpy(copy, text, length);
    return copy;
}

char *arena_strdup(arena *memory, const char *text) {
    return arena_strndup(memory, text, strlen(text));
}

char *arena_printf(arena *memory, const char *format, ...) {
    va_list args;
    va_start(args, format);
    int length = vsnprintf(NULL, 0, format, args);
    va_end(args);
    char *text = arena_alloc(memory, (size_t)length + 1);
    va_start(args, format);
    vsnprintf(text, (size_t)length + 1, format, args);
    va_end(args);
    return text;
}

void *arena_grow(arena *memory, const void *old, size_t old_count, size_t new_count, size_t element_size) {
    char *grown = arena_alloc(memory, new_count * element_size);
    if (old_count)
        memcpy(grown, old, old_count * element_size);
    return grown;
}
