/* Reads the manifest: a table of record kinds, each parsing the words of one line. */
#include "runtime/program.h"
#include "runtime/tensor.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
    rt_manifest *manifest;
    char *rest; /* of the current line, words cut off from the front */
    int line;
    rt_error *error;
} reader;

/* ---- words ---- */

static char *next_word(reader *r) {
    while (*r->rest == ' ')
        r->rest++;
    if (!*r->rest)
        return NULL;
    char *word = r->rest;
    r->rest += strcspn(r->rest, " ");
    if (*r->rest)
        *r->rest++ = 0;
    return word;
}

static int copy_text(reader *r, const char *what, char *to, size_t size, const char *text) {
    if (!text || !*text)
        return rt_fail(r->error, "%s is missing", what);
    if (strlen(text) >= size)
        return rt_fail(r->error, "%s is longer than %zu characters", what, size - 1);
    memcpy(to, text, strlen(text) + 1);
    return 0;
}

static int read_word(reader *r, const char *what, char *to, size_t size) {
    return copy_text(r, what, to, size, next_word(r));
}

/* The rest of the line, which may hold spaces. */
static int read_line(reader *r, const char *what, char *to, size_t size) {
    while (*r->rest == ' ')
        r->rest++;
    int result = copy_text(r, what, to, size, r->rest);
    r->rest += strlen(r->rest);
    return result;
}

static int read_number(reader *r, const char *what, int64_t most, int64_t *number) {
    char *word = next_word(r), *end;
    if (!word)
        return rt_fail(r->error, "%s is missing", what);
    errno = 0;
    long long value = strtoll(word, &end, 10);
    if (errno || *end || end == word || value < 0 || value > most)
        return rt_fail(r->error, "%s is '%.50s', not a number from 0 to %" PRId64, what, word, most);
    *number = value;
    return 0;
}

/* Makes room for one more element, zeroed, and returns it; NULL without memory. Capacities are powers of 2. */
static void *add(void *array, int *count, size_t size) {
    void **elements = array;
    if ((*count & (*count - 1)) == 0) {
        void *larger = realloc(*elements, (*count ? 2 * (size_t)*count : 1) * size);
        if (!larger)
            return NULL;
        *elements = larger;
    }
    return memset((char *)*elements + (size_t)(*count)++ * size, 0, size);
}

static int no_memory(reader *r) {
    return rt_fail(r->error, "no memory");
}

/* ---- tensors ---- */

static int read_dtype(reader *r, rt_dtype *dtype) {
    char *word = next_word(r);
    for (int i = RT_F32; word && i <= RT_BOOL; i++) {
        *dtype = (rt_dtype)i;
        if (!strcmp(word, rt_dtype_name(*dtype)))
            return 0;
    }
    return rt_fail(r->error, "the element type is '%.50s', not f32, i32 or bool", word ? word : "");
}

/* The tensor must lie within the region: compiled code trusts these numbers. */
static int check_place(reader *r, const rt_tensor *tensor, int64_t region_bytes) {
    int64_t last = 0, span, end;
    for (int axis = 0; axis < tensor->rank; axis++) {
        if (tensor->dims[axis] < 1)
            return rt_fail(r->error, "'%.100s' has an empty axis", tensor->name);
        if (__builtin_mul_overflow(tensor->dims[axis] - 1, tensor->strides[axis], &span) ||
            __builtin_add_overflow(last, span, &last))
            return rt_fail(r->error, "'%.100s' is too large", tensor->name);
    }
    if (__builtin_mul_overflow(last + 1, (int64_t)rt_dtype_size(tensor->dtype), &end) ||
        __builtin_add_overflow(end, tensor->offset, &end) || end > region_bytes)
        return rt_fail(r->error, "'%.100s' does not fit into its region of %" PRId64 " bytes", tensor->name,
                       region_bytes);
    return 0;
}

static int read_tensor(reader *r, rt_tensor *tensor, int64_t region_bytes) {
    int64_t rank = 0;
    if (read_dtype(r, &tensor->dtype) || read_number(r, "the offset", INT64_MAX, &tensor->offset) ||
        read_number(r, "the rank", RT_MAX_RANK, &rank))
        return -1;
    tensor->rank = (int)rank;
    for (int axis = 0; axis < tensor->rank; axis++) {
        if (read_number(r, "a dimension", INT32_MAX, &tensor->dims[axis]))
            return -1;
    }
    for (int axis = 0; axis < tensor->rank; axis++) {
        if (read_number(r, "a stride", INT64_MAX, &tensor->strides[axis]))
            return -1;
    }
    return check_place(r, tensor, region_bytes);
}

/* ---- records ---- */

static int read_version(reader *r) {
    int64_t version = 0;
    if (read_number(r, "the version", INT32_MAX, &version))
        return -1;
    return version == 1 ? 0 : rt_fail(r->error, "version %" PRId64 " is not 1", version);
}

