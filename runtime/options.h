/* The flags of an emitted program and their values. */
#ifndef RT_OPTIONS_H
#define RT_OPTIONS_H

#include "runtime/error.h"

#include <stddef.h>
#include <stdint.h>

/* Values of all commands' flags. Texts are NULL and numbers -1 where the flag was not given and has no default. */
typedef struct {
    const char *input;                                                          /* the argument without a flag */
    const char *data, *out, *resume, *checkpoint, *protocol, *baseline, *split; /* resume: "" means the default file */
    const char *validation;
    int64_t test, views; /* 1 where the flag is given */
    int64_t epochs, steps, seed, threads, eval_every, checkpoint_every, k;
    double temperature;
    const char *profile;
    int64_t dump_step;
    const char *dump_file;
} rt_options;

typedef enum {
    RT_FLAG_TEXT,
    RT_FLAG_SWITCH,        /* no argument; 1 */
    RT_FLAG_OPTIONAL_TEXT, /* "" when the next word is another flag or missing */
    RT_FLAG_INTEGER,
    RT_FLAG_REAL,
    RT_FLAG_STEP_AND_FILE /* two words, into dump_step and dump_file */
} rt_flag_kind;

typedef struct {
    const char *name; /* with its dashes */
    rt_flag_kind kind;
    const char *argument, *help;
    size_t offset;       /* of the value in rt_options */
    int64_t least, most; /* of an integer */
} rt_flag;

/* Reads a command's words (without program and command name) into `options`, which holds the defaults. A word without
 * dashes becomes `input` where `takes_input`. Sets `help` for --help and stops there. Returns -1 with a message for an
 * unknown flag (with the nearest known one), a missing, invalid or repeated argument. */
int rt_options_parse(const rt_flag *flags, int flag_count, int takes_input, int argc, char **argv, rt_options *options,
                     int *help, rt_error *error);

/* Reads a flag's list such as "knn,mlp" into bits, 1 << i for name_of(i); NULL there is a number without a name.
 * Returns -1 with a message for an unknown name or an empty list. */
int rt_options_list(const char *flag, const char *list, const char *(*name_of)(int), int name_count, unsigned *bits,
                    rt_error *error);

/* The name in the list (`stride` bytes from one name pointer to the next) that a misspelt word most likely means, or
 * NULL when none is near. */
const char *rt_nearest_name(const char *word, const void *names, int count, size_t stride);

#endif
