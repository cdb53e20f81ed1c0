#if !defined(_GNU_SOURCE)
#define _GNU_SOURCE /* syscall */
#endif
#include "runtime/cpu.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>
#if defined(__x86_64__)
#include <cpuid.h>
#endif

static const char *const level_names[RT_CPU_LEVEL_COUNT] = {"portable", "avx2", "avx512", "avx512-bf16", "amx"};

const char *rt_cpu_level_name(rt_cpu_level level) {
    return level_names[level];
}

/* The level of that name, or -1. */
static int find_level(const char *name) {
    for (int level = 0; name && level < RT_CPU_LEVEL_COUNT; level++)
        if (!strcmp(name, level_names[level]))
            return level;
    return -1;
}

/* What each level needs beyond the one before: that of x86-64-v3, of x86-64-v4, products of bf16 pairs, and the
 * matrix units. */
typedef struct {
    const char *name;
    rt_cpu_level level;
    int present;
} cpu_feature;

enum { FEATURE_COUNT = 16 };

#if defined(__x86_64__)
/* The operating system grants the large tile state on request only, once for the whole process. */
static int tiles_granted(void) {
    enum { REQUEST_PERMISSION = 0x1023, TILE_DATA = 18 };
    return syscall(SYS_arch_prctl, REQUEST_PERMISSION, TILE_DATA) == 0;
}

/* The bits of leaf 7 that tell of the matrix units. */
static unsigned matrix_bits(void) {
    unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
    return __get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) ? edx : 0;
}

/* A bit of ecx of a leaf, for features that some compiler has no name for. */
static int leaf_bit(unsigned leaf, int bit) {
    unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
    return __get_cpuid(leaf, &eax, &ebx, &ecx, &edx) && (ecx >> bit & 1);
}

static int find_features(cpu_feature *features) {
    enum { AMX_BF16 = 1 << 22, AMX_TILE = 1 << 24 };
    int count = 0;
    __builtin_cpu_init();
#define FEATURE(name, level) features[count++] = (cpu_feature){name, level, __builtin_cpu_supports(name) != 0}
    FEATURE("avx", RT_CPU_AVX2);
    FEATURE("avx2", RT_CPU_AVX2);
    FEATURE("bmi", RT_CPU_AVX2);
    FEATURE("bmi2", RT_CPU_AVX2);
    features[count++] = (cpu_feature){"f16c", RT_CPU_AVX2, leaf_bit(1, 29)};
    FEATURE("fma", RT_CPU_AVX2);
    features[count++] = (cpu_feature){"lzcnt", RT_CPU_AVX2, leaf_bit(0x80000001, 5)};
    features[count++] = (cpu_feature){"movbe", RT_CPU_AVX2, leaf_bit(1, 22)};
    FEATURE("avx512f", RT_CPU_AVX512);
    FEATURE("avx512bw", RT_CPU_AVX512);
    FEATURE("avx512cd", RT_CPU_AVX512);
    FEATURE("avx512dq", RT_CPU_AVX512);
    FEATURE("avx512vl", RT_CPU_AVX512);
    FEATURE("avx512bf16", RT_CPU_AVX512_BF16);
#undef FEATURE
    unsigned bits = matrix_bits();
    features[count++] = (cpu_feature){"amx-tile", RT_CPU_AMX, (bits & AMX_TILE) != 0};
    features[count++] = (cpu_feature){"amx-bf16", RT_CPU_AMX, (bits & AMX_BF16) && tiles_granted()};
    return count;
}
#else
/* Other processors run portable code alone. */
static int find_features(cpu_feature *features) {
    static const char *const names[] = {"avx2", "avx512f", "avx512bf16", "amx-tile"};
    for (int i = 0; i < 4; i++)
        features[i] = (cpu_feature){names[i], (rt_cpu_level)(i + 1), 0};
    return 4;
}
#endif

/* The features, without those above the level that CSLC_CPU names. */
static int visible_features(cpu_feature *features) {
    int count = find_features(features), most = find_level(getenv("CSLC_CPU"));
    for (int i = 0; most >= 0 && i < count; i++)
        features[i].present &= (int)features[i].level <= most;
    return count;
}

rt_cpu_level rt_cpu_best(void) {
    cpu_feature features[FEATURE_COUNT];
    int count = visible_features(features), best = RT_CPU_LEVEL_COUNT - 1;
    for (int i = 0; i < count; i++)
        if (!features[i].present && (int)features[i].level <= best)
            best = (int)features[i].level - 1;
    return (rt_cpu_level)best;
}

int rt_cpu_check(const char *name, rt_error *error) {
    cpu_feature features[FEATURE_COUNT];
    int count = visible_features(features), level = find_level(name);
    char missing[200] = "";
    if (level < 0)
        return rt_fail(error, "the code is for the processor '%.50s', which is unknown", name);
    for (int i = 0; i < count; i++)
        if (!features[i].present && (int)features[i].level <= level) {
            size_t used = strlen(missing);
            snprintf(missing + used, sizeof missing - used, "%s%s", used ? ", " : "", features[i].name);
        }
    if (!*missing)
        return 0;
    const char *pretended = getenv("CSLC_CPU");
    int limit = pretended ? find_level(pretended) : -1;
    if (limit < 0 || limit >= level) /* what is missing is missing without it */
        pretended = NULL;
    return rt_fail(error,
                   "this code was compiled for processors with %s, and this one lacks %s%s%s; "
                   "cslc --target-cpu=%s compiles code that runs here",
                   name, missing, pretended ? ", as CSLC_CPU says it is " : "", pretended ? pretended : "",
                   rt_cpu_level_name(rt_cpu_best()));
}
