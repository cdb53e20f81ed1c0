/* The command line of an emitted program: tables of commands and flags, help, and the way from words to a command. */
#include "runtime/blas.h"
#include "runtime/commands.h"
#include "runtime/output_file.h"
#include "runtime/train.h"

#include <cblas.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

enum { MOST_THREADS = 1024, MOST = INT32_MAX };

#define AT(field) offsetof(rt_options, field)
#define DATA                                                                                                           \
    {                                                                                                                  \
        "--data", RT_FLAG_TEXT, "PATH", "CIFAR or STL-10 archive, image folder, vectors.npy, a=PATH,b=PATH or shapes", \
            AT(data), 0, 0                                                                                             \
    }
#define VALIDATION                                                                                                     \
    {                                                                                                                  \
        "--validation", RT_FLAG_TEXT, "N", "set N training items, or a fraction, apart (default: the spec's)",         \
            AT(validation), 0, 0                                                                                       \
    }
#define THREADS                                                                                                        \
    { "--threads", RT_FLAG_INTEGER, "N", "threads (default: one a processor)", AT(threads), 1, MOST_THREADS }
#define PROTOCOL                                                                                                       \
    {                                                                                                                  \
        "--protocol", RT_FLAG_TEXT, "LIST", "evaluate by these of knn,linear,mlp (default: the spec's)", AT(protocol), \
            0, 0                                                                                                       \
    }
#define CHECKPOINT                                                                                                     \
    { "--checkpoint", RT_FLAG_TEXT, "FILE", "a checkpoint that train wrote", AT(checkpoint), 0, 0 }

static const rt_flag train_flags[] = {
    DATA,
    {"--epochs", RT_FLAG_INTEGER, "N", "passes over the data (default: the spec's; 0 saves the initial encoder)",
     AT(epochs), 0, MOST},
    {"--steps", RT_FLAG_INTEGER, "N", "steps in all, instead of epochs", AT(steps), 0, MOST},
    {"--seed", RT_FLAG_INTEGER, "N", "seed of all random numbers (default 0)", AT(seed), 0, MOST},
    {"--out", RT_FLAG_TEXT, "DIR", "folder of checkpoint and log (default runs/METHOD)", AT(out), 0, 0},
    {"--resume", RT_FLAG_OPTIONAL_TEXT, "[FILE]", "continue (default DIR/last.safetensors)", AT(resume), 0, 0},
    THREADS,
    {"--eval-every", RT_FLAG_INTEGER, "N", "evaluate every N epochs (default 0: never)", AT(eval_every), 0, MOST},
    PROTOCOL,
    {"--checkpoint-every", RT_FLAG_INTEGER, "N", "save every N epochs (default 1; 0: at the end)", AT(checkpoint_every),
     0, MOST},
    VALIDATION,
    {"--test", RT_FLAG_SWITCH, "", "at the end, evaluate on the test split too", AT(test), 0, 0},
    {"--profile", RT_FLAG_TEXT, "FILE.json", "write what took which time as a Chrome trace", AT(profile), 0, 0},
    {"--dump-step", RT_FLAG_STEP_AND_FILE, "K FILE", "write all of step K (from 0) to a safetensors file and end",
     AT(dump_step), 0, MOST},
};
static const rt_flag eval_flags[] = {
    DATA,
    CHECKPOINT,
    PROTOCOL,
    {"--baseline", RT_FLAG_TEXT, "LIST", "of pixels,untrained: measure these too", AT(baseline), 0, 0},
    {"--split", RT_FLAG_TEXT, "SPLIT", "test on test (the default) or validation", AT(split), 0, 0},
    VALIDATION,
    {"--k", RT_FLAG_INTEGER, "N", "neighbours of knn (default: the spec's, or 200)", AT(k), 1, MOST},
    {"--t", RT_FLAG_REAL, "T", "temperature of knn (default: the spec's, or 0.1)", AT(temperature), 0, 0},
    {"--seed", RT_FLAG_INTEGER, "N", "of probes and untrained encoder (default: the checkpoint's)", AT(seed), 0, MOST},
    {"--out", RT_FLAG_TEXT, "FILE.json", "write the results as JSON records", AT(out), 0, 0},
    THREADS,
};
static const rt_flag embed_flags[] = {
    CHECKPOINT,
    {"-o", RT_FLAG_TEXT, "OUT.npy", "features, float32 [items, features]; names in OUT.txt", AT(out), 0, 0},
    {"--split", RT_FLAG_TEXT, "SPLIT", "the input is a data set, of which train or test is wanted", AT(split), 0, 0},
    THREADS,
};
static const rt_flag time_flags[] = {
    DATA,
    {"--steps", RT_FLAG_INTEGER, "N", "steps after the warm-up step (default 5)", AT(steps), 0, MOST - 1},
    {"--seed", RT_FLAG_INTEGER, "N", "seed of all random numbers (default 0)", AT(seed), 0, MOST},
    {"--views", RT_FLAG_SWITCH, "", "the augmentation without the steps", AT(views), 0, 0},
    THREADS,
};
static const rt_flag info_flags[] = {CHECKPOINT};

