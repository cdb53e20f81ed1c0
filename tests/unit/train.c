/* The whole command line on a tiny program written by hand in place of a compiled one: a 4 x 192 matrix that is to map
 * two views of an image to the same place, with momentum and noise, its weights stored transposed. */
#include "backend/backend.h"
#include "runtime/json.h"
#include "runtime/archive.h"
#include "runtime/program.h"
#include "runtime/random.h"
#include "runtime/safetensors.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <fcntl.h>
#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

/* ---- the program ---- */

enum { BATCH = 8, PIXELS = 192, UNITS = 4 };
enum { WEIGHT = 0, SLOT = 3072, COUNTER = 6144 };                              /* in the state */
enum { VIEW_A = 0, VIEW_B = 6144, SEED = 12288, STEP = 12292, TOTAL = 12296 }; /* in the arena */
enum { LABELS = 12352, INDEX = 12416, LOSS = 12480, RATE = 12484, SPREAD = 12488, GRADIENT = 12544 };
enum { FEATURES = 6144 };

#define MANIFEST(weight_rows, fingerprint)                                                                             \
    "cslc-program 1\nmethod tiny\nspec tests/tiny.csl\nfingerprint " fingerprint "\nprecision f32\n"                   \
    "bytes state 6208 arena 15616 scratch 64\n"                                                                        \
    "state f.weight param f32 0 2 " weight_rows " 192 1 4\n"                                                           \
    "state f.weight.momentum slot f32 3072 2 4 192 1 4\nstate steps counter i32 6144 0\n"                              \
    "function init 15616\ninput seed i32 12288 0\n"                                                                    \
    "function train_step 15616\n"                                                                                      \
    "input view.a f32 0 4 8 3 8 8 192 1 24 3\ninput view.b f32 6144 4 8 3 8 8 192 1 24 3\n"                            \
    "input seed i32 12288 0\ninput step i32 12292 0\ninput total_steps i32 12296 0\n"                                  \
    "input labels i32 12352 1 8 1\ninput index i32 12416 1 8 1\n"                                                      \
    "output loss f32 12480 0\noutput lr f32 12484 0\noutput spread f32 12488 0\n"                                      \
    "function gradients 15616\n"                                                                                       \
    "input view.a f32 0 4 8 3 8 8 192 1 24 3\ninput view.b f32 6144 4 8 3 8 8 192 1 24 3\n"                            \
    "output loss f32 12480 0\noutput grad.f.weight f32 12544 2 4 192 192 1\n"                                          \
    "function embed 15616\n"                                                                                           \
    "input image f32 0 4 8 3 8 8 192 1 24 3\noutput features f32 6144 2 8 4 4 1\n"                                     \
    "view a 3 8 8\naugment horizontal_flip draw=0 p=0.5\n"                                                             \
    "augment normalize draw=1 mean=0.5,0.5,0.5 std=0.25,0.25,0.25 p=1\n"                                               \
    "view b 3 8 8\naugment horizontal_flip draw=2 p=0.5\n"                                                             \
    "augment normalize draw=3 mean=0.5,0.5,0.5 std=0.25,0.25,0.25 p=1\n"                                               \
    "view evaluate 3 8 8\naugment normalize draw=4 mean=0.5,0.5,0.5 std=0.25,0.25,0.25 p=1\n"                          \
    "setting batch 8\nsetting epochs 2\nsetting knn.k 5\nsetting knn.t 0.1\nsetting linear.epochs 3\n"

static void project(void *const *args, char *scratch, int64_t begin, int64_t end) {
    (void)scratch;
    for (int64_t unit = begin; unit < end; unit++) {
        const float *weight = args[0], *image = args[1];
        float *out = args[2];
        for (int i = 0; i < BATCH; i++) {
            out[i * UNITS + unit] = 0;
            for (int j = 0; j < PIXELS; j++)
                out[i * UNITS + unit] += weight[j * UNITS + unit] * image[i * PIXELS + j];
        }
    }
}

static float *reals(char *region, int offset) {
    return (float *)(region + offset);
}

