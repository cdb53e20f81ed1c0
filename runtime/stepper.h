/* Feeds a program's training functions: the loader's batches and the step's numbers go into the inputs by name. */
#ifndef RT_STEPPER_H
#define RT_STEPPER_H

#include "runtime/checkpoint.h"
#include "runtime/loader.h"

typedef struct {
    const rt_session *session;
    const rt_function_info *train_step;
    rt_loader *loader;
    int64_t batch;
    int view_count; /* the training views, which are all but "evaluate" */
    rt_view *views;
    int64_t (*strides)[4];
    rt_training_position position;

    const float *const *view_values; /* the current batch */
    const int32_t *labels;
    const int64_t *indices;
} rt_stepper;

/* Finds `train_step` and checks that all its inputs are known. Returns 0, or -1 with a message. */
int rt_stepper_open(rt_stepper *stepper, const rt_session *session, rt_error *error);
void rt_stepper_close(rt_stepper *stepper);

/* Starts loading the batches from `position` on, which must be set. */
int rt_stepper_start(rt_stepper *stepper, const rt_dataset *dataset, rt_error *error);

/* Waits for the next step's batch. */
int rt_stepper_load(rt_stepper *stepper, rt_error *error);

/* Sets the inputs of `train_step` or `gradients` for the current batch and position. */
void rt_stepper_fill(const rt_stepper *stepper, const rt_function_info *function);

/* Checks that nothing but known inputs is read. Returns 0, or -1 with a message naming the input. */
int rt_stepper_check(const rt_stepper *stepper, const rt_function_info *function, rt_error *error);

#endif
