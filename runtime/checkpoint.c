#include "runtime/checkpoint.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char format_name[] = "cslc checkpoint 1";

/* The position's fields as they are called in the metadata. */
static const struct {
    const char *key;
    size_t offset;
    int64_t least;
} position_fields[] = {
    {"step", offsetof(rt_training_position, step), 0},
    {"steps_per_epoch", offsetof(rt_training_position, steps_per_epoch), 1},
    {"total_steps", offsetof(rt_training_position, total_steps), 0},
    {"seed", offsetof(rt_training_position, seed), 0},
};
enum { FIELD_COUNT = sizeof position_fields / sizeof *position_fields, METADATA_COUNT = FIELD_COUNT + 6 };

static void add_metadata(rt_metadata *metadata, int *count, const char *key, const char *value) {
    rt_metadata *entry = &metadata[(*count)++];
    snprintf(entry->key, sizeof entry->key, "%s", key);
    snprintf(entry->value, sizeof entry->value, "%s", value);
}

static int describe(const rt_manifest *manifest, const rt_training_position *position, rt_metadata *metadata) {
    int count = 0;
    char number[32];
    add_metadata(metadata, &count, "format", format_name);
    add_metadata(metadata, &count, "method", manifest->method);
    add_metadata(metadata, &count, "spec", manifest->spec);
    add_metadata(metadata, &count, "fingerprint", manifest->fingerprint);
    add_metadata(metadata, &count, "precision", manifest->precision);
    snprintf(number, sizeof number, "%" PRId64, position->step / position->steps_per_epoch);
    add_metadata(metadata, &count, "epoch", number);
    for (int i = 0; i < FIELD_COUNT; i++) {
        int64_t value = *(const int64_t *)((const char *)position + position_fields[i].offset);
        snprintf(number, sizeof number, "%" PRId64, value);
        add_metadata(metadata, &count, position_fields[i].key, number);
    }
    return count;
}

int rt_checkpoint_save(const rt_session *session, const char *path, const rt_training_position *position,
                       rt_error *error) {
    const rt_manifest *manifest = session->manifest;
    rt_tensor_source *sources = calloc((size_t)manifest->state_count + 1, sizeof *sources);
    if (!sources)
        return rt_fail(error, "no memory to write %s", path);
    for (int i = 0; i < manifest->state_count; i++)
        sources[i] = (rt_tensor_source){.tensor = manifest->states[i], .region = session->frame.state};
    rt_metadata metadata[METADATA_COUNT];
    int count = describe(manifest, position, metadata);
    int result = rt_safetensors_save(path, sources, manifest->state_count, metadata, count, error);
    free(sources);
    return result;
}

static int compare_state(const rt_safetensors *file, const rt_tensor *state, rt_error *error) {
    char wanted[200], found[200];
    const rt_tensor *tensor = rt_safetensors_find(file, state->name);
    if (!tensor)
        return rt_fail(error, "it has no '%.200s'", state->name);
    if (tensor->dtype != state->dtype)
        return rt_fail(error, "its '%.200s' has elements of %s, the program's of %s", state->name,
                       rt_dtype_name(tensor->dtype), rt_dtype_name(state->dtype));
    if (!rt_tensor_same_shape(tensor, state)) {
        rt_tensor_shape_text(state, wanted, sizeof wanted);
        rt_tensor_shape_text(tensor, found, sizeof found);
        return rt_fail(error, "its '%.200s' is %s, the program's is %s", state->name, found, wanted);
    }
    return 0;
}

/* All states must be there, in type and shape, and none besides. */
static int compare_states(const rt_safetensors *file, const rt_manifest *manifest, rt_error *error) {
    for (int i = 0; i < manifest->state_count; i++) {
        if (compare_state(file, &manifest->states[i], error))
            return -1;
    }
    for (int i = 0; i < file->tensor_count; i++) {
        if (!rt_find_state(manifest, file->tensors[i].name))
            return rt_fail(error, "the program has no '%.200s'", file->tensors[i].name);
    }
    return 0;
}

static int check_program(const rt_safetensors *file, const rt_manifest *manifest, rt_error *error) {
    const char *format = rt_safetensors_metadata(file, "format");
    const char *fingerprint = rt_safetensors_metadata(file, "fingerprint");
    const char *method = rt_safetensors_metadata(file, "method");
    if (!format || strcmp(format, format_name) || !fingerprint || !method)
        return rt_fail(error, "it is no checkpoint of a cslc program");
    rt_error difference = {{0}};
    int differs = compare_states(file, manifest, &difference);
    if (strcmp(fingerprint, manifest->fingerprint))
        return rt_fail(error, "it was made by another program (method '%.100s', this is '%.100s'): %.500s", method,
                       manifest->method,
                       differs ? difference.text : "the states are the same, but the views or the step differ");
    return differs ? rt_fail(error, "%.900s", difference.text) : 0;
}

static int read_position(const rt_safetensors *file, rt_training_position *position, rt_error *error) {
    for (int i = 0; i < FIELD_COUNT; i++) {
        const char *text = rt_safetensors_metadata(file, position_fields[i].key);
        char *end;
        errno = 0;
        long long value = text ? strtoll(text, &end, 10) : -1;
        if (!text || errno || end == text || *end || value < position_fields[i].least || value > INT32_MAX)
            return rt_fail(error, "its metadata '%s' is %s%.100s", position_fields[i].key, text ? "" : "missing",
                           text ? text : "");
        *(int64_t *)((char *)position + position_fields[i].offset) = value;
    }
    return 0;
}

int rt_checkpoint_load(const rt_session *session, const char *path, rt_training_position *position, rt_error *error) {
    const rt_manifest *manifest = session->manifest;
    rt_safetensors *file = rt_safetensors_load(path, error);
    if (!file)
        return -1;
    rt_error reason = {{0}};
    int failed = check_program(file, manifest, &reason) || read_position(file, position, &reason);
    if (failed)
        rt_fail(error, "cannot use the checkpoint %s: %.800s", path, reason.text);
    for (int i = 0; i < manifest->state_count && !failed; i++) {
        const rt_tensor *tensor = rt_safetensors_find(file, manifest->states[i].name);
        rt_tensor_scatter(&manifest->states[i], session->frame.state, file->data + tensor->offset);
    }
    rt_safetensors_free(file);
    return failed ? -1 : 0;
}
