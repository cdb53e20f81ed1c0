#include "passes/score_exponentials.h"

#include "passes/kernel_math.h"
#include "passes/score_sweep.h"

#include <math.h>

enum { RANGE = 40 }; /* e^-87 is the least that there is: what is above e^-47 of a row's largest keeps its digits */

/* ---- what is shared -------------------------------------------------------------------------------------------------
 */

/* scores - numbers of one axis, of which there are more than one. */
static bool is_shared_power(const score_plan *plan, const ir_value *value, score_factor *factor) {
    if (value->group != plan->group || value->opcode != IR_OP_exp || value->operands[0]->opcode != IR_OP_sub)
        return false;
    const ir_value *repeated = value->operands[0]->operands[1];
    if (repeated->opcode != IR_OP_broadcast || repeated->operands[0]->type.rank != 1 || value->type.rank != 2 ||
        repeated->operands[0]->group == plan->group)
        return false;
    *factor = (score_factor){.power = value, .numbers = repeated->operands[0]};
    factor->axis = (int)ir_ints(repeated, IR_ATTR_axes)[0];
    return true;
}

static bool has_transposes(const score_plan *plan) {
    for (const ir_value *value = plan->context->source->first; value; value = value->next)
        if (value->group == plan->group && value->opcode == IR_OP_transpose)
            return true;
    return false;
}

static void add_factor(const score_plan *plan, score_exponentials *shared, score_factor factor, bool turned) {
    /* Where nothing is turned, the tile's rows are the scores' axis 0, or 1 if they are exchanged. */
    factor.by_row = (factor.axis == plan->exchanged) != turned;
    shared->factors[shared->count++] = factor;
}

bool score_exponentials_find(const score_plan *plan, score_exponentials *shared) {
    *shared = (score_exponentials){0};
    if (plan->weight_count == 0 || plan->rows % plan->lanes != 0 || plan->columns % plan->lanes != 0)
        return false;
    bool both = plan->symmetric && has_transposes(plan);
    score_factor factor;
    for (const ir_value *value = plan->context->source->first; value; value = value->next) {
        if (!is_shared_power(plan, value, &factor))
            continue;
        const ir_value *scores = value->operands[0]->operands[0];
        if (shared->count + 2 > SCORE_MOST_SHARED || (shared->scores && shared->scores != scores))
            return false;
        shared->scores = scores;
        add_factor(plan, shared, factor, false);
        if (both)
            add_factor(plan, shared, factor, true);
    }
    return shared->count > 1 && (!both || score_reads_alike(shared->scores));
}

/* ---- a tile's factors -----------------------------------------------------------------------------------------------
 */

static int lanes_of(const score_plan *plan, const score_factor *factor) {
    return factor->by_row ? score_block_rows(plan) : plan->lanes;
}

/* A loop over the factor's numbers in the tile: the place of a vector of them, and they. */
static kir_index loop_over_numbers(lower_kernel *kernel, const score_plan *plan, const score_place *tile,
                                   const score_factor *factor, kir_reg *numbers) {
    int lanes = lanes_of(plan, factor);
    kir_builder outer = kernel->builder;
    kir_index end = factor->by_row ? tile->row_end : tile->column_end;
    kir_index place = kir_plus(kir_at(0), 1, kir_loop(&outer, kir_at(0), end, lanes, &kernel->builder));
    lower_coordinate at = {kir_plus_index(factor->by_row ? tile->row : tile->column, 1, place), 1};
    score_forget(kernel);
    *numbers = lower_element_at(kernel, factor->numbers, &at, lanes, lanes);
    return place;
}

static kir_reg least_lane(const kir_builder *builder, kir_reg vector, int lanes) {
    return kir_op1(builder, KIR_neg, score_largest_lane(builder, kir_op1(builder, KIR_neg, vector), lanes));
}

