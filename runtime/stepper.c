#include "runtime/stepper.h"

#include <stdlib.h>
#include <string.h>

/* ---- inputs by name ---- */

static void set_labels(const rt_stepper *stepper, const rt_tensor *input, char *arena) {
    rt_tensor_scatter(input, arena, stepper->labels);
}

static void set_indices(const rt_stepper *stepper, const rt_tensor *input, char *arena) {
    int32_t *indices = (int32_t *)(arena + input->offset);
    for (int64_t i = 0; i < stepper->batch; i++)
        indices[i * input->strides[0]] = (int32_t)stepper->indices[i];
}

static void set_seed(const rt_stepper *stepper, const rt_tensor *input, char *arena) {
    rt_tensor_set_scalar(input, arena, (double)stepper->position.seed);
}

static void set_step(const rt_stepper *stepper, const rt_tensor *input, char *arena) {
    rt_tensor_set_scalar(input, arena, (double)stepper->position.step);
}

static void set_total_steps(const rt_stepper *stepper, const rt_tensor *input, char *arena) {
    rt_tensor_set_scalar(input, arena, (double)stepper->position.total_steps);
}

static void set_steps_per_epoch(const rt_stepper *stepper, const rt_tensor *input, char *arena) {
    rt_tensor_set_scalar(input, arena, (double)stepper->position.steps_per_epoch);
}

static const struct {
    const char *name;
    int rank; /* 1: one element an image */
    void (*set)(const rt_stepper *stepper, const rt_tensor *input, char *arena);
} known_inputs[] = {
    {"labels", 1, set_labels}, {"index", 1, set_indices},           {"seed", 0, set_seed},
    {"step", 0, set_step},     {"total_steps", 0, set_total_steps}, {"steps_per_epoch", 0, set_steps_per_epoch},
};
enum { KNOWN_COUNT = sizeof known_inputs / sizeof *known_inputs };

static const char view_prefix[] = "view.";

/* The training view that an input takes, or -1. */
static int view_of(const rt_stepper *stepper, const rt_tensor *input) {
    size_t length = strlen(view_prefix);
    for (int view = 0; view < stepper->view_count; view++) {
        if (!strncmp(input->name, view_prefix, length) && !strcmp(input->name + length, stepper->views[view].name))
            return view;
    }
    return -1;
}

static int known_input(const rt_tensor *input) {
    for (int i = 0; i < KNOWN_COUNT; i++) {
        if (!strcmp(input->name, known_inputs[i].name))
            return i;
    }
    return -1;
}

static int check_view(const rt_stepper *stepper, const rt_tensor *input, const rt_view *view, rt_error *error) {
    const int64_t dims[] = {stepper->batch, view->channels, view->height, view->width};
    int rank = view->height ? 4 : 2;
    if (input->rank != rank || input->dtype != RT_F32 || memcmp(input->dims, dims, (size_t)rank * sizeof *dims))
        return rt_fail(error, "internal error: the input '%.100s' is not of its view's shape", input->name);
    return 0;
}

int rt_stepper_check(const rt_stepper *stepper, const rt_function_info *function, rt_error *error) {
    for (int i = 0; i < function->input_count; i++) {
        const rt_tensor *input = &function->inputs[i];
        int view = view_of(stepper, input), known = known_input(input);
        if (view < 0 && known < 0)
            return rt_fail(error, "internal error: nobody sets the input '%.100s' of %s", input->name, function->name);
        if (view >= 0) {
            if (check_view(stepper, input, &stepper->views[view], error))
                return -1;
        } else if (input->rank != known_inputs[known].rank ||
                   (input->rank == 1 && (input->dims[0] != stepper->batch || input->dtype != RT_I32))) {
            return rt_fail(error, "internal error: the input '%.100s' of %s has an unexpected shape", input->name,
                           function->name);
        }
    }
    return 0;
}

