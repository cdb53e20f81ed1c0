/* Inside the lowering of dot: sizes, and operands as they lie. */
#ifndef PASSES_LOWER_DOT_H
#define PASSES_LOWER_DOT_H

#include "passes/lower_contraction.h"

/* Register tiles of rows in a block at most; and how many blocks there should be, if that takes smaller ones. */
enum { TILES_OF_BLOCK = 8, ENOUGH_BLOCKS = 16 };

/* Of [batch, m, k] times [batch, k, n]. */
typedef struct {
    int64_t batch, m, n, k;
} dot_sizes;

typedef struct {
    int left; /* buffer [batch, m, k], or [batch, k, m] if it is turned */
    bool left_turned;
    int right;                 /* buffer */
    panel_matrix right_matrix; /* how it lies; panels are not chosen */
} dot_operands;

/* What an iteration computes: all of the columns, or whole panels of them. */
typedef struct {
    int64_t rows, columns;
} dot_blocks;

/* Blocks of at most `tiles` register tiles of `rows` rows each, which read a panel of columns while it is in the second
 * cache. Where that makes few of them, they are cut along the columns, too, and where that does not help, smaller.
 * Fewer rows than a block's stay together, so that each panel is read once. */
dot_blocks lower_dot_blocks(const dot_sizes *sizes, int64_t rows, int64_t tiles, int64_t panel);
/* A right operand that lies in rows: [batch, k, n]. */
panel_matrix lower_rows_matrix(const dot_sizes *sizes);
/* lower_dot.c: the product in f32 into `result`, a buffer [batch, m, n]. `name` is the kernel's. */
void lower_product(lower_context *context, const char *name, const dot_sizes *sizes, const dot_operands *operands,
                   int result, source_span span);
/* lower_dot_pairs.c: whether the product is computed in pairs of bf16 parts (see lower_pairs_pay), and that. */
bool lower_dot_pairs_pay(const pass_context *pass, const dot_sizes *sizes);
bool lower_dot_pairs(lower_context *context, const ir_value *value, const dot_sizes *sizes,
                     const dot_operands *operands);

#endif
