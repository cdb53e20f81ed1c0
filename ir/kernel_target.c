/* Targets by name. */
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
