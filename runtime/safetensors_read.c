/* Reads safetensors. Nothing in the file is believed: every number is checked before it is used. */
#include "runtime/archive.h"
#include "runtime/json.h"
#include "runtime/safetensors.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_HEADER = 100 << 20 };

static int read_dtype(const rt_json *value, rt_dtype *dtype, const char *name, rt_error *error) {
    static const struct {
        const char *code;
        rt_dtype dtype;
    } codes[] = {{"F32", RT_F32}, {"I32", RT_I32}, {"BOOL", RT_BOOL}};
    if (!value || value->kind != RT_JSON_TEXT)
        return rt_fail(error, "tensor '%.100s' has no dtype", name);
    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++) {
        if (!strcmp(value->text, codes[i].code)) {
            *dtype = codes[i].dtype;
            return 0;
        }
    }
    return rt_fail(error, "tensor '%.100s' has dtype '%.20s'; F32, I32 and BOOL are supported", name, value->text);
}

static int read_shape(const rt_json *value, rt_tensor *tensor, int64_t *bytes, rt_error *error) {
    if (!value || value->kind != RT_JSON_ARRAY || value->count > RT_MAX_RANK)
        return rt_fail(error, "tensor '%.100s' has no shape of at most %d axes", tensor->name, RT_MAX_RANK);
    *bytes = (int64_t)rt_dtype_size(tensor->dtype);
    for (const rt_json *dim = value->first; dim; dim = dim->next) {
        int64_t extent;
        if (rt_json_whole(dim, &extent) || __builtin_mul_overflow(*bytes, extent, bytes))
            return rt_fail(error, "tensor '%.100s' has an impossible shape", tensor->name);
        tensor->dims[tensor->rank++] = extent;
    }
    if (*bytes > 0) /* the strides of an empty tensor may overflow, and nothing uses them */
        rt_tensor_make_dense(tensor);
    return 0;
}

/* A tensor's place must be exactly as long as its shape says and inside the data. */
static int read_place(const rt_json *value, rt_tensor *tensor, int64_t bytes, int64_t data_size, rt_error *error) {
    int64_t begin, end;
    if (!value || value->kind != RT_JSON_ARRAY || value->count != 2 || rt_json_whole(value->first, &begin) ||
        rt_json_whole(value->first->next, &end))
        return rt_fail(error, "tensor '%.100s' has no valid data_offsets", tensor->name);
    if (begin > end || end - begin != bytes)
        return rt_fail(error, "tensor '%.100s' has %" PRId64 " bytes of data, but its shape takes %" PRId64,
                       tensor->name, end - begin, bytes);
    if (end > data_size)
        return rt_fail(
            error, "the file is truncated: tensor '%.100s' ends at byte %" PRId64 " of the data, which has %" PRId64,
            tensor->name, end, data_size);
    tensor->offset = begin;
    return 0;
}

static int read_tensor(const rt_json *entry, rt_tensor *tensor, int64_t data_size, rt_error *error) {
    int64_t bytes = 0;
    if (entry->kind != RT_JSON_OBJECT || strlen(entry->key) >= sizeof tensor->name)
        return rt_fail(error, "the entry '%.100s' is no tensor", entry->key);
    *tensor = (rt_tensor){0};
    memcpy(tensor->name, entry->key, strlen(entry->key) + 1);
    if (read_dtype(rt_json_member(entry, "dtype"), &tensor->dtype, tensor->name, error) ||
        read_shape(rt_json_member(entry, "shape"), tensor, &bytes, error))
        return -1;
    return read_place(rt_json_member(entry, "data_offsets"), tensor, bytes, data_size, error);
}

static int read_metadata(const rt_json *object, rt_safetensors *file, rt_error *error) {
    if (object->kind != RT_JSON_OBJECT)
        return rt_fail(error, "its metadata is no object");
    file->metadata = calloc((size_t)object->count + 1, sizeof *file->metadata);
    if (!file->metadata)
        return rt_fail(error, "no memory");
    for (const rt_json *member = object->first; member; member = member->next) {
        if (member->kind != RT_JSON_TEXT)
            return rt_fail(error, "its metadata '%.100s' is no text", member->key);
        if (strlen(member->key) >= sizeof file->metadata->key || strlen(member->text) >= sizeof file->metadata->value)
            continue; /* none of ours */
        rt_metadata *entry = &file->metadata[file->metadata_count++];
        memcpy(entry->key, member->key, strlen(member->key) + 1);
        memcpy(entry->value, member->text, strlen(member->text) + 1);
    }
    return 0;
}

static int read_entries(const rt_json *header, rt_safetensors *file, int64_t data_size, rt_error *error) {
    file->tensors = calloc((size_t)header->count + 1, sizeof *file->tensors);
    if (!file->tensors)
        return rt_fail(error, "no memory");
    for (const rt_json *entry = header->first; entry; entry = entry->next) {
        if (strcmp(entry->key, "__metadata__")) {
            if (read_tensor(entry, &file->tensors[file->tensor_count++], data_size, error))
                return -1;
        } else if (file->metadata) {
            return rt_fail(error, "it has metadata twice");
        } else if (read_metadata(entry, file, error)) {
            return -1;
        }
    }
    return 0;
}

