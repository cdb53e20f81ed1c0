/* What is known of the values of index registers: stores past the caches need addresses that are multiples of a
 * vector's size. */
#include "ir/kernel.h"

int64_t kir_common_divisor(int64_t a, int64_t b) {
    a = a < 0 ? -a : a;
    b = b < 0 ? -b : b;
    while (b != 0) {
        int64_t rest = a % b;
        a = b;
        b = rest;
    }
    return a;
}

int64_t kir_index_multiple(const kir_node_index *index, const int64_t *multiples) {
    int64_t multiple = index->base;
    for (int i = 0; i < index->term_count; i++)
        multiple = kir_common_divisor(multiple, index->terms[i].coefficient * multiples[index->terms[i].reg]);
    return kir_common_divisor(multiple, 0);
}

static int64_t of_instruction(const kir_node *node, const int64_t *multiples) {
    switch (node->opcode) {
    case KIR_affine: return kir_index_multiple(&node->index, multiples);
    case KIR_move: return multiples[node->operands[0]];
    default: return 1;
    }
}

/* A register that is assigned again has the common divisors of all its values. Whether it changed. */
static bool see_value(int64_t *multiples, kir_reg reg, int64_t multiple) {
    int64_t before = multiples[reg];
    multiples[reg] = kir_common_divisor(before, multiple);
    return multiples[reg] != before;
}

static bool see_block(const kir_block *block, int64_t *multiples) {
    bool changed = false;
    for (const kir_node *node = block->first; node; node = node->next) {
        if (node->kind == KIR_LOOP)
            changed |= see_value(multiples, node->result,
                                 kir_common_divisor(kir_index_multiple(&node->from, multiples), node->step));
        else if (node->kind == KIR_INSTRUCTION && node->result >= 0)
            changed |= see_value(multiples, node->result, of_instruction(node, multiples));
        changed |= see_block(&node->body, multiples);
        changed |= see_block(&node->otherwise, multiples);
    }
    return changed;
}

/* What is assigned late in a loop is used early in its next turn: again until nothing changes, as divisors only fall.
 */
void kir_find_multiples(const kir_kernel *kernel, int64_t *multiples) {
    for (int i = 0; i < kernel->register_count; i++)
        multiples[i] = 0;
    multiples[0] = 1; /* the number of the iteration */
    while (see_block(&kernel->body, multiples))
        continue;
}
