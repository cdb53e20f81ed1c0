/* For tests: the compiled code of a view, by any way from the kernel IR to the processor. */
#ifndef TESTS_SUPPORT_VIEW_CODE_H
#define TESTS_SUPPORT_VIEW_CODE_H

#include "backend/backend.h"

typedef struct {
    arena *memory;
    backend_code *code;
    const rt_view_code *view;
} view_code;

/* Compiles the steps (their text forms) for results of this size, dense or with the channels last, through `compile`
 * for the target of that name. `view` is NULL after a failure, which `message` then tells. */
view_code
view_code_make(const char *const *steps, int count, int height, int width, bool channels_last, const char *target,
               backend_code *(*compile)(const kir_program *program, const kir_target *target, diag_list *diags),
               text_buffer *message);
void view_code_free(view_code *code);

#endif
