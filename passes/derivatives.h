/* Shared by the files of the `differentiate` pass: one derive_<name> for each name in ops.def's derivative column. */
#ifndef PASSES_DERIVATIVES_H
#define PASSES_DERIVATIVES_H

#include "passes/pass.h"

/* One step of a reverse sweep: `value`, of which the loss's gradient `gradient` (same type) is known, passes it on to
 * its operands. */
typedef struct {
    ir_builder builder; /* new values come before the first gradient operation and take the value's span */
    ir_value *value;
    ir_value *gradient;
    diag_list *diags;
    const bool *active;   /* by value id: lies on a path from a variable to the loss */
    ir_value **gradients; /* by value id: what has been passed on to it so far, or NULL */
} derivation;

typedef void (*derivative_rule)(derivation *step);

/* Does this operand lie on a path from a variable? Rules ask before they build what an inactive one would waste. */
bool derive_wanted(const derivation *step, int operand);
/* Adds to the gradient of an active operand; does nothing for another. The type must be the operand's. */
void derive_pass(derivation *step, int operand, ir_value *contribution);

/* Shorthands at the step's place. */
ir_value *derive_number(const derivation *step, const ir_type *type, double number);
ir_value *derive_unary(const derivation *step, ir_opcode opcode, ir_value *x);
ir_value *derive_binary(const derivation *step, ir_opcode opcode, ir_value *x, ir_value *y);
ir_value *derive_negated(const derivation *step, ir_value *x);
/* x times a number. */
ir_value *derive_scaled(const derivation *step, ir_value *x, double factor);
/* The operation with the step's value's attributes and an explicit result type (NULL: by its shape rule). */
ir_value *derive_like(const derivation *step, ir_opcode opcode, ir_value *first, ir_value *second, const ir_type *type);

#define OP(name, operands, class_, shape, derivative, ...) void derive_##derivative(derivation *step);
#include "ir/ops.def"

#endif
