/* Augmentations from outside the process: reads requests, one a line, and writes float32 .npy arrays one after another
 * to standard output.
 *
 *   picture HEIGHT WIDTH FILE      takes the raw RGB bytes of a file as the picture
 *   step TEXT                      adds an augmentation, as in a program's manifest
 *   parameters KEY=VALUE...        sets what the last step's draw decides: apply, top, left, height, width, dx, dy,
 *                                  order=A,B,C,D, brightness, contrast, saturation, hue, sigma
 *   apply HEIGHT WIDTH             writes the steps' result [HEIGHT, WIDTH * 3], and forgets the steps
 *   draw COUNT HEIGHT WIDTH        draws for the last step from COUNT streams, writes [COUNT, 17] in the order of the
 *                                  keys above with `flip` behind `width`, and forgets the steps
 *
 * augment_steps BACKEND TARGET makes pictures by compiled code (llvm or c, for avx512, avx2, portable; tcc, for
 * scalar); without words, by the reference. It ends with status 3 where this processor lacks the target. */
#include "runtime/archive.h"
#include "tests/support/view_code.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_STEPS = 16, LONGEST_LINE = 1024 };

static rt_augment_op steps[MOST_STEPS];
static rt_augment_draw draws[MOST_STEPS];
static int step_count;
static rt_image picture;
static rt_file bytes;

typedef backend_code *(*compiler)(const kir_program *program, const kir_target *target, diag_list *diags);
static compiler compile; /* NULL: the reference */
static const char *target;
static char lines[MOST_STEPS][LONGEST_LINE]; /* of the steps */

static void stop(const char *message) {
    fprintf(stderr, "augment_steps: %s\n", message);
    exit(1);
}

static void write_npy(const float *values, int64_t rows, int64_t columns) {
    char header[128], text[118];
    memset(header, ' ', sizeof header);
    memcpy(header, "\x93NUMPY\x01\x00\x76\x00", 10);
    int length = snprintf(text, sizeof text, "{'descr': '<f4', 'fortran_order': False, 'shape': (%lld, %lld)}",
                          (long long)rows, (long long)columns);
    memcpy(header + 10, text, (size_t)length);
    header[127] = '\n';
    fwrite(header, 1, sizeof header, stdout);
    fwrite(values, sizeof *values, (size_t)(rows * columns), stdout);
}

static void take_picture(const char *line) {
    char path[LONGEST_LINE];
    rt_error error;
    rt_file_free(&bytes);
    if (sscanf(line, "%d %d %1000s", &picture.height, &picture.width, path) != 3)
        stop("picture HEIGHT WIDTH FILE");
    if (rt_file_read(path, &bytes, &error) != 0)
        stop(error.text);
    if ((int64_t)bytes.size != 3 * (int64_t)picture.height * picture.width)
        stop("the picture's file is of another size");
    picture.pixels = bytes.bytes;
}

static void add_step(const char *line) {
    rt_error error;
    if (step_count == MOST_STEPS || rt_augment_parse(line, &steps[step_count], &error) != 0)
        stop(step_count == MOST_STEPS ? "too many steps" : error.text);
    snprintf(lines[step_count], LONGEST_LINE, "%s", line);
    draws[step_count++] = (rt_augment_draw){.apply = 1};
}

/* ---- a draw's fields by name ---- */

