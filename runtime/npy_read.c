/* Reads .npy files, versions 1.0 to 3.0: a preamble, a Python dictionary in text, the numbers. */
#include "runtime/archive.h"
#include "runtime/npy.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char magic[] = "\x93NUMPY";
enum { MAGIC = sizeof magic - 1, MOST_AXES = 2 };

typedef struct {
    char kind; /* f, i or u */
    int bytes, big_endian, columns_first, rank;
    int64_t dims[MOST_AXES];
    size_t begin; /* of the numbers in the file */
} npy_header;

int rt_npy_recognise(const char *path) {
    char start[MAGIC] = {0};
    FILE *stream = fopen(path, "rb");
    if (stream == NULL)
        return 0;
    size_t got = fread(start, 1, MAGIC, stream);
    fclose(stream);
    return got == MAGIC && memcmp(start, magic, MAGIC) == 0;
}

/* ---- the header ---- */

static const char *skip_spaces(const char *text) {
    while (*text == ' ')
        text++;
    return text;
}

/* What stands behind 'key':, or NULL. */
static const char *value_of(const char *header, const char *key) {
    char quoted[32];
    snprintf(quoted, sizeof quoted, "'%s'", key);
    const char *found = strstr(header, quoted);
    if (found == NULL)
        return NULL;
    found = skip_spaces(found + strlen(quoted));
    return *found == ':' ? skip_spaces(found + 1) : NULL;
}

/* '<f4': byte order, kind, bytes. */
static int read_type(const char *text, npy_header *header) {
    if (text == NULL || text[0] != '\'' || text[1] == 0 || strchr("<>|=", text[1]) == NULL || text[2] == 0 ||
        strchr("fiu", text[2]) == NULL || text[3] < '1' || text[3] > '8' || text[4] != '\'')
        return -1;
    header->big_endian = text[1] == '>';
    header->kind = text[2];
    header->bytes = text[3] - '0';
    return 0;
}

/* (3, 4), (3,) or (). */
static int read_shape(const char *text, npy_header *header) {
    if (text == NULL || *text != '(')
        return -1;
    text = skip_spaces(text + 1);
    while (*text != ')') {
        char *end;
        if (*text < '0' || *text > '9')
            return -1;
        long long size = strtoll(text, &end, 10);
        if (header->rank < MOST_AXES)
            header->dims[header->rank] = size;
        header->rank++;
        text = skip_spaces(end);
        if (*text == ',')
            text = skip_spaces(text + 1);
        else if (*text != ')')
            return -1;
    }
    return 0;
}

static int parse_header(const char *text, npy_header *header, const char *path, rt_error *error) {
    const char *order = value_of(text, "fortran_order"), *type = value_of(text, "descr");
    if (order == NULL || (strncmp(order, "True", 4) != 0 && strncmp(order, "False", 5) != 0) ||
        read_shape(value_of(text, "shape"), header) != 0)
        return rt_fail(error, "%s: not a .npy file: its header does not say order and shape", path);
    header->columns_first = *order == 'T';
    if (read_type(type, header) != 0)
        return rt_fail(error,
                       "%s: its numbers are of type %.40s; float32 and float64 are read, and whole numbers as labels",
                       path, type != NULL ? type : "none");
    return 0;
}

/* Finds the header's text in the file, which a zero byte ends while it is parsed. */
static int read_header(const rt_file *file, npy_header *header, const char *path, rt_error *error) {
    *header = (npy_header){0};
    if (file->size < 12 || memcmp(file->bytes, magic, MAGIC) != 0)
        return rt_fail(error, "%s: not a .npy file", path);
    int version = file->bytes[MAGIC], size_bytes = version == 1 ? 2 : 4;
    if (version < 1 || version > 3)
        return rt_fail(error, "%s: version %d of .npy is unknown", path, version);
    size_t start = MAGIC + 2 + (size_t)size_bytes, length = 0;
    for (int i = size_bytes - 1; i >= 0; i--)
        length = length << 8 | file->bytes[MAGIC + 2 + i];
    if (length > file->size - start)
        return rt_fail(error, "%s: truncated in its header", path);
    header->begin = start + length;
    uint8_t kept = file->bytes[header->begin]; /* files end with a zero of their own */
    file->bytes[header->begin] = 0;
    int result = parse_header((const char *)file->bytes + start, header, path, error);
    file->bytes[header->begin] = kept;
    return result;
}

