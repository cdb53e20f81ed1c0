/* What is known of each value's size and exactness keeps results comparable between double and single precision:
 * operations that jump (comparisons, floor, argmax) only get numbers that both hold exactly. */
#include "tests/support/random_function.h"

#include <math.h>

enum { MAX_NODES = 96, MAX_VARIABLES = 128 };

typedef struct {
    ir_value *value;
    double bound; /* no element is larger */
    double grain; /* all elements are multiples of it, a power of 2; 0 when they are rounded */
    bool constant;
} node;

typedef struct {
    const char *name;
    bool state;
    ir_value *value;
} variable;

typedef struct {
    ir_builder builder;
    uint64_t seed;
    rt_random_sequence random;
    tensor_list *given; /* numbers for all inputs and states, filled as they are made */
    int64_t element_limit;
    bool kinks;        /* relu, max and the like also of rounded numbers: gradients may then differ with precision */
    bool stays_smooth; /* only operations with a derivative everywhere */
    bool smooth;       /* no others have been used */
    node nodes[MAX_NODES];
    int count;
    variable variables[MAX_VARIABLES];
    int variable_count;
} generator;

static int below(generator *this, int limit) {
    return (int)rt_random_below(&this->random, limit);
}

static bool chance(generator *this, int percent) {
    return below(this, 100) < percent;
}

static arena *memory_of(const generator *this) {
    return this->builder.function->module->memory;
}

/* ---- nodes --------------------------------------------------------------------------------------------------------
 */

static bool is_exact(const node *x) {
    return x->grain > 0 && x->bound / x->grain < 4194304;
}

static node none(void) {
    return (node){0};
}

/* The operation, or no node when the operands do not fit or the result is too large. */
static node make(generator *this, ir_opcode opcode, ir_value *const *operands, int operand_count, const ir_attr *attrs,
                 int attr_count, const ir_type *given_type, double bound, double grain) {
    ir_type type = given_type ? *given_type : (ir_type){0};
    for (int i = 0; i < operand_count; i++)
        if (!operands[i])
            return none();
    if (!ir_infer(memory_of(this), opcode, operands, operand_count, attrs, attr_count, &type, NULL) ||
        ir_type_elements(&type) > this->element_limit)
        return none();
    node result = {.bound = bound, .grain = grain};
    result.value = ir_build(this->builder.function, NULL, opcode, operands, operand_count, attrs, attr_count, &type,
                            this->builder.span);
    if (ir_cost(result.value) > 4e6) {
        ir_remove(this->builder.function, result.value);
        return none();
    }
    return result;
}

static node unary(generator *this, ir_opcode opcode, node x, double bound, double grain) {
    node result = make(this, opcode, &x.value, 1, NULL, 0, NULL, bound, grain);
    result.constant = x.constant;
    return result;
}

static node binary(generator *this, ir_opcode opcode, node x, node y, double bound, double grain) {
    node result = make(this, opcode, (ir_value *[]){x.value, y.value}, 2, NULL, 0, NULL, bound, grain);
    result.constant = x.constant && y.constant;
    return result;
}

static node moved(generator *this, ir_opcode opcode, node x, const ir_attr *attrs, int attr_count,
                  const ir_type *type) {
    node result = make(this, opcode, &x.value, 1, attrs, attr_count, type, x.bound, x.grain);
    result.constant = x.constant;
    return result;
}

static node constant(generator *this, const ir_type *type, double number) {
    double grain = 1;
    while (fmod(number, grain) != 0)
        grain /= 2;
    return (node){ir_constant(&this->builder, type, number), fabs(number), grain, true};
}

static ir_attr ints(generator *this, ir_attr_key key, const int64_t *numbers, int count) {
    return ir_attr_ints_make(memory_of(this), key, numbers, count);
}

/* Scaled by a power of 2 into -8 .. 8. */
static node tame(generator *this, node x, double limit) {
    double factor = 1;
    while (x.value && x.bound * factor > limit)
        factor /= 2;
    if (factor == 1)
        return x;
    node scale = constant(this, &x.value->type, factor);
    return binary(this, IR_OP_mul, x, scale, x.bound * factor, x.grain * factor);
}

static void keep(generator *this, node x) {
    if (x.value && this->count < MAX_NODES)
        this->nodes[this->count++] = x.value->type.dtype == IR_F32 ? tame(this, x, 8) : x;
}

