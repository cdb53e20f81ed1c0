#include "runtime/train.h"
#include "runtime/commands.h"
#include "runtime/archive.h"
#include "runtime/data.h"
#include "runtime/interrupt.h"
#include "runtime/metrics.h"
#include "runtime/output_file.h"
#include "runtime/profile.h"
#include "runtime/progress.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef struct {
    const rt_options *options;
    rt_session session;
    rt_stepper stepper;
    rt_training_data data;
    rt_dataset *test;   /* where something is tested on it, or NULL */
    unsigned protocols; /* that evaluation follows, as bits */
    int evaluates;      /* whether there is anything to evaluate */
    rt_metrics metrics;
    rt_progress progress;
    rt_profile *profile; /* NULL without --profile */
    rt_output_file trace;
    const rt_tensor *loss, *rate; /* outputs of train_step; rate may be NULL */
    char *folder, *checkpoint;    /* FOLDER/last.safetensors */
    int lock;                     /* keeps other runs out of the folder; -1 where none does */
    int64_t saved_step;           /* of the checkpoint on disk, or -1 */
    int64_t evaluated_step;
} trainer;

/* ---- opening ---- */

static int name_files(trainer *t, rt_error *error) {
    const char *folder = t->options->out;
    t->folder = folder ? strdup(folder) : rt_path_join("runs", t->session.manifest->method);
    t->checkpoint = t->folder ? rt_path_join(t->folder, "last.safetensors") : NULL;
    return t->checkpoint ? 0 : rt_fail(error, "no memory to begin training");
}

/* A folder that is there already is kept from the start: its checkpoint must not change once it is read. */
static int lock_folder(trainer *t, rt_error *error) {
    int lock = t->lock, failed = lock < 0 ? rt_lock_folder(t->folder, &lock, error) : 0;
    t->lock = lock;
    return failed;
}

/* What --resume names. */
static const char *resumed_file(const trainer *t) {
    return *t->options->resume ? t->options->resume : t->checkpoint;
}

/* Evaluation goes without saying where data has no labels, such as vectors: a note, and training all the same. */
static void check_evaluation(trainer *t) {
    rt_error reason = {{0}};
    const rt_dataset *test = t->data.validation ? t->data.validation : t->test;
    t->evaluates = rt_evaluation_possible(t->data.labelled, test, &reason) &&
                   (!t->test || rt_evaluation_possible(t->data.labelled, t->test, &reason));
    if (!t->evaluates)
        printf("note: nothing is evaluated: %s\n", reason.text);
}

/* The seed of a run that goes on is its checkpoint's. */
static int open_data(trainer *t, rt_error *error) {
    const rt_manifest *manifest = t->session.manifest;
    const rt_options *options = t->options;
    rt_training_position *position = &t->stepper.position;
    double amount = rt_data_validation(manifest, options->validation, error);
    if (amount < 0)
        return -1;
    position->seed = options->seed >= 0 ? options->seed : 0;
    if (options->resume && rt_checkpoint_load(&t->session, resumed_file(t), position, error))
        return -1;
    t->data.whole = rt_data_open(manifest, NULL, options->data, RT_SPLIT_TRAIN, error);
    if (!t->data.whole || rt_data_divide(&t->data, amount, (uint64_t)position->seed, error))
        return -1;
    if ((options->eval_every <= 0 && !options->test) || options->dump_step >= 0)
        return 0;
    if (!t->protocols)
        t->protocols = rt_protocols_of(manifest);
    if (!t->protocols)
        return rt_fail(error, "%s has nothing to do: the spec's `evaluate` section names no protocol",
                       options->test ? "--test" : "--eval-every");
    if (options->test || !t->data.validation)
        t->test = rt_data_open(manifest, NULL, options->data, RT_SPLIT_TEST, error);
    if (options->test || !t->data.validation ? !t->test : 0)
        return -1;
    check_evaluation(t);
    return 0;
}

static int open_program(trainer *t, const rt_program *program, rt_error *error) {
    int threads = t->options->threads > 0 ? (int)t->options->threads : 0;
    if (rt_session_open(&t->session, program, threads, error) || rt_stepper_open(&t->stepper, &t->session, error))
        return -1;
    t->loss = rt_find_output(t->stepper.train_step, "loss");
    t->rate = rt_find_output(t->stepper.train_step, "lr");
    return t->loss ? 0 : rt_fail(error, "internal error: train_step has no output 'loss'");
}

