/* What the processor can do, in the steps that code is made for: each holds all before it. */
#ifndef RT_CPU_H
#define RT_CPU_H

#include "runtime/error.h"

typedef enum {
    RT_CPU_PORTABLE,
    RT_CPU_AVX2,
    RT_CPU_AVX512,
    RT_CPU_AVX512_BF16,
    RT_CPU_AMX,
    RT_CPU_LEVEL_COUNT
} rt_cpu_level;

/* "portable", "avx2", "avx512", "avx512-bf16", "amx". */
const char *rt_cpu_level_name(rt_cpu_level level);

/* The highest level whose features this processor and its operating system all have, but none above the one that the
 * environment variable CSLC_CPU names: with it, a lesser processor is played. */
rt_cpu_level rt_cpu_best(void);

/* Whether code for the level of that name runs here. Returns 0, or -1 with a message that names what is missing. */
int rt_cpu_check(const char *level, rt_error *error);

#endif