/* The file must hold just the numbers that the header promises, and at least one. */
static int check_size(const rt_file *file, const npy_header *header, int rank, const char *path, rt_error *error) {
    int64_t bytes = header->bytes;
    if (header->rank != rank)
        return rt_fail(error, "%s: has %d ax%s; %s", path, header->rank, header->rank == 1 ? "is" : "es",
                       rank == 2 ? "rows of numbers are wanted" : "one label a row is wanted");
    for (int axis = 0; axis < rank; axis++) {
        if (header->dims[axis] < 1)
            return rt_fail(error, "%s: empty", path);
        if (__builtin_mul_overflow(bytes, header->dims[axis], &bytes))
            return rt_fail(error, "%s: absurd shape", path);
    }
    int64_t there = (int64_t)(file->size - header->begin);
    if (there == bytes)
        return 0;
    return rt_fail(error, "%s: %s: %" PRId64 " bytes of numbers instead of %" PRId64, path,
                   there < bytes ? "truncated" : "damaged", there, bytes);
}

static int open_file(const char *path, int rank, rt_file *file, npy_header *header, rt_error *error) {
    if (rt_file_read(path, file, error) != 0)
        return -1;
    if (read_header(file, header, path, error) != 0 || check_size(file, header, rank, path, error) != 0) {
        rt_file_free(file);
        return -1;
    }
    return 0;
}

/* ---- numbers ---- */

static uint64_t bits_at(const uint8_t *bytes, const npy_header *header) {
    uint64_t bits = 0;
    for (int i = 0; i < header->bytes; i++)
        bits = bits << 8 | bytes[header->big_endian ? i : header->bytes - 1 - i];
    return bits;
}

static float real_at(const uint8_t *bytes, const npy_header *header) {
    uint64_t bits = bits_at(bytes, header);
    if (header->bytes == 8) {
        double wide;
        memcpy(&wide, &bits, sizeof wide);
        return (float)wide;
    }
    uint32_t half = (uint32_t)bits;
    float real;
    memcpy(&real, &half, sizeof real);
    return real;
}

static int64_t whole_at(const uint8_t *bytes, const npy_header *header) {
    uint64_t bits = bits_at(bytes, header);
    if (header->kind == 'u')
        return bits > INT64_MAX ? INT64_MAX : (int64_t)bits;
    int unused = 64 - 8 * header->bytes;
    return (int64_t)(bits << unused) >> unused;
}

static int take_values(const rt_file *file, const npy_header *header, rt_matrix *matrix, const char *path,
                       rt_error *error) {
    int64_t rows = header->dims[0], columns = header->dims[1];
    *matrix = (rt_matrix){rows, columns, malloc((size_t)(rows * columns) * sizeof(float) + 1)};
    if (matrix->values == NULL)
        return rt_fail(error, "%s: out of memory for %" PRId64 " x %" PRId64 " numbers", path, rows, columns);
    const uint8_t *numbers = file->bytes + header->begin;
    for (int64_t row = 0; row < rows; row++)
        for (int64_t column = 0; column < columns; column++) {
            int64_t place = header->columns_first ? column * rows + row : row * columns + column;
            float value = real_at(numbers + place * header->bytes, header);
            if (!isfinite(value)) {
                free(matrix->values);
                matrix->values = NULL;
                return rt_fail(error, "%s: row %" PRId64 ", column %" PRId64 " is %g", path, row, column,
                               (double)value);
            }
            matrix->values[row * columns + column] = value;
        }
    return 0;
}

int rt_npy_load(const char *path, rt_matrix *matrix, rt_error *error) {
    rt_file file;
    npy_header header;
    if (open_file(path, 2, &file, &header, error) != 0)
        return -1;
    int result;
    if (header.kind == 'f' && (header.bytes == 4 || header.bytes == 8))
        result = take_values(&file, &header, matrix, path, error);
    else
        result = rt_fail(error, "%s: its numbers are of type %c%d; vectors are float32 or float64 (f4, f8)", path,
                         header.kind, header.bytes);
    rt_file_free(&file);
    return result;
}

static int take_labels(const rt_file *file, const npy_header *header, int32_t *labels, const char *path,
                       rt_error *error) {
    for (int64_t i = 0; i < header->dims[0]; i++) {
        int64_t label = whole_at(file->bytes + header->begin + i * header->bytes, header);
        if (label < INT32_MIN || label > INT32_MAX)
            return rt_fail(error, "%s: label %" PRId64 " is %" PRId64, path, i, label);
        labels[i] = (int32_t)label;
    }
    return 0;
}

int rt_npy_load_labels(const char *path, int32_t **labels, int64_t *count, rt_error *error) {
    rt_file file;
    npy_header header;
    *labels = NULL;
    if (open_file(path, 1, &file, &header, error) != 0)
        return -1;
    int result = 0;
    *count = header.dims[0];
    if (header.kind == 'f')
        result = rt_fail(error, "%s: its numbers are of type f%d; labels are whole numbers", path, header.bytes);
    else if ((*labels = malloc((size_t)*count * sizeof **labels + 1)) == NULL)
        result = rt_fail(error, "%s: out of memory", path);
    else
        result = take_labels(&file, &header, *labels, path, error);
    if (result != 0) {
        free(*labels);
        *labels = NULL;
    }
    rt_file_free(&file);
    return result;
}