static int open_profile(trainer *t, rt_error *error) {
    if (!t->options->profile)
        return 0;
    t->profile = rt_profile_create(t->session.manifest, rt_pool_size(t->session.frame.pool));
    t->session.frame.profile = t->profile;
    if (!t->profile)
        return rt_fail(error, "no memory for the profile");
    return rt_output_open(&t->trace, t->options->profile, error);
}

/* Without threads that still record. */
static int close_profile(trainer *t, int status, rt_error *error) {
    if (!t->trace.stream)
        return status;
    if (status != 0 && status != STATUS_INTERRUPTED) {
        rt_output_abandon(&t->trace);
        return status;
    }
    rt_profile_write(t->profile, t->trace.stream);
    if (rt_output_commit(&t->trace, error))
        return STATUS_FAILED;
    printf("the profile is in %s%s\n", t->options->profile,
           t->profile->full ? "; it holds the first steps alone, as many as there was memory for" : "");
    return status;
}

/* The number of steps that flags and spec ask for; the spec's settings count where no flag was given. */
static int64_t wanted_steps(const trainer *t, int64_t steps_per_epoch) {
    const rt_manifest *manifest = t->session.manifest;
    double per_epoch = (double)steps_per_epoch, steps;
    if (t->options->steps >= 0)
        steps = (double)t->options->steps;
    else if (t->options->epochs >= 0)
        steps = (double)t->options->epochs * per_epoch;
    else
        steps = rt_setting_number(manifest, "steps", rt_setting_number(manifest, "epochs", 1) * per_epoch);
    return steps >= 0 && steps <= INT32_MAX ? (int64_t)steps : -1;
}

static int resume(trainer *t, int64_t steps_per_epoch, rt_error *error) {
    rt_training_position *position = &t->stepper.position;
    const rt_options *options = t->options;
    const char *path = resumed_file(t);
    if (position->steps_per_epoch != steps_per_epoch) {
        rt_fail(error, "the checkpoint %s is of a run with %" PRId64 " steps an epoch, but %s gives %" PRId64, path,
                position->steps_per_epoch, options->data, steps_per_epoch);
        return STATUS_FAILED;
    }
    if (options->seed >= 0 && options->seed != position->seed) {
        rt_fail(error, "the run that is resumed has seed %" PRId64 "; leave --seed %" PRId64 " out", position->seed,
                options->seed);
        return STATUS_USAGE;
    }
    if (!*options->resume)
        t->saved_step = position->step;
    printf("resumed from %s after %" PRId64 " steps\n", path, position->step);
    if (options->epochs >= 0 || options->steps >= 0) {
        int64_t total = wanted_steps(t, steps_per_epoch);
        if (total != position->total_steps)
            printf("note: the schedule now runs to step %" PRId64 " instead of %" PRId64
                   ", so the result differs from an uninterrupted run's\n",
                   total, position->total_steps);
        position->total_steps = total;
    }
    if (position->step >= position->total_steps)
        printf("note: the run is complete; more --epochs or --steps would continue it\n");
    return 0;
}

static int set_position(trainer *t, rt_error *error) {
    rt_training_position *position = &t->stepper.position;
    int64_t count = t->data.train->count, steps_per_epoch = count / t->stepper.batch;
    if (steps_per_epoch < 1) {
        rt_fail(error, "%s has %" PRId64 " training items, fewer than one batch of %" PRId64, t->options->data, count,
                t->stepper.batch);
        return STATUS_FAILED;
    }
    double most = rt_setting_number(t->session.manifest, "images", (double)count);
    if ((double)count > most) { /* whose index would lie outside the method's memories */
        rt_fail(error,
                "%s has %" PRId64 " training items, but the program was compiled for at most %.0f (count in the "
                "data section)",
                t->options->data, count, most);
        return STATUS_FAILED;
    }
    if (wanted_steps(t, steps_per_epoch) < 0) {
        rt_fail(error, "more than %d steps are too many", INT32_MAX);
        return STATUS_FAILED;
    }
    if (t->options->resume)
        return resume(t, steps_per_epoch, error);
    *position = (rt_training_position){.steps_per_epoch = steps_per_epoch,
                                       .total_steps = wanted_steps(t, steps_per_epoch),
                                       .seed = t->options->seed >= 0 ? t->options->seed : 0};
    return rt_session_init(&t->session, (int32_t)position->seed, error) ? STATUS_FAILED : 0;
}

