/* Vectors and pairs from files, and cutting a training split: what is read, what is refused, and that all sources of an
 * item stay together. */
#include "runtime/data.h"
#include "runtime/loader.h"
#include "runtime/npy.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { ROWS = 30, CLASSES = 3 };

static char home[] = "/tmp/cslc-data-XXXXXX";

/* Row i of a matrix of that width is i, i + 0.5, i + 1 and so on, plus `shift`. */
static void save_rows(const char *path, int64_t rows, int64_t width, float shift) {
    float *values = malloc((size_t)(rows * width) * sizeof *values);
    rt_error error;
    assert_non_null(values);
    for (int64_t i = 0; i < rows * width; i++)
        values[i] = shift + (float)(i / width) + 0.5f * (float)(i % width);
    if (rt_npy_save(path, values, rows, width, &error))
        fail_msg("%s", error.text);
    free(values);
}

/* Labels 0, 0, 1, 1, 1, 2 over and over, as int32; those from `without` on are -1. */
static void save_labels(const char *path, int32_t rows, int32_t without) {
    static const int32_t classes[6] = {0, 0, 1, 1, 1, 2};
    FILE *stream = fopen(path, "wb");
    assert_non_null(stream);
    char header[118];
    int length = snprintf(header, sizeof header, "{'descr': '<i4', 'fortran_order': False, 'shape': (%d,), }", rows);
    memset(header + length, ' ', sizeof header - (size_t)length);
    fwrite("\x93NUMPY\x01\x00\x76\x00", 1, 10, stream);
    fwrite(header, 1, sizeof header, stream);
    for (int32_t i = 0; i < rows; i++) {
        int32_t label = i < without ? classes[i % 6] : -1;
        fwrite(&label, sizeof label, 1, stream);
    }
    assert_int_equal(fclose(stream), 0);
}

static int make_files(void **state) {
    (void)state;
    if (!mkdtemp(home) || chdir(home))
        return -1;
    mkdir("splits", 0700);
    mkdir("pairs", 0700);
    mkdir("pairs/image", 0700);
    save_rows("one.npy", ROWS, 4, 0);
    save_rows("labelled.npy", ROWS, 4, 0);
    save_labels("labelled_labels.npy", ROWS, ROWS);
    save_rows("partly.npy", ROWS, 4, 0);
    save_labels("partly_labels.npy", ROWS, 12);
    save_rows("short.npy", ROWS, 4, 0);
    save_labels("short_labels.npy", ROWS - 1, ROWS);
    save_rows("splits/train.npy", ROWS, 4, 0);
    save_labels("splits/train_labels.npy", ROWS, ROWS);
    save_rows("splits/test.npy", 4, 4, 0);
    save_labels("splits/test_labels.npy", 4, 4); /* the last class is not there */
    save_rows("pairs/image/train.npy", ROWS, 4, 0);
    save_rows("pairs/text.npy", ROWS, 2, 1000);
    save_labels("pairs/text_labels.npy", ROWS, ROWS);
    save_rows("fewer.npy", ROWS - 1, 2, 0);
    return 0;
}

static int remove_files(void **state) {
    (void)state;
    char command[64];
    snprintf(command, sizeof command, "rm -r %s", home);
    return system(command);
}

static rt_view view_of(const char *name, const char *source, int number, int width) {
    rt_view view = {.channels = width, .source = number};
    snprintf(view.name, sizeof view.name, "%s", name);
    snprintf(view.source_name, sizeof view.source_name, "%s", source);
    return view;
}

static rt_manifest one_source(rt_view *view) {
    *view = view_of("evaluate", "", 0, 4);
    return (rt_manifest){.view_count = 1, .views = view};
}

static rt_manifest two_sources(rt_view *views) {
    views[0] = view_of("evaluate", "image", 0, 4);
    views[1] = view_of("evaluate", "text", 1, 2);
    return (rt_manifest){.view_count = 2, .views = views};
}

static rt_dataset *open_data(const rt_manifest *manifest, const char *text, rt_split split) {
    rt_error error = {{0}};
    rt_dataset *dataset = rt_data_open(manifest, NULL, text, split, &error);
    if (!dataset)
        fail_msg("'%s': %s", text, error.text);
    return dataset;
}

static void refuse(const rt_manifest *manifest, const char *text, const char *reason) {
    rt_error error = {{0}};
    assert_null(rt_data_open(manifest, NULL, text, RT_SPLIT_TRAIN, &error));
    if (!strstr(error.text, reason))
        fail_msg("'%s' gave: %s", text, error.text);
}

/* ---- reading ---- */

