/* What `cslc explain` says of a spec, gathered before it is written as text or as JSON. */
#ifndef FRONTEND_DRIVER_EXPLAIN_H
#define FRONTEND_DRIVER_EXPLAIN_H

#include "frontend/driver/driver.h"
#include "frontend/driver/forward.h"

typedef struct {
    arena *memory;
    const source_table *sources;
    const ir_module *module;
    fe_description description;
    int64_t batch;
    int view_count; /* those of training */
    forward_layers layers;
    forward_scores_list scores;
} explanation;

/* Buffers of one shape and line of the spec that are alive when a step needs most memory. */
typedef struct {
    const char *shape; /* "f32[256, 64, 32, 32]" */
    source_span span;
    int buffers;
    int64_t bytes;
} explain_holder;

/* What a compiled and planned program needs. */
typedef struct {
    int64_t arena_bytes, peak_bytes, unshared_bytes; /* of train_step */
    int64_t state_bytes, scratch_bytes;
    const char *peak_kernel; /* that runs then */
    source_span peak_span;
    int peak_launch;
    explain_holder *holders; /* the largest first */
    int holder_count, holder_capacity;
    const char *precision;         /* of products */
    int kernels, launches, groups; /* of the program; of train_step; of its fused groups */
    diag_list remarks;             /* what became of the scores, and why */
} explain_plan;

/* Compiles `path` under the definitions and gathers everything that does not depend on passes; false after reporting.
 */
bool explain_method(driver_session *work, const char *path, const driver_list *definitions, explanation *result);

/* explain_memory.c: fills in who holds a step's memory at its peak, and writes that alone. */
void explain_find_holders(arena *memory, const kir_program *program, const kir_function *step, explain_plan *plan);
void explain_write_memory(const explanation *method, const explain_plan *plan, bool all, text_buffer *out);
void explain_write_text(const explanation *method, const explain_plan *plan, bool all_layers, text_buffer *out);
/* Appends the document; false without memory. */
bool explain_write_json(const explanation *method, const explain_plan *plan, text_buffer *out);

/* ---- pieces of text, allocated in `memory` ---- */

const char *explain_count(arena *memory, double number); /* 1,234,567 */
const char *explain_bytes(arena *memory, int64_t bytes); /* 1.2 MB */
/* "specs/mine.csl:12", or "-" for nowhere. */
const char *explain_place(const explanation *method, source_span span);
/* The batch's own setting. */
source_span explain_batch_place(const explanation *method);
/* What a batch is made of: "image", or "item" where all views are vectors. */
const char *explain_item(const explanation *method);
double explain_multiply_adds(const explanation *method); /* of the layers in a step's forward part */

/* ---- growing text read back from a stream, for the JSON writer ---- */

typedef struct {
    FILE *stream;
    char *data;
    size_t length;
} explain_stream;

bool explain_stream_open(explain_stream *stream);
/* Appends what was written; false when there was no memory for it. */
bool explain_stream_close(explain_stream *stream, text_buffer *out);

#endif