/* A new run in an old run's folder: the old checkpoint must not be taken for the new run's, nor be lost. */
static int set_aside(const trainer *t, rt_error *error) {
    char *previous = rt_path_join(t->folder, "previous.safetensors");
    if (!previous)
        return rt_fail(error, "no memory to begin training");
    int result = 0;
    if (access(t->checkpoint, F_OK) == 0) {
        if (rename(t->checkpoint, previous))
            result = rt_fail(error, "cannot rename %s: %s", t->checkpoint, strerror(errno));
        else
            printf("note: %s holds an earlier run, whose checkpoint is now %s; --resume would have continued it\n",
                   t->folder, previous);
    }
    free(previous);
    return result;
}

static int read_protocols(trainer *t, rt_error *error) {
    const rt_options *options = t->options;
    if (!options->protocol)
        return 0;
    if (options->eval_every <= 0 && !options->test)
        return rt_fail(error, "--protocol wants --eval-every N or --test");
    return rt_protocols_read(options->protocol, &t->protocols, error);
}

static int open_all(trainer *t, const rt_program *program, rt_error *error) {
    if (read_protocols(t, error))
        return STATUS_USAGE;
    int keeps = t->options->dump_step < 0;
    if (open_program(t, program, error) || name_files(t, error) || (keeps && lock_folder(t, error)) ||
        open_data(t, error))
        return STATUS_FAILED;
    t->saved_step = t->evaluated_step = -1;
    return set_position(t, error);
}

static int open_outputs(trainer *t, rt_error *error) {
    int keeps = t->options->dump_step < 0;
    if (keeps && (rt_make_folders(t->folder, error) || lock_folder(t, error)))
        return STATUS_FAILED;
    if (open_profile(t, error)) /* before an old run is touched */
        return STATUS_FAILED;
    if (keeps && ((!t->options->resume && set_aside(t, error)) ||
                  rt_metrics_open(&t->metrics, t->folder, t->stepper.position.step, &t->evaluated_step, error)))
        return STATUS_FAILED;
    t->progress = rt_progress_begin(stdout, t->stepper.batch);
    return rt_stepper_start(&t->stepper, t->data.train, error) ? STATUS_FAILED : 0;
}

static int close_all(trainer *t, int status, rt_error *error) {
    rt_stepper_close(&t->stepper);
    status = close_profile(t, status, error);
    rt_metrics_close(&t->metrics);
    rt_session_close(&t->session);
    rt_profile_free(t->profile);
    rt_data_free(&t->data);
    rt_dataset_free(t->test);
    free(t->folder);
    free(t->checkpoint);
    if (t->lock >= 0)
        close(t->lock);
    return status;
}

/* ---- what happens between steps ---- */

static int save(trainer *t, rt_error *error) {
    const rt_training_position *position = &t->stepper.position;
    if (t->saved_step == position->step)
        return 0;
    int64_t begin = rt_profile_now(t->profile);
    if (rt_checkpoint_save(&t->session, t->checkpoint, position, error))
        return -1;
    rt_profile_add(t->profile, 0, RT_SPAN_CHECKPOINT, 0, begin);
    t->saved_step = position->step;
    return 0;
}

static int evaluate_on(trainer *t, const rt_dataset *test, const char *name, rt_error *error) {
    const rt_training_position *position = &t->stepper.position;
    rt_evaluation_record records[RT_PROTOCOL_COUNT];
    rt_evaluation_options options = {.protocols = t->protocols,
                                     .seed = (uint64_t)position->seed,
                                     .train = t->data.labelled,
                                     .test = test,
                                     .tested_on = name};
    int64_t begin = rt_profile_now(t->profile);
    int count = rt_evaluate(&t->session, RT_TRAINED, &options, records, error);
    rt_profile_add(t->profile, 0, RT_SPAN_EVALUATION, 0, begin);
    for (int i = 0; i < count; i++) {
        int64_t epoch = position->step / position->steps_per_epoch;
        rt_evaluation_print(stdout, &records[i]);
        if (rt_metrics_evaluation(&t->metrics, t->session.manifest, &records[i], epoch, position->step, error))
            return -1;
    }
    fflush(stdout);
    return count < 0 ? -1 : 0;
}

