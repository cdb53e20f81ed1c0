/* The machine that compiles as a target, and targets in the words of the system's C compiler. */
#include "backend/code.h"
#include "runtime/cpu.h"

#include <string.h>

kir_target backend_target_host(void) {
    kir_target target = {0};
    kir_target_named(rt_cpu_level_name(rt_cpu_best()), &target);
    return target;
}

bool backend_target_named(const char *name, kir_target *target) {
    if (strcmp(name, "native") != 0)
        return kir_target_named(name, target);
    *target = backend_target_host();
    return true;
}

bool backend_runs_here(const kir_target *target, diag_list *diags) {
    rt_error error = {{0}};
    if (rt_cpu_check(kir_target_processor(target), &error) == 0)
        return true;
    diag_error(diags, (source_span){0}, "%s", error.text);
    return false;
}

/* Pairs and tiles are loops in C. */
const char *backend_c_processor(const kir_target *target) {
    kir_target plain = *target;
    plain.pair_products = plain.matrix_units = false;
    return kir_target_processor(&plain);
}

/* Vectors wider than the processor's are for the C compiler to take apart. */
const char *backend_compiler_flag(const kir_target *target) {
    const char *processor = backend_c_processor(target);
    if (strcmp(processor, "portable") == 0)
        return "-march=x86-64";
    if (strcmp(processor, "avx2") == 0)
        return "-march=x86-64-v3";
    return "-march=x86-64-v4";
}
