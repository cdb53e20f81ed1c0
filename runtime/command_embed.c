#include "runtime/checkpoint.h"
#include "runtime/commands.h"
#include "runtime/data.h"
#include "runtime/features.h"
#include "runtime/interrupt.h"
#include "runtime/npy.h"
#include "runtime/output_file.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* What is embedded: pictures with their names, or one split of the data. */
typedef struct {
    rt_dataset *items;
    char **names; /* NULL for a data set */
} embed_input;

/* Whether `embed` reads pictures alone. */
static int reads_pictures(const rt_function_info *embed) {
    return embed->input_count == 1 && embed->inputs[0].rank == 4;
}

static int open_input(const rt_session *session, const rt_options *options, embed_input *input, rt_error *error) {
    struct stat status;
    const rt_function_info *embed = rt_session_function(session, "embed", error);
    if (!embed)
        return -1;
    int is_folder = stat(options->input, &status) == 0 && S_ISDIR(status.st_mode);
    if (is_folder && !options->split && reads_pictures(embed)) {
        input->items = rt_dataset_open_unlabelled(options->input, &input->names, error);
    } else {
        rt_split split = options->split && !strcmp(options->split, "test") ? RT_SPLIT_TEST : RT_SPLIT_TRAIN;
        input->items = rt_data_open(session->manifest, embed, options->input, split, error);
    }
    return input->items ? 0 : -1;
}

static void close_input(embed_input *input) {
    free(input->names); /* one block */
    rt_dataset_free(input->items);
}

/* OUT.npy gives OUT.txt; freed by the caller. */
static char *names_path(const char *out) {
    size_t length = strlen(out);
    if (length > 4 && !strcmp(out + length - 4, ".npy"))
        length -= 4;
    char *path = malloc(length + 5);
    if (path)
        snprintf(path, length + 5, "%.*s.txt", (int)length, out);
    return path;
}

/* Writes the names, all but the renaming. */
static int write_names(rt_output_file *output, const char *path, const embed_input *input, rt_error *error) {
    if (rt_output_open(output, path, error))
        return -1;
    for (int64_t i = 0; i < input->items->count; i++)
        fprintf(output->stream, "%s\n", input->names[i]);
    if (fflush(output->stream) == 0)
        return 0;
    rt_fail(error, "cannot write %s: %s", path, strerror(errno));
    rt_output_abandon(output);
    return -1;
}

/* Features and names appear both or not at all, as far as a file system can promise that. */
static int write_features(const rt_options *options, const embed_input *input, const rt_features *features,
                          rt_error *error) {
    if (!input->names)
        return rt_npy_save(options->out, features->values, features->count, features->width, error);
    char *path = names_path(options->out);
    rt_output_file names;
    int result = path ? write_names(&names, path, input, error) : rt_fail(error, "no memory to write the names");
    free(path);
    if (result)
        return result;
    if (rt_npy_save(options->out, features->values, features->count, features->width, error)) {
        rt_output_abandon(&names);
        return -1;
    }
    return rt_output_commit(&names, error);
}

static int embed(const rt_session *session, const rt_options *options, const embed_input *input, rt_error *error) {
    rt_features features;
    if (rt_features_encode(session, input->items, &features, error))
        return -1;
    int result = write_features(options, input, &features, error);
    if (result == 0)
        printf("%s: %" PRId64 " %s, %" PRId64 " features each\n", options->out, features.count,
               input->items->kind == RT_IMAGES ? "images" : "rows", features.width);
    rt_features_free(&features);
    return result;
}

int rt_command_embed(const rt_program *program, const rt_options *options, rt_error *error) {
    if (!options->input || !options->checkpoint || !options->out) {
        rt_fail(error, "embed wants an input, --checkpoint FILE and -o OUT.npy");
        return STATUS_USAGE;
    }
    if (options->split && strcmp(options->split, "train") && strcmp(options->split, "test")) {
        rt_fail(error, "--split wants train or test, not '%.100s'", options->split);
        return STATUS_USAGE;
    }
    rt_session session;
    rt_training_position position;
    embed_input input = {0};
    if (rt_session_open(&session, program, options->threads > 0 ? (int)options->threads : 0, error))
        return STATUS_FAILED;
    int stopped = 0, failed = rt_checkpoint_load(&session, options->checkpoint, &position, error) ||
                              open_input(&session, options, &input, error);
    if (!failed) {
        rt_interrupt_catch(); /* features and names appear both or not at all */
        failed = embed(&session, options, &input, error);
        stopped = rt_interrupted();
        rt_interrupt_release();
    }
    if (input.items)
        close_input(&input);
    rt_session_close(&session);
    return !failed ? 0 : stopped ? STATUS_INTERRUPTED : STATUS_FAILED;
}
