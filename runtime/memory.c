#include "runtime/memory.h"

#include <stdlib.h>
#include <sys/mman.h>

enum { LARGE_PAGE = 2 << 20, LEAST_ALIGNMENT = 64 };

static size_t round_up(size_t number, size_t to) {
    return (number + to - 1) / to * to;
}

char *rt_memory_take(int64_t bytes, void **block) {
    size_t page = bytes >= LARGE_PAGE / 4 ? LARGE_PAGE : LEAST_ALIGNMENT, size = round_up((size_t)bytes + 1, page);
    *block = calloc(1, size + page);
    if (!*block)
        return NULL;
    char *memory = (char *)round_up((uintptr_t)*block, page);
    if (page == LARGE_PAGE)
        madvise(memory, size, MADV_HUGEPAGE);
    return memory;
}
