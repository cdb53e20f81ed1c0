/* Any bytes as a safetensors file: an error, or tensors that lie inside of the data and names that are found again. */
#include "runtime/safetensors.h"

#include "input_file.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    rt_error error = {{0}};
    rt_safetensors *file = rt_safetensors_load(input_file(data, size), &error);
    if (!file && !error.text[0])
        abort();
    if (!file)
        return 0;
    unsigned sum = 0;
    for (int i = 0; i < file->tensor_count; i++) {
        const rt_tensor *tensor = &file->tensors[i];
        int64_t bytes = rt_tensor_count(tensor) * (int64_t)rt_dtype_size(tensor->dtype);
        for (int64_t b = 0; b < bytes; b++)
            sum += (unsigned char)file->data[tensor->offset + b];
        if (rt_safetensors_find(file, tensor->name) != tensor)
            abort();
    }
    for (int i = 0; i < file->metadata_count; i++)
        sum += (unsigned)strlen(rt_safetensors_metadata(file, file->metadata[i].key));
    rt_safetensors_free(file);
    return sum == 1 ? 1 : 0;
}
