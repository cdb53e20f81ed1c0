#include "runtime/profile.h"
#include "runtime/json.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { MOST_SPANS = 1 << 18 };

/* ---- recording ---- */

static int64_t now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (int64_t)time.tv_sec * 1000000000 + time.tv_nsec;
}

rt_profile *rt_profile_create(const rt_manifest *manifest, int threads) {
    rt_profile *profile = calloc(1, sizeof *profile);
    if (!profile)
        return NULL;
    profile->manifest = manifest;
    profile->tracks = calloc((size_t)threads + 1, sizeof *profile->tracks);
    for (int i = 0; profile->tracks && i <= threads; i++) {
        rt_track *track = &profile->tracks[profile->track_count++];
        *track = (rt_track){.spans = malloc(MOST_SPANS * sizeof *track->spans), .capacity = MOST_SPANS};
        if (!track->spans) {
            rt_profile_free(profile);
            return NULL;
        }
    }
    if (!profile->tracks) {
        free(profile);
        return NULL;
    }
    profile->taken = 1;
    profile->start = now();
    return profile;
}

void rt_profile_free(rt_profile *profile) {
    if (!profile)
        return;
    for (int i = 0; i < profile->track_count; i++)
        free(profile->tracks[i].spans);
    free(profile->tracks);
    free(profile);
}

int64_t rt_profile_now(const rt_profile *profile) {
    return profile ? now() - profile->start : 0;
}

int rt_profile_take_track(rt_profile *profile) {
    int track = profile ? profile->taken++ : -1;
    return profile && track < profile->track_count ? track : -1;
}

static void push(rt_profile *profile, int track, rt_span span) {
    rt_track *to = &profile->tracks[track];
    if (to->count < to->capacity && !profile->full)
        to->spans[to->count++] = span;
    else
        profile->full = 1;
}

void rt_profile_add(rt_profile *profile, int track, rt_span_kind kind, int number, int64_t begin) {
    if (profile && track >= 0)
        push(profile, track, (rt_span){begin, rt_profile_now(profile), kind, number, -1});
}

void rt_profile_step(rt_profile *profile) {
    enum { OTHER_SPANS = 64 };
    if (!profile)
        return;
    const rt_track *steps = &profile->tracks[0];
    int64_t launches = 0;
    for (int i = 0; i < profile->manifest->function_count; i++)
        launches += profile->manifest->functions[i].launch_count;
    if (steps->capacity - steps->count < launches + OTHER_SPANS)
        profile->full = 1;
}

int64_t rt_profile_enter(rt_profile *profile, const rt_function_info *function) {
    if (!profile)
        return 0;
    profile->function = (int)(function - profile->manifest->functions);
    profile->launch = 0;
    return rt_profile_now(profile);
}

void rt_profile_leave(rt_profile *profile, int64_t begin) {
    if (profile)
        push(profile, 0, (rt_span){begin, rt_profile_now(profile), RT_SPAN_FUNCTION, 0, profile->function});
}

void rt_profile_launched(rt_profile *profile, int64_t begin) {
    push(profile, 0, (rt_span){begin, rt_profile_now(profile), RT_SPAN_LAUNCH, profile->launch++, profile->function});
}

/* ---- as a Chrome trace ---- */

static const char *const span_names[RT_SPAN_KIND_COUNT] = {
    [RT_SPAN_STEP] = "step", [RT_SPAN_WAIT] = "wait for the batch", [RT_SPAN_INPUT] = "copy the batch",
    [RT_SPAN_LOG] = "log",   [RT_SPAN_CHECKPOINT] = "checkpoint",   [RT_SPAN_EVALUATION] = "evaluation",
};

static void write_launch(rt_json_writer *json, const rt_launch_info *launch) {
    rt_json_text(json, "cat", launch->component);
    rt_json_open(json, "args", '{');
    rt_json_text(json, "line", launch->place);
    rt_json_integer(json, "flops", launch->flops);
    rt_json_integer(json, "bytes", launch->bytes_read + launch->bytes_written);
    rt_json_close(json, '}');
}

/* The training views are all but those called "evaluate". */
static const char *view_name(const rt_manifest *manifest, int number) {
    for (int i = 0; i < manifest->view_count; i++)
        if (strcmp(manifest->views[i].name, "evaluate") && number-- == 0)
            return manifest->views[i].name;
    return "view";
}

static void write_span(rt_json_writer *json, const rt_profile *profile, const rt_span *span, int track) {
    const rt_function_info *function = span->function >= 0 ? &profile->manifest->functions[span->function] : NULL;
    const rt_launch_info *launch = function && span->kind == RT_SPAN_LAUNCH && span->number < function->launch_count
                                       ? &function->launches[span->number]
                                       : NULL;
    const char *name = launch                       ? launch->kernel
                       : span->kind == RT_SPAN_VIEW ? view_name(profile->manifest, span->number)
                       : function                   ? function->name
                                                    : span_names[span->kind];
    rt_json_open(json, NULL, '{');
    rt_json_text(json, "name", name);
    rt_json_text(json, "ph", "X");
    rt_json_integer(json, "pid", 1);
    rt_json_integer(json, "tid", track);
    rt_json_fixed(json, "ts", (double)span->begin / 1e3, 3);
    rt_json_fixed(json, "dur", (double)(span->end - span->begin) / 1e3, 3);
    if (launch)
        write_launch(json, launch);
    else if (span->kind == RT_SPAN_VIEW)
        rt_json_text(json, "cat", "augment");
    if (span->kind == RT_SPAN_STEP) {
        rt_json_open(json, "args", '{');
        rt_json_integer(json, "step", span->number);
        rt_json_close(json, '}');
    }
    rt_json_close(json, '}');
    fputc('\n', json->stream);
}

static void write_track_name(rt_json_writer *json, int track) {
    char name[32] = "steps";
    if (track > 0)
        snprintf(name, sizeof name, "loader %d", track);
    rt_json_open(json, NULL, '{');
    rt_json_text(json, "name", "thread_name");
    rt_json_text(json, "ph", "M");
    rt_json_integer(json, "pid", 1);
    rt_json_integer(json, "tid", track);
    rt_json_open(json, "args", '{');
    rt_json_text(json, "name", name);
    rt_json_close(json, '}');
    rt_json_close(json, '}');
    fputc('\n', json->stream);
}

void rt_profile_write(const rt_profile *profile, FILE *stream) {
    rt_json_writer json = rt_json_to(stream);
    rt_json_open(&json, NULL, '{');
    rt_json_text(&json, "displayTimeUnit", "ms");
    rt_json_open(&json, "otherData", '{');
    rt_json_text(&json, "method", profile->manifest->method);
    rt_json_text(&json, "spec", profile->manifest->spec);
    rt_json_close(&json, '}');
    rt_json_open(&json, "traceEvents", '[');
    for (int track = 0; track < profile->track_count; track++) {
        write_track_name(&json, track);
        for (int64_t i = 0; i < profile->tracks[track].count; i++)
            write_span(&json, profile, &profile->tracks[track].spans[i], track);
    }
    rt_json_close(&json, ']');
    rt_json_close(&json, '}');
    fputc('\n', stream);
}
