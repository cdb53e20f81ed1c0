/* factor-sums: sums of multiples as multiples of sums, where the factor is the same for all that is added up.
 *
 * sum(c x) = c sum(x) takes the factor out of the large tensor and lets several sums share one. A sum of terms is taken
 * apart only where it would have to wait for another sum over the same elements, as in the gradient of a mean that was
 * subtracted before: sum(c x + d y) with d made of a sum becomes c sum(x) + d sum(y), and one pass over memory gives
 * all; or where the sums of all terms are computed anyway. Requires derivatives; leaves groups of earlier passes
 * alone. */
#include "passes/pass.h"

#include <string.h>

enum { MAX_FACTORS = 12, MAX_TERMS = 8, MAX_DEPTH = 24 };

/* A product: the factors that differ between the elements, those that do not, and a number. */
typedef struct {
    ir_value *factors[MAX_FACTORS]; /* by number, so that equal products are written alike */
    int factor_count;
    ir_value *scales[MAX_FACTORS]; /* of the result's type */
    int scale_count;
    double number;
} term;

typedef struct {
    ir_function *function;
    ir_value *sum;
    const ir_attr *axes;
    int64_t kept[IR_MAX_RANK]; /* the operand's other axes */
    int kept_count;
    double elements; /* added up for each result */
    term whole;      /* nothing taken apart */
    term terms[MAX_TERMS];
    int count;
    bool split;   /* there are several terms */
    bool decided; /* to be computed by these terms */
} sum_parts;

static bool is_reduced(const sum_parts *parts, int64_t axis) {
    for (int i = 0; i < parts->axes->count; i++)
        if (parts->axes->as.ints[i] == axis)
            return true;
    return false;
}

/* What a broadcast along all reduced axes repeats, if it has all the others; else NULL. */
static ir_value *repeated(const sum_parts *parts, const ir_value *value) {
    if (value->opcode != IR_OP_broadcast || value->operands[0]->type.rank != parts->kept_count)
        return NULL;
    for (int i = 0; i < parts->kept_count; i++)
        if (ir_ints(value, IR_ATTR_axes)[i] != parts->kept[i])
            return NULL;
    return value->operands[0];
}

static bool is_grouped(const ir_value *value) {
    return value->group != 0;
}

/* Multiplies the term by the value; false if it has too many factors. */
static bool multiply(const sum_parts *parts, term *product, ir_value *value, int depth) {
    ir_value *scale = repeated(parts, value);
    if (value->opcode == IR_OP_constant) {
        product->number *= ir_number(value, IR_ATTR_value);
        return true;
    }
    if (scale) {
        product->scales[product->scale_count++] = scale;
        return product->scale_count < MAX_FACTORS;
    }
    if (value->opcode == IR_OP_neg && depth < MAX_DEPTH && !is_grouped(value)) {
        product->number = -product->number;
        return multiply(parts, product, value->operands[0], depth + 1);
    }
    if (value->opcode == IR_OP_mul && depth < MAX_DEPTH && !is_grouped(value))
        return multiply(parts, product, value->operands[0], depth + 1) &&
               multiply(parts, product, value->operands[1], depth + 1);
    product->factors[product->factor_count++] = value;
    return product->factor_count < MAX_FACTORS;
}

/* Adds the terms of `product`, whose last factor may be a sum itself. */
static bool expand(sum_parts *parts, term product, int depth) {
    ir_value *only = product.factor_count == 1 ? product.factors[0] : NULL;
    if (depth < MAX_DEPTH && only && (only->opcode == IR_OP_add || only->opcode == IR_OP_sub) && !is_grouped(only)) {
        parts->split = true;
        for (int i = 0; i < 2; i++) {
            term part = product;
            part.factor_count = 0;
            part.number *= i == 1 && only->opcode == IR_OP_sub ? -1 : 1;
            if (!multiply(parts, &part, only->operands[i], 0) || !expand(parts, part, depth + 1))
                return false;
        }
        return true;
    }
    if (parts->count == MAX_TERMS)
        return false;
    parts->terms[parts->count++] = product;
    return true;
}

static sum_parts parts_of(ir_function *function, ir_value *sum) {
    sum_parts parts = {.function = function, .sum = sum, .axes = ir_attr_get(sum, IR_ATTR_axes), .elements = 1};
    const ir_type *type = &sum->operands[0]->type;
    for (int axis = 0; axis < type->rank; axis++)
        if (is_reduced(&parts, axis))
            parts.elements *= (double)type->dims[axis];
        else
            parts.kept[parts.kept_count++] = axis;
    return parts;
}

/* ---- waiting -------------------------------------------------------------------------------------------------------
 */

static bool same_axes(const ir_attr *a, const ir_attr *b) {
    return a->count == b->count && memcmp(a->as.ints, b->as.ints, (size_t)a->count * sizeof *a->as.ints) == 0;
}

/* Whether the small value is made of a sum of as many elements along the same axes. Looks at each value once a sum:
 * marks them with its number. */
static bool comes_from_sum(const sum_parts *parts, ir_value *value) {
    if (value->opcode == IR_OP_reduce_sum)
        return ir_same_dims(&value->operands[0]->type, &parts->sum->operands[0]->type) &&
               same_axes(ir_attr_get(value, IR_ATTR_axes), parts->axes);
    if (ir_op(value->opcode)->class_ != IR_CLASS_ELEMENTWISE || value->mark == parts->sum->id)
        return false;
    value->mark = parts->sum->id;
    for (int i = 0; i < value->operand_count; i++)
        if (comes_from_sum(parts, value->operands[i]))
            return true;
    return false;
}

