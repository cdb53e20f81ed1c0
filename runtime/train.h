/* The commands that step: training with checkpoints, log and evaluation, and writing one step whole. */
#ifndef RT_TRAIN_H
#define RT_TRAIN_H

#include "runtime/options.h"
#include "runtime/stepper.h"

/* Trains as the options say. Returns the exit status: 0; 1 with a message; 2 with a message for flags that contradict
 * each other; 130 after a signal, with the checkpoint saved. */
int rt_train(const rt_program *program, const rt_options *options, rt_error *error);

/* Runs the stepper's current step, whose batch is loaded, and writes all of it to a safetensors file: view.<name> as
 * the encoder saw it, [N, C, H, W]; param.<name> and state.<name> before; loss and grad.<name>; new.<name> and
 * newstate.<name> after. Returns 0, or -1 with a message. */
int rt_dump_step(const rt_stepper *stepper, const char *path, rt_error *error);

#endif
