/* small-launches: launches that take less time than waking a thread are left to the one that makes them: their
 * iterations become rounds of one. Of a program of nothing but such launches all other threads sleep on. Where it
 * depends on the machine whether dividing pays, the launch says how long it takes, and the pool decides. */
#include "passes/lower_pairs.h"

/* Nanoseconds of one thread. */
enum { SMALL_TIME = 5000, LARGE_TIME = 200000 /* divided without asking */ };

/* What one thread does in a nanosecond, about: two instructions a cycle, on operands in its caches. */
enum { LANE_OPERATIONS = 7, BYTES = 50 };

static double time_of(const pass_context *context, const kir_launch *launch) {
    const kir_kernel *kernel = context->program->kernels[launch->kernel];
    kir_cost cost = kir_launch_cost(context->program, launch);
    /* Of loops whose ends are not known, less is counted than the kernel's maker states. */
    double products = cost.flops / 2, operations = cost.operations;
    if (context->product_parts > 0 && kir_multiplies_pairs(kernel))
        operations += products * lower_pairs_time(context);
    else if (operations < products)
        operations = products;
    double arithmetic = operations / (LANE_OPERATIONS * context->target.lanes);
    double memory = (double)(cost.bytes_read + cost.bytes_written) / BYTES;
    return arithmetic > memory ? arithmetic : memory;
}

bool pass_small_launches(pass_context *context) {
    kir_program *program = pass_lowered(context, "small-launches");
    if (!program)
        return false;
    for (int i = 0; i < program->function_count; i++)
        for (int l = 0; l < program->functions[i].launch_count; l++) {
            kir_launch *launch = &program->functions[i].launches[l];
            double time = time_of(context, launch);
            if (launch->part_count == 1 && time <= SMALL_TIME) {
                launch->rounds *= launch->extent;
                launch->extent = 1;
            } else if (launch->extent > 1 && time <= LARGE_TIME) {
                launch->nanoseconds = (int64_t)time + 1;
            }
        }
    return true;
}