/* On validation where that is set apart, and at the end on test where that is wanted. */
static int evaluate(trainer *t, rt_error *error) {
    const rt_training_position *position = &t->stepper.position;
    int on_test = !t->data.validation || (t->options->test && position->step >= position->total_steps);
    int failed = t->data.validation ? evaluate_on(t, t->data.validation, "validation", error) : 0;
    if (!failed && on_test)
        failed = evaluate_on(t, t->test, "test", error);
    if (failed) /* an evaluation that a signal cut short is no failure: the next resume repeats it */
        return rt_interrupted() ? 0 : -1;
    t->evaluated_step = position->step;
    return 0;
}

/* Whether something that is done every `every` epochs (0: not at all) is due now; at the end it always is. */
static int due(const rt_training_position *position, int64_t every) {
    if (every <= 0)
        return 0;
    if (position->step >= position->total_steps)
        return 1;
    return position->step > 0 && position->step % (position->steps_per_epoch * every) == 0;
}

/* `wait`: the part of the seconds in which there was no batch yet. */
static int write_step(trainer *t, double loss, double seconds, double wait, rt_error *error) {
    const rt_training_position *position = &t->stepper.position;
    const rt_function_info *function = t->stepper.train_step;
    rt_metrics *metrics = &t->metrics;
    rt_json_writer json = rt_metrics_begin(metrics, position->step, position->step / position->steps_per_epoch + 1);
    rt_metrics_scalar(metrics, &json, "loss", loss);
    if (t->rate)
        rt_metrics_scalar(metrics, &json, "lr", rt_tensor_scalar(t->rate, t->session.frame.arena));
    rt_metrics_scalar(metrics, &json, "seconds", seconds);
    rt_metrics_scalar(metrics, &json, "wait", wait);
    for (int i = 0; i < function->output_count; i++) {
        const rt_tensor *output = &function->outputs[i];
        if (output != t->loss && output != t->rate && output->rank == 0)
            rt_metrics_scalar(metrics, &json, output->name, rt_tensor_scalar(output, t->session.frame.arena));
    }
    return rt_metrics_end(metrics, &json, error);
}

/* ---- steps ---- */

/* Takes the step's batch, after a wait of so many seconds, and runs the step. */
static int compute(trainer *t, double *wait, rt_error *error) {
    int64_t begin = rt_profile_now(t->profile);
    double asked = rt_seconds();
    rt_profile_step(t->profile);
    if (rt_stepper_load(&t->stepper, error))
        return -1;
    *wait = rt_seconds() - asked;
    rt_profile_add(t->profile, 0, RT_SPAN_WAIT, 0, begin);
    int64_t loaded = rt_profile_now(t->profile);
    rt_stepper_fill(&t->stepper, t->stepper.train_step);
    rt_profile_add(t->profile, 0, RT_SPAN_INPUT, 0, loaded);
    rt_session_run(&t->session, t->stepper.train_step);
    rt_profile_add(t->profile, 0, RT_SPAN_STEP, (int)t->stepper.position.step, begin);
    return 0;
}

static int step(trainer *t, rt_error *error) {
    rt_training_position *position = &t->stepper.position;
    double begin = rt_seconds(), wait;
    if (compute(t, &wait, error))
        return -1;
    double seconds = rt_seconds() - begin, loss = rt_tensor_scalar(t->loss, t->session.frame.arena);
    int64_t computed = rt_profile_now(t->profile);
    if (write_step(t, loss, seconds, wait, error))
        return -1;
    rt_profile_add(t->profile, 0, RT_SPAN_LOG, 0, computed);
    if (!isfinite(loss)) {
        rt_progress_break(&t->progress);
        return rt_fail(error, "the loss is %g at step %" PRId64 "; %s%s", loss, position->step,
                       t->saved_step >= 0 || t->options->resume ? "the last good checkpoint stays in "
                                                                : "none saved in ",
                       t->folder);
    }
    position->step++;
    rt_progress_step(&t->progress, position, loss, t->rate ? rt_tensor_scalar(t->rate, t->session.frame.arena) : 0,
                     seconds);
    return 0;
}

