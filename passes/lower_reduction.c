/* Reductions, with the elementwise values that feed them; several of the same elements in one pass.
 *
 * Two forms: the innermost axis in memory is kept (vectors of results, as batch normalisation's sums over N, H, W in
 * channels-last order), or it is reduced (vectors of partial sums, joined at the end). A large reduction to few results
 * first reduces each index of its outermost axis for itself, in parallel, and then those: a fixed split, so that the
 * numbers are the same at any number of threads. Elements that something else needs are stored on the way. */
#include "passes/lower_nest.h"
#include "passes/variation.h"

#include <assert.h>
#include <math.h>

enum { SPLIT_ABOVE = 1 << 15, ROWS_OF_VECTORS = 4, SHIFT_SAMPLES = 8 };

typedef struct {
    const ir_value *root;           /* reduce_sum, reduce_max, reduce_variation */
    int source;                     /* buffer that stands in for the operand in the second stage, or -1 */
    int target;                     /* buffer of results */
    int means_source, means_target; /* of a variation's parts; -1: none */
    double weight;                  /* of a variation: elements that each of those summed over stands for */
} reduced;

/* What has been reduced so far. */
typedef struct {
    kir_reg total;           /* of sums and maxima */
    running_variation about; /* of variations */
} running;

typedef struct {
    const ir_type *type; /* of the operands */
    const ir_layout *layout;
    bool reduced[IR_MAX_RANK];
    reduced items[LOWER_MAX_RESULTS];
    int count;
    const ir_value *stored[LOWER_MAX_RESULTS]; /* elements */
    int stored_count;
    const ir_type *target_type;
    const ir_layout *target_layout;
    int lanes;
    int rows; /* vectors of neighbouring results at once */
} reduction;

static bool is_variation(const reduced *item) {
    return item->root->opcode == IR_OP_reduce_variation;
}

/* That are carried from one element to the next. */
static int count_registers(const reduction *work) {
    int count = 0;
    for (int i = 0; i < work->count; i++)
        count += is_variation(&work->items[i]) ? 3 : 1;
    return count;
}

static double neutral(const ir_value *root) {
    if (root->opcode == IR_OP_reduce_sum)
        return 0;
    return root->type.dtype == IR_I32 ? -2147483648.0 : -INFINITY;
}

static kir_reg element_at(lower_kernel *kernel, const reduction *work, const reduced *item, const lower_coordinate *at,
                          int lanes, int count) {
    int source = item->means_source >= 0 ? item->means_source : item->source;
    if (source >= 0)
        return lower_load_at(kernel, source, work->type, work->layout, at, lanes, count);
    return lower_element_at(kernel, item->root->operands[0], at, lanes, count);
}

/* so_far with one element more; `within` is a part's own variation, or -1. */
static void take_element(const kir_builder *builder, const reduced *item, const running *so_far, kir_reg element,
                         kir_reg within) {
    if (is_variation(item)) {
        const running_variation *about = &so_far->about;
        variation_take(builder, about, kir_op2(builder, KIR_sub, element, about->shift), item->weight);
        if (within >= 0)
            kir_into(builder, about->squares, KIR_add, about->squares, within, -1);
    } else if (item->root->opcode == IR_OP_reduce_max) {
        kir_assign(builder, so_far->total, lower_maximum(builder, so_far->total, element));
    } else {
        kir_into(builder, so_far->total, KIR_add, so_far->total, element, -1);
    }
}

/* Takes the elements at `at` into what is running, and stores those that are wanted. */
static void take_elements(lower_kernel *kernel, const reduction *work, const lower_coordinate *at, int lanes, int count,
                          const running *so_far) {
    kir_reg elements[LOWER_MAX_RESULTS], within[LOWER_MAX_RESULTS], stored[LOWER_MAX_RESULTS];
    lower_begin_place(kernel);
    for (int i = 0; i < work->count; i++) {
        const reduced *item = &work->items[i];
        elements[i] = element_at(kernel, work, item, at, lanes, count);
        within[i] = item->means_source < 0
                        ? -1
                        : lower_load_at(kernel, item->source, work->type, work->layout, at, lanes, count);
    }
    for (int i = 0; i < work->stored_count; i++)
        stored[i] = lower_element_at(kernel, work->stored[i], at, lanes, count);
    for (int i = 0; i < work->stored_count; i++) {
        const ir_value *value = work->stored[i];
        int buffer = lower_result_buffer(kernel->context, value);
        lower_store_at(kernel, buffer, &value->type, &value->layout, at, stored[i], count);
        kir_stream(kernel->kernel, lower_argument(kernel, buffer, true));
    }
    for (int i = 0; i < work->count; i++)
        take_element(&kernel->builder, &work->items[i], &so_far[i], elements[i], within[i]);
}

