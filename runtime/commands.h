/* The commands of an emitted program beside train. Each returns the exit status: 0; 1 with a message; 2 with a
 * message for flags that make no sense; 130 where a signal ended it. */
#ifndef RT_COMMANDS_H
#define RT_COMMANDS_H

#include "runtime/options.h"
#include "runtime/program.h"

enum { STATUS_FAILED = 1, STATUS_USAGE = 2, STATUS_INTERRUPTED = 130 };

int rt_command_eval(const rt_program *program, const rt_options *options, rt_error *error);
int rt_command_embed(const rt_program *program, const rt_options *options, rt_error *error);
/* Prints the seconds of --steps training steps after a warm-up, one JSON object a line. */
int rt_command_time(const rt_program *program, const rt_options *options, rt_error *error);
int rt_command_info(const rt_program *program, const rt_options *options, rt_error *error);

#endif
