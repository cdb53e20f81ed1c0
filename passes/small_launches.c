/* small-launches: launches that take less time than waking a thread are left to the one that makes them: their
 * iterations become rounds of one. Of a program of nothing but such launches all other threads sleep on. */
#include "passes/pass.h"

/* What one thread does in about 8 microseconds, the time that it takes to wake another. */
enum { SMALL_FLOPS = 64 << 10 /* for each lane */, SMALL_BYTES = 256 << 10 };

static bool is_small(const pass_context *context, const kir_launch *launch) {
    kir_cost cost = kir_launch_cost(context->program, launch);
    return cost.flops <= (double)SMALL_FLOPS * context->target.lanes &&
           cost.bytes_read + cost.bytes_written <= SMALL_BYTES;
}

bool pass_small_launches(pass_context *context) {
    kir_program *program = pass_lowered(context, "small-launches");
    if (!program)
        return false;
    for (int i = 0; i < program->function_count; i++)
        for (int l = 0; l < program->functions[i].launch_count; l++) {
            kir_launch *launch = &program->functions[i].launches[l];
            if (launch->part_count > 1 || !is_small(context, launch))
                continue;
            launch->rounds *= launch->extent;
            launch->extent = 1;
        }
    return true;
}
