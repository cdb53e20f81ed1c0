/* What a person sees of a training run: one line that changes on a terminal, now and then a line elsewhere. */
#ifndef RT_PROGRESS_H
#define RT_PROGRESS_H

#include "runtime/checkpoint.h"

#include <stdio.h>

typedef struct {
    FILE *stream;
    int terminal;
    int line_open; /* the changing line awaits its end */
    int64_t batch;
    int64_t steps_run;  /* in this process */
    double seconds_run; /* spent in them */
    double shown_at;    /* when the last line was written, in seconds of a monotonic clock */
    double epoch_loss;  /* sum over the epoch's steps so far */
    int64_t epoch_steps;
} rt_progress;

/* Seconds of a clock that only goes forward. */
double rt_seconds(void);

rt_progress rt_progress_begin(FILE *stream, int64_t batch);

/* Tells of one more step: `position` counts it already. */
void rt_progress_step(rt_progress *progress, const rt_training_position *position, double loss, double rate,
                      double seconds);

/* Ends the changing line so that something else can be written. */
void rt_progress_break(rt_progress *progress);

#endif
