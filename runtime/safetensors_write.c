#include "runtime/json.h"
#include "runtime/output_file.h"
#include "runtime/safetensors.h"

#include <stdlib.h>
#include <string.h>

static const char *const dtype_codes[] = {[RT_F32] = "F32", [RT_I32] = "I32", [RT_BOOL] = "BOOL"};

static int64_t byte_count(const rt_tensor *tensor) {
    return rt_tensor_count(tensor) * (int64_t)rt_dtype_size(tensor->dtype);
}

static void describe(rt_json_writer *json, const rt_tensor *tensor, int64_t begin) {
    rt_json_open(json, tensor->name, '{');
    rt_json_text(json, "dtype", dtype_codes[tensor->dtype]);
    rt_json_open(json, "shape", '[');
    for (int axis = 0; axis < tensor->rank; axis++)
        rt_json_integer(json, NULL, tensor->dims[axis]);
    rt_json_close(json, ']');
    rt_json_open(json, "data_offsets", '[');
    rt_json_integer(json, NULL, begin);
    rt_json_integer(json, NULL, begin + byte_count(tensor));
    rt_json_close(json, ']');
    rt_json_close(json, '}');
}

static char *make_header(const rt_tensor_source *sources, int source_count, const rt_metadata *metadata,
                         int metadata_count, size_t *size) {
    char *header = NULL;
    FILE *stream = open_memstream(&header, size);
    if (!stream)
        return NULL;
    rt_json_writer json = rt_json_to(stream);
    rt_json_open(&json, NULL, '{');
    rt_json_open(&json, "__metadata__", '{');
    for (int i = 0; i < metadata_count; i++)
        rt_json_text(&json, metadata[i].key, metadata[i].value);
    rt_json_close(&json, '}');
    int64_t begin = 0;
    for (int i = 0; i < source_count; i++) {
        describe(&json, &sources[i].tensor, begin);
        begin += byte_count(&sources[i].tensor);
    }
    rt_json_close(&json, '}');
    for (long length = ftell(stream); length % 8; length++)
        fputc(' ', stream); /* the format wants its data aligned */
    if (fclose(stream)) {
        free(header);
        return NULL;
    }
    return header;
}

static int write_all(rt_output_file *output, const char *header, size_t header_size, const rt_tensor_source *sources,
                     int source_count, char *dense, rt_error *error) {
    uint8_t length[8];
    for (int i = 0; i < 8; i++)
        length[i] = (uint8_t)((uint64_t)header_size >> 8 * i);
    if (rt_output_write(output, length, sizeof length, error) || rt_output_write(output, header, header_size, error))
        return -1;
    for (int i = 0; i < source_count; i++) {
        rt_tensor_gather(&sources[i].tensor, sources[i].region, dense);
        if (rt_output_write(output, dense, (size_t)byte_count(&sources[i].tensor), error))
            return -1;
    }
    return 0;
}

int rt_safetensors_save(const char *path, const rt_tensor_source *sources, int source_count,
                        const rt_metadata *metadata, int metadata_count, rt_error *error) {
    int64_t largest = 1;
    for (int i = 0; i < source_count; i++)
        largest = byte_count(&sources[i].tensor) > largest ? byte_count(&sources[i].tensor) : largest;
    size_t header_size = 0;
    char *header = make_header(sources, source_count, metadata, metadata_count, &header_size);
    char *dense = malloc((size_t)largest);
    rt_output_file output;
    int result = header && dense ? rt_output_open(&output, path, error) : rt_fail(error, "no memory to write %s", path);
    if (result == 0) {
        result = write_all(&output, header, header_size, sources, source_count, dense, error);
        if (result == 0)
            result = rt_output_commit(&output, error);
        else
            rt_output_abandon(&output);
    }
    free(dense);
    free(header);
    return result;
}
