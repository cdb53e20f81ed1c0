/* Any bytes as a .npy file: an error, or as many numbers as its shape says. */
#include "runtime/npy.h"

#include "input_file.h"

#include <math.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    const char *path = input_file(data, size);
    rt_error error = {{0}};
    rt_matrix matrix;
    if (rt_npy_load(path, &matrix, &error) == 0) {
        for (int64_t i = 0; i < matrix.rows * matrix.columns; i++)
            if (!isfinite(matrix.values[i]))
                abort();
        free(matrix.values);
    } else if (!error.text[0]) {
        abort();
    }
    int32_t *labels;
    int64_t count, sum = 0;
    error.text[0] = 0;
    if (rt_npy_load_labels(path, &labels, &count, &error) == 0) {
        for (int64_t i = 0; i < count; i++)
            sum += labels[i];
        free(labels);
    } else if (!error.text[0] || labels) {
        abort();
    }
    return sum == 1 << 30 ? 1 : 0;
}
