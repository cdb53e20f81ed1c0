/* Inside fuse-contrastive: a matrix of scores, everything that is computed from it element by element, and what reads
 * that. */
#ifndef PASSES_SCORE_SPACE_H
#define PASSES_SCORE_SPACE_H

#include "passes/pass.h"

/* What remains of rows and columns in a value computed from all scores. */
typedef enum { SCORE_ROWS, SCORE_COLUMNS, SCORE_NOTHING } score_kept;

/* A reduction of scores, or a product of scores with vectors: the only readers that need no stored scores. */
typedef struct {
    ir_value *value;
    ir_value *scores; /* the operand that has all rows and columns */
    ir_value *other;  /* of a product: the vectors; NULL for a reduction */
    score_kept kept;
    bool both_ways; /* of symmetric scores: the same product along the other axis is added */
    int stage;      /* how many other results of the same scores must be known first, one after the other */
} score_result;

typedef struct {
    ir_function *function;
    arena *memory;
    ir_value *product; /* the pairwise product that it starts from */
    int64_t rows, columns;
    int *row_axes; /* by id of the values present at the start: how many leading axes are rows; -1 outside of the space
                    */
    int *level;    /* by id: the stage from which on the value can be computed */
    int id_limit;
    score_result *results;
    int result_count, result_capacity;
    int stage_count;
    /* Why it cannot be fused: a text for a remark and its place, or NULL. */
    const char *obstacle;
    source_span obstacle_span;
} score_space;

/* Whether the value is a product of two sets of vectors neither of which is a weight. */
bool score_is_pairwise(const ir_function *function, const ir_value *value);
/* Finds all that belongs to the scores; sets an obstacle where a reader needs them stored. */
score_space score_space_find(arena *memory, ir_function *function, ir_value *product);
/* Whether the scores are reduced. What only a product or an update reads is an ordinary product of matrices, of which
 * nothing need be said. */
bool score_space_is_reduced(const score_space *space);
/* Whether they are so many as to be worth a kernel of their own. */
bool score_space_is_worth(const score_space *space);
bool score_space_is_fusable(const score_space *space);
/* Whether of so many symmetric scores half are computed: halves of few are not worth a launch. */
bool score_are_halved(int64_t rows);
/* Of a product of vectors: `parts` of bf16 that each number is split into, or 0; whether half of it is computed, and
 * whether memory is short. */
typedef struct {
    int64_t rows, columns, length;
    int parts;
    bool halved, limited;
} score_sizes;

/* Whether the product is computed once and kept for the passes that follow: where it takes no more memory than the
 * vectors, as another product of long vectors costs more than reading it; and in f32 up to 64 MB, which memory writes
 * and reads in less time than a product takes, unless half of the scores are computed or memory is short. */
bool score_are_kept(const score_sizes *scores);
/* Whether two products multiply the same scores by the same vectors, a along columns and b along rows, and are added
 * up: symmetric scores need one product for both. */
bool score_are_twins(const score_space *space, const score_result *a, const score_result *b);
/* The value's only user, or NULL for none or several. */
ir_value *score_only_user(const ir_function *function, const ir_value *value);
bool score_is_wide(const score_space *space, const ir_value *value);

#endif