static double smaller(double a, double b) {
    return a < b ? a : b;
}

static double larger(double a, double b) {
    return a > b ? a : b;
}

static bool may_kink(const generator *this, const node *x) {
    return !this->stays_smooth && (is_exact(x) || this->kinks);
}

static bool may_jump(const generator *this, const node *x) {
    return !this->stays_smooth && is_exact(x);
}

/* ---- what comes from outside ------------------------------------------------------------------------------------- */

static void fill(generator *this, bool state, const char *name, const ir_type *type, int64_t rows) {
    if (tensor_find(this->given, state, name))
        return;
    double *elements = tensor_add(this->given, state, name, type);
    rt_random_sequence random = rt_random_begin(this->seed, 1000 + (uint64_t)this->given->count);
    for (int64_t i = 0, count = ir_type_elements(type); i < count; i++)
        elements[i] = rows ? (double)rt_random_below(&random, rows) : (double)(rt_random_below(&random, 17) - 8) / 4;
}

/* An input, or for f32 also a state. Names carry the seed: several programs share a module. */
static node outside(generator *this, const ir_type *type, int64_t rows) {
    if (this->variable_count == MAX_VARIABLES)
        return none();
    bool state = type->dtype == IR_F32 && chance(this, 40);
    const char *name = arena_printf(memory_of(this), "%c%llu.%d", state ? 's' : 'x', (unsigned long long)this->seed,
                                    this->variable_count);
    fill(this, state, name, type, rows);
    if (state && !ir_state_find(this->builder.function->module, name))
        ir_state_add(this->builder.function->module, name, IR_ROLE_PARAM, *type, this->builder.span);
    ir_value *value = state ? ir_read(&this->builder, name) : ir_input(&this->builder, name, type);
    this->variables[this->variable_count++] = (variable){name, state, value};
    return (node){value, rows ? (double)rows : 2, rows ? 1 : 0.25, false};
}

static int64_t some_size(generator *this) {
    static const int64_t sizes[] = {1, 1, 2, 3, 4, 5, 7, 8, 9, 16, 17, 33};
    return sizes[below(this, sizeof sizes / sizeof *sizes)];
}

static ir_type some_type(generator *this, int rank) {
    ir_type type = {.dtype = IR_F32, .rank = rank};
    int64_t elements = 1;
    for (int i = 0; i < rank; i++) {
        type.dims[i] = some_size(this);
        if (elements * type.dims[i] > this->element_limit / 2)
            type.dims[i] = 1;
        elements *= type.dims[i];
    }
    return type;
}

/* ---- choosing operands ------------------------------------------------------------------------------------------- */

/* A value of that element type, recent ones more often. */
static node pick(generator *this, ir_dtype dtype) {
    for (int attempt = 0; attempt < 20; attempt++) {
        int back = chance(this, 60) ? below(this, 5) : below(this, this->count);
        node x = this->nodes[this->count - 1 - (back < this->count ? back : 0)];
        if (x.value->type.dtype == dtype)
            return x;
    }
    ir_type type = some_type(this, below(this, 4));
    type.dtype = dtype;
    return constant(this, &type, 1);
}

/* Reduces some axes and repeats the result over them. */
static node repeated_sum(generator *this, node x) {
    int64_t gone[IR_MAX_RANK], kept[IR_MAX_RANK];
    int gone_count = 0, kept_count = 0;
    double factor = 1;
    for (int i = 0; i < x.value->type.rank; i++)
        if (chance(this, 50)) {
            gone[gone_count++] = i;
            factor *= (double)x.value->type.dims[i];
        } else {
            kept[kept_count++] = i;
        }
    ir_attr gone_axes = ints(this, IR_ATTR_axes, gone, gone_count), axes = ints(this, IR_ATTR_axes, kept, kept_count);
    node sum = make(this, IR_OP_reduce_sum, &x.value, 1, &gone_axes, 1, NULL, x.bound * factor, x.grain);
    sum.constant = x.constant;
    sum = tame(this, sum, 8);
    return moved(this, IR_OP_broadcast, sum, &axes, 1, &x.value->type);
}