static int32_t *wholes(char *region, int offset) {
    return (int32_t *)(region + offset);
}

/* loss = mean((Wa - Wb)^2) + 0.1 mean((Wa)^2); the gradient is dense [4, 192]. */
static void run_gradients(const rt_frame *frame, void *context) {
    float a[BATCH * UNITS], b[BATCH * UNITS], *gradient = reals(frame->arena, GRADIENT);
    float *views[2] = {reals(frame->arena, VIEW_A), reals(frame->arena, VIEW_B)};
    double loss = 0;
    (void)context;
    rt_launch(frame, project, (void *[]){frame->state + WEIGHT, views[0], a}, UNITS, 1, 0);
    rt_launch(frame, project, (void *[]){frame->state + WEIGHT, views[1], b}, UNITS, 1, 0);
    memset(gradient, 0, UNITS * PIXELS * sizeof *gradient);
    for (int i = 0; i < BATCH * UNITS; i++) {
        float difference = a[i] - b[i], pull = 0.1f * a[i], scale = 2.0f / (BATCH * UNITS);
        loss += (double)(difference * difference + 0.1f * a[i] * a[i]) / (BATCH * UNITS);
        for (int j = 0; j < PIXELS; j++) {
            int pixel = i / UNITS * PIXELS + j;
            gradient[i % UNITS * PIXELS + j] +=
                scale * (difference * (views[0][pixel] - views[1][pixel]) + pull * views[0][pixel]);
        }
    }
    *reals(frame->arena, LOSS) = (float)loss;
}

static int interrupt_at = -1, poison_at = -1; /* steps at which a signal comes, or the loss becomes NaN */

static void run_train_step(const rt_frame *frame, void *context) {
    int32_t seed = *wholes(frame->arena, SEED), step = *wholes(frame->arena, STEP);
    float *weight = reals(frame->state, WEIGHT), *slot = reals(frame->state, SLOT);
    const float *gradient = reals(frame->arena, GRADIENT);
    float rate = 2e-2f * (float)(1 + cos(3.14159 * step / *wholes(frame->arena, TOTAL)));
    run_gradients(frame, context);
    for (int64_t i = 0; i < UNITS * PIXELS; i++) {
        int64_t stored = i % PIXELS * UNITS + i / PIXELS;
        slot[stored] = 0.9f * slot[stored] + gradient[i] + 1e-3f * rt_random_normal(seed, step, 1, i);
        weight[stored] -= rate * slot[stored];
    }
    for (int i = 0; i < BATCH; i++) /* labels and indices must come in, and belong to each other */
        *reals(frame->arena, SPREAD) = (float)(wholes(frame->arena, LABELS)[i] + 100 * wholes(frame->arena, INDEX)[i]);
    *reals(frame->arena, RATE) = rate;
    ++*wholes(frame->state, COUNTER);
    if (step == poison_at)
        *reals(frame->arena, LOSS) = NAN;
    if (step == interrupt_at)
        raise(SIGINT);
}

static void run_init(const rt_frame *frame, void *context) {
    (void)context;
    memset(frame->state, 0, 6208);
    for (int64_t i = 0; i < UNITS * PIXELS; i++)
        reals(frame->state, WEIGHT)[i] = 0.05f * rt_random_normal(*wholes(frame->arena, SEED), 0, 0, i);
}

static void run_embed(const rt_frame *frame, void *context) {
    (void)context;
    rt_launch(frame, project, (void *[]){frame->state + WEIGHT, frame->arena + VIEW_A, frame->arena + FEATURES}, UNITS,
              1, 0);
}

static const rt_entry entries[] = {{"init", run_init, NULL},
                                   {"train_step", run_train_step, NULL},
                                   {"gradients", run_gradients, NULL},
                                   {"embed", run_embed, NULL}};
/* The hand-written program has no compiled views. */
static rt_view_code views[4];
static const rt_program tiny = {MANIFEST("4", "0123abcd"), 4, entries, views};
static const rt_program narrower = {MANIFEST("3", "4567cdef"), 4, entries, views};