static int64_t byte_end(const rt_tensor *tensor) {
    return tensor->offset + rt_tensor_count(tensor) * (int64_t)rt_dtype_size(tensor->dtype);
}

/* By place; an empty tensor comes before the one that begins where it lies. */
static int compare_place(const void *left, const void *right) {
    const rt_tensor *a = *(const rt_tensor *const *)left, *b = *(const rt_tensor *const *)right;
    if (a->offset != b->offset)
        return a->offset < b->offset ? -1 : 1;
    return (byte_end(a) > byte_end(b)) - (byte_end(a) < byte_end(b));
}

static int compare_name(const void *left, const void *right) {
    return strcmp((*(const rt_tensor *const *)left)->name, (*(const rt_tensor *const *)right)->name);
}

static int check_sorted(const rt_tensor **sorted, int count, int64_t data_size, rt_error *error) {
    int64_t end = 0;
    qsort(sorted, (size_t)count, sizeof *sorted, compare_place);
    for (int i = 0; i < count; i++) {
        if (sorted[i]->offset < end)
            return rt_fail(error, "the tensors '%.100s' and '%.100s' overlap", sorted[i - 1]->name, sorted[i]->name);
        if (sorted[i]->offset > end)
            return rt_fail(error, "there is a hole of %" PRId64 " bytes before tensor '%.100s'",
                           sorted[i]->offset - end, sorted[i]->name);
        end = byte_end(sorted[i]);
    }
    if (end != data_size)
        return rt_fail(error, "%" PRId64 " bytes after the last tensor belong to none", data_size - end);
    qsort(sorted, (size_t)count, sizeof *sorted, compare_name);
    for (int i = 1; i < count; i++) {
        if (!strcmp(sorted[i - 1]->name, sorted[i]->name))
            return rt_fail(error, "tensor '%.100s' is there twice", sorted[i]->name);
    }
    return 0;
}

static int check_places(const rt_safetensors *file, int64_t data_size, rt_error *error) {
    const rt_tensor **sorted = malloc(((size_t)file->tensor_count + 1) * sizeof *sorted);
    if (!sorted)
        return rt_fail(error, "no memory");
    for (int i = 0; i < file->tensor_count; i++)
        sorted[i] = &file->tensors[i];
    int result = check_sorted(sorted, file->tensor_count, data_size, error);
    free(sorted);
    return result;
}

static int parse_file(rt_safetensors *file, size_t size, rt_error *error) {
    if (size < 8)
        return rt_fail(error, "the file is truncated: it has %zu bytes", size);
    uint64_t length = 0;
    for (int i = 0; i < 8; i++)
        length |= (uint64_t)(uint8_t)file->bytes[i] << 8 * i;
    if (length > MAX_HEADER)
        return rt_fail(error, "it is no safetensors file: its header would have %" PRIu64 " bytes", length);
    if (length > size - 8)
        return rt_fail(error, "the file is truncated: its header has %" PRIu64 " bytes, the file %zu", length, size);
    rt_json *header = rt_json_parse(file->bytes + 8, (size_t)length, error);
    if (!header)
        return -1;
    int64_t data_size = (int64_t)(size - 8 - (size_t)length);
    file->data = file->bytes + 8 + length;
    int result = header->kind == RT_JSON_OBJECT ? read_entries(header, file, data_size, error)
                                                : rt_fail(error, "its header is no JSON object");
    rt_json_free(header);
    return result ? result : check_places(file, data_size, error);
}

rt_safetensors *rt_safetensors_load(const char *path, rt_error *error) {
    rt_file raw;
    rt_error reason = {{0}};
    if (rt_file_read(path, &raw, error))
        return NULL;
    size_t size = raw.size;
    rt_safetensors *file = calloc(1, sizeof *file);
    if (file) {
        file->bytes = (char *)raw.bytes;
        raw.bytes = NULL;
    }
    rt_file_free(&raw);
    int failed = file ? parse_file(file, size, &reason) : rt_fail(&reason, "no memory");
    if (!failed)
        return file;
    rt_fail(error, "cannot use %s: %.700s", path, reason.text);
    rt_safetensors_free(file);
    return NULL;
}

void rt_safetensors_free(rt_safetensors *file) {
    if (!file)
        return;
    free(file->bytes);
    free(file->tensors);
    free(file->metadata);
    free(file);
}

const rt_tensor *rt_safetensors_find(const rt_safetensors *file, const char *name) {
    for (int i = 0; i < file->tensor_count; i++) {
        if (!strcmp(file->tensors[i].name, name))
            return &file->tensors[i];
    }
    return NULL;
}

const char *rt_safetensors_metadata(const rt_safetensors *file, const char *key) {
    for (int i = 0; i < file->metadata_count; i++) {
        if (!strcmp(file->metadata[i].key, key))
            return file->metadata[i].value;
    }
    return NULL;
}