/* An f32 value of that very type. */
static node pick_like(generator *this, node x) {
    for (int attempt = 0; attempt < 10; attempt++) {
        node y = pick(this, IR_F32);
        if (ir_type_equal(&y.value->type, &x.value->type))
            return y;
    }
    switch (below(this, 4)) {
    case 0: return constant(this, &x.value->type, (below(this, 17) - 8) / 4.0);
    case 1: return repeated_sum(this, x);
    case 2: {
        ir_type type = x.value->type;
        ir_attr axes = ints(this, IR_ATTR_axes, (int64_t[]){type.rank - 1}, type.rank ? 1 : 0);
        ir_type small = ir_type_make(IR_F32, type.rank ? 1 : 0, &type.dims[type.rank ? type.rank - 1 : 0]);
        return moved(this, IR_OP_broadcast, outside(this, &small, 0), &axes, 1, &type);
    }
    default: return outside(this, &x.value->type, 0);
    }
}

/* The value under other dims of `rank` axes. */
static node reshaped(generator *this, node x, int rank) {
    int64_t left = ir_type_elements(&x.value->type);
    ir_type type = {.dtype = x.value->type.dtype, .rank = rank};
    for (int i = 0; i < rank; i++) {
        int64_t divisors[16];
        int count = 0;
        for (int64_t d = 1; d <= left && count < 16; d++)
            if (left % d == 0)
                divisors[count++] = d;
        type.dims[i] = i == rank - 1 ? left : divisors[below(this, count)];
        left /= type.dims[i];
    }
    if (ir_same_dims(&type, &x.value->type))
        return x;
    return moved(this, IR_OP_reshape, x, NULL, 0, &type);
}

/* ---- steps: each adds one operation, or a few that belong together ----------------------------------------------- */

typedef void (*step)(generator *this);

static void step_smooth_function(generator *this) {
    node x = tame(this, pick(this, IR_F32), 2);
    if (x.constant)
        return;
    switch (below(this, 5)) {
    case 0: keep(this, unary(this, IR_OP_exp, x, exp(x.bound), 0)); return;
    case 1: keep(this, unary(this, IR_OP_tanh, x, 1, 0)); return;
    case 2: keep(this, unary(this, IR_OP_sin, x, 1, 0)); return;
    case 3: keep(this, unary(this, IR_OP_cos, x, 1, 0)); return;
    default: keep(this, unary(this, IR_OP_neg, x, x.bound, x.grain));
    }
}

/* x * x + 0.5: at least 0.5. */
static node positive(generator *this, node x) {
    x = tame(this, x, 2);
    node square = binary(this, IR_OP_mul, x, x, x.bound * x.bound, x.grain * x.grain);
    node half = constant(this, &x.value->type, 0.5);
    return binary(this, IR_OP_add, square, half, square.bound + 0.5, smaller(square.grain, 0.5));
}

static void step_positive_function(generator *this) {
    node source = pick(this, IR_F32);
    if (source.constant)
        return;
    node x = positive(this, source);
    switch (below(this, 4)) {
    case 0: keep(this, unary(this, IR_OP_log, x, larger(log(x.bound), 0.7), 0)); return;
    case 1: keep(this, unary(this, IR_OP_sqrt, x, sqrt(x.bound), 0)); return;
    case 2: keep(this, unary(this, IR_OP_rsqrt, x, 1.5, 0)); return;
    default: {
        node y = tame(this, pick_like(this, x), 1);
        keep(this, binary(this, IR_OP_pow, x, y, larger(x.bound, 2), 0));
    }
    }
}

static void step_kinked_function(generator *this) {
    node x = pick(this, IR_F32);
    if (!may_kink(this, &x))
        return;
    this->smooth = false;
    switch (below(this, 3)) {
    case 0: keep(this, unary(this, IR_OP_relu, x, x.bound, x.grain)); return;
    case 1: keep(this, unary(this, IR_OP_abs, x, x.bound, x.grain)); return;
    default: keep(this, unary(this, IR_OP_stop_gradient, x, x.bound, x.grain));
    }
}

static void step_jumping_function(generator *this) {
    node x = pick(this, IR_F32);
    if (!may_jump(this, &x))
        return;
    this->smooth = false;
    switch (below(this, 3)) {
    case 0: keep(this, unary(this, IR_OP_sign, x, 1, 1)); return;
    case 1: keep(this, unary(this, IR_OP_floor, x, floor(x.bound) + 1, 1)); return;
    default: {
        ir_type type = x.value->type;
        type.dtype = IR_I32;
        node whole = moved(this, IR_OP_convert, x, NULL, 0, &type);
        whole.grain = 1;
        keep(this, whole);
        type.dtype = IR_F32;
        keep(this, moved(this, IR_OP_convert, whole, NULL, 0, &type));
    }
    }
}