void rt_stepper_fill(const rt_stepper *stepper, const rt_function_info *function) {
    char *arena = stepper->session->frame.arena;
    for (int i = 0; i < function->input_count; i++) {
        const rt_tensor *input = &function->inputs[i];
        int view = view_of(stepper, input);
        if (view >= 0) /* the loader wrote with train_step's strides; `gradients` has the same inputs */
            memcpy(arena + input->offset, stepper->view_values[view], (size_t)rt_tensor_extent(input) * sizeof(float));
        else
            known_inputs[known_input(input)].set(stepper, input, arena);
    }
}

/* ---- opening ---- */

/* The batch size is that of the views that the step reads. */
static int64_t batch_of(const rt_function_info *function) {
    for (int i = 0; i < function->input_count; i++) {
        const rt_tensor *input = &function->inputs[i];
        if (!strncmp(input->name, view_prefix, strlen(view_prefix)) && input->rank > 0)
            return input->dims[0];
    }
    return 0;
}

static void take_views(rt_stepper *stepper, const rt_manifest *manifest) {
    for (int i = 0; i < manifest->view_count; i++) {
        const rt_view *view = &manifest->views[i];
        if (strcmp(view->name, "evaluate"))
            stepper->views[stepper->view_count++] = *view;
    }
}

/* A view that the step does not read is still loaded, densely: the draws of the others stay the same. */
static void take_strides(rt_stepper *stepper) {
    for (int i = 0; i < stepper->view_count; i++) {
        int64_t width = stepper->views[i].width, plane = width * stepper->views[i].height;
        int64_t *strides = stepper->strides[i];
        strides[1] = plane ? plane : 1;
        strides[0] = strides[1] * stepper->views[i].channels;
        strides[2] = width;
        strides[3] = 1;
    }
    for (int i = 0; i < stepper->train_step->input_count; i++) {
        const rt_tensor *input = &stepper->train_step->inputs[i];
        int view = view_of(stepper, input);
        if (view >= 0)
            memcpy(stepper->strides[view], input->strides, (size_t)input->rank * sizeof *input->strides);
    }
}

int rt_stepper_open(rt_stepper *stepper, const rt_session *session, rt_error *error) {
    const rt_manifest *manifest = session->manifest;
    *stepper = (rt_stepper){.session = session, .train_step = rt_session_function(session, "train_step", error)};
    if (!stepper->train_step)
        return -1;
    stepper->batch = batch_of(stepper->train_step);
    if (stepper->batch < 1)
        return rt_fail(error, "internal error: train_step reads no view");
    stepper->views = calloc((size_t)manifest->view_count, sizeof *stepper->views);
    stepper->strides = calloc((size_t)manifest->view_count, sizeof *stepper->strides);
    int result = -1;
    if (!stepper->views || !stepper->strides) {
        rt_fail(error, "no memory to begin training");
    } else {
        take_views(stepper, manifest);
        take_strides(stepper);
        result = rt_stepper_check(stepper, stepper->train_step, error);
    }
    if (result)
        rt_stepper_close(stepper);
    return result;
}

void rt_stepper_close(rt_stepper *stepper) {
    if (stepper->loader)
        rt_loader_destroy(stepper->loader);
    free(stepper->views);
    free(stepper->strides);
    *stepper = (rt_stepper){0};
}

int rt_stepper_start(rt_stepper *stepper, const rt_dataset *dataset, rt_error *error) {
    int workers = rt_pool_size(stepper->session->frame.pool);
    rt_loader_options options = {
        .dataset = dataset,
        .view_count = stepper->view_count,
        .views = stepper->views,
        .strides = (const int64_t(*)[4])stepper->strides,
        .batch = stepper->batch,
        .seed = (uint64_t)stepper->position.seed,
        .first_step = stepper->position.step,
        .threads = workers,
        .profile = stepper->session->frame.profile,
        .shuffle = 1,
    };
    stepper->loader = rt_loader_create(&options, error);
    return stepper->loader ? 0 : -1;
}

int rt_stepper_load(rt_stepper *stepper, rt_error *error) {
    return rt_loader_next(stepper->loader, &stepper->view_values, &stepper->labels, &stepper->indices, error);
}