static int innermost_axis(const reduction *work) {
    return work->layout->axis[work->type->rank - 1];
}

/* How many elements make a result. */
static double elements_of_result(const reduction *work) {
    double count = 1;
    for (int axis = 0; axis < work->type->rank; axis++)
        count *= work->reduced[axis] ? (double)work->type->dims[axis] : 1;
    return count;
}

/* Operand coordinates without the reduced axes: where the results go. */
static void store_results(lower_kernel *kernel, const reduction *work, const lower_coordinate *at,
                          const running *so_far, int count) {
    lower_coordinate kept[IR_MAX_RANK];
    int rank = 0;
    for (int axis = 0; axis < work->type->rank; axis++)
        if (!work->reduced[axis])
            kept[rank++] = at[axis];
    for (int i = 0; i < work->count; i++) {
        const reduced *item = &work->items[i];
        kir_reg mean = -1;
        kir_reg result = is_variation(item) ? variation_finish(&kernel->builder, &so_far[i].about,
                                                               elements_of_result(work), item->weight, &mean)
                                            : so_far[i].total;
        lower_store_at(kernel, item->target, work->target_type, work->target_layout, kept, result, count);
        if (item->means_target >= 0)
            lower_store_at(kernel, item->means_target, work->target_type, work->target_layout, kept, mean, count);
    }
}

/* Loops over the reduced axes but `except`, outermost first; leaves the builder inside the innermost. */
static void open_reduced_loops(lower_kernel *kernel, const reduction *work, int except, lower_coordinate *at) {
    for (int i = 0; i < work->type->rank; i++) {
        int axis = work->layout->axis[i];
        if (!work->reduced[axis] || axis == except)
            continue;
        kir_builder body;
        kir_reg index = kir_loop(&kernel->builder, kir_at(0), kir_at(work->type->dims[axis]), 1, &body);
        at[axis] = (lower_coordinate){kir_plus(kir_at(0), 1, index), 0};
        kernel->builder = body;
    }
}

static int longest_reduced_axis(const reduction *work) {
    int longest = -1;
    for (int axis = 0; axis < work->type->rank; axis++)
        if (work->reduced[axis] && (longest < 0 || work->type->dims[axis] > work->type->dims[longest]))
            longest = axis;
    return longest;
}

/* The mean of a few elements, spread along one axis that is reduced, in every lane of what `lanes` lanes add up. */
static kir_reg shift_of(lower_kernel *kernel, const reduction *work, const reduced *item, const lower_coordinate *at,
                        int lanes, int count) {
    const kir_builder *builder = &kernel->builder;
    lower_coordinate place[IR_MAX_RANK];
    for (int axis = 0; axis < work->type->rank; axis++)
        place[axis] = work->reduced[axis] ? (lower_coordinate){kir_at(0), 0} : at[axis];
    bool apart = work->reduced[innermost_axis(work)]; /* the lanes are of one result */
    int longest = longest_reduced_axis(work);
    int64_t size = longest < 0 ? 1 : work->type->dims[longest], samples = size < SHIFT_SAMPLES ? size : SHIFT_SAMPLES;
    kir_reg sum = -1;
    for (int64_t i = 0; i < samples; i++) {
        if (longest >= 0)
            place[longest].base = kir_at(i * size / samples);
        lower_begin_place(kernel);
        kir_reg element = element_at(kernel, work, item, place, apart ? 1 : lanes, apart ? 1 : count);
        sum = i ? kir_op2(builder, KIR_add, sum, element) : element;
    }
    kir_type type = builder->kernel->registers[sum];
    kir_reg mean = kir_op2(builder, KIR_mul, sum, kir_number(builder, type, 1 / (double)samples));
    return apart ? kir_splat(builder, mean, lanes) : mean;
}

static kir_reg new_register(const kir_builder *builder, kir_type type, double start) {
    kir_reg result = kir_register(builder, type);
    kir_assign(builder, result, kir_number(builder, type, start));
    return result;
}