static void step_binary(generator *this) {
    node x = pick(this, IR_F32), y = pick_like(this, x);
    if (!y.value)
        return;
    double grain = smaller(x.grain, y.grain);
    switch (below(this, 6)) {
    case 0: keep(this, binary(this, IR_OP_add, x, y, x.bound + y.bound, grain)); return;
    case 1: keep(this, binary(this, IR_OP_sub, x, y, x.bound + y.bound, grain)); return;
    case 2: keep(this, binary(this, IR_OP_mul, x, y, x.bound * y.bound, x.grain * y.grain)); return;
    case 3:
        if (!x.constant || !y.constant)
            keep(this, binary(this, IR_OP_div, x, positive(this, y), 2 * x.bound, 0));
        return;
    default:
        if (may_kink(this, &x) && may_kink(this, &y)) {
            this->smooth = false;
            keep(this, binary(this, chance(this, 50) ? IR_OP_max : IR_OP_min, x, y, larger(x.bound, y.bound), grain));
        }
    }
}

static void step_select(generator *this) {
    node x = pick(this, IR_F32), y = pick_like(this, x);
    if (!y.value || !may_jump(this, &x) || !may_jump(this, &y))
        return;
    static const ir_opcode compare[] = {IR_OP_equal, IR_OP_less, IR_OP_less_equal};
    this->smooth = false;
    node condition = binary(this, compare[below(this, 3)], x, y, 1, 1);
    if (chance(this, 30))
        condition = unary(this, IR_OP_not, condition, 1, 1);
    if (chance(this, 30))
        condition = binary(this, chance(this, 50) ? IR_OP_and : IR_OP_or, condition,
                           binary(this, IR_OP_less, y, x, 1, 1), 1, 1);
    node a = pick_like(this, x), b = pick_like(this, x);
    node result = make(this, IR_OP_select, (ir_value *[]){condition.value, a.value, b.value}, 3, NULL, 0, NULL,
                       larger(a.bound, b.bound), smaller(a.grain, b.grain));
    keep(this, result);
}

static void step_reduce(generator *this) {
    node x = pick(this, IR_F32);
    int64_t axes[IR_MAX_RANK];
    int count = 0;
    double factor = 1;
    for (int i = 0; i < x.value->type.rank; i++)
        if (chance(this, 50)) {
            axes[count++] = i;
            factor *= (double)x.value->type.dims[i];
        }
    ir_attr attr = ints(this, IR_ATTR_axes, axes, count);
    if (chance(this, 20)) {
        double bound = 4 * x.bound * x.bound * factor;
        keep(this, make(this, IR_OP_reduce_variation, &x.value, 1, &attr, 1, NULL, bound, 0));
        return;
    }
    if (chance(this, 70) || !may_kink(this, &x)) {
        keep(this, make(this, IR_OP_reduce_sum, &x.value, 1, &attr, 1, NULL, x.bound * factor, x.grain));
        return;
    }
    this->smooth = false;
    keep(this, make(this, IR_OP_reduce_max, &x.value, 1, &attr, 1, NULL, x.bound, x.grain));
}

static void step_repeated_sum(generator *this) {
    node x = pick(this, IR_F32), sum = repeated_sum(this, x);
    keep(this,
         chance(this, 50) ? sum : binary(this, IR_OP_sub, x, sum, x.bound + sum.bound, smaller(x.grain, sum.grain)));
}

static void step_broadcast(generator *this) {
    node x = pick(this, IR_F32);
    ir_type type = {.dtype = IR_F32};
    int64_t axes[IR_MAX_RANK];
    for (int i = 0; i <= x.value->type.rank; i++) {
        if (chance(this, 40) && type.rank < 6)
            type.dims[type.rank++] = some_size(this);
        if (i < x.value->type.rank && type.rank < IR_MAX_RANK) {
            axes[i] = type.rank;
            type.dims[type.rank++] = x.value->type.dims[i];
        }
    }
    ir_attr attr = ints(this, IR_ATTR_axes, axes, x.value->type.rank);
    keep(this, moved(this, IR_OP_broadcast, x, &attr, 1, &type));
}