/* ---- running it ---- */

#define DATA "--data shapes:train=44,test=20,size=8,seed=1"
enum { STEPS_PER_EPOCH = 5 };

static char home[] = "/tmp/cslc-train-XXXXXX";
static char messages[8192]; /* what the last command said on stderr */
static char said[8192];     /* and on stdout */

static int redirect(int descriptor, const char *path) {
    int saved = dup(descriptor), file = open(path, O_CREAT | O_TRUNC | O_WRONLY, 0600);
    dup2(file, descriptor);
    close(file);
    return saved;
}

static void restore(int descriptor, int saved, const char *path, char *text, size_t size) {
    dup2(saved, descriptor);
    close(saved);
    rt_error error;
    rt_file file;
    assert_int_equal(rt_file_read(path, &file, &error), 0);
    snprintf(text, size, "%s", (char *)file.bytes);
    rt_file_free(&file);
}

/* Runs a command line of words separated by spaces, in the test's own folder. */
static int command(const rt_program *program, const char *line) {
    char words[1024], *argv[40] = {"tiny"};
    int argc = 1;
    snprintf(words, sizeof words, "%s", line);
    for (char *word = strtok(words, " "); word; word = strtok(NULL, " "))
        argv[argc++] = word;
    fflush(stdout);
    fflush(stderr);
    int out = redirect(1, "stdout.txt"), err = redirect(2, "stderr.txt");
    int status = rt_main(argc, argv, program);
    fflush(stdout);
    fflush(stderr);
    restore(1, out, "stdout.txt", said, sizeof said);
    restore(2, err, "stderr.txt", messages, sizeof messages);
    return status;
}

static void expect(int status, const char *line) {
    int found = command(&tiny, line);
    if (found != status)
        fail_msg("'%s' ended with %d: %s", line, found, messages);
}

static void expect_message(int status, const char *line, const char *message) {
    expect(status, line);
    if (!strstr(messages, message))
        fail_msg("'%s' said: %s", line, messages);
}

static char *contents(const char *path, size_t *size) {
    rt_error error;
    rt_file file;
    if (rt_file_read(path, &file, &error))
        fail_msg("%s", error.text);
    *size = file.size;
    free(file.name);
    return (char *)file.bytes;
}

static void same_file(const char *a, const char *b) {
    size_t sizes[2];
    char *bytes[2] = {contents(a, &sizes[0]), contents(b, &sizes[1])};
    if (sizes[0] != sizes[1] || memcmp(bytes[0], bytes[1], sizes[0]))
        fail_msg("%s and %s differ", a, b);
    free(bytes[0]);
    free(bytes[1]);
}

/* The log without the times: what must be the same in equal runs. Freed by the caller. */
static char *timeless_log(const char *folder) {
    char path[256];
    size_t size;
    snprintf(path, sizeof path, "%s/metrics.jsonl", folder);
    char *log = contents(path, &size);
    static const char *const times[] = {"\"seconds\": ", "\"wait\": "};
    for (int i = 0; i < 2; i++)
        for (char *at = log; (at = strstr(at, times[i]));) {
            char *end = at + strcspn(at, ",}");
            memmove(at, end, strlen(end) + 1);
        }
    return log;
}

static void same_log(const char *a, const char *b) {
    char *logs[2] = {timeless_log(a), timeless_log(b)};
    assert_string_equal(logs[0], logs[1]);
    free(logs[0]);
    free(logs[1]);
}

static int count_lines(const char *folder, const char *word) {
    char *log = timeless_log(folder);
    int count = 0;
    for (const char *at = log; (at = strstr(at, word)); at++)
        count++;
    free(log);
    return count;
}

/* ---- tests ---- */

