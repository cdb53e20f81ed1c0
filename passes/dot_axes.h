/* What a dot does with the axes of one of its operands. */
#ifndef PASSES_DOT_AXES_H
#define PASSES_DOT_AXES_H

#include "ir/ir.h"

typedef struct {
    const ir_attr *batch, *contract; /* paired with the other operand's, entry by entry */
    int64_t free[IR_MAX_RANK];       /* increasing */
    int free_count;
} dot_axes;

/* Of operand `side`, 0 or 1. */
dot_axes dot_axes_of(const ir_value *dot, int side);

#endif