static const struct {
    const char *name;
    size_t offset;
    int count; /* of ints; 0 for one double */
} fields[] = {
#define FIELD(name, count)                                                                                             \
    { #name, offsetof(rt_augment_draw, name), count }
    FIELD(apply, 1),    FIELD(top, 1),        FIELD(left, 1), FIELD(height, 1), FIELD(width, 1),
    FIELD(flip, 1),     FIELD(dx, 1),         FIELD(dy, 1),   FIELD(order, 4),  FIELD(brightness, 0),
    FIELD(contrast, 0), FIELD(saturation, 0), FIELD(hue, 0),  FIELD(sigma, 0),
#undef FIELD
};
enum { FIELD_COUNT = sizeof fields / sizeof *fields, DRAW_COLUMNS = FIELD_COUNT + 3 };

static void set_field(rt_augment_draw *draw, const char *name, char *text) {
    for (int i = 0; i < FIELD_COUNT; i++) {
        if (strcmp(fields[i].name, name) != 0)
            continue;
        char *place = (char *)draw + fields[i].offset;
        if (fields[i].count == 0)
            *(double *)(void *)place = strtod(text, NULL);
        for (int k = 0; k < fields[i].count; k++, text += *text == ',')
            ((int *)(void *)place)[k] = (int)strtol(text, &text, 10);
        return;
    }
    stop("no such parameter");
}

static void set_parameters(char *line) {
    if (step_count == 0)
        stop("parameters of no step");
    for (char *rest, *word = strtok_r(line, " ", &rest); word; word = strtok_r(NULL, " ", &rest)) {
        char *equals = strchr(word, '=');
        if (!equals)
            stop("parameters KEY=VALUE");
        *equals = 0;
        set_field(&draws[step_count - 1], word, equals + 1);
    }
}

static float *append_draw(float *out, const rt_augment_draw *draw) {
    for (int i = 0; i < FIELD_COUNT; i++) {
        const char *place = (const char *)draw + fields[i].offset;
        if (fields[i].count == 0)
            *out++ = (float)*(const double *)(const void *)place;
        for (int k = 0; k < fields[i].count; k++)
            *out++ = (float)((const int *)(const void *)place)[k];
    }
    return out;
}

/* ---- code: compiled once for all pictures that have the same steps and size ---- */

typedef struct {
    char key[MOST_STEPS * LONGEST_LINE + 64];
    view_code code;
} compiled;

static compiled *all_code;
static int code_count;

static const rt_view_code *code_of(const rt_view *view) {
    if (!compile)
        return &interp_view_code;
    const char *texts[MOST_STEPS];
    char key[sizeof all_code->key];
    int length = snprintf(key, sizeof key, "%d %d", view->height, view->width);
    for (int i = 0; i < step_count; i++) {
        length += snprintf(key + length, sizeof key - (size_t)length, "\n%s", lines[i]);
        texts[i] = lines[i];
    }
    for (int i = 0; i < code_count; i++)
        if (strcmp(all_code[i].key, key) == 0)
            return all_code[i].code.view;
    all_code = realloc(all_code, (size_t)(code_count + 1) * sizeof *all_code);
    if (!all_code)
        stop("out of memory");
    text_buffer message = {0};
    compiled *made = &all_code[code_count++];
    memcpy(made->key, key, sizeof key);
    made->code = view_code_make(texts, step_count, view->height, view->width, true, target, compile, &message);
    if (!made->code.view)
        stop(message.data);
    return made->code.view;
}

static backend_code *by_tcc(const kir_program *program, const kir_target *scalar, diag_list *diags) {
    (void)scalar;
    return tcc_compile(program, diags);
}

static void choose_way(int argc, char **argv) {
    kir_target wanted;
    if (argc == 1)
        return;
    if (argc != 3 || !kir_target_named(argv[2], &wanted))
        stop("augment_steps [BACKEND TARGET]");
    target = argv[2];
    compile = strcmp(argv[1], "llvm") == 0 ? llvm_compile : strcmp(argv[1], "c") == 0 ? cgen_compile : by_tcc;
    if (compile == llvm_compile && wanted.lanes > backend_target_host().lanes)
        exit(3);
}

/* ---- results ---- */

static void apply(const char *line) {
    rt_view view = {.name = "test", .op_count = step_count, .ops = steps, .channels = 3};
    rt_error error;
    if (sscanf(line, "%d %d", &view.height, &view.width) != 2)
        stop("apply HEIGHT WIDTH");
    view.code = code_of(&view);
    int64_t size = rt_augment_workspace(&view, picture.height, picture.width);
    void *workspace = aligned_alloc(64, (size_t)(size + 63) / 64 * 64);
    float *out = calloc((size_t)(3 * view.height * view.width), sizeof *out);
    if (!workspace || !out)
        stop("out of memory");
    const int64_t stride[3] = {1, 3 * view.width, 3};
    if (rt_augment_apply(&view, draws, &picture, workspace, out, stride, &error) != 0)
        stop(error.text);
    write_npy(out, view.height, 3 * view.width);
    free(out);
    free(workspace);
    step_count = 0;
}

static void draw_many(const char *line) {
    int64_t count;
    int height, width;
    if (sscanf(line, "%ld %d %d", &count, &height, &width) != 3 || step_count == 0 || count < 1)
        stop("draw COUNT HEIGHT WIDTH, of a step");
    float *table = malloc((size_t)count * DRAW_COLUMNS * sizeof *table), *out = table;
    if (!table)
        stop("out of memory");
    for (int64_t i = 0; i < count; i++) {
        rt_random_sequence random = rt_random_begin(7, (uint64_t)i << 11);
        rt_augment_draw draw = rt_augment_draw_parameters(&steps[step_count - 1], height, width, &random);
        out = append_draw(out, &draw);
    }
    write_npy(table, count, DRAW_COLUMNS);
    free(table);
    step_count = 0;
}

int main(int argc, char **argv) {
    char line[LONGEST_LINE];
    choose_way(argc, argv);
    while (fgets(line, sizeof line, stdin)) {
        line[strcspn(line, "\n")] = 0;
        char *rest = strchr(line, ' ');
        if (!rest)
            stop("a request is a word and what it needs");
        *rest++ = 0;
        if (strcmp(line, "picture") == 0)
            take_picture(rest);
        else if (strcmp(line, "step") == 0)
            add_step(rest);
        else if (strcmp(line, "parameters") == 0)
            set_parameters(rest);
        else if (strcmp(line, "apply") == 0)
            apply(rest);
        else if (strcmp(line, "draw") == 0)
            draw_many(rest);
        else
            stop("no such request");
    }
    rt_file_free(&bytes);
    return fflush(stdout) != 0;
}