/* Whether a signal wants the run to end before its last step, or its output goes nowhere: a reader who left, say. */
static int must_stop(void) {
    return rt_interrupted() || ferror(stdout);
}

static int stop(trainer *t, rt_error *error) {
    rt_progress_break(&t->progress);
    if (save(t, error))
        return STATUS_FAILED;
    if (!rt_interrupted()) {
        rt_fail(error, "cannot write to standard output; stopped after %" PRId64 " steps, which --resume continues",
                t->stepper.position.step);
        return STATUS_FAILED;
    }
    printf("stopped after %" PRId64 " steps; %s is saved, --resume continues from it\n", t->stepper.position.step,
           t->checkpoint);
    return STATUS_INTERRUPTED;
}

static int finish_epoch(trainer *t, rt_error *error) {
    const rt_training_position *position = &t->stepper.position;
    int ended = position->step >= position->total_steps;
    if ((ended || due(position, t->options->checkpoint_every)) && save(t, error))
        return -1;
    int wanted = due(position, t->options->eval_every) || (ended && t->options->test);
    return t->evaluates && wanted && t->evaluated_step < position->step ? evaluate(t, error) : 0;
}

static int run_steps(trainer *t, rt_error *error) {
    const rt_training_position *position = &t->stepper.position;
    if (position->total_steps == 0 && !t->options->resume)
        printf("no step is wanted: %s holds the initial encoder\n", t->checkpoint);
    /* a run that was stopped between its checkpoint and its evaluation makes up for the latter */
    int failed = t->options->resume || position->total_steps == 0 ? finish_epoch(t, error) : 0;
    while (!failed && !must_stop() && position->step < position->total_steps) {
        failed = step(t, error);
        if (!failed && !must_stop())
            failed = finish_epoch(t, error);
    }
    if (!failed && (rt_interrupted() || position->step < position->total_steps))
        return stop(t, error);
    return failed ? STATUS_FAILED : save(t, error) ? STATUS_FAILED : 0;
}

/* Runs up to the wanted step and writes that one; no log, no checkpoint. */
static int run_dump(trainer *t, rt_error *error) {
    rt_training_position *position = &t->stepper.position;
    if (t->options->dump_step >= position->total_steps) {
        rt_fail(error, "there is no step %" PRId64 ": the run has %" PRId64 ", which count from 0",
                t->options->dump_step, position->total_steps);
        return STATUS_USAGE;
    }
    if (position->step > t->options->dump_step) {
        rt_fail(error, "step %" PRId64 " is over: the checkpoint has %" PRId64 " steps", t->options->dump_step,
                position->step);
        return STATUS_FAILED;
    }
    for (; position->step < t->options->dump_step; position->step++) {
        if (rt_interrupted()) {
            rt_fail(error, "stopped before step %" PRId64 "; nothing is written", t->options->dump_step);
            return STATUS_INTERRUPTED;
        }
        if (rt_stepper_load(&t->stepper, error))
            return STATUS_FAILED;
        rt_stepper_fill(&t->stepper, t->stepper.train_step);
        rt_session_run(&t->session, t->stepper.train_step);
    }
    if (rt_stepper_load(&t->stepper, error) || rt_dump_step(&t->stepper, t->options->dump_file, error))
        return STATUS_FAILED;
    printf("step %" PRId64 " is in %s\n", position->step, t->options->dump_file);
    return 0;
}

int rt_train(const rt_program *program, const rt_options *options, rt_error *error) {
    trainer t = {.options = options, .lock = -1};
    int status = open_all(&t, program, error);
    if (status)
        return close_all(&t, status, error);
    rt_interrupt_catch(); /* until now nothing was written that a signal could cut short */
    status = open_outputs(&t, error);
    if (status == 0)
        status = options->dump_step >= 0 ? run_dump(&t, error) : run_steps(&t, error);
    status = close_all(&t, status, error);
    rt_interrupt_release();
    return status;
}