static void begin_running(lower_kernel *kernel, const reduction *work, const lower_coordinate *at, int lanes, int count,
                          running *so_far) {
    const kir_builder *builder = &kernel->builder;
    for (int i = 0; i < work->count; i++) {
        const reduced *item = &work->items[i];
        kir_type type = kir_vector_type(lower_element(item->root->type.dtype), lanes);
        if (is_variation(item))
            so_far[i].about = (running_variation){.shift = shift_of(kernel, work, item, at, lanes, count),
                                                  .sum = new_register(builder, type, 0),
                                                  .squares = new_register(builder, type, 0)};
        else
            so_far[i].total = new_register(builder, type, neutral(item->root));
    }
}

/* `rows` vectors of neighbouring results at once, so that a pass over the reduced axes reads whole cache lines. */
static void reduce_kept_vectors(lower_kernel *kernel, const reduction *work, lower_coordinate *at, kir_index first,
                                int rows, int count) {
    int axis = innermost_axis(work);
    running so_far[ROWS_OF_VECTORS][LOWER_MAX_RESULTS];
    lower_coordinate vectors[ROWS_OF_VECTORS];
    for (int r = 0; r < rows; r++) {
        vectors[r] = (lower_coordinate){first, work->lanes > 1};
        vectors[r].base.base += (int64_t)r * work->lanes;
        at[axis] = vectors[r];
        begin_running(kernel, work, at, work->lanes, count, so_far[r]);
    }
    kir_builder outer = kernel->builder;
    open_reduced_loops(kernel, work, -1, at);
    for (int r = 0; r < rows; r++) {
        at[axis] = vectors[r];
        take_elements(kernel, work, at, work->lanes, count, so_far[r]);
    }
    kernel->builder = outer;
    for (int r = 0; r < rows; r++) {
        at[axis] = vectors[r];
        store_results(kernel, work, at, so_far[r], count);
    }
}

/* Neighbouring results that a pass over the reduced axes computes. */
static int64_t block_size(const reduction *work) {
    return (int64_t)work->rows * work->lanes;
}

static void reduce_kept(lower_kernel *kernel, const reduction *work, lower_coordinate *at) {
    int64_t size = work->type->dims[innermost_axis(work)];
    int64_t block = block_size(work), whole = size / block * block;
    kir_builder outer = kernel->builder;
    if (whole > 0) {
        kir_builder body;
        kir_reg index = kir_loop(&outer, kir_at(0), kir_at(whole), block, &body);
        kernel->builder = body;
        reduce_kept_vectors(kernel, work, at, kir_plus(kir_at(0), 1, index), work->rows, work->lanes);
        kernel->builder = outer;
    }
    for (; whole < size; whole += work->lanes) {
        int64_t left = size - whole;
        reduce_kept_vectors(kernel, work, at, kir_at(whole), 1, left < work->lanes ? (int)left : work->lanes);
    }
}

/* ---- place by place -------------------------------------------------------------------------------------------------
 * One block of results after the other would read a map in steps. Where the caches do not hold it, all results take
 * their elements of a place before the next, and what is running waits in the worker's memory: memory is read in order,
 * and every result takes its elements in the same order as in blocks. */

enum { PLACES_FROM_BYTES = 128 << 10 };

/* What is carried from one element to the next. */
static int running_registers(const reduced *item, running *so_far, kir_reg *registers[3]) {
    if (!is_variation(item)) {
        registers[0] = &so_far->total;
        return 1;
    }
    registers[0] = &so_far->about.shift;
    registers[1] = &so_far->about.sum;
    registers[2] = &so_far->about.squares;
    return 3;
}

/* Puts what is running of a vector of results into the worker's memory, [register][result], or takes it from there. */
static void move_running(lower_kernel *kernel, const reduction *work, int waiting, kir_index place, running *so_far,
                         bool resume) {
    const kir_builder *builder = &kernel->builder;
    for (int i = 0; i < work->count; i++) {
        kir_reg *registers[3];
        int count = running_registers(&work->items[i], &so_far[i], registers);
        for (int k = 0; k < count; k++, place.base += work->type->dims[innermost_axis(work)]) {
            if (resume) {
                *registers[k] = kir_register(builder, kir_vector_type(KIR_F32, work->lanes));
                kir_assign(builder, *registers[k], kir_load(builder, waiting, place, work->lanes, work->lanes));
            } else {
                kir_store(builder, waiting, place, *registers[k], work->lanes);
            }
        }
    }
}