static int read_method(reader *r) {
    return read_line(r, "the method", r->manifest->method, sizeof r->manifest->method);
}

static int read_spec(reader *r) {
    return read_line(r, "the spec", r->manifest->spec, sizeof r->manifest->spec);
}

static int read_fingerprint(reader *r) {
    return read_word(r, "the fingerprint", r->manifest->fingerprint, sizeof r->manifest->fingerprint);
}

static int read_precision(reader *r) {
    return read_word(r, "the precision", r->manifest->precision, sizeof r->manifest->precision);
}

static int read_processor(reader *r) {
    return read_word(r, "the processor", r->manifest->processor, sizeof r->manifest->processor);
}

static int read_bytes(reader *r) {
    rt_manifest *m = r->manifest;
    const struct {
        const char *name;
        int64_t *bytes;
    } regions[] = {{"state", &m->state_bytes}, {"arena", &m->arena_bytes}, {"scratch", &m->scratch_bytes}};
    for (int i = 0; i < 3; i++) {
        char *name = next_word(r);
        if (!name || strcmp(name, regions[i].name))
            return rt_fail(r->error, "'%s' and its bytes are missing", regions[i].name);
        if (read_number(r, "the size", INT64_MAX / 2, regions[i].bytes))
            return -1;
    }
    return 0;
}

static int read_state(reader *r) {
    rt_tensor *state = add(&r->manifest->states, &r->manifest->state_count, sizeof *state);
    if (!state)
        return no_memory(r);
    if (read_word(r, "the state's name", state->name, sizeof state->name) ||
        read_word(r, "the state's role", state->role, sizeof state->role))
        return -1;
    return read_tensor(r, state, r->manifest->state_bytes);
}

static int read_function(reader *r) {
    rt_function_info *function = add(&r->manifest->functions, &r->manifest->function_count, sizeof *function);
    if (!function)
        return no_memory(r);
    if (read_word(r, "the function's name", function->name, sizeof function->name) ||
        read_number(r, "the arena's size", r->manifest->arena_bytes, &function->arena_bytes))
        return -1;
    return 0;
}

static int read_argument(reader *r, int is_input) {
    rt_manifest *m = r->manifest;
    if (m->function_count == 0)
        return rt_fail(r->error, "there is no function before it");
    rt_function_info *function = &m->functions[m->function_count - 1];
    rt_tensor *tensor = is_input ? add(&function->inputs, &function->input_count, sizeof *tensor)
                                 : add(&function->outputs, &function->output_count, sizeof *tensor);
    if (!tensor)
        return no_memory(r);
    snprintf(tensor->role, sizeof tensor->role, "%s", is_input ? "input" : "output");
    if (read_word(r, "the name", tensor->name, sizeof tensor->name))
        return -1;
    return read_tensor(r, tensor, function->arena_bytes);
}

static int read_input(reader *r) {
    return read_argument(r, 1);
}

static int read_output(reader *r) {
    return read_argument(r, 0);
}

static int read_launch(reader *r) {
    rt_manifest *m = r->manifest;
    if (m->function_count == 0)
        return rt_fail(r->error, "there is no function before it");
    rt_function_info *function = &m->functions[m->function_count - 1];
    rt_launch_info *launch = add(&function->launches, &function->launch_count, sizeof *launch);
    char *kernel = launch ? next_word(r) : NULL;
    if (!launch || !kernel)
        return launch ? rt_fail(r->error, "the kernel is missing") : no_memory(r);
    launch->kernel = strdup(kernel);
    if (read_number(r, "the number of operations", INT64_MAX, &launch->flops) ||
        read_number(r, "the number of bytes", INT64_MAX, &launch->bytes_read) ||
        read_number(r, "the number of bytes", INT64_MAX, &launch->bytes_written) ||
        read_word(r, "the component", launch->component, sizeof launch->component))
        return -1;
    launch->place = strdup(r->rest);
    r->rest += strlen(r->rest);
    return launch->kernel && launch->place ? 0 : no_memory(r);
}

static int read_source(reader *r, rt_view *view) {
    const char *of = next_word(r);
    if (!of)
        return 0;
    if (strcmp(of, "of"))
        return rt_fail(r->error, "'%.50s' is one word too many", of);
    return read_word(r, "the view's source", view->source_name, sizeof view->source_name);
}

static int read_view(reader *r) {
    rt_view *view = add(&r->manifest->views, &r->manifest->view_count, sizeof *view);
    int64_t channels = 0, height = 0, width = 0;
    if (!view)
        return no_memory(r);
    if (read_word(r, "the view's name", view->name, sizeof view->name) ||
        read_number(r, "the number of channels", 1 << 20, &channels))
        return -1;
    view->channels = (int)channels;
    while (*r->rest == ' ')
        r->rest++;
    if (*r->rest && strncmp(r->rest, "of ", 3)) {
        if (read_number(r, "the height", 1 << 15, &height) || read_number(r, "the width", 1 << 15, &width))
            return -1;
        if (channels != 3 || height < 1 || width < 1)
            return rt_fail(r->error, "a view of images has 3 channels and sides of at least 1");
        view->height = (int)height;
        view->width = (int)width;
    }
    return read_source(r, view);
}

