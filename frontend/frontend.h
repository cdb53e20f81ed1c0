/* The front end: from a .csl file to a module of the tensor IR. */
#ifndef FRONTEND_FRONTEND_H
#define FRONTEND_FRONTEND_H

#include "frontend/ast.h"
#include "ir/ir.h"

typedef struct {
    const char *const *definitions; /* "name=value" of -D */
    int definition_count;
    const char *const *folders; /* library path, searched after the spec's own folder and its lib/ */
    int folder_count;
} fe_options;

/* Reads, checks and evaluates the spec at `path` and everything it uses. Returns the module, with the functions init,
 * train_step (still holding `gradient` operations), gradients and embed, or NULL after adding errors. */
ir_module *fe_compile(arena *memory, diag_list *diags, const char *path, const fe_options *options);

/* Reads and parses `path` alone, for --emit=ast. NULL after adding errors. */
fe_file *fe_load(arena *memory, diag_list *diags, const char *path);

#endif
