#include "runtime/blas.h"

#include <cblas.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

/* One thread, as nobody else writes it: what this process starts, PyTorch beside it, is to have all. */
static const char ONE_THREAD[] = "01";

enum { BLAS_MEGABYTES = 129 }; /* of a thread: 128, and what their allocation adds */

/* Kernels better than those that were chosen, or NULL. */
static const char *better_kernels(void) {
#if defined __x86_64__
    static const char *const slow[] = {"Prescott", "Core2", "Nehalem", "Generic"};
    const char *wanted = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") ? "SkylakeX"
                         : __builtin_cpu_supports("avx2")                                        ? "Haswell"
                                                                                                 : NULL;
    const char *chosen = openblas_get_corename();
    for (size_t i = 0; wanted && i < sizeof slow / sizeof *slow; i++)
        if (strcasecmp(chosen, slow[i]) == 0)
            return wanted;
#endif
    return NULL;
}

/* Whether the variable was unset, and now is set. */
static int settle(const char *variable, const char *value) {
    return value && !getenv(variable) && setenv(variable, value, 1) == 0;
}

/* Threads that the library starts when it is loaded, and nobody needs, ask for memory without end where room is
 * limited. */
static const char *fewest_threads(void) {
    struct rlimit room;
    return getrlimit(RLIMIT_AS, &room) == 0 && room.rlim_cur != RLIM_INFINITY ? ONE_THREAD : NULL;
}

void rt_blas_choose(char **arguments) {
    const char *number = getenv("OPENBLAS_NUM_THREADS");
    if (number && strcmp(number, ONE_THREAD) == 0) { /* started anew */
        unsetenv("OPENBLAS_NUM_THREADS");
        return;
    }
    int kernels = settle("OPENBLAS_CORETYPE", better_kernels());
    int threads = settle("OPENBLAS_NUM_THREADS", fewest_threads());
    if (kernels || threads)
        execv("/proc/self/exe", arguments);
}

int rt_blas_reserve(int threads, rt_error *error) {
    int megabytes = threads * BLAS_MEGABYTES;
    size_t bytes = (size_t)megabytes << 20;
    void *room = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (room == MAP_FAILED)
        return rt_fail(error, "OpenBLAS needs room for %d MB, %d for each thread: raise the limit (ulimit -v)",
                       megabytes, BLAS_MEGABYTES);
    munmap(room, bytes);
    return 0;
}
