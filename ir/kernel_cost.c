/* What launches cost: the arithmetic that their kernels say, and the memory that their arguments are. */
#include "ir/kernel.h"

/* Floating-point operations of one instruction, of all its lanes; a fused multiplication and addition count `fma`. */
static double instruction_flops(const kir_kernel *kernel, const kir_node *node, double fma) {
    if (node->result < 0 || kernel->registers[node->result].element != KIR_F32)
        return 0;
    double lanes = kernel->registers[node->result].lanes;
    switch (node->opcode) {
    case KIR_add:
    case KIR_sub:
    case KIR_mul:
    case KIR_div:
    case KIR_rem:
    case KIR_min:
    case KIR_max:
    case KIR_neg:
    case KIR_abs:
    case KIR_sqrt:
    case KIR_floor:
    case KIR_sin:
    case KIR_cos:
    case KIR_pow: return lanes;
    case KIR_fma: return fma * lanes;
    case KIR_sum_lanes:
    case KIR_max_lanes: return kernel->registers[node->operands[0]].lanes - 1;
    default: return 0;
    }
}

/* Rounds of a loop; where they differ from iteration to iteration of an outer one, those of its first. */
static double loop_rounds(const kir_node *loop) {
    int64_t length = loop->limit.base - loop->from.base, rounds = (length + loop->step - 1) / loop->step;
    return length > 0 ? (double)rounds : 1;
}

static double block_flops(const kir_kernel *kernel, const kir_block *block, double fma) {
    double flops = 0;
    for (const kir_node *node = block->first; node; node = node->next) {
        if (node->kind == KIR_LOOP) {
            flops += loop_rounds(node) * block_flops(kernel, &node->body, fma);
        } else if (node->kind == KIR_IF) {
            double yes = block_flops(kernel, &node->body, fma), no = block_flops(kernel, &node->otherwise, fma);
            flops += yes > no ? yes : no;
        } else {
            flops += instruction_flops(kernel, node, fma);
        }
    }
    return flops;
}

kir_cost kir_launch_cost(const kir_program *program, const kir_launch *launch) {
    const kir_kernel *kernel = program->kernels[launch->kernel];
    double iterations = (double)launch->extent * (double)launch->rounds;
    kir_cost cost = {.flops = iterations * (kernel->flops > 0 ? kernel->flops : block_flops(kernel, &kernel->body, 2)),
                     .operations = iterations * block_flops(kernel, &kernel->body, 1)};
    int position = 0;
    for (int part = 0; part < launch->part_count; part++)
        for (int i = 0; i < kernel->argument_count; i++) {
            const kir_argument *argument = &kernel->arguments[i];
            if (argument->scratch)
                continue;
            int64_t whole = argument->elements * kir_element_bytes(argument->element);
            int64_t bytes = argument->each ? program->buffers[launch->buffers[position]].bytes : whole;
            cost.bytes_read += argument->reads ? bytes : 0;
            cost.bytes_written += argument->writes ? bytes : 0;
            position++;
        }
    return cost;
}

static bool block_multiplies_pairs(const kir_block *block) {
    for (const kir_node *node = block->first; node; node = node->next) {
        bool product = node->opcode == KIR_dot_pairs || node->opcode == KIR_tile_multiply;
        if (node->kind == KIR_INSTRUCTION
                ? product
                : block_multiplies_pairs(&node->body) || block_multiplies_pairs(&node->otherwise))
            return true;
    }
    return false;
}

bool kir_multiplies_pairs(const kir_kernel *kernel) {
    return block_multiplies_pairs(&kernel->body);
}
