/* Which registers need no memory: those that are assigned once and used only behind that, where LLVM sees the value
 * itself. Most registers are such; a slot on the stack for each would double the instructions that LLVM starts from. */
#include "backend/llvm.h"

typedef struct {
    bool *plain;               /* the result */
    bool *assigned, *in_sight; /* assigned anywhere before; in this block or one around it */
    kir_reg *recent;           /* those in sight, in the order of their assignment */
    int recent_count;
} survey;

static void see_use(survey *s, kir_reg reg) {
    s->plain[reg] &= s->in_sight[reg];
}

static void see_index(survey *s, const kir_node_index *index) {
    for (int i = 0; i < index->term_count; i++)
        see_use(s, index->terms[i].reg);
}

static void see_assignment(survey *s, kir_reg reg) {
    if (s->assigned[reg]) {
        s->plain[reg] = false;
        return;
    }
    s->assigned[reg] = s->in_sight[reg] = true;
    s->recent[s->recent_count++] = reg;
}

static void see_block(survey *s, const kir_block *block);

static void see_node(survey *s, const kir_node *node) {
    switch (node->kind) {
    case KIR_INSTRUCTION:
        for (int i = 0; i < kir_op_operands(node->opcode); i++)
            see_use(s, node->operands[i]);
        see_index(s, &node->index);
        if (node->result >= 0)
            see_assignment(s, node->result);
        break;
    case KIR_LOOP: /* whose index is assigned at its start and its end */
        see_index(s, &node->from);
        see_index(s, &node->limit);
        s->plain[node->result] = false;
        see_block(s, &node->body);
        break;
    case KIR_IF:
        see_use(s, node->operands[0]);
        see_block(s, &node->body);
        see_block(s, &node->otherwise);
        break;
    }
}

/* What a block assigns is out of sight behind it. */
static void see_block(survey *s, const kir_block *block) {
    int outside = s->recent_count;
    for (const kir_node *node = block->first; node; node = node->next)
        see_node(s, node);
    while (s->recent_count > outside)
        s->in_sight[s->recent[--s->recent_count]] = false;
}

void llvm_find_plain_registers(const kir_kernel *kernel, arena *memory, bool *plain) {
    size_t count = (size_t)kernel->register_count;
    survey s = {.plain = plain};
    s.assigned = arena_alloc(memory, count * sizeof *s.assigned);
    s.in_sight = arena_alloc(memory, count * sizeof *s.in_sight);
    s.recent = arena_alloc(memory, count * sizeof *s.recent);
    plain[0] = false; /* counted up by the loop around the kernel */
    for (size_t i = 1; i < count; i++)
        plain[i] = kernel->registers[i].rows == 0; /* tiles have their own rules */
    see_block(&s, &kernel->body);
}
