/* What compiled code calls in the runtime, by name: the one list for all back ends. */
#include "backend/code.h"

#include "runtime/random.h"

#include <stdint.h>

static const backend_symbol symbols[] = {
    {"rt_launch", (void (*)(void))rt_launch},
    {"rt_launch_parts", (void (*)(void))rt_launch_parts},
    {"rt_run_launches", (void (*)(void))rt_run_launches},
    {"rt_product", (void (*)(void))rt_product},
    {"rt_random_uniform", (void (*)(void))rt_random_uniform},
    {"rt_random_normal", (void (*)(void))rt_random_normal},
};

const backend_symbol *backend_runtime_symbols(int *count) {
    *count = sizeof symbols / sizeof *symbols;
    return symbols;
}
