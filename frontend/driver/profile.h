/* What `cslc profile` measured, gathered before it is written as text or as JSON. */
#ifndef FRONTEND_DRIVER_PROFILE_H
#define FRONTEND_DRIVER_PROFILE_H

#include "frontend/driver/machine.h"
#include "runtime/session.h"

/* Launches taken together: by kernel, line or component. Sums over one step. */
typedef struct {
    const char *name, *component, *place; /* what they have in common; place: of the first */
    int launches;
    double seconds, flops, bytes_read, bytes_written;
    double shortest; /* in which the machine could have done them, each bound by itself */
} profile_row;

typedef struct {
    profile_row *rows; /* the longest first */
    int count, capacity;
} profile_table;

typedef struct {
    const char *name, *place;
    int64_t items;  /* measured */
    double seconds; /* for one item on one thread */
} profile_view;

typedef struct {
    arena *memory;
    const source_table *sources;
    const ir_module *module;
    const kir_program *program;
    const char *processor;
    int threads, steps;
    machine_peaks peaks;
    int64_t batch;
    double step, copy; /* seconds, medians: of the whole step; of copying its batch */
    profile_row whole; /* all launches of a step */
    profile_table components, lines, kernels;
    profile_view *views;
    int view_count;
} profile_report;

/* Runs steps of the compiled program and fills in the rest of the report; false after reporting. `data` may be NULL. */
bool profile_measure(driver_session *work, const rt_program *program, const char *data, profile_report *report);

void profile_write_text(const profile_report *report, bool all, text_buffer *out);
/* Appends the document; false without memory. */
bool profile_write_json(const profile_report *report, text_buffer *out);

#endif