static void step_transpose(generator *this) {
    node x = pick(this, IR_F32);
    int64_t order[IR_MAX_RANK];
    rt_random_permutation(&this->random, order, x.value->type.rank);
    ir_attr attr = ints(this, IR_ATTR_axes, order, x.value->type.rank);
    keep(this, moved(this, IR_OP_transpose, x, &attr, 1, NULL));
}

static void step_reshape(generator *this) {
    keep(this, reshaped(this, pick(this, IR_F32), 1 + below(this, 5)));
}

static void step_slice(generator *this) {
    node x = pick(this, IR_F32);
    int rank = x.value->type.rank;
    int64_t start[IR_MAX_RANK], limit[IR_MAX_RANK], stride[IR_MAX_RANK];
    for (int i = 0; i < rank; i++) {
        int size = (int)x.value->type.dims[i];
        start[i] = chance(this, 50) ? 0 : below(this, size);
        limit[i] = chance(this, 50) ? size : start[i] + 1 + below(this, size - (int)start[i]);
        stride[i] = chance(this, 60) ? 1 : 1 + below(this, 3);
    }
    ir_attr attrs[3] = {ints(this, IR_ATTR_start, start, rank), ints(this, IR_ATTR_limit, limit, rank),
                        ints(this, IR_ATTR_stride, stride, rank)};
    keep(this, moved(this, IR_OP_slice, x, attrs, 3, NULL));
}

static void step_pad(generator *this) {
    node x = pick(this, IR_F32);
    int rank = x.value->type.rank;
    int64_t low[IR_MAX_RANK], high[IR_MAX_RANK], interior[IR_MAX_RANK];
    for (int i = 0; i < rank; i++) {
        low[i] = below(this, 3);
        high[i] = below(this, 3);
        interior[i] = chance(this, 70) ? 0 : below(this, 3);
    }
    ir_attr attrs[4] = {ints(this, IR_ATTR_low, low, rank), ints(this, IR_ATTR_high, high, rank),
                        ints(this, IR_ATTR_interior, interior, rank),
                        ir_attr_number_make(IR_ATTR_value, (below(this, 5) - 2) / 2.0)};
    node result = moved(this, IR_OP_pad, x, attrs, 4, NULL);
    result.bound = larger(x.bound, 1);
    result.grain = smaller(x.grain, 0.5);
    result.constant = false;
    keep(this, result);
}

static void step_concat(generator *this) {
    node x = pick(this, IR_F32), y = pick_like(this, x), z = chance(this, 50) ? x : pick_like(this, x);
    if (x.value->type.rank == 0)
        return;
    ir_attr axis = ir_attr_int_make(memory_of(this), IR_ATTR_axis, below(this, x.value->type.rank));
    keep(this, make(this, IR_OP_concat, (ir_value *[]){x.value, y.value, z.value}, 2 + below(this, 2), &axis, 1, NULL,
                    larger(x.bound, larger(y.bound, z.bound)), smaller(x.grain, smaller(y.grain, z.grain))));
}

/* x by another tensor with axes of its own, or by itself: all pairs of rows. */
static void step_dot(generator *this) {
    node x = pick(this, IR_F32);
    int rank = x.value->type.rank;
    if (rank == 0)
        return;
    int64_t order[IR_MAX_RANK];
    rt_random_permutation(&this->random, order, rank);
    int batch = below(this, rank), contract = below(this, rank - batch + 1);
    double factor = 1;
    for (int i = batch; i < batch + contract; i++)
        factor *= (double)x.value->type.dims[order[i]];
    const int64_t *left_batch = order, *left_contract = order + batch;
    if (chance(this, 30)) {
        ir_attr attrs[4] = {ints(this, IR_ATTR_lhs_batch, left_batch, batch),
                            ints(this, IR_ATTR_rhs_batch, left_batch, batch),
                            ints(this, IR_ATTR_lhs_contract, left_contract, contract),
                            ints(this, IR_ATTR_rhs_contract, left_contract, contract)};
        keep(this, make(this, IR_OP_dot, (ir_value *[]){x.value, x.value}, 2, attrs, 4, NULL,
                        factor * x.bound * x.bound, x.grain * x.grain));
        return;
    }
    /* The other operand's axes in any order: batch, contracted, up to two of its own. */
    int others = batch + contract + below(this, 3);
    ir_type type = {.dtype = IR_F32, .rank = others};
    int64_t places[IR_MAX_RANK + 3];
    if (others > IR_MAX_RANK)
        return;
    rt_random_permutation(&this->random, places, others);
    for (int i = 0; i < others; i++)
        type.dims[places[i]] = i < batch + contract ? x.value->type.dims[order[i]] : some_size(this);
    if (ir_type_elements(&type) > this->element_limit)
        return;
    node y = outside(this, &type, 0);
    ir_attr attrs[4] = {ints(this, IR_ATTR_lhs_batch, left_batch, batch), ints(this, IR_ATTR_rhs_batch, places, batch),
                        ints(this, IR_ATTR_lhs_contract, left_contract, contract),
                        ints(this, IR_ATTR_rhs_contract, places + batch, contract)};
    keep(this, make(this, IR_OP_dot, (ir_value *[]){x.value, y.value}, 2, attrs, 4, NULL, factor * x.bound * y.bound,
                    x.grain * y.grain));
}