/* A loop over all vectors of results, where the builder then is. */
static kir_index open_vectors(lower_kernel *kernel, const reduction *work, lower_coordinate *at) {
    int axis = innermost_axis(work);
    kir_builder body;
    kir_reg index = kir_loop(&kernel->builder, kir_at(0), kir_at(work->type->dims[axis]), work->lanes, &body);
    kernel->builder = body;
    kir_index first = kir_plus(kir_at(0), 1, index);
    at[axis] = (lower_coordinate){first, work->lanes > 1};
    return first;
}

static void reduce_places(lower_kernel *kernel, const reduction *work, lower_coordinate *at) {
    int lanes = work->lanes;
    running so_far[LOWER_MAX_RESULTS];
    kir_builder outer = kernel->builder;
    int64_t size = work->type->dims[innermost_axis(work)];
    int waiting = lower_scratch(kernel, "running", count_registers(work) * size);
    kir_index first = open_vectors(kernel, work, at);
    begin_running(kernel, work, at, lanes, lanes, so_far);
    move_running(kernel, work, waiting, first, so_far, false);
    kernel->builder = outer;
    open_reduced_loops(kernel, work, -1, at);
    first = open_vectors(kernel, work, at);
    move_running(kernel, work, waiting, first, so_far, true);
    take_elements(kernel, work, at, lanes, lanes, so_far);
    move_running(kernel, work, waiting, first, so_far, false);
    kernel->builder = outer;
    first = open_vectors(kernel, work, at);
    move_running(kernel, work, waiting, first, so_far, true);
    store_results(kernel, work, at, so_far, lanes);
    kernel->builder = outer;
}

/* Whether there are several blocks of results, and more elements than the nearer caches hold. */
static bool places_pay(const reduction *work) {
    int64_t size = work->type->dims[innermost_axis(work)];
    for (int i = 0; i < work->count; i++)
        if (work->items[i].root->type.dtype != IR_F32)
            return false;
    return size > block_size(work) && size % work->lanes == 0 &&
           4 * elements_of_result(work) * (double)size > PLACES_FROM_BYTES;
}

/* ---- the innermost axis ---------------------------------------------------------------------------------------------
 */

static kir_reg added_lanes(const kir_builder *builder, kir_reg vector, kir_reg one_by_one) {
    return kir_op2(builder, KIR_add, kir_op1(builder, KIR_sum_lanes, vector), one_by_one);
}

/* One result each: the lanes of its vector and what was added up one by one. */
static void join_lanes(const kir_builder *builder, const reduction *work, const running *vectors, running *one_by_one) {
    for (int i = 0; i < work->count; i++) {
        const running *vector = &vectors[i];
        running *single = &one_by_one[i];
        if (is_variation(&work->items[i])) {
            single->about.sum = added_lanes(builder, vector->about.sum, single->about.sum);
            single->about.squares = added_lanes(builder, vector->about.squares, single->about.squares);
        } else if (work->items[i].root->opcode == IR_OP_reduce_max) {
            kir_reg largest = lower_largest_lane(builder, vector->total);
            single->total = lower_maximum(builder, largest, single->total);
        } else {
            single->total = added_lanes(builder, vector->total, single->total);
        }
    }
}

/* Vectors along the innermost axis, what is left of it one by one. */
static void reduce_innermost(lower_kernel *kernel, const reduction *work, lower_coordinate *at) {
    int axis = innermost_axis(work), lanes = work->lanes;
    int64_t size = work->type->dims[axis], whole = size / lanes * lanes;
    running vectors[LOWER_MAX_RESULTS], one_by_one[LOWER_MAX_RESULTS];
    if (lanes > 1)
        begin_running(kernel, work, at, lanes, lanes, vectors);
    begin_running(kernel, work, at, 1, 1, one_by_one);
    kir_builder outer = kernel->builder;
    open_reduced_loops(kernel, work, axis, at);
    kir_builder inner = kernel->builder;
    if (whole > 0) {
        kir_builder body;
        kir_reg index = kir_loop(&inner, kir_at(0), kir_at(whole), lanes, &body);
        at[axis] = (lower_coordinate){kir_plus(kir_at(0), 1, index), lanes > 1};
        kernel->builder = body;
        take_elements(kernel, work, at, lanes, lanes, lanes > 1 ? vectors : one_by_one);
        kernel->builder = inner;
    }
    if (whole < size) {
        kir_builder body;
        kir_reg index = kir_loop(&inner, kir_at(whole), kir_at(size), 1, &body);
        at[axis] = (lower_coordinate){kir_plus(kir_at(0), 1, index), 0};
        kernel->builder = body;
        take_elements(kernel, work, at, 1, 1, one_by_one);
    }
    kernel->builder = outer;
    if (lanes > 1)
        join_lanes(&outer, work, vectors, one_by_one);
    at[axis] = (lower_coordinate){kir_at(0), 0};
    store_results(kernel, work, at, one_by_one, 1);
}

