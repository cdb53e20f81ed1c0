/* Targets and precisions by name. */
#include "ir/kernel.h"

#include <string.h>

static const struct {
    const char *name;
    kir_target target;
} named_targets[] = {
    {"avx512", {.lanes = 16, .fma = true, .vector_registers = 32}},
    {"avx512-bf16", {.lanes = 16, .fma = true, .vector_registers = 32, .pair_products = true}},
    {"amx", {.lanes = 16, .fma = true, .vector_registers = 32, .matrix_units = true, .pair_products = true}},
    {"avx2", {.lanes = 8, .fma = true, .vector_registers = 16}},
    {"portable", {.lanes = 4, .vector_registers = 16}},
    {"scalar", {.lanes = 1, .vector_registers = 16}},
    {"x86-64", {.lanes = 4, .vector_registers = 16}}, /* the names of the processor levels that these three are for */
    {"x86-64-v3", {.lanes = 8, .fma = true, .vector_registers = 16}},
    {"x86-64-v4", {.lanes = 16, .fma = true, .vector_registers = 32}},
};

bool kir_target_named(const char *name, kir_target *target) {
    for (size_t i = 0; i < sizeof named_targets / sizeof *named_targets; i++) {
        if (strcmp(name, named_targets[i].name) == 0) {
            *target = named_targets[i].target;
            return true;
        }
    }
    return false;
}

const char *kir_target_processor(const kir_target *target) {
    return target->matrix_units    ? "amx"
           : target->pair_products ? "avx512-bf16"
           : target->lanes >= 16   ? "avx512"
           : target->lanes >= 8    ? "avx2"
                                   : "portable";
}

const char *const kir_precisions[KIR_PRECISIONS] = {"f32", "bf16", "f32x2", "f32x3"};

int kir_precision_parts(const char *name) {
    for (int parts = 0; parts < KIR_PRECISIONS; parts++)
        if (strcmp(name, kir_precisions[parts]) == 0)
            return parts;
    return strcmp(name, "f32x") == 0 ? 2 : -1;
}

int kir_default_parts(const kir_target *target) {
    return target->matrix_units ? 2 : 0;
}

int kir_products_of_parts(int parts) {
    return parts * (parts + 1) / 2;
}