static void trains_and_logs(void **state) {
    (void)state;
    expect(0, "train " DATA " --epochs 4 --out a --eval-every 2 --threads 1");
    assert_int_equal(count_lines("a", "\"loss\""), 4 * STEPS_PER_EPOCH);
    assert_int_equal(count_lines("a", "\"protocol\": \"knn\""), 2);
    assert_int_equal(count_lines("a", "\"protocol\": \"linear\""), 2);
    assert_int_equal(count_lines("a", "\"spread\""), 4 * STEPS_PER_EPOCH);
    size_t size;
    char *log = contents("a/metrics.jsonl", &size);
    rt_error error;
    double first = 0, last = 0;
    for (char *line = strtok(log, "\n"); line; line = strtok(NULL, "\n")) {
        rt_json *value = rt_json_parse(line, strlen(line), &error);
        assert_non_null(value);
        const rt_json *loss = rt_json_member(value, "loss");
        first = loss && first == 0 ? loss->number : first;
        last = loss ? loss->number : last;
        rt_json_free(value);
    }
    free(log);
    if (!(last < 0.7 * first))
        fail_msg("the loss went from %g to %g", first, last);
    assert_non_null(strstr(said, "epoch 4/4"));
}

static void threads_change_nothing(void **state) {
    (void)state;
    expect(0, "train " DATA " --epochs 4 --out b --eval-every 2 --threads 2");
    same_file("a/last.safetensors", "b/last.safetensors");
    same_log("a", "b");
}

static void seeds_change_the_run(void **state) {
    (void)state;
    expect(0, "train " DATA " --epochs 4 --out other --seed 1 --eval-every 2 --threads 1");
    char *logs[2] = {timeless_log("a"), timeless_log("other")};
    assert_string_not_equal(logs[0], logs[1]);
    free(logs[0]);
    free(logs[1]);
}

static void interrupted_and_resumed_equals_uninterrupted(void **state) {
    (void)state;
    static const int stops[] = {0, 3, 4, 11, 19}; /* also an epoch's last step and the very last one */
    for (int i = 0; i < 5; i++) {
        interrupt_at = stops[i];
        expect(130, "train " DATA " --epochs 4 --out c --eval-every 2 --threads 2");
        interrupt_at = -1;
        assert_non_null(strstr(said, "--resume"));
        assert_int_equal(count_lines("c", "\"loss\""), stops[i] + 1);
        expect(0, "train " DATA " --out c --resume --eval-every 2 --threads 1");
        same_file("a/last.safetensors", "c/last.safetensors");
        same_log("a", "c");
    }
}

/* The validation split is the seed's, which a resumed run takes from its checkpoint; on test only at the end. */
static void validation_stays_apart_through_a_resume(void **state) {
    (void)state;
    expect(0, "train " DATA " --epochs 4 --seed 7 --validation 8 --test --eval-every 2 --out v");
    assert_int_equal(count_lines("v", "\"loss\""), 16); /* 36 images left: 4 steps an epoch */
    assert_int_equal(count_lines("v", "\"tested_on\": \"validation\""), 4);
    assert_int_equal(count_lines("v", "\"tested_on\": \"test\""), 2);
    assert_int_equal(count_lines("v", "\"train_images\": 36"), 6);
    interrupt_at = 9;
    expect(130, "train " DATA " --epochs 4 --seed 7 --validation 8 --test --eval-every 2 --out w");
    interrupt_at = -1;
    expect(0, "train " DATA " --validation 8 --test --eval-every 2 --out w --resume");
    same_file("v/last.safetensors", "w/last.safetensors");
    same_log("v", "w");
    expect(0, "eval " DATA " --checkpoint v/last.safetensors --split validation --validation 8 --out v.json");
    expect_message(1, "train " DATA " --validation 44 --out x", "cannot set 44 of 44");
    expect_message(1, "train " DATA " --validation 1.5 --out x", "--validation");
}

