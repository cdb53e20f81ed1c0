/* The front end: from a .csl file to a module of the tensor IR. */
#ifndef FRONTEND_FRONTEND_H
#define FRONTEND_FRONTEND_H

#include "frontend/ast.h"
#include "ir/ir.h"

/* A name and what it stands for, as text: "lr" "0.001", "za" "g(f(a).pooled)". */
typedef struct {
    const char *name, *text;
    const char *shape; /* of the tensor that it names, or NULL */
    source_span span;
} fe_fact;

typedef struct {
    fe_fact *items;
    int count, capacity;
} fe_facts;

/* What a compilation worked out of the spec, section by section, for people to read and to compare. Settings are
 * evaluated: parameters and sizes stand as numbers in all texts, and branches that were not taken are left out. */
typedef struct {
    const fe_method *method;
    int source;                         /* the spec */
    fe_facts parameters;                /* of the method */
    fe_facts modules;                   /* every module instance by its path: "f.layer1.0.conv1" "conv" */
    fe_facts encoder;                   /* the names of the encoder section: "f" "resnet18(width = 64, stem = auto)" */
    fe_facts extract, similarity, loss; /* one fact a statement */
    fe_facts masks;                     /* conditions of `where`, with the shapes that they mask */
    fe_facts train;                     /* optimizer, schedule, length, and the settings of each */
} fe_description;

typedef struct {
    const char *const *definitions; /* "name=value" of -D */
    int definition_count;
    const char *const *folders; /* library path, searched after the spec's own folder and its lib/ */
    int folder_count;
    fe_description *description; /* filled in by a successful compilation when not NULL */
} fe_options;

/* Reads, checks and evaluates the spec at `path` and everything it uses. Returns the module, with the functions init,
 * train_step (still holding `gradient` operations), gradients and embed, or NULL after adding errors. */
ir_module *fe_compile(arena *memory, diag_list *diags, const char *path, const fe_options *options);

/* Reads and parses `path` alone, for --emit=ast. NULL after adding errors. */
fe_file *fe_load(arena *memory, diag_list *diags, const char *path);

#endif
