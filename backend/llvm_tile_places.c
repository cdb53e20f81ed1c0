/* Which register of the matrix units each tile of a kernel has, and behind which node nothing needs it any more.
 *
 * There the code sets the register to zeros. One of zeros takes none of the processor's own registers, which both
 * threads of a core share: where the other thread holds tiles, too few are left for renaming, and a load waits for
 * whatever used its register before. */
#include "backend/llvm.h"

#include <assert.h>

/* Nodes are numbered in the order of the code; a loop has a number before its body and one behind it. */
typedef struct {
    int first, last; /* 0: not seen */
    const kir_node *last_node;
} lifetime;

typedef struct {
    const kir_node *node;
    int first, last;
} loop_span;

typedef struct {
    const kir_kernel *kernel;
    lifetime *lives;  /* by register */
    loop_span *loops; /* inner ones before those around them */
    int loop_count, number;
} survey;

static void see(survey *s, kir_reg reg, const kir_node *node) {
    if (reg < 0 || s->kernel->registers[reg].rows == 0)
        return;
    lifetime *life = &s->lives[reg];
    if (life->first == 0)
        life->first = s->number;
    life->last = s->number;
    life->last_node = node;
}

static void see_block(survey *s, const kir_block *block) {
    for (const kir_node *node = block->first; node; node = node->next) {
        int first = ++s->number;
        if (node->kind == KIR_INSTRUCTION) {
            for (int i = 0; i < kir_op_operands(node->opcode); i++)
                see(s, node->operands[i], node);
            see(s, node->result, node);
            continue;
        }
        see_block(s, &node->body);
        see_block(s, &node->otherwise);
        if (node->kind == KIR_LOOP)
            s->loops[s->loop_count++] = (loop_span){node, first, ++s->number};
    }
}

static int count_loops(const kir_block *block) {
    int count = 0;
    for (const kir_node *node = block->first; node; node = node->next)
        if (node->kind != KIR_INSTRUCTION)
            count += (node->kind == KIR_LOOP) + count_loops(&node->body) + count_loops(&node->otherwise);
    return count;
}

/* What lives across one end of a loop lives in all of it: its next iteration may follow. */
static void widen(const survey *s, lifetime *life) {
    for (int i = 0; i < s->loop_count; i++) {
        const loop_span *loop = &s->loops[i];
        if (life->first < loop->first && life->last > loop->first && life->last < loop->last) {
            life->last = loop->last;
            life->last_node = loop->node;
        }
        if (life->first > loop->first && life->first < loop->last && life->last > loop->last)
            life->first = loop->first;
    }
}

static bool same_shape(kir_type a, kir_type b) {
    return a.rows == b.rows && a.lanes * kir_element_bytes(a.element) == b.lanes * kir_element_bytes(b.element);
}

/* A register of this shape that no tile placed before has at the same time; units are set up once for a kernel. */
static int free_unit(const survey *s, const llvm_tiles *tiles, kir_reg reg) {
    const lifetime *life = &s->lives[reg];
    for (int unit = 0; unit < LLVM_TILE_UNITS; unit++) {
        bool taken = unit < tiles->unit_count && !same_shape(tiles->shapes[unit], s->kernel->registers[reg]);
        for (int i = 0; i < tiles->count && !taken; i++) {
            const lifetime *other = &s->lives[tiles->places[i].reg];
            taken = tiles->places[i].unit == unit && life->first <= other->last && other->first <= life->last;
        }
        if (!taken)
            return unit;
    }
    assert(!"more tiles at a time, or in more shapes, than the matrix units have registers");
    return 0;
}

void llvm_find_tile_places(const kir_kernel *kernel, arena *memory, llvm_tiles *tiles) {
    *tiles = (llvm_tiles){0};
    int tile_count = 0;
    for (int reg = 0; reg < kernel->register_count; reg++)
        tile_count += kernel->registers[reg].rows > 0;
    if (tile_count == 0)
        return;
    survey s = {.kernel = kernel};
    s.lives = arena_alloc(memory, (size_t)kernel->register_count * sizeof *s.lives);
    s.loops = arena_alloc(memory, (size_t)(count_loops(&kernel->body) + 1) * sizeof *s.loops);
    see_block(&s, &kernel->body);
    tiles->places = arena_alloc(memory, (size_t)tile_count * sizeof *tiles->places);
    for (int reg = 0; reg < kernel->register_count; reg++) {
        if (s.lives[reg].first == 0)
            continue;
        widen(&s, &s.lives[reg]);
        int unit = free_unit(&s, tiles, reg);
        tiles->places[tiles->count++] = (llvm_tile_place){reg, unit, s.lives[reg].last_node};
        if (unit == tiles->unit_count)
            tiles->shapes[tiles->unit_count++] = kernel->registers[reg];
    }
}
