/* The steps of a view, read from their text and cut into stages. */
#include "passes/lower_views.h"

#include <stdlib.h>
#include <string.h>

/* ---- the text of a step: "name key=number,number …" ---- */

static bool is_step(const ir_augment *augment, const char *name) {
    size_t length = strlen(name);
    return strncmp(augment->text, name, length) == 0 && (augment->text[length] == ' ' || augment->text[length] == 0);
}

/* Number `which` behind a key, or `otherwise`. */
static double number_of(const ir_augment *augment, const char *key, int which, double otherwise) {
    size_t length = strlen(key);
    for (const char *at = augment->text; (at = strchr(at, ' '));) {
        at++;
        if (strncmp(at, key, length) != 0 || at[length] != '=')
            continue;
        for (at += length + 1; at && which > 0; which--)
            at = strchr(at, ',') ? strchr(at, ',') + 1 : NULL;
        return at ? strtod(at, NULL) : otherwise;
    }
    return otherwise;
}

/* ---- stages ---- */

static bool is_resize(const ir_augment *augment) {
    return is_step(augment, "resize") || is_step(augment, "random_resized_crop");
}

static bool is_sampling(const ir_augment *augment) {
    static const char *const moves[] = {"center_crop", "random_crop", "random_translate", "horizontal_flip"};
    bool found = is_resize(augment);
    for (size_t i = 0; i < sizeof moves / sizeof *moves; i++)
        found |= is_step(augment, moves[i]);
    return found;
}

static view_stage *last_stage(const view_plan *plan) {
    return &plan->stages[plan->stage_count - 1];
}

/* A stage begins with the size of the one before it. */
static view_stage *add_stage(arena *memory, view_plan *plan, bool blur) {
    view_stage stage = {.blur = blur};
    if (plan->stage_count) {
        stage.sized = last_stage(plan)->sized;
        stage.height = last_stage(plan)->height;
        stage.width = last_stage(plan)->width;
    }
    ARENA_PUSH(memory, plan->stages, plan->stage_count, plan->stage_capacity, stage);
    return last_stage(plan);
}

static void add_sampling(arena *memory, view_plan *plan, const ir_augment *augment) {
    view_stage *stage = last_stage(plan);
    if (stage->blur || stage->coloured || (stage->resizes && is_resize(augment)))
        stage = add_stage(memory, plan, false);
    stage->resizes |= is_resize(augment);
    enum { MOST_SIDE = 1 << 14 };
    double height = number_of(augment, "size", 0, 0), width = number_of(augment, "size", 1, 0);
    if (height >= 1 && height <= MOST_SIDE && width >= 1 && width <= MOST_SIDE) {
        stage->sized = true;
        stage->height = (int64_t)height;
        stage->width = (int64_t)width;
    }
}

static void add_jitter(view_stage *stage, const ir_augment *augment) {
    stage->coloured = true;
    stage->contrasts += number_of(augment, "contrast", 0, 0) > 0;
    stage->steps |= number_of(augment, "brightness", 0, 0) > 0 ? VIEW_BRIGHTNESS : 0;
    stage->steps |= number_of(augment, "saturation", 0, 0) > 0 ? VIEW_SATURATION : 0;
    stage->steps |= number_of(augment, "hue", 0, 0) > 0 ? VIEW_HUE : 0;
}

static void add_grayscale(view_stage *stage) {
    stage->coloured = true;
    stage->steps |= VIEW_SATURATION; /* by a factor of 0 */
}

static void set_range(view_plan *plan, const ir_augment *normalize) {
    for (int c = 0; c < 3; c++) {
        double deviation = normalize ? number_of(normalize, "std", c, 1) : 1;
        plan->scale[c] = 1 / (255 * deviation);
        plan->offset[c] = (normalize ? -number_of(normalize, "mean", c, 0) : 0) / deviation;
    }
}

view_plan *view_plan_make(arena *memory, const ir_view *view) {
    view_plan *plan = arena_alloc(memory, sizeof *plan);
    plan->view = view;
    plan->strides[0] = view->height * view->width;
    plan->strides[1] = view->width;
    plan->strides[2] = 1;
    add_stage(memory, plan, false);
    set_range(plan, NULL);
    for (int i = 0; i < view->count; i++) {
        const ir_augment *augment = &view->augments[i];
        if (is_sampling(augment))
            add_sampling(memory, plan, augment);
        else if (is_step(augment, "gaussian_blur"))
            add_stage(memory, plan, true);
        else if (is_step(augment, "color_jitter"))
            add_jitter(last_stage(plan), augment);
        else if (is_step(augment, "grayscale"))
            add_grayscale(last_stage(plan));
        else if (is_step(augment, "normalize"))
            set_range(plan, augment);
    }
    /* Whatever the steps say, the picture that leaves is of the view's size: the runtime checks it beforehand. */
    last_stage(plan)->sized = true;
    last_stage(plan)->height = view->height;
    last_stage(plan)->width = view->width;
    return plan;
}