static const struct command {
    const char *name, *input, *summary;
    const rt_flag *flags;
    int flag_count;
    int needs_data;
    int (*run)(const rt_program *program, const rt_options *options, rt_error *error);
} commands[] = {
#define FLAGS(table) (table), sizeof(table) / sizeof *(table)
    {"train", NULL, "trains the encoder", FLAGS(train_flags), 1, rt_train},
    {"eval", NULL, "measures a trained encoder by kNN, linear probe or MLP probe", FLAGS(eval_flags), 1,
     rt_command_eval},
    {"embed", "INPUT", "writes the features of a folder of pictures, of vectors or of a data set", FLAGS(embed_flags),
     0, rt_command_embed},
    {"time", NULL, "times training steps on one batch, or the augmentation", FLAGS(time_flags), 1, rt_command_time},
    {"info", NULL, "says what this program is", FLAGS(info_flags), 0, rt_command_info},
#undef FLAGS
};
enum { COMMAND_COUNT = sizeof commands / sizeof *commands };

static void print_commands(FILE *stream, const char *program) {
    fprintf(stream, "usage: %s COMMAND [FLAG ...]\n", program);
    for (int i = 0; i < COMMAND_COUNT; i++)
        fprintf(stream, "  %-8s %s\n", commands[i].name, commands[i].summary);
    fprintf(stream, "%s COMMAND --help lists a command's flags.\n", program);
}

static void print_flags(FILE *stream, const char *program, const struct command *command) {
    fprintf(stream, "usage: %s %s%s%s [FLAG ...]\n%s\n", program, command->name, command->input ? " " : "",
            command->input ? command->input : "", command->summary);
    for (int i = 0; i < command->flag_count; i++) {
        char usage[64];
        snprintf(usage, sizeof usage, "%s %s", command->flags[i].name, command->flags[i].argument);
        fprintf(stream, "  %-22s %s\n", usage, command->flags[i].help);
    }
}

static const struct command *find_command(const char *name) {
    for (int i = 0; i < COMMAND_COUNT; i++) {
        if (!strcmp(commands[i].name, name))
            return &commands[i];
    }
    return NULL;
}

static void complain_of_command(const char *program, const char *name) {
    const char *nearest = rt_nearest_name(name, &commands[0].name, COMMAND_COUNT, sizeof *commands);
    fprintf(stderr, "error: unknown command '%.100s'", name);
    if (nearest)
        fprintf(stderr, "; did you mean '%s'?", nearest);
    fputs("\n", stderr);
    print_commands(stderr, program);
}

static int run_command(const struct command *command, const rt_program *program, const rt_options *options,
                       rt_error *error) {
    if (command->needs_data && !options->data) {
        rt_fail(error, "%s wants --data PATH", command->name);
        return STATUS_USAGE;
    }
    openblas_set_num_threads(1); /* the pool's workers call it side by side */
    return command->run(program, options, error);
}

static int dispatch(int argc, char **argv, const rt_program *program) {
    const char *name = argc > 0 ? argv[0] : "program";
    if (argc < 2) {
        print_commands(stderr, name);
        return STATUS_USAGE;
    }
    if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h") || !strcmp(argv[1], "help")) {
        print_commands(stdout, name);
        return 0;
    }
    const struct command *command = find_command(argv[1]);
    if (!command) {
        complain_of_command(name, argv[1]);
        return STATUS_USAGE;
    }
    rt_options options = {.epochs = -1,
                          .steps = -1,
                          .seed = -1,
                          .threads = -1,
                          .checkpoint_every = 1,
                          .k = -1,
                          .temperature = -1,
                          .dump_step = -1};
    rt_error error = {{0}};
    int help, status = STATUS_USAGE;
    if (rt_options_parse(command->flags, command->flag_count, command->input != NULL, argc - 2, argv + 2, &options,
                         &help, &error) == 0) {
        if (help) {
            print_flags(stdout, name, command);
            return 0;
        }
        status = run_command(command, program, &options, &error);
    }
    if (*error.text) {
        fflush(stdout); /* before the message */
        fprintf(stderr, "error: %s\n", error.text);
    }
    if (status == STATUS_USAGE)
        fprintf(stderr, "'%s %s --help' lists the flags\n", name, command->name);
    return status;
}

int rt_main(int argc, char **argv, const rt_program *program) {
    rt_blas_choose(argv);
    rt_fill_standard_streams();
    signal(SIGPIPE, SIG_IGN); /* a reader of the output who left is no reason to lose a run */
    int status = dispatch(argc, argv, program);
    rt_error error = {{0}};
    if (rt_flush_standard_output(&error) && status == 0) {
        fprintf(stderr, "error: %s\n", error.text);
        return STATUS_FAILED;
    }
    return status;
}
