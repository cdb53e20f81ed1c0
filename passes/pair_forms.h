/* Inside the lowering: maps that convolutions want in pairs of bf16 parts, and how often they are read for it.
 *
 * A map may be wanted in several forms: pairs of channels by the convolution and by its input's gradient, pairs of
 * images by the weights' gradient. One launch writes all of them that are worth writing together, and where the map is
 * computed by a kernel of elements, that kernel does. */
#ifndef PASSES_PAIR_FORMS_H
#define PASSES_PAIR_FORMS_H

#include "passes/lower_pairs.h"
#include "passes/lower_units.h"

typedef enum { PAIRS_OF_CHANNELS, PAIRS_OF_IMAGES, PAIRS_OF_IMAGES_TURNED } pair_kind;

typedef struct {
    pair_kind kind;
    int64_t images; /* of a block */
} pair_form;

/* A form that users want of a map. */
typedef struct {
    pair_form form;
    int wanted; /* number of the unit that needs it first */
    int buffer; /* -1: not made yet */
} wanted_form;

typedef struct {
    wanted_form *forms;
    int count, capacity;
    int last_read; /* number of the last unit that reads the map itself; -1: none */
} pair_operand;

/* Finds what the function's convolutions want. */
void lower_pair_operands_find(lower_context *context, const lower_units *units, const lower_straight *straight);
/* NULL where no convolution in pairs reads the value. */
pair_operand *lower_pair_operand(const lower_context *context, const ir_value *value);
/* Where the map lies in the form: made now unless it has been. */
pair_maps lower_pair_maps(lower_context *context, const ir_value *value, const pair_form *form, source_span span,
                          int *buffer);
/* Whether a form of the value is made now, when the value is read or computed: no later than it is wanted, and before
 * that if it can wait in place of the value. */
bool lower_pair_form_due(const lower_context *context, const ir_value *value, const wanted_form *form);
/* The form's places for maps of the type [n, channels, height, width]. */
pair_maps lower_pair_form_maps(const lower_context *context, const pair_form *form, const ir_type *type);

/* lower_conv_maps.c: the form in which a convolution reads operand number `operand`; false where it reads it as it is.
 */
bool lower_conv_form(lower_context *context, const ir_value *conv, int operand, pair_form *form);
/* lower_conv_weights_pairs.c: those of a weights' gradient. */
void lower_weight_grad_forms(const pass_context *pass, const conv_shape *shape, pair_form forms[2]);

/* lower_packs.c: emits a launch that rearranges the value, which lies in a buffer, into forms of its operand that have
 * the same blocks as `asked` and are due. */
void lower_pack_forms(lower_context *context, const ir_value *value, pair_operand *operand, wanted_form *asked,
                      source_span span);
/* Computes a group of elements straight into forms of its results. Returns false, with nothing done, where none of them
 * is wanted soon. */
bool lower_pack_group(lower_context *context, const lower_group *group);

#endif