/* As after kill -9: the log is ahead of the checkpoint and its last line is cut short. */
static void killed_and_resumed_equals_uninterrupted(void **state) {
    (void)state;
    interrupt_at = 7;
    expect(130, "train " DATA " --epochs 4 --out d --eval-every 2");
    interrupt_at = -1;
    FILE *log = fopen("d/metrics.jsonl", "a");
    fputs("{\"step\": 8, \"epoch\": 2, \"loss\": 77, \"seconds\": 1}\n{\"step\": 9, \"epo", log);
    fclose(log);
    expect(0, "train " DATA " --out elsewhere --resume d/last.safetensors --eval-every 2");
    same_file("a/last.safetensors", "elsewhere/last.safetensors");
    expect(0, "train " DATA " --out d --resume --eval-every 2 --epochs 4");
    same_file("a/last.safetensors", "d/last.safetensors");
    same_log("a", "d");
}

static void resuming_checks_what_it_gets(void **state) {
    (void)state;
    expect_message(2, "train " DATA " --out a --resume --seed 3", "seed 0");
    expect_message(1, "train --data shapes:train=80,test=8,size=8,seed=1 --out a --resume", "5 steps an epoch");
    expect_message(1, "train " DATA " --out a --resume absent.safetensors", "absent.safetensors");
    assert_int_equal(command(&narrower, "train " DATA " --out a --resume"), 1);
    assert_non_null(strstr(messages, "'f.weight' is [4, 192], the program's is [3, 192]"));
    expect(0, "train " DATA " --out c --resume --epochs 5");
    assert_non_null(strstr(said, "schedule now runs to step 25 instead of 20"));
    size_t size;
    char *bytes = contents("a/last.safetensors", &size);
    FILE *broken = fopen("broken.safetensors", "wb");
    fwrite(bytes, 1, size - 5, broken);
    fclose(broken);
    free(bytes);
    expect_message(1, "train " DATA " --out a --resume broken.safetensors", "truncated");
    expect_message(1, "eval " DATA " --checkpoint broken.safetensors", "truncated");
}

static void not_a_number_stops(void **state) {
    (void)state;
    poison_at = 7;
    expect_message(1, "train " DATA " --epochs 2 --out nan", "at step 7");
    poison_at = -1;
    size_t size;
    char *log = contents("nan/metrics.jsonl", &size);
    assert_non_null(strstr(log, "\"step\": 7, \"epoch\": 2, \"loss\": null"));
    free(log);
    rt_error error;
    rt_safetensors *file = rt_safetensors_load("nan/last.safetensors", &error);
    assert_non_null(file);
    assert_string_equal(rt_safetensors_metadata(file, "step"), "5");
    rt_safetensors_free(file);
}

static const float *values_of(const rt_safetensors *file, const char *name, int64_t count) {
    const rt_tensor *tensor = rt_safetensors_find(file, name);
    if (!tensor)
        fail_msg("the dump has no %s", name);
    assert_int_equal(rt_tensor_count(tensor), count);
    return (const float *)(file->data + tensor->offset);
}

/* From the file alone: the loss follows from views and parameters, the new ones from the gradient. */
static void dumped_step_can_be_checked(void **state) {
    (void)state;
    rt_error error;
    expect(0, "train " DATA " --epochs 2 --dump-step 3 dump.safetensors");
    rt_safetensors *file = rt_safetensors_load("dump.safetensors", &error);
    assert_non_null(file);
    const float *a = values_of(file, "view.a", BATCH * PIXELS), *b = values_of(file, "view.b", BATCH * PIXELS);
    const float *weight = values_of(file, "param.f.weight", UNITS * PIXELS);
    const float *gradient = values_of(file, "grad.f.weight", UNITS * PIXELS);
    const float *after = values_of(file, "new.f.weight", UNITS * PIXELS);
    const float *slot = values_of(file, "newstate.f.weight.momentum", UNITS * PIXELS);
    const float *old_slot = values_of(file, "state.f.weight.momentum", UNITS * PIXELS);
    double loss = 0, rate = 2e-2 * (1 + cos(3.14159 * 3 / 10));
    for (int i = 0; i < BATCH * UNITS; i++) {
        double ya = 0, yb = 0;
        for (int j = 0; j < PIXELS; j++) { /* the program's weights and images are in another order than the file's */
            int pixel = j % 3 * 64 + j / 3, unit = i % UNITS;
            ya += (double)weight[unit * PIXELS + j] * (double)a[i / UNITS * PIXELS + pixel];
            yb += (double)weight[unit * PIXELS + j] * (double)b[i / UNITS * PIXELS + pixel];
        }
        loss += ((ya - yb) * (ya - yb) + 0.1 * ya * ya) / (BATCH * UNITS);
    }
    assert_true(fabs((double)*values_of(file, "loss", 1) - loss) < 1e-5 * loss);
    for (int64_t i = 0; i < UNITS * PIXELS; i++) {
        double noise = 1e-3 * (double)rt_random_normal(0, 3, 1, i);
        assert_true(fabs((double)slot[i] - (0.9 * (double)old_slot[i] + (double)gradient[i] + noise)) < 1e-5);
        assert_true(fabs((double)after[i] - ((double)weight[i] - rate * (double)slot[i])) < 1e-6);
    }
    assert_int_equal(*(const int32_t *)values_of(file, "state.steps", 1), 3);
    assert_int_equal(*(const int32_t *)values_of(file, "newstate.steps", 1), 4);
    rt_safetensors_free(file);
}

