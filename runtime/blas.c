#include "runtime/blas.h"

#include <cblas.h>
#include <stdlib.h>
#include <strings.h>
#include <unistd.h>

void rt_blas_choose(char **arguments) {
#if defined __x86_64__
    static const char *const slow[] = {"Prescott", "Core2", "Nehalem", "Generic"};
    const char *wanted = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") ? "SkylakeX"
                         : __builtin_cpu_supports("avx2")                                        ? "Haswell"
                                                                                                 : NULL;
    const char *chosen = openblas_get_corename();
    if (!wanted || getenv("OPENBLAS_CORETYPE"))
        return;
    for (size_t i = 0; i < sizeof slow / sizeof *slow; i++)
        if (strcasecmp(chosen, slow[i]) == 0 && setenv("OPENBLAS_CORETYPE", wanted, 1) == 0)
            execv("/proc/self/exe", arguments);
#else
    (void)arguments;
#endif
}
