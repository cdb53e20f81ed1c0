/* Steps under the runtime's profile, and their launches taken together. */
#include "frontend/driver/profile.h"

#include "runtime/data.h"
#include "runtime/profile.h"
#include "runtime/stepper.h"

#include <stdlib.h>
#include <string.h>

static int by_value(const void *a, const void *b) {
    double left = *(const double *)a, right = *(const double *)b;
    return left < right ? -1 : left > right;
}

static double median(double *values, int count) {
    if (count == 0)
        return 0;
    qsort(values, (size_t)count, sizeof *values, by_value);
    return count % 2 ? values[count / 2] : (values[count / 2 - 1] + values[count / 2]) / 2;
}

static double seconds_of(const rt_span *span) {
    return 1e-9 * (double)(span->end - span->begin);
}

/* ---- running -------------------------------------------------------------------------------------------------------
 */

typedef struct {
    rt_session session;
    rt_stepper stepper;
    rt_dataset *dataset;
    rt_profile *profile;
} profile_run;

/* Each step's batch and those after it are ready before it begins: its kernels have the machine to themselves. */
static int run_steps(profile_run *run, int steps, rt_error *error) {
    rt_stepper *stepper = &run->stepper;
    for (int i = 0; i <= steps; i++, stepper->position.step++) {
        if (rt_stepper_load(stepper, error) || rt_loader_settle(stepper->loader, error))
            return -1;
        if (i == 1) /* the warm-up is over */
            run->profile->tracks[0].count = 0;
        int64_t begin = rt_profile_now(run->profile);
        rt_stepper_fill(stepper, stepper->train_step);
        rt_profile_add(run->profile, 0, RT_SPAN_INPUT, 0, begin);
        rt_session_run(&run->session, stepper->train_step);
        rt_profile_add(run->profile, 0, RT_SPAN_STEP, i, begin);
    }
    if (run->profile->full)
        return rt_fail(error,
                       "so many steps take more records than there is room for; give fewer --steps or a smaller batch");
    return 0;
}

static int open_run(profile_run *run, const rt_program *program, const char *data, const profile_report *report,
                    rt_error *error) {
    if (rt_session_open(&run->session, program, report->threads, error) ||
        rt_stepper_open(&run->stepper, &run->session, error))
        return -1;
    const rt_manifest *manifest = run->session.manifest;
    run->dataset = data ? rt_data_open(manifest, NULL, data, RT_SPLIT_TRAIN, error)
                        : rt_data_generate(manifest, run->stepper.batch, error);
    if (!run->dataset)
        return -1;
    run->stepper.position = (rt_training_position){.steps_per_epoch = run->dataset->count / run->stepper.batch,
                                                   .total_steps = report->steps + 1};
    if (rt_session_init(&run->session, 0, error))
        return -1;
    run->profile = rt_profile_create(manifest, report->threads);
    run->session.frame.profile = run->profile;
    return run->profile ? rt_stepper_start(&run->stepper, run->dataset, error) : rt_fail(error, "no memory to measure");
}

static void close_run(profile_run *run) {
    if (run->session.program) {
        rt_stepper_close(&run->stepper);
        rt_session_close(&run->session);
    }
    rt_profile_free(run->profile);
    rt_dataset_free(run->dataset);
}

/* ---- summing up ----------------------------------------------------------------------------------------------------
 */

/* The products of bf16 parts for each multiplication of the kernel; 0 where it multiplies f32. */
static int products_of(const kir_program *program, const char *kernel) {
    for (int i = 0; i < program->kernel_count; i++)
        if (strcmp(program->kernels[i]->name, kernel) == 0 && kir_multiplies_pairs(program->kernels[i]))
            return kir_products_of_parts(program->product_parts);
    return 0;
}

static void add_launch(profile_row *row, const rt_launch_info *launch, double seconds, int products,
                       const machine_peaks *peaks) {
    row->launches++;
    row->seconds += seconds;
    row->flops += (double)launch->flops;
    row->bytes_read += (double)launch->bytes_read;
    row->bytes_written += (double)launch->bytes_written;
    row->shortest += machine_shortest(peaks, (double)launch->flops, products, (double)launch->bytes_read,
                                      (double)launch->bytes_written);
}

/* The row of that name and component (NULL: of any), made when it is the first. */
static profile_row *find_row(arena *memory, profile_table *table, const char *name, const char *component,
                             const char *place) {
    for (int i = 0; i < table->count; i++) {
        const profile_row *row = &table->rows[i];
        if (strcmp(row->name, name) == 0 && (!component || strcmp(row->component, component) == 0))
            return &table->rows[i];
    }
    profile_row row = {.name = arena_strdup(memory, name), .place = arena_strdup(memory, place)};
    row.component = component ? arena_strdup(memory, component) : row.name;
    ARENA_PUSH(memory, table->rows, table->count, table->capacity, row);
    return &table->rows[table->count - 1];
}

