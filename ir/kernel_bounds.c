/* Accesses beyond the end of an argument, found where an index is a sum of multiples of loops' indices with constant
 * bounds, or of their quotients: each takes its largest value at some time, whatever the others are. Other indices are
 * not judged, nor what a condition on places guards. */
#include "ir/kernel.h"

/* A register's value as such a sum; a loop's index, which starts at 0, and a quotient stand for themselves. */
typedef struct {
    const kir_node *definition; /* the last one */
    int assignments;
    bool known;
    kir_index sum;
    int64_t largest; /* of what stands for itself */
} register_sum;

typedef struct {
    const kir_kernel *kernel;
    register_sum *sums;
    kir_beyond *found;
} bounds;

/* The index in loops' indices alone. */
static bool in_loop_indices(const bounds *b, const kir_node_index *index, kir_index *sum) {
    *sum = kir_at(index->base);
    for (int i = 0; i < index->term_count; i++) {
        const register_sum *term = &b->sums[index->terms[i].reg];
        if (!term->known || sum->term_count + term->sum.term_count > KIR_MAX_TERMS)
            return false;
        *sum = kir_plus_index(*sum, index->terms[i].coefficient, term->sum);
    }
    return true;
}

static int64_t least_of(const bounds *b, const kir_index *sum) {
    int64_t least = sum->base;
    for (int i = 0; i < sum->term_count; i++)
        if (sum->terms[i].coefficient < 0)
            least += sum->terms[i].coefficient * b->sums[sum->terms[i].reg].largest;
    return least;
}

static int64_t largest_of(const bounds *b, const kir_index *sum) {
    int64_t largest = sum->base;
    for (int i = 0; i < sum->term_count; i++)
        if (sum->terms[i].coefficient > 0)
            largest += sum->terms[i].coefficient * b->sums[sum->terms[i].reg].largest;
    return largest;
}

/* How far from its first element the instruction's last one is; -1 if it is no access or elements are anywhere. */
static int64_t reach(const bounds *b, const kir_node *node) {
    switch (node->opcode) {
    case KIR_load:
    case KIR_store: return node->count - 1;
    case KIR_load_strided:
    case KIR_store_strided: return (node->count - 1) * node->stride;
    case KIR_tile_load:
    case KIR_tile_load_past:
    case KIR_tile_store: break;
    default: return -1;
    }
    kir_type tile = b->kernel->registers[node->opcode == KIR_tile_store ? node->operands[0] : node->result];
    return (tile.rows - 1) * node->stride + tile.lanes - 1;
}

static void see_access(bounds *b, const kir_node *node) {
    int64_t last = reach(b, node);
    kir_index sum;
    if (last < 0 || b->found->node || !in_loop_indices(b, &node->index, &sum))
        return;
    const kir_argument *argument = &b->kernel->arguments[node->argument];
    if (argument->elements == 0 || argument->each)
        return;
    int64_t bytes = kir_element_bytes(argument->element), room = kir_aligned(argument->elements * bytes) / bytes;
    last += largest_of(b, &sum);
    int64_t first = least_of(b, &sum);
    if (first < 0 || last >= room)
        *b->found = (kir_beyond){node, first < 0 ? first : last};
}

static void stand_for_itself(bounds *b, kir_reg reg, int64_t largest) {
    register_sum *value = &b->sums[reg];
    value->known = true;
    value->sum = kir_plus(kir_at(0), 1, reg);
    value->largest = largest;
}

static void see_block(bounds *b, const kir_block *block);

static void see_loop(bounds *b, const kir_node *node) {
    bool constant = node->from.term_count == 0 && node->limit.term_count == 0;
    int64_t from = node->from.base, length = node->limit.base - from;
    if (constant && length <= 0)
        return;
    if (constant && from == 0)
        stand_for_itself(b, node->result, (length - 1) / node->step * node->step);
    see_block(b, &node->body);
}

/* Quotients and remainders by numbers, where the dividend goes through whole multiples of the divisor, so that they
 * depend on each other nowhere, and remainders where it goes through more. */
static void see_division(bounds *b, const kir_node *node) {
    const register_sum *dividend = &b->sums[node->operands[0]], *divisor = &b->sums[node->operands[1]];
    if (!dividend->known || !divisor->known || divisor->sum.term_count > 0 || divisor->sum.base < 1)
        return;
    int64_t by = divisor->sum.base, count = largest_of(b, &dividend->sum) + 1;
    bool remainder = node->opcode == KIR_rem;
    if (least_of(b, &dividend->sum) == 0 && (count % by == 0 || (remainder && count > by)))
        stand_for_itself(b, node->result, remainder ? by - 1 : count / by - 1);
}

static void see_instruction(bounds *b, const kir_node *node) {
    see_access(b, node);
    if (node->result < 0 || b->sums[node->result].assignments > 1)
        return;
    if (node->opcode == KIR_affine)
        b->sums[node->result].known = in_loop_indices(b, &node->index, &b->sums[node->result].sum);
    if (node->opcode == KIR_div || node->opcode == KIR_rem)
        see_division(b, node);
}

static bool is_on_numbers(const bounds *b, kir_reg condition) {
    const kir_node *node = b->sums[condition].definition;
    return node && kir_op_operands(node->opcode) == 2 && b->kernel->registers[node->operands[0]].element == KIR_F32;
}

static void see_block(bounds *b, const kir_block *block) {
    for (const kir_node *node = block->first; node; node = node->next) {
        if (node->kind == KIR_LOOP)
            see_loop(b, node);
        else if (node->kind == KIR_INSTRUCTION)
            see_instruction(b, node);
        else if (is_on_numbers(b, node->operands[0])) {
            see_block(b, &node->body);
            see_block(b, &node->otherwise);
        }
    }
}

static void count_assignments(bounds *b, const kir_block *block) {
    for (const kir_node *node = block->first; node; node = node->next) {
        if (node->kind == KIR_INSTRUCTION && node->result >= 0) {
            b->sums[node->result].assignments++;
            b->sums[node->result].definition = node;
        }
        count_assignments(b, &node->body);
        count_assignments(b, &node->otherwise);
    }
}

kir_beyond kir_find_beyond(const kir_kernel *kernel, int64_t iterations, arena *memory) {
    kir_beyond found = {0};
    bounds b = {kernel, NULL, &found};
    b.sums = arena_alloc(memory, (size_t)kernel->register_count * sizeof *b.sums);
    if (iterations > 0)
        stand_for_itself(&b, 0, iterations - 1);
    count_assignments(&b, &kernel->body);
    see_block(&b, &kernel->body);
    return found;
}
