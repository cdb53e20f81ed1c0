/* Inside the lowering of scores: the code for one tile of the matrix [rows, columns].
 *
 * The tile's products are computed into the worker's scratch memory, swept by rows and by columns for the reductions,
 * and its weights, which replace the products there, are multiplied by vectors. */
#ifndef PASSES_SCORE_TILE_H
#define PASSES_SCORE_TILE_H

#include "passes/lower_nest.h"

enum { SCORE_MAX_PRODUCTS = 4, SCORE_MAX_RESULTS = 16, SCORE_STRIP = 32 };

/* dot of rows with columns, a member of the group. */
typedef struct {
    const ir_value *value;
    const ir_value *row_vectors, *column_vectors; /* its operands, by the tile's sides */
    int64_t length;                               /* of the vectors */
    int left;                                     /* buffer [rows, length] */
    int packed; /* buffer [panel][length][panel's columns], zeros beyond the last column; both else in pairs */
} score_product;

typedef enum { SCORE_SUM, SCORE_MAX, SCORE_LOGSUMEXP, SCORE_MULTIPLY } score_result_kind;

typedef struct {
    const ir_value *value;
    const ir_value *scores;
    score_result_kind kind;
    bool by_row;      /* one result a row, else one a column */
    int total;        /* buffer: what has been added up, or the largest; [whole tiles], of a product [rows, length] */
    int exponentials; /* of a log-sum-exp: buffer of the sums of e^(score - largest) */
    int vectors;      /* of a product: buffer of what scores are multiplied by, [columns or rows, length], or pairs */
    int64_t length;
    int64_t row;  /* of a product: elements between rows of its total, at least `length` */
    bool in_rows; /* of a product on matrix units: its total is the result itself, not tiles to be finished */
    int weights;  /* of a product: which of the plan's weights */
    /* On matrix units (score_units.h), of a product of symmetric scores: what mirrored tiles add up the other way, and
     * what their scores are multiplied by; -1 if there are none. */
    int mirrored_total, mirrored_vectors;
} score_output;

typedef struct {
    lower_context *context;
    int group;
    int64_t rows, columns;
    bool symmetric;                 /* half of the tiles are computed and used both ways */
    bool exchanged;                 /* the tile's rows are the scores' columns: the longer side is not rearranged */
    bool fresh_rows, fresh_columns; /* a total of rows (columns) is set by the only tile that adds to it, or by another
                                       launch before */
    bool rows_once;                 /* score_unit_operands.h: a tile brings its rows into pairs itself */
    int parts;                      /* bf16 parts of each number in products (score_pairs.h); 0 for f32 as it is */
    int64_t chunks;                 /* above 0: the rows are split, and each part has column totals of its own */
    score_product products[SCORE_MAX_PRODUCTS];
    int product_count;
    score_output outputs[SCORE_MAX_RESULTS];
    int output_count;
    const ir_value *weights[SCORE_MAX_RESULTS]; /* distinct scores that vectors are multiplied by */
    int weight_count;
    int lanes, panel_rows, panel_columns; /* of one register tile */
    int64_t tile_rows, tile_columns;
    int kept;            /* buffer [row of tiles][tile][rows][stride] of the product for a later group, or -1 */
    bool reuses;         /* an earlier group has filled it */
    bool shares;         /* one of the two is so */
    int64_t tile_stride; /* between rows in memory: not a power of 2, which would crowd few sets of the caches */
} score_plan;

/* Whether nothing has been added to totals before: always, never, or `when` (BOOL; else -1) says so. */
typedef struct {
    bool always;
    kir_reg when;
} score_fresh;

/* One tile: where it is. All registers are i64. */
typedef struct {
    kir_index row, column;         /* the first ones */
    kir_index row_end, column_end; /* how many of the tile's exist */
    kir_index column_totals;       /* where the totals of columns begin, counted in columns */
    score_fresh fresh_rows, fresh_columns;
    bool mirrored;   /* symmetric scores off the diagonal: also the tile with rows and columns exchanged */
    bool in_strip;   /* on matrix units: SCORE_STRIP rows of a tile, whose weights stay in the first cache */
    kir_index strip; /* the strip's first row within the tile */
} score_place;

/* The next multiple of `unit`. */
static inline int64_t score_rounded_up(int64_t count, int64_t unit) {
    return (count + unit - 1) / unit * unit;
}

/* score_plan.c: what the group holds, without tiles. */
score_plan score_plan_of(lower_context *context, int group);
/* The same product in another group, where score_are_kept: it is computed once and kept for both. NULL if there is
 * none.
 */
const ir_value *score_plan_share(score_plan *plan);
/* Whether element [i, j] of the scores is their element [j, i], by the way they are computed. */
bool score_reads_alike(const ir_value *scores);

/* score_sizes.c: the sizes of tiles and panels, once the plan is known whole. */
void score_tiles_choose(score_plan *plan);

/* score_totals.c: two parts of a sum, or the larger of two maxima. */
kir_reg score_combined(const kir_builder *builder, const score_output *output, kir_reg x, kir_reg y);
/* Buffers for what tiles add up, filled where the first tile does not; afterwards the results. */
void score_totals_prepare(score_plan *plan);
void score_totals_finish(const score_plan *plan);

/* How the elements of group members are found in a tile (lower_element_at). */
typedef struct score_reader {
    const score_plan *plan;
    const score_place *place;
    int tiles[SCORE_MAX_PRODUCTS]; /* arguments: scratch, or what is kept */
    kir_index origin;              /* of the tile in them */
    kir_reg *known;                /* by 2 * id + (rows run along the lanes): computed in this very place, or -1 */
    const ir_value *settled;       /* scores that have taken the place of the first product, or NULL */
    /* Of exponentials that are computed as one (score_exponentials.h), or NULL; and it in this very place, of scores
     * with rows and columns exchanged in the second, or -1. */
    const struct score_exponentials *exponentials;
    kir_reg *power;
} score_reader;

/* To how many bits functions of scores are worth computing: more than their products have. */
int score_bits(const score_reader *reader);
kir_reg score_element_at(lower_kernel *kernel, const ir_value *value, const lower_coordinate *at, int lanes, int count);

/* Nothing is known of another place's elements. */
void score_forget(lower_kernel *kernel);
/* The scores' element in the given row and column of the tile; `turned`: of the mirrored one. */
void score_coordinates(const score_plan *plan, const score_place *place, kir_index row, kir_index column, bool turned,
                       lower_coordinate at[2]);
/* Where the totals of the tile's columns begin. */
kir_index score_column_total(const score_place *place);

/* Emits everything that one tile adds to the outputs. */
void score_tile_emit(lower_kernel *kernel, const score_plan *plan, const score_place *place);

#endif