static int by_seconds(const void *a, const void *b) {
    double left = ((const profile_row *)a)->seconds, right = ((const profile_row *)b)->seconds;
    return left > right ? -1 : left < right;
}

static void sort_table(profile_table *table) {
    if (table->count)
        qsort(table->rows, (size_t)table->count, sizeof *table->rows, by_seconds);
}

/* The spans of the kind, in seconds; of launches those with `number`. */
static int collect(const rt_track *track, rt_span_kind kind, int number, double *seconds) {
    int count = 0;
    for (int64_t i = 0; i < track->count; i++)
        if (track->spans[i].kind == (int)kind && (kind != RT_SPAN_LAUNCH || track->spans[i].number == number))
            seconds[count++] = seconds_of(&track->spans[i]);
    return count;
}

static void sum_launches(const profile_run *run, profile_report *report) {
    const rt_function_info *step = run->stepper.train_step;
    const rt_track *track = &run->profile->tracks[0];
    int steps = report->steps;
    double *seconds = arena_alloc(report->memory, (size_t)(steps + 1) * sizeof *seconds);
    double *all = arena_alloc(report->memory, ((size_t)step->launch_count * (size_t)steps + 1) * sizeof *all);
    for (int64_t i = 0, at = 0; i < track->count; i++) /* by launch, then by step */
        if (track->spans[i].kind == RT_SPAN_LAUNCH && at < (int64_t)step->launch_count * steps) {
            all[(at % step->launch_count) * steps + at / step->launch_count] = seconds_of(&track->spans[i]);
            at++;
        }
    for (int l = 0; l < step->launch_count; l++) {
        const rt_launch_info *launch = &step->launches[l];
        double time = median(all + (int64_t)l * steps, steps);
        int products = products_of(report->program, launch->kernel);
        profile_row *rows[] = {
            &report->whole,
            find_row(report->memory, &report->components, launch->component, NULL, launch->place),
            find_row(report->memory, &report->lines, launch->place, launch->component, launch->place),
            find_row(report->memory, &report->kernels, launch->kernel, launch->component, launch->place),
        };
        for (int i = 0; i < 4; i++)
            add_launch(rows[i], launch, time, products, &report->peaks);
    }
    report->step = median(seconds, collect(track, RT_SPAN_STEP, 0, seconds));
    report->copy = median(seconds, collect(track, RT_SPAN_INPUT, 0, seconds));
    sort_table(&report->components);
    sort_table(&report->lines);
    sort_table(&report->kernels);
}

static void sum_views(const profile_run *run, profile_report *report) {
    report->views = arena_alloc(report->memory, (size_t)(run->stepper.view_count + 1) * sizeof *report->views);
    report->view_count = run->stepper.view_count;
    for (int v = 0; v < report->view_count; v++) {
        profile_view *view = &report->views[v];
        view->name = arena_strdup(report->memory, run->stepper.views[v].name);
        view->place = "-";
        for (int i = 0; i < report->module->view_count; i++) {
            const ir_view *source = &report->module->views[i];
            if (strcmp(source->name, view->name) == 0 && source->span.line > 0)
                view->place = arena_printf(report->memory, "%s:%d", report->sources->files[source->span.file].path,
                                           source->span.line);
        }
        for (int t = 1; t < run->profile->track_count; t++)
            for (int64_t i = 0; i < run->profile->tracks[t].count; i++) {
                const rt_span *span = &run->profile->tracks[t].spans[i];
                if (span->kind != RT_SPAN_VIEW || span->number != v)
                    continue;
                view->items++;
                view->seconds += seconds_of(span);
            }
        view->seconds /= view->items > 0 ? (double)view->items : 1;
    }
}

bool profile_measure(driver_session *work, const rt_program *program, const char *data, profile_report *report) {
    profile_run run = {0};
    rt_error error = {{0}};
    bool good = open_run(&run, program, data, report, &error) == 0 && run_steps(&run, report->steps, &error) == 0;
    if (good) {
        report->batch = run.stepper.batch;
        sum_launches(&run, report);
        sum_views(&run, report);
    } else {
        source_span nowhere = {0};
        diag_error(&work->diags, nowhere, "%s", error.text);
    }
    close_run(&run);
    return good;
}