static bool waits(const sum_parts *parts) {
    for (int t = 0; t < parts->count; t++)
        for (int i = 0; i < parts->terms[t].scale_count; i++)
            if (comes_from_sum(parts, parts->terms[t].scales[i]))
                return true;
    return false;
}

/* ---- writing --------------------------------------------------------------------------------------------------------
 */

static ir_value *product_of(const ir_builder *builder, const term *product) {
    ir_value *value = product->factors[0];
    for (int i = 1; i < product->factor_count; i++)
        value = ir_binary(builder, IR_OP_mul, value, product->factors[i]);
    return value;
}

static ir_value *write_term(const sum_parts *parts, const ir_builder *builder, const term *product) {
    double number = product->number * (product->factor_count ? 1 : parts->elements);
    ir_value *value = product->factor_count ? ir_reduce(builder, IR_OP_reduce_sum, product_of(builder, product),
                                                        parts->axes->as.ints, parts->axes->count)
                                            : ir_constant(builder, &parts->sum->type, number);
    for (int i = 0; i < product->scale_count; i++)
        value = ir_binary(builder, IR_OP_mul, value, product->scales[i]);
    if (product->factor_count && number != 1)
        value = ir_binary(builder, IR_OP_mul, value, ir_constant(builder, &parts->sum->type, number));
    return value;
}

static void write_sum(const sum_parts *parts) {
    ir_builder builder = {parts->function, parts->sum, parts->sum->span};
    ir_value *total = NULL;
    for (int t = 0; t < parts->count; t++) {
        ir_value *value = write_term(parts, &builder, &parts->terms[t]);
        total = total ? ir_binary(&builder, IR_OP_add, total, value) : value;
    }
    ir_replace_uses(parts->sum, total);
}

/* ---- choosing -------------------------------------------------------------------------------------------------------
 */

typedef struct {
    sum_parts **items;
    int count, capacity;
} sum_list;

static bool same_product(const term *a, const term *b) {
    if (a->factor_count != b->factor_count)
        return false;
    for (int i = 0; i < a->factor_count; i++)
        if (a->factors[i] != b->factors[i])
            return false;
    return true;
}

/* Whether the product is added up along the same axes by another sum that stays or is taken apart. */
static bool is_summed_elsewhere(const sum_list *sums, const sum_parts *parts, const term *product) {
    for (int i = 0; i < sums->count; i++) {
        const sum_parts *other = sums->items[i];
        for (int t = 0; t < other->count && other != parts && other->decided; t++)
            if (same_product(&other->terms[t], product) && same_axes(other->axes, parts->axes))
                return true;
    }
    return product->factor_count == 0;
}

static bool are_summed_elsewhere(const sum_list *sums, const sum_parts *parts) {
    for (int t = 0; t < parts->count; t++)
        if (!is_summed_elsewhere(sums, parts, &parts->terms[t]))
            return false;
    return true;
}

static void sort_factors(term *product) {
    for (int i = 1; i < product->factor_count; i++)
        for (int j = i; j > 0 && product->factors[j]->id < product->factors[j - 1]->id; j--) {
            ir_value *swapped = product->factors[j];
            product->factors[j] = product->factors[j - 1];
            product->factors[j - 1] = swapped;
        }
}

static void add_sum(arena *memory, sum_list *sums, ir_function *function, ir_value *sum) {
    sum_parts *parts = arena_alloc(memory, sizeof *parts);
    *parts = parts_of(function, sum);
    parts->whole.number = 1;
    if (!multiply(parts, &parts->whole, sum->operands[0], 0) || !expand(parts, parts->whole, 0))
        return;
    sort_factors(&parts->whole);
    for (int t = 0; t < parts->count; t++)
        sort_factors(&parts->terms[t]);
    parts->decided = !parts->split || waits(parts);
    ARENA_PUSH(memory, sums->items, sums->count, sums->capacity, parts);
}

/* Sums of terms that are added up anyway, or must not wait, are taken apart; of the others only the factors are. */
static void factor_function(arena *memory, ir_function *function) {
    sum_list sums = {0};
    for (ir_value *value = function->first; value; value = value->next)
        value->mark = -1;
    for (ir_value *value = function->first; value; value = value->next)
        if (value->opcode == IR_OP_reduce_sum && !value->group && value->type.dtype == IR_F32)
            add_sum(memory, &sums, function, value);
    for (int i = 0; i < sums.count; i++) {
        sum_parts *parts = sums.items[i];
        if (!parts->decided && !are_summed_elsewhere(&sums, parts)) {
            parts->terms[0] = parts->whole;
            parts->count = 1;
            parts->split = false;
        }
    }
    for (int i = 0; i < sums.count; i++) {
        const term *first = &sums.items[i]->terms[0];
        if (sums.items[i]->split || first->scale_count > 0 || first->number != 1)
            write_sum(sums.items[i]);
    }
}

bool pass_factor_sums(pass_context *context) {
    for (int i = 0; i < context->module->function_count; i++)
        factor_function(context->memory, context->module->functions[i]);
    return true;
}
