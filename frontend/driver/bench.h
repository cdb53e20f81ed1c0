/* What `cslc bench` measures: each group of scores fused and stored, in one run. */
#ifndef FRONTEND_DRIVER_BENCH_H
#define FRONTEND_DRIVER_BENCH_H

#include "frontend/driver/driver.h"
#include "runtime/json.h"

enum { BENCH_FUSED, BENCH_UNFUSED, BENCH_SIDES };

/* Medians of one side; 0 where it was not measured. */
typedef struct {
    bool measured;
    double forward, together; /* seconds; backward is the difference */
    int64_t bytes;            /* memory of the program, scratch included */
    double operations;        /* floating-point, executed by products in one run forward and backward */
} bench_side;

typedef struct {
    const char *name; /* "scores_256x256x128" */
    int64_t rows, columns, length;
    source_span span;
    bench_side sides[BENCH_SIDES];
    double difference; /* largest of the outputs', relative to the output's largest element; -1 with one side only */
    bool has_pytorch;
    double pytorch_forward, pytorch_together;
    double compiled_forward, compiled_together; /* by torch.compile; 0 where the installed version has none */
    int64_t pytorch_bytes;
} bench_group;

typedef struct {
    arena *memory;
    const source_table *sources;
    const char *machine; /* the processor's name */
    const char *blas;    /* what OpenBLAS calls the kernels that it chose */
    int threads;
    const char *precision;     /* of the fused sides' products */
    double peaks[BENCH_SIDES]; /* operations a second of all threads, measured, of what multiplies: a side each */
    bench_group *groups;
    int count, capacity;
} bench_report;

/* Measures one group; false after reporting. `sides`: which. */
bool bench_measure(driver_session *work, ir_function *function, ir_value *product, const bool sides[BENCH_SIDES],
                   bench_group *group);
/* Runs the group's forward part in PyTorch and its gradients, eagerly and, where it can, compiled; false after saying
 * what is wrong. */
bool bench_pytorch(driver_session *work, ir_function *function, ir_value *product, bench_group *group);
/* Measures those sides of every group of the compiled session, and PyTorch where the options ask for it, into the
 * report; false after adding an error. */
bool bench_measure_groups(driver_session *work, const bool sides[BENCH_SIDES], bench_report *report);

/* Measures all groups together while the spec's parameter n doubles, until a side takes too long or too much memory,
 * and writes the options' plot. Returns the exit status. */
int bench_plot(const driver_session *work, const bool sides[BENCH_SIDES], bench_report *report);

/* Opens a document's object with what was measured on. */
void bench_open_json(rt_json_writer *json, const bench_report *report);
void bench_write_text(const bench_report *report, text_buffer *out);
/* Appends the document; false without memory. */
bool bench_write_json(const bench_report *report, text_buffer *out);

#endif
