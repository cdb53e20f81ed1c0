#include "passes/variation.h"

#include "passes/lower_nest.h"

static kir_reg times(const kir_builder *builder, kir_reg x, double factor) {
    return factor == 1 ? x : kir_op2(builder, KIR_mul, x, kir_number(builder, builder->kernel->registers[x], factor));
}

void variation_take(const kir_builder *builder, const running_variation *so_far, kir_reg distance, double weight) {
    kir_into(builder, so_far->squares, KIR_fma, times(builder, distance, weight), distance, so_far->squares);
    kir_into(builder, so_far->sum, KIR_add, so_far->sum, distance, -1);
}

kir_reg variation_finish(const kir_builder *builder, const running_variation *so_far, double count, double weight,
                         kir_reg *mean) {
    kir_type type = builder->kernel->registers[so_far->squares];
    kir_reg off = kir_op2(builder, KIR_mul, so_far->sum, kir_number(builder, type, 1 / count));
    *mean = kir_op2(builder, KIR_add, so_far->shift, off);
    kir_reg excess = times(builder, kir_op2(builder, KIR_mul, off, so_far->sum), weight);
    return lower_maximum(builder, kir_op2(builder, KIR_sub, so_far->squares, excess), kir_number(builder, type, 0));
}
