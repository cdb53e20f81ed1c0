#include "runtime/checkpoint.h"
#include "runtime/commands.h"
#include "runtime/data.h"
#include "runtime/evaluate.h"
#include "runtime/interrupt.h"
#include "runtime/output_file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The trained encoder comes from --checkpoint, so it is no baseline. */
static const char *baseline_name(int encoder) {
    return encoder == RT_TRAINED ? NULL : rt_encoder_name((rt_encoder)encoder);
}

typedef struct {
    rt_session session;
    const rt_options *options;
    unsigned encoders; /* bit 1 << rt_encoder for each */
    rt_evaluation_options evaluation;
    rt_training_data data;
    rt_dataset *test; /* NULL where validation is tested on */
    rt_training_position position;
    rt_evaluation_record records[RT_ENCODER_COUNT * RT_PROTOCOL_COUNT];
    int count;
    rt_output_file
        output; /* of --out, from the start: a path that cannot be written is found out before minutes of work */
} evaluation_run;

static int parse_request(evaluation_run *run, rt_error *error) {
    const rt_options *o = run->options;
    if (o->protocol && rt_protocols_read(o->protocol, &run->evaluation.protocols, error))
        return -1;
    if (o->baseline &&
        rt_options_list("--baseline", o->baseline, baseline_name, RT_ENCODER_COUNT, &run->encoders, error))
        return -1;
    if (o->split && strcmp(o->split, "test") && strcmp(o->split, "validation"))
        return rt_fail(error, "--split wants test or validation, not '%.100s'", o->split);
    if (o->validation && (!o->split || !strcmp(o->split, "test")))
        return rt_fail(error, "--validation wants --split validation: test is tested on as it is");
    if (o->checkpoint)
        run->encoders |= 1u << RT_TRAINED;
    if (!run->encoders)
        return rt_fail(error, "eval wants --checkpoint FILE, --baseline pixels,untrained, or both");
    return 0;
}

/* Tested on test, classifiers learn from the whole training split; on validation, from the rest of it. */
static int open_splits(evaluation_run *run, rt_error *error) {
    const rt_options *o = run->options;
    const rt_manifest *manifest = run->session.manifest;
    int validation = o->split && !strcmp(o->split, "validation");
    double amount = validation ? rt_data_validation(manifest, o->validation, error) : 0;
    if (amount < 0)
        return -1;
    if (validation && amount == 0)
        return rt_fail(error, "--split validation wants --validation N: the spec sets nothing apart");
    uint64_t seed = o->checkpoint ? (uint64_t)run->position.seed : o->seed >= 0 ? (uint64_t)o->seed : 0;
    run->data.whole = rt_data_open(manifest, NULL, o->data, RT_SPLIT_LABELLED, error);
    if (!run->data.whole || rt_data_divide(&run->data, amount, seed, error))
        return -1;
    if (!validation && !(run->test = rt_data_open(manifest, NULL, o->data, RT_SPLIT_TEST, error)))
        return -1;
    run->evaluation.train = run->data.labelled;
    run->evaluation.test = validation ? run->data.validation : run->test;
    run->evaluation.tested_on = validation ? "validation" : "test";
    return 0;
}

static int open_run(evaluation_run *run, const rt_program *program, rt_error *error) {
    const rt_options *o = run->options;
    if (rt_session_open(&run->session, program, o->threads > 0 ? (int)o->threads : 0, error))
        return -1;
    if (!run->evaluation.protocols)
        run->evaluation.protocols = rt_protocols_of(run->session.manifest);
    if (!run->evaluation.protocols)
        return rt_fail(error, "the spec's `evaluate` section names no protocol; --protocol knn,linear,mlp chooses one");
    /* the baseline is the untrained encoder that this very run began with */
    if (o->checkpoint && rt_checkpoint_load(&run->session, o->checkpoint, &run->position, error))
        return -1;
    run->evaluation.k = o->k > 0 ? o->k : 0;
    run->evaluation.temperature = o->temperature > 0 ? o->temperature : 0;
    run->evaluation.seed = o->seed >= 0 ? (uint64_t)o->seed : (uint64_t)run->position.seed;
    return open_splits(run, error);
}

/* The trained encoder is first, while the checkpoint's states stand. */
static int measure(evaluation_run *run, rt_error *error) {
    for (int encoder = 0; encoder < RT_ENCODER_COUNT; encoder++) {
        if (!(run->encoders & 1u << encoder))
            continue;
        if (encoder == RT_UNTRAINED && rt_session_init(&run->session, (int32_t)run->evaluation.seed, error))
            return -1;
        rt_evaluation_record *records = run->records + run->count;
        int count = rt_evaluate(&run->session, (rt_encoder)encoder, &run->evaluation, records, error);
        if (count < 0)
            return -1;
        for (int i = 0; i < count; i++)
            rt_evaluation_print(stdout, &records[i]);
        fflush(stdout);
        run->count += count;
    }
    return 0;
}

static int write_records(evaluation_run *run, rt_error *error) {
    FILE *stream = run->output.stream;
    rt_json_writer json = rt_json_to(stream);
    int64_t step = run->position.step;
    rt_json_open(&json, NULL, '[');
    for (int i = 0; i < run->count; i++) {
        int64_t epoch = run->position.steps_per_epoch ? step / run->position.steps_per_epoch : 0;
        fputs(i ? ",\n" : "\n", stream);
        json.comma = 0;
        rt_evaluation_write(&json, run->session.manifest, &run->records[i], epoch, step);
    }
    fputs("\n", stream);
    rt_json_close(&json, ']');
    fputs("\n", stream);
    return rt_output_commit(&run->output, error);
}

/* Opens --out, measures and writes. */
static int measure_into_file(evaluation_run *run, rt_error *error) {
    if (!run->options->out)
        return measure(run, error);
    if (rt_output_open(&run->output, run->options->out, error))
        return -1;
    if (measure(run, error) == 0)
        return write_records(run, error);
    rt_output_abandon(&run->output);
    return -1;
}

int rt_command_eval(const rt_program *program, const rt_options *options, rt_error *error) {
    evaluation_run run = {.options = options};
    if (parse_request(&run, error))
        return STATUS_USAGE;
    int failed = open_run(&run, program, error), stopped = 0;
    if (!failed) {
        rt_interrupt_catch(); /* an unfinished --out goes with the run */
        failed = measure_into_file(&run, error);
        stopped = rt_interrupted();
        rt_interrupt_release();
    }
    if (run.session.manifest)
        rt_session_close(&run.session);
    rt_data_free(&run.data);
    rt_dataset_free(run.test);
    return !failed ? 0 : stopped ? STATUS_INTERRUPTED : STATUS_FAILED;
}
