/* What happened when: every launch of the compiled functions, every augmented view, and what a training run does
 * between its steps, as spans of time in memory that is taken beforehand. */
#ifndef RT_PROFILE_H
#define RT_PROFILE_H

#include "runtime/program.h"

#include <stdio.h>

typedef enum {
    RT_SPAN_LAUNCH,   /* number: of the launch in its function */
    RT_SPAN_FUNCTION, /* one run of it */
    RT_SPAN_VIEW,     /* one item augmented; number: of the view among the training views */
    RT_SPAN_STEP,     /* number: of the step */
    RT_SPAN_WAIT,     /* for the step's batch */
    RT_SPAN_INPUT,    /* copying the batch to where the function reads it */
    RT_SPAN_LOG,
    RT_SPAN_CHECKPOINT,
    RT_SPAN_EVALUATION,
    RT_SPAN_KIND_COUNT
} rt_span_kind;

typedef struct {
    int64_t begin, end; /* nanoseconds since the profile began */
    int32_t kind, number;
    int32_t function; /* of a launch or function: its number in the manifest */
} rt_span;

/* The spans of one thread. */
typedef struct {
    rt_span *spans;
    int64_t count, capacity;
} rt_track;

typedef struct rt_profile {
    const rt_manifest *manifest;
    int64_t start;
    rt_track *tracks; /* the first is that of the steps */
    int track_count;
    int function, launch; /* that run now */
    _Atomic int taken;    /* tracks in use */
    _Atomic int full;     /* nothing more is recorded: the memory would not hold another step */
} rt_profile;

/* Memory for some 250,000 launches and for `threads` loading threads. NULL without memory. */
rt_profile *rt_profile_create(const rt_manifest *manifest, int threads);
void rt_profile_free(rt_profile *profile);

/* All of these do nothing where `profile` is NULL. */
int64_t rt_profile_now(const rt_profile *profile);
/* A track for the calling thread, or -1 where none is left; spans on track -1 are dropped. */
int rt_profile_take_track(rt_profile *profile);
/* A span that began at `begin`, a time of rt_profile_now, and ends now. */
void rt_profile_add(rt_profile *profile, int track, rt_span_kind kind, int number, int64_t begin);
/* A step begins: the last moment to find that the memory is spent. */
void rt_profile_step(rt_profile *profile);

/* Around a run of one of the manifest's functions. */
int64_t rt_profile_enter(rt_profile *profile, const rt_function_info *function);
void rt_profile_leave(rt_profile *profile, int64_t begin);
/* Around each launch. */
void rt_profile_launched(rt_profile *profile, int64_t begin);

/* Writes all spans as a Chrome trace, which chrome://tracing and ui.perfetto.dev show. */
void rt_profile_write(const rt_profile *profile, FILE *stream);

#endif
