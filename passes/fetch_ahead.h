/* Memory that a nest of loops will read next, brought to the second cache while it works on what came before: the last
 * cache and memory answer too slowly for products that ask only when they need a number. */
#ifndef PASSES_FETCH_AHEAD_H
#define PASSES_FETCH_AHEAD_H

#include "ir/kernel.h"

enum { FETCH_LOOPS = 8, FETCH_LINE = 16 /* elements of a line of the caches */ };

/* A loop that the nest goes through meanwhile. */
typedef struct {
    kir_index at;        /* where it is: 0, unit, 2 * unit, … */
    int64_t unit, count; /* its step, and how many */
} fetch_loop;

typedef struct {
    int argument;
    kir_index first;               /* of what is wanted next */
    int64_t elements;              /* of it */
    fetch_loop loops[FETCH_LOOPS]; /* outermost first */
    int loop_count;
} fetch_ahead;

/* The loop in which a register goes through 0 to count, so many at a time. */
fetch_loop fetch_steps(kir_reg at, int64_t unit, int64_t count);
/* The loop over blocks of `size`, the last of which may be smaller. */
fetch_loop fetch_blocks(kir_index at, int64_t size, int64_t count);
/* Adds the next loop inwards. */
void fetch_ahead_within(fetch_ahead *ahead, fetch_loop loop);
/* Emits, in the innermost loop, the fetching of the lines that are its part; of a very large one, of its first lines.
 */
void fetch_ahead_emit(const kir_builder *builder, const fetch_ahead *ahead);

#endif