/* First the checkpoint does not fit, then not even the log. */
static void full_disk_is_reported(void **state) {
    (void)state;
    static const struct {
        rlim_t room;
        const char *file;
    } cases[] = {{2500, "last.safetensors"}, {250, "metrics.jsonl"}};
    struct rlimit former;
    getrlimit(RLIMIT_FSIZE, &former);
    signal(SIGXFSZ, SIG_IGN);
    expect(0, "train " DATA " --epochs 1 --out full");
    for (int i = 0; i < 2; i++) {
        struct rlimit limit = {.rlim_cur = cases[i].room, .rlim_max = former.rlim_max};
        setrlimit(RLIMIT_FSIZE, &limit);
        int status = command(&tiny, "train " DATA " --epochs 3 --out full --resume");
        setrlimit(RLIMIT_FSIZE, &former);
        assert_int_equal(status, 1);
        if (!strstr(messages, cases[i].file))
            fail_msg("%s", messages);
        expect(0, "info --checkpoint full/last.safetensors");
        assert_non_null(strstr(said, "total_steps      5\n"));
        assert_int_equal(access("full/last.safetensors.tmp", F_OK), -1);
    }
}

static void earlier_run_is_set_aside(void **state) {
    (void)state;
    expect(0, "train " DATA " --epochs 1 --out aside");
    expect(0, "train " DATA " --epochs 2 --out aside");
    assert_non_null(strstr(said, "aside/previous.safetensors"));
    expect(0, "info --checkpoint aside/previous.safetensors");
    assert_non_null(strstr(said, "total_steps      5\n"));
    assert_int_equal(count_lines("aside", "\"loss\""), 2 * STEPS_PER_EPOCH);
}

static void evaluates_with_baselines(void **state) {
    (void)state;
    expect(0, "eval " DATA " --checkpoint a/last.safetensors --baseline pixels,untrained --protocol knn,mlp --k 3 "
              "--out e.json");
    size_t size;
    rt_error error;
    char *bytes = contents("e.json", &size);
    rt_json *records = rt_json_parse(bytes, size, &error);
    assert_non_null(records);
    assert_int_equal(records->count, 6);
    static const char *const encoders[] = {"trained", "untrained", "pixels"};
    int number = 0;
    for (const rt_json *record = records->first; record; record = record->next, number++) {
        int64_t train_images, test_images, epoch;
        assert_string_equal(rt_json_member(record, "encoder")->text, encoders[number / 2]);
        assert_int_equal(rt_json_whole(rt_json_member(record, "train_images"), &train_images), 0);
        assert_int_equal(rt_json_whole(rt_json_member(record, "test_images"), &test_images), 0);
        assert_int_equal(train_images * 100 + test_images, 4420);
        double accuracy = rt_json_member(record, "accuracy")->number;
        assert_true(accuracy >= 0 && accuracy <= 1);
        if (number < 2) {
            assert_int_equal(rt_json_whole(rt_json_member(record, "epoch"), &epoch), 0);
            assert_int_equal(epoch, 4);
        }
    }
    rt_json_free(records);
    free(bytes);
    expect_message(2, "eval " DATA, "--checkpoint");
    expect_message(2, "eval " DATA " --baseline pixel", "'pixel'");
    expect_message(2, "eval " DATA " --baseline pixels --protocol knm", "'knm'");
}