static int read_augment(reader *r) {
    if (r->manifest->view_count == 0)
        return rt_fail(r->error, "there is no view before it");
    rt_view *view = &r->manifest->views[r->manifest->view_count - 1];
    if (view->op_count == RT_MOST_AUGMENTATIONS)
        return rt_fail(r->error, "a view has at most %d augmentations", RT_MOST_AUGMENTATIONS);
    rt_augment_op *op = add(&view->ops, &view->op_count, sizeof *op);
    if (!op)
        return no_memory(r);
    int result = rt_augment_parse(r->rest, op, r->error);
    r->rest += strlen(r->rest);
    return result;
}

static int read_setting(reader *r) {
    rt_setting *setting = add(&r->manifest->settings, &r->manifest->setting_count, sizeof *setting);
    if (!setting)
        return no_memory(r);
    if (read_word(r, "the setting's name", setting->key, sizeof setting->key))
        return -1;
    return read_line(r, "the setting's value", setting->value, sizeof setting->value);
}

static const struct {
    const char *name;
    int (*read)(reader *r);
} records[] = {
    {"cslc-program", read_version},
    {"method", read_method},
    {"spec", read_spec},
    {"fingerprint", read_fingerprint},
    {"precision", read_precision},
    {"bytes", read_bytes},
    {"state", read_state},
    {"function", read_function},
    {"input", read_input},
    {"output", read_output},
    {"view", read_view},
    {"augment", read_augment},
    {"setting", read_setting},
    {"launch", read_launch},
    {"processor", read_processor},
};

static int read_record(reader *r) {
    char *word = next_word(r);
    if (!word)
        return 0;
    if (r->line == 1 && strcmp(word, "cslc-program"))
        return rt_fail(r->error, "the first word is '%.50s', not cslc-program", word);
    for (size_t i = 0; i < sizeof records / sizeof *records; i++) {
        if (strcmp(word, records[i].name))
            continue;
        if (records[i].read(r))
            return -1;
        word = next_word(r);
        return word ? rt_fail(r->error, "'%.50s' is one word too many", word) : 0;
    }
    return rt_fail(r->error, "there is no record '%.50s'", word);
}

/* The views named "evaluate" are the sources, in order. */
static void number_sources(rt_manifest *manifest) {
    for (int i = 0; i < manifest->view_count; i++) {
        rt_view *view = &manifest->views[i];
        int source = 0;
        for (int j = 0; j < manifest->view_count; j++) {
            const rt_view *other = &manifest->views[j];
            if (strcmp(other->name, "evaluate"))
                continue;
            if (!strcmp(other->source_name, view->source_name))
                view->source = source;
            source++;
        }
    }
}

static int read_lines(reader *r, char *text, rt_error *error) {
    while (text) {
        char *end = strchr(text, '\n');
        if (end)
            *end++ = 0;
        r->rest = text;
        r->line++;
        if (read_record(r))
            return rt_fail(error, "the program's manifest is broken in line %d: %.800s", r->line, r->error->text);
        text = end;
    }
    number_sources(r->manifest);
    if (!*r->manifest->fingerprint)
        return rt_fail(error, "the program's manifest is broken: it has no fingerprint");
    return 0;
}

rt_manifest *rt_manifest_parse(const char *text, rt_error *error) {
    rt_manifest *manifest = calloc(1, sizeof *manifest);
    char *copy = strdup(text);
    rt_error reason = {{0}};
    reader r = {.manifest = manifest, .error = &reason};
    int failed =
        manifest && copy ? read_lines(&r, copy, error) : rt_fail(error, "no memory to read the program's manifest");
    free(copy);
    if (failed) {
        rt_manifest_free(manifest);
        return NULL;
    }
    return manifest;
}

void rt_manifest_free(rt_manifest *manifest) {
    if (!manifest)
        return;
    for (int i = 0; i < manifest->function_count; i++) {
        free(manifest->functions[i].inputs);
        free(manifest->functions[i].outputs);
        for (int l = 0; l < manifest->functions[i].launch_count; l++) {
            free(manifest->functions[i].launches[l].kernel);
            free(manifest->functions[i].launches[l].place);
        }
        free(manifest->functions[i].launches);
    }
    for (int i = 0; i < manifest->view_count; i++)
        free(manifest->views[i].ops);
    free(manifest->states);
    free(manifest->functions);
    free(manifest->views);
    free(manifest->settings);
    free(manifest);
}
