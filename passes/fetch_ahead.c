#include "passes/fetch_ahead.h"

#include <assert.h>

enum { MOST_LINES = 16 }; /* at once */

fetch_loop fetch_steps(kir_reg at, int64_t unit, int64_t count) {
    return (fetch_loop){kir_plus(kir_at(0), 1, at), unit, count / unit};
}

fetch_loop fetch_blocks(kir_index at, int64_t size, int64_t count) {
    return (fetch_loop){at, size, (count + size - 1) / size};
}

void fetch_ahead_within(fetch_ahead *ahead, fetch_loop loop) {
    assert(ahead->loop_count < FETCH_LOOPS);
    ahead->loops[ahead->loop_count++] = loop;
}

/* Parts are rounded up to whole elements, so that they may overlap; loops with parts of one element or less are left
 * out, as many of their rounds share a line anyway. */
void fetch_ahead_emit(const kir_builder *builder, const fetch_ahead *ahead) {
    kir_index next = ahead->first;
    int64_t part = ahead->elements;
    for (int i = 0; i < ahead->loop_count && part > 1; i++) {
        const fetch_loop *loop = &ahead->loops[i];
        part = (part + loop->count - 1) / loop->count;
        next = kir_plus_index(next, part / loop->unit, loop->at);
    }
    for (int64_t at = 0; at < part && at < MOST_LINES * FETCH_LINE; at += FETCH_LINE, next.base += FETCH_LINE)
        kir_prefetch(builder, ahead->argument, next);
}