static node four_axes(generator *this) {
    node x = pick(this, IR_F32);
    return x.value->type.rank == 4 ? x : reshaped(this, x, 4);
}

static void step_conv2d(generator *this) {
    node x = four_axes(this);
    if (!x.value)
        return;
    const int64_t *dims = x.value->type.dims;
    int64_t groups = 1 + below(this, 4);
    if (dims[1] % groups)
        groups = chance(this, 50) ? dims[1] : 1;
    static const int64_t filters[] = {1, 2, 3, 5, 8, 17};
    int64_t out = dims[1] == groups && groups > 1 ? groups * (1 + below(this, 2)) : groups * filters[below(this, 6)];
    ir_type type = ir_type_make(
        IR_F32, 4, (int64_t[]){out, dims[1] / groups, chance(this, 70) ? 3 : 1 + below(this, 3), 1 + below(this, 3)});
    bool plain = chance(this, 40); /* as most networks have it */
    int64_t stride[2], padding[4], dilation[2];
    for (int i = 0; i < 2; i++) {
        stride[i] = plain ? 1 : 1 + below(this, 3);
        dilation[i] = plain ? 1 : 1 + below(this, 2);
        padding[2 * i] = plain ? (type.dims[2 + i] - 1) / 2 : below(this, 3);
        padding[2 * i + 1] = plain ? padding[2 * i] : below(this, 3);
    }
    ir_attr attrs[4] = {ints(this, IR_ATTR_stride, stride, 2), ints(this, IR_ATTR_padding, padding, 4),
                        ints(this, IR_ATTR_dilation, dilation, 2), ints(this, IR_ATTR_groups, &groups, 1)};
    if (ir_type_elements(&type) > this->element_limit)
        return;
    node w = outside(this, &type, 0);
    double taps = (double)(type.dims[1] * type.dims[2] * type.dims[3]);
    keep(this, make(this, IR_OP_conv2d, (ir_value *[]){x.value, w.value}, 2, attrs, 4, NULL, taps * x.bound * w.bound,
                    x.grain * w.grain));
}

static void step_pool(generator *this) {
    node x = four_axes(this);
    if (!x.value)
        return;
    int64_t kernel[2], stride[2], padding[4];
    for (int i = 0; i < 2; i++) {
        kernel[i] = 1 + below(this, 3);
        stride[i] = 1 + below(this, 3);
        padding[2 * i] = below(this, (int)kernel[i]);
        padding[2 * i + 1] = below(this, (int)kernel[i]);
    }
    ir_attr attrs[3] = {ints(this, IR_ATTR_kernel, kernel, 2), ints(this, IR_ATTR_stride, stride, 2),
                        ints(this, IR_ATTR_padding, padding, 4)};
    if (chance(this, 50) || !may_kink(this, &x)) {
        node mean = moved(this, IR_OP_avg_pool2d, x, attrs, 3, NULL);
        mean.grain = 0;
        mean.constant = false;
        keep(this, mean);
        return;
    }
    /* A window of padding alone would be -inf. */
    node largest = moved(this, IR_OP_max_pool2d, x, attrs, 3, NULL);
    for (int i = 0; largest.value && i < 2; i++)
        if ((largest.value->type.dims[2 + i] - 1) * stride[i] - padding[2 * i] >= x.value->type.dims[2 + i] ||
            kernel[i] <= padding[2 * i])
            return;
    this->smooth = false;
    keep(this, largest);
}