static void files_and_folders_of_vectors(void **state) {
    (void)state;
    rt_view view;
    rt_manifest manifest = one_source(&view);
    rt_dataset *set = open_data(&manifest, "one.npy", RT_SPLIT_TRAIN);
    assert_int_equal(set->count, ROWS);
    assert_int_equal(set->kind, RT_VECTORS);
    assert_int_equal(set->class_count, 0);
    assert_int_equal(set->labels[ROWS - 1], -1);
    assert_true(set->vectors[7][3] == 8.5f);
    rt_dataset_free(set);
    set = open_data(&manifest, "one.npy", RT_SPLIT_TEST);
    assert_int_equal(set->count, 0);
    rt_dataset_free(set);
    set = open_data(&manifest, "partly.npy", RT_SPLIT_TRAIN);
    assert_int_equal(set->class_count, CLASSES);
    assert_int_equal(set->labels[11], 2);
    assert_int_equal(set->labels[12], -1);
    rt_dataset_free(set);
    set = open_data(&manifest, "splits", RT_SPLIT_TEST);
    assert_int_equal(set->count, 4);
    assert_int_equal(set->class_count, CLASSES); /* of both splits */
    rt_dataset_free(set);
    refuse(&manifest, "short.npy", "labels for 29");
    refuse(&manifest, "pairs/text.npy", "rows of 2 numbers, but the spec's 'vector' is vector[4]");
    refuse(&manifest, "shapes:train=8,test=4,size=8", "holds images");
    refuse(&manifest, "nowhere.npy", "nowhere.npy");
}

static void vectors_are_no_images(void **state) {
    (void)state;
    rt_view view;
    rt_manifest manifest = one_source(&view);
    view.channels = 3;
    view.height = view.width = 8;
    refuse(&manifest, "one.npy", "holds vectors, but the spec's 'image' is image[3, 8, 8]");
}

static void pairs_by_name_or_folder(void **state) {
    (void)state;
    rt_view views[2];
    rt_manifest manifest = two_sources(views);
    static const char *const texts[] = {"image=one.npy,text=pairs/text.npy", "text=pairs/text.npy,image=one.npy",
                                        "pairs"};
    for (int i = 0; i < 3; i++) {
        rt_dataset *set = open_data(&manifest, texts[i], RT_SPLIT_TRAIN);
        assert_int_equal(set->count, ROWS);
        assert_true(set->vectors[3][1] == 3.5f);
        assert_true(rt_dataset_source(set, 1)->vectors[3][1] == 1003.5f);
        assert_null(rt_dataset_source(set, 2));
        assert_int_equal(set->class_count, CLASSES); /* the text's labels are the item's */
        assert_int_equal(set->labels[4], 1);
        rt_dataset_free(set);
    }
    refuse(&manifest, "image=one.npy,txt=pairs/text.npy", "'text'");
    refuse(&manifest, "text=pairs/text.npy", "'image'");
    refuse(&manifest, "image=one.npy,text=fewer.npy", "30 items");
    refuse(&manifest, "image=one.npy,text=one.npy", "vector[2]");
    refuse(&manifest, "one.npy", "several sources");
    refuse(&manifest, "splits", "image=PATH");
}

/* `embed` may read one source alone. */
static void a_reader_needs_its_sources_only(void **state) {
    (void)state;
    rt_view views[2];
    rt_manifest manifest = two_sources(views);
    rt_tensor input = {.name = "text"};
    rt_function_info reader = {.input_count = 1, .inputs = &input};
    rt_error error = {{0}};
    static const char *const texts[] = {"pairs/text.npy", "text=pairs/text.npy",
                                        "image=nowhere.npy,text=pairs/text.npy"};
    for (int i = 0; i < 3; i++) {
        rt_dataset *set = rt_data_open(&manifest, &reader, texts[i], RT_SPLIT_TRAIN, &error);
        if (!set)
            fail_msg("'%s': %s", texts[i], error.text);
        assert_int_equal(set->count, ROWS);
        assert_true(rt_dataset_source(set, 1)->vectors[3][1] == 1003.5f);
        rt_dataset_free(set);
    }
}

/* ---- dividing ---- */

/* The first number of an item's first source tells which row it is. */
static int64_t row_of(const rt_dataset *set, int64_t item) {
    return (int64_t)set->vectors[item][0];
}

static void divide(rt_training_data *data, const char *text, double amount, uint64_t seed) {
    rt_view views[2];
    rt_error error = {{0}};
    rt_manifest manifest = strchr(text, '.') ? one_source(views) : two_sources(views);
    *data = (rt_training_data){.whole = open_data(&manifest, text, RT_SPLIT_TRAIN)};
    if (rt_data_divide(data, amount, seed, &error))
        fail_msg("%s", error.text);
}

