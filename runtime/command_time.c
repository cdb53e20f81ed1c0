#include "runtime/commands.h"
#include "runtime/data.h"
#include "runtime/json.h"
#include "runtime/progress.h"
#include "runtime/stepper.h"

#include <stdio.h>

enum { DEFAULT_STEPS = 5 };

static void print_step(int64_t step, double seconds, double loss) {
    rt_json_writer json = rt_json_to(stdout);
    rt_json_open(&json, NULL, '{');
    rt_json_integer(&json, "step", step);
    rt_json_boolean(&json, "warm_up", step == 0);
    rt_json_real(&json, "loss", loss);
    rt_json_real(&json, "seconds", seconds);
    rt_json_close(&json, '}');
    putchar('\n');
    fflush(stdout);
}

/* Every step takes the same batch: nothing is augmented beside it, and the clock sees the step alone. */
static void time_steps(rt_stepper *stepper, const rt_tensor *loss) {
    for (; stepper->position.step < stepper->position.total_steps && !ferror(stdout); stepper->position.step++) {
        double begin = rt_seconds();
        rt_stepper_fill(stepper, stepper->train_step);
        rt_session_run(stepper->session, stepper->train_step);
        double seconds = rt_seconds() - begin;
        print_step(stepper->position.step, seconds, rt_tensor_scalar(loss, stepper->session->frame.arena));
    }
}

/* Each batch that is taken has the loader's threads make one more. */
static int time_views(rt_stepper *stepper, rt_error *error) {
    for (; stepper->position.step < stepper->position.total_steps && !ferror(stdout); stepper->position.step++) {
        double begin = rt_seconds();
        if (rt_stepper_load(stepper, error) || rt_loader_settle(stepper->loader, error))
            return -1;
        double seconds = rt_seconds() - begin;
        rt_json_writer json = rt_json_to(stdout);
        rt_json_open(&json, NULL, '{');
        rt_json_integer(&json, "step", stepper->position.step);
        rt_json_boolean(&json, "warm_up", stepper->position.step == 0);
        rt_json_integer(&json, "views", stepper->batch * stepper->view_count);
        rt_json_real(&json, "seconds", seconds);
        rt_json_close(&json, '}');
        putchar('\n');
        fflush(stdout);
    }
    return 0;
}

static int run(rt_stepper *stepper, const rt_options *options, const rt_dataset *dataset, rt_error *error) {
    int64_t steps = options->steps >= 0 ? options->steps : DEFAULT_STEPS;
    stepper->position = (rt_training_position){.steps_per_epoch = dataset->count / stepper->batch,
                                               .total_steps = steps + 1,
                                               .seed = options->seed >= 0 ? options->seed : 0};
    const rt_tensor *loss = rt_find_output(stepper->train_step, "loss");
    if (!loss)
        return rt_fail(error, "internal error: train_step has no output 'loss'");
    if (rt_session_init(stepper->session, (int32_t)stepper->position.seed, error) ||
        rt_stepper_start(stepper, dataset, error) || rt_stepper_load(stepper, error) ||
        rt_loader_settle(stepper->loader, error))
        return -1;
    if (options->views)
        return time_views(stepper, error);
    time_steps(stepper, loss);
    return 0;
}

int rt_command_time(const rt_program *program, const rt_options *options, rt_error *error) {
    rt_session session;
    rt_stepper stepper = {0};
    if (rt_session_open(&session, program, options->threads > 0 ? (int)options->threads : 0, error))
        return STATUS_FAILED;
    rt_dataset *dataset = rt_data_open(session.manifest, NULL, options->data, RT_SPLIT_TRAIN, error);
    int failed = !dataset || rt_stepper_open(&stepper, &session, error) || run(&stepper, options, dataset, error);
    rt_stepper_close(&stepper);
    rt_session_close(&session);
    rt_dataset_free(dataset);
    return failed ? STATUS_FAILED : 0;
}
