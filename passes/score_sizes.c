/* How large the tiles of a matrix of scores are: what they work on stays in the caches, and two processors have as much
 * to do as each other. Both passes over scores whose product is kept choose alike. */
#include "passes/score_units.h"

enum {
    TILE_BYTES = 3 << 20,
    LARGEST_TILE = 256,
    MANY_TILES = 16,
    FEWEST_BLOCKS = 4,
    PROCESSORS = 2,
    TILE_SCORES = 256, /* what a tile costs besides its scores, and what a round does, in scores */
    ROUND_SCORES = 512,
};

static int64_t blocks_of(int64_t count, int64_t size) {
    return (count + size - 1) / size;
}

static int64_t common_multiple(int64_t a, int64_t b) {
    int64_t multiple = a;
    while (multiple % b != 0)
        multiple += a;
    return multiple;
}

/* Bytes that one tile works on: scores, vectors of both sides, results. */
static int64_t tile_bytes(const score_plan *plan, int64_t size) {
    int64_t tiles = plan->product_count > plan->weight_count ? plan->product_count : plan->weight_count;
    int64_t numbers = (plan->shares ? 1 : tiles) * size * size;
    for (int i = 0; i < plan->product_count; i++)
        numbers += 2 * size * plan->products[i].length;
    /* Groups that share kept tiles have them of one size, whatever their results. */
    for (int i = 0; i < plan->output_count && !plan->shares; i++)
        numbers += 2 * size * plan->outputs[i].length;
    return 4 * numbers;
}

static int64_t largest_size(const score_plan *plan, int64_t unit) {
    int64_t size = unit;
    while (size + unit <= LARGEST_TILE && tile_bytes(plan, size + unit) <= TILE_BYTES)
        size += unit;
    return size;
}

/* ---- one side by itself ---------------------------------------------------------------------------------------------
 */

/* Whether two processors are done with a round of blocks at the same time: of half as many where scores are symmetric.
 */
static bool are_shared_evenly(const score_plan *plan, int64_t tiles) {
    return plan->chunks || tiles == 1 || tiles > MANY_TILES || (plan->symmetric ? tiles / 2 : tiles) % 2 == 0;
}

/* The size of so many tiles, or of a few more, that are about equal. */
static int64_t even_size(const score_plan *plan, int64_t unit, int64_t count, int64_t tiles) {
    while (!are_shared_evenly(plan, tiles))
        tiles++;
    return score_rounded_up(blocks_of(count, tiles), unit);
}

static int64_t side_size(const score_plan *plan, int64_t unit, int64_t count, int64_t fewest) {
    int64_t size = largest_size(plan, unit);
    while (size > unit && size * fewest > score_rounded_up(count, unit))
        size -= unit;
    return even_size(plan, unit, count, blocks_of(count, size));
}

/* ---- both sides -----------------------------------------------------------------------------------------------------
 */

/* What two processors take for tiles that whichever is free takes in order. */
typedef struct {
    int64_t busy[PROCESSORS];
} tile_schedule;

static void schedule(tile_schedule *so_far, int64_t scores) {
    so_far->busy[so_far->busy[1] < so_far->busy[0]] += scores + TILE_SCORES;
}

static int64_t end_of(const tile_schedule *schedule) {
    return schedule->busy[schedule->busy[1] > schedule->busy[0]];
}

/* Rows (columns) of a block: the last one has what is left. */
static int64_t block_lines(int64_t block, int64_t size, int64_t count) {
    return (block + 1) * size <= count ? size : count - block * size;
}

/* Time, in scores, of a pass in rounds of tiles that share neither rows nor columns. */
static int64_t grid_time(const score_plan *plan, int64_t rows, int64_t columns) {
    int64_t row_blocks = blocks_of(plan->rows, rows), column_blocks = blocks_of(plan->columns, columns);
    int64_t extent = row_blocks < column_blocks ? row_blocks : column_blocks;
    int64_t rounds = row_blocks < column_blocks ? column_blocks : row_blocks, time = 0;
    if (extent > MANY_TILES)
        return (plan->rows * plan->columns + extent * rounds * TILE_SCORES) / PROCESSORS + rounds * ROUND_SCORES;
    for (int64_t round = 0; round < rounds; round++) {
        tile_schedule tiles = {{0}};
        for (int64_t number = 0; number < extent; number++) {
            int64_t further = (number + round) % rounds;
            int64_t row = row_blocks < column_blocks ? number : further, column = number + further - row;
            schedule(&tiles, block_lines(row, rows, plan->rows) * block_lines(column, columns, plan->columns));
        }
        time += end_of(&tiles) + ROUND_SCORES;
    }
    return time;
}

/* The same of a pass in which a whole row of tiles is one iteration. */
static int64_t lines_time(const score_plan *plan, int64_t rows) {
    int64_t blocks = blocks_of(plan->rows, rows);
    tile_schedule tiles = {{0}};
    for (int64_t block = 0; block < blocks; block++)
        schedule(&tiles, block_lines(block, rows, plan->rows) * plan->columns);
    return end_of(&tiles);
}

/* The sizes that take the least time in both forms of a pass, the largest of them. Columns come in units: they are rows
 * to the products along the other axis. */
static void choose_both(score_plan *plan, int64_t unit) {
    int64_t most_rows = largest_size(plan, plan->panel_rows), most_columns = largest_size(plan, unit);
    int64_t least = INT64_MAX;
    for (int64_t rows = most_rows; rows > 0; rows -= plan->panel_rows) {
        int64_t lines = lines_time(plan, rows);
        for (int64_t columns = most_columns; columns > 0; columns -= unit) {
            int64_t time = lines + grid_time(plan, rows, columns);
            if (time >= least)
                continue;
            least = time;
            plan->tile_rows = rows;
            plan->tile_columns = columns;
        }
    }
}

void score_tiles_choose(score_plan *plan) {
    const kir_target *cpu = &plan->context->pass->target;
    plan->lanes = cpu->lanes;
    plan->panel_columns = 2 * cpu->lanes;
    plan->panel_rows = score_on_units(plan) ? 2 * cpu->lanes : cpu->vector_registers >= 32 ? 8 : 4;
    int64_t unit = common_multiple(plan->panel_rows, plan->panel_columns);
    bool pairs_on_vectors = plan->parts && !score_on_units(plan);
    if (pairs_on_vectors || plan->symmetric || plan->chunks) {
        plan->tile_rows = side_size(plan, unit, plan->rows, FEWEST_BLOCKS);
        plan->tile_columns =
            plan->symmetric ? plan->tile_rows : side_size(plan, unit, plan->columns, plan->chunks ? 1 : FEWEST_BLOCKS);
    } else {
        choose_both(plan, unit);
    }
    plan->tile_stride = plan->tile_columns + plan->lanes;
}