static void every_class_gives_its_share(void **state) {
    (void)state;
    rt_training_data data;
    divide(&data, "labelled.npy", 0.2, 5);
    assert_int_equal(data.validation->count, 6);
    assert_int_equal(data.train->count, ROWS - 6);
    int classes[CLASSES] = {0}, seen[ROWS] = {0};
    for (int i = 0; i < 6; i++) {
        classes[data.validation->labels[i]]++;
        seen[row_of(data.validation, i)]++;
    }
    for (int i = 0; i < ROWS - 6; i++) {
        seen[row_of(data.train, i)]++;
        assert_int_equal(data.train->labels[i], data.whole->labels[row_of(data.train, i)]);
        assert_true(i == 0 || row_of(data.train, i) > row_of(data.train, i - 1));
    }
    assert_memory_equal(classes, ((const int[CLASSES]){2, 3, 1}), sizeof classes);
    for (int i = 0; i < ROWS; i++)
        assert_int_equal(seen[i], 1);
    assert_ptr_equal(data.labelled, data.train);
    rt_data_free(&data);
}

static void the_seed_decides(void **state) {
    (void)state;
    rt_training_data first, again, other;
    divide(&first, "labelled.npy", 10, 5);
    divide(&again, "labelled.npy", 10, 5);
    divide(&other, "labelled.npy", 10, 6);
    int same = 1;
    assert_int_equal(first.validation->count, 10);
    for (int i = 0; i < 10; i++) {
        assert_int_equal(row_of(first.validation, i), row_of(again.validation, i));
        same = same && row_of(first.validation, i) == row_of(other.validation, i);
    }
    assert_false(same);
    rt_data_free(&first);
    rt_data_free(&again);
    rt_data_free(&other);
}

static void items_without_label_stay_in_training(void **state) {
    (void)state;
    rt_training_data data;
    divide(&data, "partly.npy", 0.5, 1);
    assert_int_equal(data.validation->count, 6);
    assert_int_equal(data.train->count, ROWS - 6);
    assert_int_equal(data.labelled->count, 6);
    for (int i = 0; i < 6; i++) {
        assert_true(data.validation->labels[i] >= 0);
        assert_true(data.labelled->labels[i] >= 0);
    }
    rt_data_free(&data);
    divide(&data, "one.npy", 0.5, 1); /* nothing has a label: anything may be drawn */
    assert_int_equal(data.validation->count, ROWS / 2);
    rt_data_free(&data);
    divide(&data, "one.npy", 0, 1);
    assert_null(data.validation);
    assert_ptr_equal(data.train, data.whole);
    rt_data_free(&data);
}

static void absurd_amounts_are_refused(void **state) {
    (void)state;
    static const double amounts[] = {ROWS, 1000, 0.001, 0.999};
    rt_view view;
    rt_manifest manifest = one_source(&view);
    for (int i = 0; i < 4; i++) {
        rt_error error = {{0}};
        rt_training_data data = {.whole = open_data(&manifest, "labelled.npy", RT_SPLIT_TRAIN)};
        assert_int_equal(rt_data_divide(&data, amounts[i], 1, &error), -1);
        assert_non_null(strstr(error.text, "labelled.npy"));
        rt_data_free(&data);
    }
    static const char *const flags[] = {"-1", "1.5", "x", "", "0.1x", "nan"};
    for (int i = 0; i < 6; i++) {
        rt_error error = {{0}};
        assert_true(rt_data_validation(&manifest, flags[i], &error) < 0);
        assert_non_null(strstr(error.text, "--validation"));
    }
    rt_error error;
    rt_setting setting = {"validation", "0.25"};
    manifest.settings = &setting;
    manifest.setting_count = 1;
    assert_true(rt_data_validation(&manifest, NULL, &error) == 0.25);
    assert_true(rt_data_validation(&manifest, "12", &error) == 12);
}

/* ---- pairs through selection, shuffling and augmentation ---- */

