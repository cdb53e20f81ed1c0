#include "runtime/npy.h"
#include "runtime/output_file.h"

#include <inttypes.h>
#include <string.h>

enum { PREAMBLE = 10, HEADER = 128 }; /* magic, version and length; all that comes before the data */

static void make_header(char header[HEADER], int64_t rows, int64_t columns) {
    memset(header, ' ', HEADER);
    memcpy(header, "\x93NUMPY\x01\x00", 8);
    header[8] = (char)(HEADER - PREAMBLE);
    header[9] = 0;
    char text[HEADER - PREAMBLE];
    int length =
        snprintf(text, sizeof text, "{'descr': '<f4', 'fortran_order': False, 'shape': (%" PRId64 ", %" PRId64 "), }",
                 rows, columns);
    memcpy(header + PREAMBLE, text, (size_t)length);
    header[HEADER - 1] = '\n';
}

int rt_npy_save(const char *path, const float *values, int64_t rows, int64_t columns, rt_error *error) {
    char header[HEADER];
    rt_output_file output;
    make_header(header, rows, columns);
    if (rt_output_open(&output, path, error))
        return -1;
    if (rt_output_write(&output, header, sizeof header, error) ||
        rt_output_write(&output, values, (size_t)(rows * columns) * sizeof *values, error)) {
        rt_output_abandon(&output);
        return -1;
    }
    return rt_output_commit(&output, error);
}
