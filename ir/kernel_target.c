/* What code is generated for: targets by name and the host's. */
#if !defined(_GNU_SOURCE)
#define _GNU_SOURCE /* syscall */
#endif
#include "ir/kernel.h"

#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>
#if defined(__x86_64__)
#include <cpuid.h>
#endif

static const struct {
    const char *name;
    kir_target target;
} named_targets[] = {
    {"avx512", {.lanes = 16, .fma = true, .vector_registers = 32}},
    {"amx", {.lanes = 16, .fma = true, .vector_registers = 32, .matrix_units = true}},
    {"avx2", {.lanes = 8, .fma = true, .vector_registers = 16}},
    {"portable", {.lanes = 4, .vector_registers = 16}},
    {"scalar", {.lanes = 1, .vector_registers = 16}},
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

#if defined(__x86_64__)
/* The operating system grants the large tile state on request only, once for the whole process. */
static bool matrix_units_granted(void) {
    enum { REQUEST_PERMISSION = 0x1023, TILE_DATA = 18, AMX_BF16 = 1 << 22, AMX_TILE = 1 << 24 };
    unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
    if (!__get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx))
        return false;
    if (!(edx & AMX_BF16) || !(edx & AMX_TILE))
        return false;
    return syscall(SYS_arch_prctl, REQUEST_PERMISSION, TILE_DATA) == 0;
}

static const char *host_name(void) {
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
        __builtin_cpu_supports("avx512vl"))
        return matrix_units_granted() ? "amx" : "avx512";
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
        return "avx2";
    return "portable";
}
#else
static const char *host_name(void) {
    return "portable";
}
#endif

kir_target kir_target_host(void) {
    kir_target target = {0};
    kir_target_named(host_name(), &target);
    return target;
}