/* Whole numbers below `rows`. */
static node indices(generator *this, int64_t rows, const ir_type *type) {
    if (type->rank > 0 && chance(this, 20)) {
        ir_attr axis = ir_attr_int_make(memory_of(this), IR_ATTR_axis, below(this, type->rank));
        return make(this, IR_OP_iota, NULL, 0, &axis, 1, type, 64, 1);
    }
    return outside(this, type, rows);
}

static void step_gather(generator *this) {
    node x = pick(this, IR_F32);
    if (x.value->type.rank == 0)
        return;
    int axis = below(this, x.value->type.rank), batch = below(this, axis + 1);
    ir_type type = {.dtype = IR_I32};
    for (; type.rank < batch; type.rank++)
        type.dims[type.rank] = x.value->type.dims[type.rank];
    for (int own = below(this, 3); own > 0 && type.rank < 5; own--)
        type.dims[type.rank++] = some_size(this);
    if (ir_type_elements(&type) > this->element_limit)
        return;
    node rows = indices(this, x.value->type.dims[axis], &type);
    ir_attr attrs[2] = {ir_attr_int_make(memory_of(this), IR_ATTR_axis, axis),
                        ir_attr_int_make(memory_of(this), IR_ATTR_batch, batch)};
    node gathered = make(this, IR_OP_gather, (ir_value *[]){x.value, rows.value}, 2, attrs, 2, NULL, x.bound, x.grain);
    if (gathered.value && chance(this, 30)) {
        double factor = (double)ir_type_elements(&type);
        gathered = make(this, IR_OP_scatter_add, (ir_value *[]){gathered.value, rows.value}, 2, attrs, 2,
                        &x.value->type, x.bound * factor, x.grain);
    }
    keep(this, gathered);
}

static void step_argmax(generator *this) {
    node x = pick(this, IR_F32);
    if (x.value->type.rank == 0 || !may_jump(this, &x))
        return;
    this->smooth = false;
    ir_attr axis = ir_attr_int_make(memory_of(this), IR_ATTR_axis, below(this, x.value->type.rank));
    node place = make(this, IR_OP_argmax, &x.value, 1, &axis, 1, NULL, 64, 1);
    if (!place.value)
        return;
    keep(this, place);
    ir_type type = place.value->type;
    type.dtype = IR_F32;
    keep(this, moved(this, IR_OP_convert, place, NULL, 0, &type));
}

static void step_whole_numbers(generator *this) {
    static const ir_opcode opcodes[] = {IR_OP_add, IR_OP_sub, IR_OP_mul, IR_OP_max, IR_OP_min, IR_OP_div, IR_OP_rem};
    node x = pick(this, IR_I32);
    node y = constant(this, &x.value->type, below(this, 7) - 3);
    node result = binary(this, opcodes[below(this, 7)], x, y, 4 * x.bound, 1);
    if (!result.value || result.bound > 1000)
        return;
    keep(this, result);
    ir_type type = result.value->type;
    type.dtype = IR_F32;
    keep(this, moved(this, IR_OP_convert, result, NULL, 0, &type));
}

static void step_random(generator *this) {
    ir_type type = some_type(this, below(this, 4)), scalar = ir_type_scalar(IR_I32);
    node seed = constant(this, &scalar, below(this, 9)), number = constant(this, &scalar, below(this, 9));
    ir_attr stream = ir_attr_int_make(memory_of(this), IR_ATTR_stream, below(this, 3));
    keep(this, make(this, chance(this, 50) ? IR_OP_random_uniform : IR_OP_random_normal,
                    (ir_value *[]){seed.value, number.value}, 2, &stream, 1, &type, 7, 0));
}

static void step_iota(generator *this) {
    ir_type type = some_type(this, 1 + below(this, 3));
    ir_attr axis = ir_attr_int_make(memory_of(this), IR_ATTR_axis, below(this, type.rank));
    keep(this, make(this, IR_OP_iota, NULL, 0, &axis, 1, &type, 64, 1));
}

static void step_outside(generator *this) {
    ir_type type = some_type(this, below(this, 5));
    keep(this, outside(this, &type, 0));
}

