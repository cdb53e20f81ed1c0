/* Random functions of the tensor IR, the same for the same seed. */
#ifndef TESTS_SUPPORT_RANDOM_FUNCTION_H
#define TESTS_SUPPORT_RANDOM_FUNCTION_H

#include "tests/unit/ir_case.h"

/* What is known of a random function. */
typedef struct {
    bool kinks;  /* relu, max and the like also of rounded numbers: gradients may then differ with precision */
    bool smooth; /* it has a derivative everywhere */
} random_traits;

/* Appends the function of the seed to the module as `name`: without gradients it outputs what nothing uses and @loss,
 * with them @loss and the gradients by all variables. Both write states. Numbers for all its inputs and states are
 * added to `given`. */
random_traits random_function(ir_module *module, const char *name, uint64_t seed, bool gradients, tensor_list *given);

#endif