static void pairs_stay_together(void **state) {
    (void)state;
    enum { BATCH = 5, STEPS = 12 };
    rt_training_data data;
    rt_error error = {{0}};
    divide(&data, "pairs", 5, 3);
    rt_view views[2] = {view_of("image", "image", 0, 4), view_of("text", "text", 1, 2)};
    const int64_t strides[2][4] = {{4, 1, 0, 0}, {1, BATCH, 0, 0}}; /* the second one lies transposed */
    rt_loader_options options = {.dataset = data.train,
                                 .view_count = 2,
                                 .views = views,
                                 .strides = strides,
                                 .batch = BATCH,
                                 .seed = 9,
                                 .threads = 2,
                                 .shuffle = 1};
    rt_loader *loader = rt_loader_create(&options, &error);
    if (!loader)
        fail_msg("%s", error.text);
    int shuffled = 0;
    for (int step = 0; step < STEPS; step++) {
        const float *const *values;
        const int64_t *indices;
        const int32_t *labels;
        assert_int_equal(rt_loader_next(loader, &values, &labels, &indices, &error), 0);
        for (int i = 0; i < BATCH; i++) {
            float row = (float)row_of(data.train, indices[i]);
            shuffled += indices[i] != (step * BATCH + i) % 25;
            assert_int_equal(labels[i], data.train->labels[indices[i]]);
            for (int j = 0; j < 4; j++)
                assert_true(values[0][4 * i + j] == row + 0.5f * (float)j);
            for (int j = 0; j < 2; j++)
                assert_true(values[1][i + BATCH * j] == 1000 + row + 0.5f * (float)j);
        }
    }
    assert_true(shuffled > STEPS * BATCH / 2);
    rt_loader_destroy(loader);
    rt_data_free(&data);
}

/* ---- augmentations of vectors ---- */

enum { WIDTH = 20000 };

/* Applies one augmentation to a vector of twos; `draw` is its random stream. */
static void apply_one(const char *text, uint64_t draw, float *out) {
    static float twos[WIDTH];
    rt_augment_op op;
    rt_error error;
    if (rt_augment_parse(text, &op, &error))
        fail_msg("%s", error.text);
    for (int i = 0; i < WIDTH; i++)
        twos[i] = 2;
    assert_true(rt_augment_of_vectors(op.kind));
    rt_view view = {.channels = WIDTH, .op_count = 1, .ops = &op};
    rt_random_sequence random = rt_random_begin(4, draw);
    rt_augment_draw drawn = rt_augment_draw_parameters(&op, 0, 0, &random);
    rt_augment_vector(&view, &drawn, twos, out, 1);
}

static double mean_of(const float *values, double power, double centre) {
    double sum = 0;
    for (int i = 0; i < WIDTH; i++)
        sum += pow((double)values[i] - centre, power) / WIDTH;
    return sum;
}

static void noise_masks_and_scales(void **state) {
    (void)state;
    static float out[WIDTH], again[WIDTH];
    apply_one("gaussian_noise draw=0 sigma=0.5,0.5", 1, out);
    assert_true(fabs(mean_of(out, 1, 2)) < 0.02);
    assert_true(fabs(mean_of(out, 2, 2) - 0.25) < 0.01);
    assert_true(fabs(mean_of(out, 4, 2) - 3 * 0.0625) < 0.02);
    apply_one("gaussian_noise draw=0 sigma=0.5,0.5", 1, again);
    assert_memory_equal(out, again, sizeof out);
    apply_one("gaussian_noise draw=0 sigma=0.5,0.5", 2, again);
    assert_memory_not_equal(out, again, sizeof out);
    apply_one("random_mask draw=0 share=0.3", 1, out);
    int zeros = 0;
    for (int i = 0; i < WIDTH; i++) {
        assert_true(out[i] == 0 || out[i] == 2);
        zeros += out[i] == 0;
    }
    assert_in_range(zeros, 5700, 6300);
    float least = 100, most = -100;
    for (uint64_t draw = 0; draw < 50; draw++) {
        apply_one("random_scale draw=0 range=-1,3", draw, out);
        assert_true(out[0] == out[WIDTH - 1]);
        least = out[0] < least ? out[0] : least;
        most = out[0] > most ? out[0] : most;
    }
    assert_true(least >= -2 && least < -1 && most <= 6 && most > 5);
    int changed = 0;
    for (uint64_t draw = 0; draw < 100; draw++) {
        apply_one("random_mask draw=0 share=0.5 p=0.3", draw, out);
        changed += mean_of(out, 1, 0) < 1.9;
    }
    assert_in_range(changed, 15, 45);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(files_and_folders_of_vectors),
        cmocka_unit_test(vectors_are_no_images),
        cmocka_unit_test(pairs_by_name_or_folder),
        cmocka_unit_test(a_reader_needs_its_sources_only),
        cmocka_unit_test(every_class_gives_its_share),
        cmocka_unit_test(the_seed_decides),
        cmocka_unit_test(items_without_label_stay_in_training),
        cmocka_unit_test(absurd_amounts_are_refused),
        cmocka_unit_test(pairs_stay_together),
        cmocka_unit_test(noise_masks_and_scales),
    };
    return cmocka_run_group_tests(tests, make_files, remove_files);
}