static const step steps[] = {
    step_smooth_function,
    step_smooth_function,
    step_positive_function,
    step_kinked_function,
    step_kinked_function,
    step_binary,
    step_binary,
    step_binary,
    step_binary,
    step_select,
    step_reduce,
    step_reduce,
    step_repeated_sum,
    step_repeated_sum,
    step_broadcast,
    step_transpose,
    step_transpose,
    step_reshape,
    step_slice,
    step_pad,
    step_concat,
    step_dot,
    step_dot,
    step_conv2d,
    step_conv2d,
    step_pool,
    step_gather,
    step_argmax,
    step_whole_numbers,
    step_random,
    step_iota,
    step_jumping_function,
    step_outside,
};

/* ---- whole programs -----------------------------------------------------------------------------------------------
 */

/* The mean of a value's elements times numbers of their own. */
static ir_value *weighted_mean(generator *this, node x) {
    const ir_type *type = &x.value->type;
    int64_t axes[IR_MAX_RANK] = {0, 1, 2, 3, 4, 5, 6, 7};
    ir_value *weighted = ir_binary(&this->builder, IR_OP_mul, x.value, outside(this, type, 0).value);
    ir_value *sum = ir_reduce(&this->builder, IR_OP_reduce_sum, weighted, axes, type->rank);
    double share = exp2(-ceil(log2((double)ir_type_elements(type))));
    return ir_binary(&this->builder, IR_OP_mul, sum, ir_scalar(&this->builder, share));
}

/* Gives a state half of its old value and something else, or its gradient. */
static void write_state(generator *this, const variable *state, ir_value *gradient) {
    ir_value *other = gradient;
    for (int attempt = 0; !other && attempt < 30; attempt++) {
        node x = pick(this, IR_F32);
        if (ir_type_equal(&x.value->type, &state->value->type))
            other = x.value;
    }
    if (other && chance(this, 20)) {
        ir_write(&this->builder, state->name, other);
        return;
    }
    ir_value *half = ir_constant(&this->builder, &state->value->type, 0.5);
    ir_value *updated = ir_binary(&this->builder, IR_OP_mul, state->value, half);
    if (other)
        updated = ir_binary(&this->builder, IR_OP_add, updated, other);
    ir_write(&this->builder, state->name, updated);
}

random_traits random_function(ir_module *module, const char *name, uint64_t seed, bool gradients, tensor_list *given) {
    generator *this = arena_alloc(module->memory, sizeof *this);
    this->seed = seed;
    this->random = rt_random_begin(seed, 1);
    this->given = given;
    this->kinks = seed % 3 == 0;
    this->stays_smooth = seed % 4 == 1;
    this->smooth = true;
    bool large = seed % 16 == 15;
    this->element_limit = large ? 60000 : 1500;
    this->builder = (ir_builder){ir_function_new(module, name, (source_span){0}), NULL, {0}};
    ir_type first = large ? ir_type_make(IR_F32, 4, (int64_t[]){3, 41, 33, 9}) : some_type(this, 4);
    keep(this, outside(this, &first, 0));
    if (large)
        keep(this, reshaped(this, this->nodes[0], 2));
    step_outside(this);
    for (int count = large ? 8 : 6 + below(this, 24); count > 0; count--)
        steps[below(this, sizeof steps / sizeof *steps)](this);
    ir_value *loss = NULL;
    ir_count_uses(this->builder.function);
    for (int i = 0, count = this->count; i < count; i++) {
        node x = this->nodes[i];
        if (x.value->type.dtype != IR_F32 || (x.value->mark > 0 && i < count - 1 && !chance(this, 5)))
            continue;
        if (!gradients)
            ir_output(&this->builder, arena_printf(module->memory, "y%d", i), x.value);
        ir_value *mean = weighted_mean(this, x);
        loss = loss ? ir_binary(&this->builder, IR_OP_add, loss, mean) : mean;
    }
    if (!loss)
        loss = ir_scalar(&this->builder, 0);
    ir_output(&this->builder, "loss", loss);
    for (int i = 0, count = this->variable_count; i < count; i++) {
        const variable *x = &this->variables[i];
        if (x->value->type.dtype != IR_F32)
            continue;
        ir_value *gradient = NULL;
        if (gradients) {
            gradient = ir_build(this->builder.function, NULL, IR_OP_gradient, (ir_value *[]){loss, x->value}, 2, NULL,
                                0, &x->value->type, (source_span){0});
            ir_output(&this->builder, arena_printf(module->memory, "grad.%s", x->name), gradient);
        }
        if (x->state && chance(this, 60))
            write_state(this, x, gradient);
    }
    return (random_traits){this->kinks, this->smooth};
}