/* ---- launches -------------------------------------------------------------------------------------------------------
 */

/* One launch: an iteration for each index of the kept axes, the innermost one excepted where it is kept. If that makes
 * one iteration, each block of the innermost axis is one. */
static void emit_reduction(lower_context *context, const reduction *work, const char *name) {
    lower_kernel kernel = lower_kernel_begin(context, name, work->items[0].root);
    lower_coordinate at[IR_MAX_RANK];
    int8_t outer[IR_MAX_RANK];
    int outer_count = 0;
    int64_t extent = 1;
    bool kept = !work->reduced[innermost_axis(work)];
    for (int i = 0; i < work->type->rank; i++) {
        int8_t axis = work->layout->axis[i];
        if (work->reduced[axis] || (kept && i == work->type->rank - 1))
            continue;
        outer[outer_count++] = axis;
        extent *= work->type->dims[axis];
    }
    lower_split_iteration(&kernel, work->type, outer, outer_count, at);
    int64_t size = work->type->dims[innermost_axis(work)], block = block_size(work);
    if (kept && extent == 1 && size % block == 0) {
        reduce_kept_vectors(&kernel, work, at, kir_plus(kir_at(0), block, 0), work->rows, work->lanes);
        extent = size / block;
    } else if (kept && places_pay(work)) {
        reduce_places(&kernel, work, at);
    } else if (kept) {
        reduce_kept(&kernel, work, at);
    } else {
        reduce_innermost(&kernel, work, at);
    }
    lower_kernel_launch(&kernel, extent);
}

/* The outermost reduced axis, if it is worth reducing each of its indices apart; else -1. */
static int split_axis(const reduction *work) {
    int64_t total = ir_type_elements(work->type), iterations = 1;
    bool kept = !work->reduced[innermost_axis(work)];
    int split = -1, reduced_count = 0;
    for (int i = 0; i < work->type->rank; i++) {
        int axis = work->layout->axis[i];
        if (!work->reduced[axis]) {
            if (!(kept && i == work->type->rank - 1))
                iterations *= work->type->dims[axis];
        } else {
            reduced_count++;
            if (split < 0 && work->type->dims[axis] > 1)
                split = axis;
        }
    }
    return total > SPLIT_ABOVE && iterations < ENOUGH_ITERATIONS && reduced_count > 1 ? split : -1;
}

/* First stage into partial results [split axis, kept axes…], second stage over those. */
static void reduce_twice(lower_context *context, const reduction *work, int split) {
    /* Coordinates reach the partial buffers in the order of the operand's axes, the split one at its place. */
    ir_type first_type = {.dtype = work->type->dtype};
    ir_layout first_layout = ir_layout_identity();
    reduction first = *work, second = *work;
    int split_place = 0;
    for (int axis = 0; axis < work->type->rank; axis++) {
        if (work->reduced[axis] && axis != split)
            continue;
        if (axis == split)
            split_place = first_type.rank;
        second.reduced[first_type.rank] = axis == split;
        first_type.dims[first_type.rank++] = work->type->dims[axis];
    }
    /* In memory the split axis is outermost and the kept ones follow the result's order. */
    first_layout.axis[0] = (int8_t)split_place;
    for (int i = 0; i < work->target_type->rank; i++) {
        int axis = work->target_layout->axis[i];
        first_layout.axis[i + 1] = (int8_t)(axis >= split_place ? axis + 1 : axis);
    }
    for (int i = 0; i < work->count; i++) {
        const ir_value *root = work->items[i].root;
        int64_t elements = ir_type_elements(&first_type);
        int buffer = lower_temporary(context, "partial", lower_element(root->type.dtype), elements, root->span);
        first.items[i].target = second.items[i].source = buffer;
        if (!is_variation(&work->items[i]))
            continue;
        buffer = lower_temporary(context, "means", KIR_F32, elements, root->span);
        first.items[i].means_target = second.items[i].means_source = buffer;
        second.items[i].weight = elements_of_result(work) / (double)work->type->dims[split];
    }
    first.reduced[split] = false;
    first.target_type = &first_type;
    first.target_layout = &first_layout;
    emit_reduction(context, &first, "reduce_partial");
    second.type = &first_type;
    second.layout = &first_layout;
    second.stored_count = 0;
    emit_reduction(context, &second, "reduce_combine");
}

