#include "runtime/train.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Dense copies of tensors as they were at different moments of the step. */
typedef struct {
    rt_tensor_source *sources;
    int count, capacity;
} snapshot;

static int keep(snapshot *shot, const char *prefix, const rt_tensor *tensor, const char *region, rt_error *error) {
    rt_tensor_source *source = &shot->sources[shot->count];
    char *dense = malloc((size_t)rt_tensor_count(tensor) * rt_dtype_size(tensor->dtype) + 1);
    if (shot->count == shot->capacity || !dense) {
        free(dense);
        return rt_fail(error, "no memory to keep '%.100s'", tensor->name);
    }
    rt_tensor_gather(tensor, region, dense);
    source->tensor = *tensor;
    source->tensor.offset = 0;
    rt_tensor_make_dense(&source->tensor);
    snprintf(source->tensor.name, sizeof source->tensor.name, "%s%.240s", prefix, tensor->name);
    source->region = dense;
    shot->count++;
    return 0;
}

static int keep_views(snapshot *shot, const rt_stepper *stepper, rt_error *error) {
    for (int i = 0; i < stepper->train_step->input_count; i++) {
        const rt_tensor *input = &stepper->train_step->inputs[i];
        if (input->rank > 0 && keep(shot, "", input, stepper->session->frame.arena, error))
            return -1;
    }
    return 0;
}

static int keep_states(snapshot *shot, const rt_session *session, const char *param_prefix, const char *other_prefix,
                       rt_error *error) {
    const rt_manifest *manifest = session->manifest;
    for (int i = 0; i < manifest->state_count; i++) {
        const rt_tensor *state = &manifest->states[i];
        const char *prefix = strcmp(state->role, "param") ? other_prefix : param_prefix;
        if (keep(shot, prefix, state, session->frame.state, error))
            return -1;
    }
    return 0;
}

static int keep_outputs(snapshot *shot, const rt_session *session, const rt_function_info *function, rt_error *error) {
    for (int i = 0; i < function->output_count; i++) {
        if (keep(shot, "", &function->outputs[i], session->frame.arena, error))
            return -1;
    }
    return 0;
}

static int take(snapshot *shot, const rt_stepper *stepper, const rt_function_info *gradients, rt_error *error) {
    const rt_session *session = stepper->session;
    rt_stepper_fill(stepper, stepper->train_step);
    if (keep_views(shot, stepper, error) || keep_states(shot, session, "param.", "state.", error))
        return -1;
    rt_stepper_fill(stepper, gradients);
    rt_session_run(session, gradients);
    if (keep_outputs(shot, session, gradients, error))
        return -1;
    rt_stepper_fill(stepper, stepper->train_step);
    rt_session_run(session, stepper->train_step);
    return keep_states(shot, session, "new.", "newstate.", error);
}

int rt_dump_step(const rt_stepper *stepper, const char *path, rt_error *error) {
    const rt_session *session = stepper->session;
    const rt_manifest *manifest = session->manifest;
    const rt_function_info *gradients = rt_session_function(session, "gradients", error);
    if (!gradients || rt_stepper_check(stepper, gradients, error))
        return -1;
    snapshot shot = {.capacity =
                         2 * manifest->state_count + stepper->train_step->input_count + gradients->output_count};
    shot.sources = calloc((size_t)shot.capacity, sizeof *shot.sources);
    int result = shot.sources ? take(&shot, stepper, gradients, error) : rt_fail(error, "no memory to keep the step");
    rt_metadata metadata[3] = {{"method", ""}, {"spec", ""}, {"step", ""}};
    snprintf(metadata[0].value, sizeof metadata[0].value, "%s", manifest->method);
    snprintf(metadata[1].value, sizeof metadata[1].value, "%s", manifest->spec);
    snprintf(metadata[2].value, sizeof metadata[2].value, "%" PRId64, stepper->position.step);
    if (result == 0)
        result = rt_safetensors_save(path, shot.sources, shot.count, metadata, 3, error);
    for (int i = 0; i < shot.count; i++)
        free((char *)shot.sources[i].region);
    free(shot.sources);
    return result;
}
