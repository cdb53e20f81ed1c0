#include "runtime/metrics.h"
#include "runtime/archive.h"
#include "runtime/output_file.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Whether a line belongs to the run up to `first_step`. A line that a crash cut short does not parse. */
static int line_stays(const char *line, size_t length, int64_t first_step, int64_t *evaluated_step) {
    rt_error unused;
    int64_t step;
    rt_json *value = rt_json_parse(line, length, &unused);
    int is_evaluation = rt_json_member(value, "protocol") != NULL;
    int stays = rt_json_whole(rt_json_member(value, "step"), &step) == 0 &&
                (is_evaluation ? step <= first_step : step < first_step);
    if (stays && is_evaluation)
        *evaluated_step = step;
    rt_json_free(value);
    return stays;
}

static int write_kept_lines(rt_output_file *output, const char *text, int64_t first_step, int64_t *evaluated_step,
                            rt_error *error) {
    for (const char *end; (end = strchr(text, '\n')); text = end + 1) {
        if (line_stays(text, (size_t)(end - text), first_step, evaluated_step) &&
            rt_output_write(output, text, (size_t)(end + 1 - text), error))
            return -1;
    }
    return 0;
}

static int cut_off(const char *path, int64_t first_step, int64_t *evaluated_step, rt_error *error) {
    rt_file old;
    if (access(path, F_OK))
        return 0; /* the run began without a log, in another folder say */
    rt_output_file output;
    if (rt_file_read(path, &old, error))
        return -1;
    if (rt_output_open(&output, path, error)) {
        rt_file_free(&old);
        return -1;
    }
    int result = write_kept_lines(&output, (const char *)old.bytes, first_step, evaluated_step, error);
    if (result)
        rt_output_abandon(&output);
    else
        result = rt_output_commit(&output, error);
    rt_file_free(&old);
    return result;
}

int rt_metrics_open(rt_metrics *metrics, const char *folder, int64_t first_step, int64_t *evaluated_step,
                    rt_error *error) {
    *evaluated_step = -1;
    *metrics = (rt_metrics){.path = rt_path_join(folder, "metrics.jsonl")};
    if (!metrics->path)
        return rt_fail(error, "no memory to open the log");
    int result = first_step > 0 ? cut_off(metrics->path, first_step, evaluated_step, error) : 0;
    if (result == 0) {
        metrics->stream = fopen(metrics->path, first_step > 0 ? "a" : "w");
        if (!metrics->stream)
            result = rt_fail(error, "cannot write %s: %s", metrics->path, strerror(errno));
    }
    if (result == 0)
        result = rt_events_open(&metrics->events, folder, first_step, error);
    if (result)
        rt_metrics_close(metrics);
    return result;
}

void rt_metrics_close(rt_metrics *metrics) {
    if (metrics->stream)
        fclose(metrics->stream);
    rt_events_close(&metrics->events);
    free(metrics->path);
    *metrics = (rt_metrics){0};
}

rt_json_writer rt_metrics_begin(rt_metrics *metrics, int64_t step, int64_t epoch) {
    rt_json_writer json = rt_json_to(metrics->stream);
    rt_json_open(&json, NULL, '{');
    rt_json_integer(&json, "step", step);
    rt_json_integer(&json, "epoch", epoch);
    rt_events_begin(&metrics->events, step);
    return json;
}

void rt_metrics_scalar(rt_metrics *metrics, rt_json_writer *json, const char *name, double value) {
    rt_json_real(json, name, value);
    rt_events_scalar(&metrics->events, name, value);
}

static int end_line(rt_metrics *metrics, rt_error *error) {
    fputc('\n', metrics->stream);
    if (fflush(metrics->stream) || ferror(metrics->stream))
        return rt_fail(error, "cannot write %s: %s", metrics->path, strerror(errno));
    return rt_events_end(&metrics->events, error);
}

int rt_metrics_end(rt_metrics *metrics, rt_json_writer *json, rt_error *error) {
    rt_json_close(json, '}');
    return end_line(metrics, error);
}

int rt_metrics_evaluation(rt_metrics *metrics, const rt_manifest *manifest, const rt_evaluation_record *record,
                          int64_t epoch, int64_t step, rt_error *error) {
    rt_json_writer json = rt_json_to(metrics->stream);
    rt_evaluation_write(&json, manifest, record, epoch, step);
    char tag[64]; /* test/knn: TensorBoard shows what stands before the slash together */
    snprintf(tag, sizeof tag, "%s/%s", record->tested_on, rt_protocol_name(record->protocol));
    rt_events_begin(&metrics->events, step > 0 ? step - 1 : 0); /* where the last step stands: a resumed run keeps it */
    rt_events_scalar(&metrics->events, tag, record->accuracy);
    return end_line(metrics, error);
}