/* The vectors of results must be contiguous where the operand's innermost axis is kept; else they are computed singly.
 */
static bool contiguous_results(const reduction *work) {
    if (work->reduced[innermost_axis(work)])
        return true;
    int place = 0;
    for (int axis = 0; axis < innermost_axis(work); axis++)
        place += !work->reduced[axis];
    int64_t strides[IR_MAX_RANK];
    ir_strides(work->target_type, work->target_layout, strides);
    return strides[place] == 1;
}

static bool is_reduction(const ir_value *value) {
    return ir_op(value->opcode)->class_ == IR_CLASS_REDUCTION;
}

/* Vectors of neighbouring results that fill half of the registers. */
static int rows_for(const kir_target *target, const reduction *work) {
    int rows = target->vector_registers / 2 / count_registers(work);
    return rows > ROWS_OF_VECTORS ? ROWS_OF_VECTORS : rows > 0 ? rows : 1;
}

static reduction reduction_of(lower_context *context, const lower_group *group) {
    reduction work = {.lanes = context->pass->target.lanes};
    for (int i = 0; i < group->result_count; i++) {
        const ir_value *value = group->results[i];
        if (is_reduction(value))
            work.items[work.count++] = (reduced){value, -1, lower_result_buffer(context, value), -1, -1, 1};
        else
            work.stored[work.stored_count++] = value;
    }
    assert(work.count > 0);
    const ir_value *root = work.items[0].root;
    work.type = &root->operands[0]->type;
    work.layout = &root->operands[0]->layout;
    work.target_type = &root->type;
    work.target_layout = &root->layout;
    const ir_attr *axes = ir_attr_get(root, IR_ATTR_axes);
    for (int i = 0; i < axes->count; i++)
        work.reduced[axes->as.ints[i]] = true;
    work.rows = rows_for(&context->pass->target, &work);
    return work;
}

/* A scalar still needs its one element, from whose mean it does not vary. */
static void copy_scalar(lower_context *context, const reduction *work) {
    const ir_value *root = work->items[0].root;
    ir_type one = ir_type_make(root->type.dtype, 1, (int64_t[]){1});
    lower_kernel kernel = lower_kernel_begin(context, "copy", root);
    kir_reg element = lower_element_at(&kernel, root->operands[0], NULL, 1, 1);
    if (is_variation(&work->items[0]))
        element = kir_op2(&kernel.builder, KIR_sub, element, element);
    lower_coordinate first = {kir_at(0), 0};
    lower_store_at(&kernel, work->items[0].target, &one, &root->layout, &first, element, 1);
    lower_kernel_launch(&kernel, 1);
}

bool lower_reduction(lower_context *context, const lower_group *group) {
    reduction work = reduction_of(context, group);
    if (work.type->rank == 0) {
        copy_scalar(context, &work);
        return true;
    }
    if (!contiguous_results(&work))
        work.lanes = 1;
    int split = split_axis(&work);
    const char *name = ir_op(work.items[0].root->opcode)->name;
    if (split >= 0)
        reduce_twice(context, &work, split);
    else
        emit_reduction(context, &work, name);
    return true;
}

void lower_reduction_of_parts(lower_context *context, const lower_group *group, const reduction_parts *parts) {
    reduction work = reduction_of(context, group);
    ir_layout layout = ir_layout_identity();
    ir_type type = ir_type_make(IR_F32, 2, (int64_t[]){parts->count, work.target_type->dims[0]});
    work.type = &type;
    work.layout = &layout;
    work.reduced[0] = true;
    for (int axis = 1; axis < IR_MAX_RANK; axis++)
        work.reduced[axis] = false;
    for (int i = 0; i < work.count; i++) {
        reduced *item = &work.items[i];
        item->source = is_variation(item) ? parts->variations : parts->sums;
        item->means_source = is_variation(item) ? parts->means : -1;
        item->weight = is_variation(item) ? parts->elements : 1;
    }
    emit_reduction(context, &work, "reduce_combine");
}
