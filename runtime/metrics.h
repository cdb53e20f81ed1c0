/* The run's log: metrics.jsonl, one JSON object a line, and the same numbers for TensorBoard. A step's line is {step,
 * epoch, loss, lr, seconds} and what else the spec reports; `step` counts from 0, `epoch` from 1. An evaluation's line
 * has `protocol` and `accuracy` and says after how many epochs and steps it was made. */
#ifndef RT_METRICS_H
#define RT_METRICS_H

#include "runtime/evaluate.h"
#include "runtime/events.h"

typedef struct {
    FILE *stream;
    char *path;
    rt_events events;
} rt_metrics;

/* Begins FOLDER/metrics.jsonl anew (and an event file beside it), or with first_step > 0 continues it: what the
 * checkpoint at that step does not know is cut off first (atomically). `evaluated_step` receives the step of the last
 * evaluation that stays, or -1. Returns 0, or -1 with a message. */
int rt_metrics_open(rt_metrics *metrics, const char *folder, int64_t first_step, int64_t *evaluated_step,
                    rt_error *error);
void rt_metrics_close(rt_metrics *metrics);

/* Starts the line of a step, to whose object rt_metrics_scalar adds. rt_metrics_end closes object and line and flushes
 * it, and returns -1 with a message when it could not be written. */
rt_json_writer rt_metrics_begin(rt_metrics *metrics, int64_t step, int64_t epoch);
void rt_metrics_scalar(rt_metrics *metrics, rt_json_writer *json, const char *name, double value);
int rt_metrics_end(rt_metrics *metrics, rt_json_writer *json, rt_error *error);

int rt_metrics_evaluation(rt_metrics *metrics, const rt_manifest *manifest, const rt_evaluation_record *record,
                          int64_t epoch, int64_t step, rt_error *error);

#endif