static void embeds_and_informs(void **state) {
    (void)state;
    expect(0, "embed shapes:train=44,test=20,size=8,seed=1 --split test --checkpoint a/last.safetensors -o f.npy");
    size_t size;
    char *bytes = contents("f.npy", &size);
    assert_non_null(strstr(bytes + 10, "(20, 4)"));
    assert_int_equal(size, 128 + 20 * 4 * 4);
    free(bytes);
    expect_message(2, "embed shapes", "-o OUT.npy");
    expect_message(1, "embed . --checkpoint a/last.safetensors -o none.npy", "error");
    assert_int_equal(access("none.npy", F_OK), -1);
    expect(0, "info --checkpoint a/last.safetensors");
    assert_non_null(strstr(said, "of this program"));
    assert_non_null(strstr(said, "tiny"));
    assert_non_null(strstr(said, "768 elements"));
}

static void wrong_usage_is_explained(void **state) {
    (void)state;
    expect_message(2, "", "usage");
    expect_message(2, "trian", "did you mean 'train'?");
    expect_message(2, "train", "--data");
    expect_message(2, "train --dta x", "did you mean '--data'?");
    expect_message(2, "train --data", "wants an argument");
    expect_message(2, "train --data --seed 1", "wants an argument");
    expect_message(2, "train " DATA " " DATA, "twice");
    expect_message(2, "train " DATA " --epochs few", "'few'");
    expect_message(2, "train " DATA " --epochs -1", "'-1'");
    expect_message(2, "train " DATA " --threads 0", "from 1");
    expect_message(2, "train " DATA " --seed 99999999999999999999", "--seed");
    expect_message(2, "train " DATA " --dump-step 3", "two arguments");
    expect_message(2, "train " DATA " stray", "'stray'");
    expect_message(2, "eval " DATA " --baseline pixels --t 0", "above 0");
    expect_message(1, "train --data /nonexistent --out f", "/nonexistent");
    expect_message(1, "train --data shapes:train=4,test=20,size=8,seed=1 --out f", "batch of 8");
    expect_message(1, "train " DATA " --out stdout.txt/x", "stdout.txt");
    expect(0, "--help");
    expect(0, "train --help");
    assert_non_null(strstr(said, "--eval-every N"));
}

static int enter_folder(void **state) {
    (void)state;
    return mkdtemp(home) ? chdir(home) : -1;
}

static int remove_folder(void **state) {
    (void)state;
    char line[128];
    snprintf(line, sizeof line, "rm -r '%s'", home);
    return chdir("/") || system(line);
}

int main(void) {
    for (int i = 0; i < 4; i++)
        views[i] = interp_view_code;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(trains_and_logs),
        cmocka_unit_test(threads_change_nothing),
        cmocka_unit_test(seeds_change_the_run),
        cmocka_unit_test(interrupted_and_resumed_equals_uninterrupted),
        cmocka_unit_test(validation_stays_apart_through_a_resume),
        cmocka_unit_test(killed_and_resumed_equals_uninterrupted),
        cmocka_unit_test(resuming_checks_what_it_gets),
        cmocka_unit_test(not_a_number_stops),
        cmocka_unit_test(dumped_step_can_be_checked),
        cmocka_unit_test(full_disk_is_reported),
        cmocka_unit_test(earlier_run_is_set_aside),
        cmocka_unit_test(evaluates_with_baselines),
        cmocka_unit_test(embeds_and_informs),
        cmocka_unit_test(wrong_usage_is_explained),
    };
    return cmocka_run_group_tests(tests, enter_folder, remove_folder);
}