/* The largest and the least of the numbers: scalars. */
static void find_range(lower_kernel *kernel, const score_plan *plan, const score_place *tile,
                       const score_factor *factor, kir_reg *largest, kir_reg *least) {
    kir_builder outer = kernel->builder;
    int lanes = lanes_of(plan, factor);
    kir_type type = kir_vector_type(KIR_F32, lanes);
    kir_reg most = kir_register(&outer, type), fewest = kir_register(&outer, type), numbers;
    kir_assign(&outer, most, kir_number(&outer, type, -INFINITY));
    kir_assign(&outer, fewest, kir_number(&outer, type, INFINITY));
    loop_over_numbers(kernel, plan, tile, factor, &numbers);
    kir_into(&kernel->builder, most, KIR_max, most, numbers, -1);
    kir_into(&kernel->builder, fewest, KIR_min, fewest, numbers, -1);
    kernel->builder = outer;
    *largest = score_largest_lane(&outer, most, lanes);
    *least = least_lane(&outer, fewest, lanes);
}

static void store_factors(lower_kernel *kernel, const score_plan *plan, const score_place *tile,
                          const score_factor *factor, kir_reg largest) {
    kir_builder outer = kernel->builder;
    int lanes = lanes_of(plan, factor);
    kir_reg numbers;
    kir_index place = loop_over_numbers(kernel, plan, tile, factor, &numbers);
    const kir_builder *body = &kernel->builder;
    kir_reg below = kir_op2(body, KIR_sub, kir_splat(body, largest, lanes), numbers);
    kir_store(body, factor->factors, place, math_exp(body, below), lanes);
    kernel->builder = outer;
}

kir_reg score_exponentials_prepare(lower_kernel *kernel, const score_plan *plan, const score_place *tile,
                                   score_exponentials *shared) {
    kir_reg largest = -1, least = -1;
    shared->tile = tile;
    for (int i = 0; i < shared->count; i++) {
        score_factor *factor = &shared->factors[i];
        factor->factors = lower_scratch(kernel, "factors", factor->by_row ? plan->tile_rows : plan->tile_columns);
        kir_reg most, fewest;
        find_range(kernel, plan, tile, factor, &most, &fewest);
        largest = i ? kir_op2(&kernel->builder, KIR_max, largest, most) : most;
        least = i ? kir_op2(&kernel->builder, KIR_min, least, fewest) : fewest;
    }
    for (int i = 0; i < shared->count; i++)
        store_factors(kernel, plan, tile, &shared->factors[i], largest);
    shared->largest = kir_splat(&kernel->builder, largest, plan->lanes);
    const kir_builder *builder = &kernel->builder;
    kir_reg limit = kir_op2(builder, KIR_sub, largest, kir_number(builder, kir_scalar_type(KIR_F32), RANGE));
    return kir_op2(builder, KIR_less, limit, least);
}

/* ---- elements -------------------------------------------------------------------------------------------------------
 */

/* e^(s - M) at the place, which all exponentials there share; of symmetric scores both ways round. */
static kir_reg shared_power(lower_kernel *kernel, const lower_coordinate *at, int lanes) {
    const score_reader *reader = kernel->scores;
    bool turned = at[0].lane != 0 && !reader->plan->symmetric;
    if (reader->power[turned] >= 0)
        return reader->power[turned];
    kir_reg score = lower_element_at(kernel, reader->exponentials->scores, at, lanes, lanes);
    const kir_builder *builder = &kernel->builder;
    kir_reg difference = kir_op2(builder, KIR_sub, score, reader->exponentials->largest);
    return reader->power[turned] = math_exp_within(builder, difference, score_bits(reader));
}

kir_reg score_exponentials_element(lower_kernel *kernel, const ir_value *value, const lower_coordinate *at, int lanes) {
    const score_exponentials *shared = kernel->scores->exponentials;
    for (int i = 0; shared && i < shared->count; i++) {
        const score_factor *factor = &shared->factors[i];
        const lower_coordinate *along = &at[factor->axis];
        if (factor->power != value || factor->by_row != (along->lane == 0))
            continue;
        kir_reg power = shared_power(kernel, at, lanes);
        kir_index first = factor->by_row ? shared->tile->row : shared->tile->column;
        kir_index place = kir_plus_index(along->base, -1, first);
        int count = factor->by_row ? 1 : lanes;
        kir_reg by = kir_load(&kernel->builder, factor->factors, place, count, count);
        if (factor->by_row)
            by = kir_splat(&kernel->builder, by, lanes);
        return kir_op2(&kernel->builder, KIR_mul, power, by);
    }
    return -1;
}
