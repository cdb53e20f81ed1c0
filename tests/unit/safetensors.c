/* safetensors files: what is written comes back; what is broken is refused with a reason. */
#include "runtime/archive.h"
#include "runtime/interrupt.h"
#include "runtime/output_file.h"
#include "runtime/safetensors.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

static char folder[] = "/tmp/cslc-safetensors-XXXXXX";
static char path[64];

static int make_folder(void **state) {
    (void)state;
    if (!mkdtemp(folder))
        return -1;
    snprintf(path, sizeof path, "%s/file.safetensors", folder);
    return 0;
}

static int remove_folder(void **state) {
    (void)state;
    unlink(path);
    return rmdir(folder); /* fails when a temporary file was left behind */
}

static const float matrix[6] = {1, 4, 2, 5, 3, 6}; /* [2, 3] stored column by column */
static const int32_t counter[1] = {-7};

static int save(const char *to, rt_error *error) {
    const rt_tensor_source sources[] = {
        {{.name = "layer.weight", .dtype = RT_F32, .rank = 2, .dims = {2, 3}, .strides = {1, 2}}, (const char *)matrix},
        {{.name = "a \"quoted\" näme", .dtype = RT_I32}, (const char *)counter},
    };
    const rt_metadata metadata[] = {{"step", "12"}, {"spec", "a\\b\n"}};
    return rt_safetensors_save(to, sources, 2, metadata, 2, error);
}

static char *contents(size_t *size) {
    rt_error error;
    rt_file file;
    if (rt_file_read(path, &file, &error))
        fail_msg("%s", error.text);
    *size = file.size;
    free(file.name);
    return (char *)file.bytes;
}

static void write_bytes(const void *bytes, size_t size) {
    FILE *stream = fopen(path, "wb");
    assert_non_null(stream);
    assert_int_equal(fwrite(bytes, 1, size, stream), size);
    fclose(stream);
}

static void write_header(const char *header, size_t data_size) {
    char file[2048] = {0};
    size_t length = strlen(header);
    file[0] = (char)(length & 255);
    file[1] = (char)(length >> 8);
    memcpy(file + 8, header, length);
    write_bytes(file, 8 + length + data_size);
}

static void comes_back(void **state) {
    (void)state;
    rt_error error = {{0}};
    assert_int_equal(save(path, &error), 0);
    rt_safetensors *file = rt_safetensors_load(path, &error);
    assert_non_null(file);
    assert_int_equal(file->tensor_count, 2);
    const rt_tensor *weight = rt_safetensors_find(file, "layer.weight");
    assert_non_null(weight);
    const float dense[6] = {1, 2, 3, 4, 5, 6};
    assert_memory_equal(file->data + weight->offset, dense, sizeof dense);
    assert_int_equal((file->data - file->bytes) % 8, 0);
    const rt_tensor *scalar = rt_safetensors_find(file, "a \"quoted\" näme");
    assert_non_null(scalar);
    assert_int_equal(scalar->rank, 0);
    assert_memory_equal(file->data + scalar->offset, counter, sizeof counter);
    assert_string_equal(rt_safetensors_metadata(file, "step"), "12");
    assert_string_equal(rt_safetensors_metadata(file, "spec"), "a\\b\n");
    assert_null(rt_safetensors_find(file, "absent"));
    rt_safetensors_free(file);
}

static void every_truncation_is_refused(void **state) {
    (void)state;
    rt_error error = {{0}};
    size_t size;
    assert_int_equal(save(path, &error), 0);
    char *bytes = contents(&size);
    assert_non_null(bytes);
    for (size_t length = 0; length < size; length++) {
        write_bytes(bytes, length);
        error.text[0] = 0;
        assert_null(rt_safetensors_load(path, &error));
        assert_non_null(strstr(error.text, path));
    }
    free(bytes);
}

/* Whatever bytes come, the reader ends with a file or a message (sanitizers watch the rest). */
static void corruption_never_crashes(void **state) {
    (void)state;
    rt_error error = {{0}};
    size_t size;
    assert_int_equal(save(path, &error), 0);
    char *bytes = contents(&size);
    assert_non_null(bytes);
    char *broken = malloc(size);
    uint32_t random = 12345;
    for (int round = 0; round < 3000; round++) {
        memcpy(broken, bytes, size);
        for (int change = 0; change <= round % 4; change++) {
            random = random * 1664525u + 1013904223u;
            broken[(random >> 8) % size] = (char)(random >> 3);
        }
        write_bytes(broken, size);
        error.text[0] = 0;
        rt_safetensors *file = rt_safetensors_load(path, &error);
        assert_true(file || *error.text);
        rt_safetensors_free(file);
    }
    free(broken);
    free(bytes);
}

static void broken_headers_name_the_reason(void **state) {
    (void)state;
#define A "\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}"
    static const struct {
        const char *header;
        size_t data_size;
        const char *reason;
    } cases[] = {
        {"{" A "}", 7, "truncated"},
        {"{" A "}", 9, "belong to none"},
        {"{" A ",\"b\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,8]}}", 8, "overlap"},
        {"{" A ",\"b\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[12,16]}}", 16, "hole"},
        {"{" A "," A "}", 8, "overlap"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[0],\"data_offsets\":[0,0]},"
         "\"a\":{\"dtype\":\"F32\",\"shape\":[0],\"data_offsets\":[0,0]}}",
         0, "twice"},
        {"{\"a\":{\"dtype\":\"F64\",\"shape\":[1],\"data_offsets\":[0,8]}}", 8, "dtype"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[3],\"data_offsets\":[0,8]}}", 8, "its shape takes 12"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[-1],\"data_offsets\":[0,8]}}", 8, "impossible shape"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[4294967296,4294967296],\"data_offsets\":[0,8]}}", 8, "impossible shape"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[0,4294967296,4294967296],\"data_offsets\":[0,8]}}", 8,
         "its shape takes"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[8,0]}}", 8, "its shape takes"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1,1,1,1,1,1,1,1,1],\"data_offsets\":[0,4]}}", 4, "shape"},
        {"{\"a\":1}", 0, "no tensor"},
        {"[]", 0, "no JSON object"},
        {"{\"a\":", 0, "JSON"},
        {"{\"__metadata__\":{\"k\":1}}", 0, "no text"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        rt_error error = {{0}};
        write_header(cases[i].header, cases[i].data_size);
        assert_null(rt_safetensors_load(path, &error));
        if (!strstr(error.text, cases[i].reason))
            fail_msg("%s gave: %s", cases[i].header, error.text);
    }
}

static void huge_header_length_is_refused(void **state) {
    (void)state;
    rt_error error = {{0}};
    write_bytes("\xff\xff\xff\xff\xff\xff\xff\xff{}", 10);
    assert_null(rt_safetensors_load(path, &error));
    assert_non_null(strstr(error.text, "header would have"));
    char deep[600];
    memset(deep, '[', sizeof deep);
    deep[599] = 0;
    write_header(deep, 0);
    assert_null(rt_safetensors_load(path, &error));
    assert_non_null(strstr(error.text, "nested"));
}

static void failed_writing_leaves_the_old_file(void **state) {
    (void)state;
    rt_error error = {{0}};
    write_bytes("old", 3);
    rt_output_file output;
    assert_int_equal(rt_output_open(&output, path, &error), 0);
    FILE *full = fopen("/dev/full", "wb");
    if (!full)
        skip();
    fclose(output.stream);
    output.stream = full; /* a disk without room */
    fputs("new", full);
    assert_int_equal(rt_output_commit(&output, &error), -1);
    assert_non_null(strstr(error.text, "No space"));
    size_t size;
    char *bytes = contents(&size);
    assert_string_equal(bytes, "old");
    free(bytes);
    assert_int_equal(save("/nonexistent/file", &error), -1);
    assert_int_equal(save(folder, &error), -1);
    assert_non_null(strstr(error.text, "folder"));
}

/* The first signal asks to finish, the second ends the process: what it was writing is gone then, what was there stays.
 */
static void second_signal_leaves_no_unfinished_file(void **state) {
    (void)state;
    rt_error error = {{0}};
    write_bytes("old", 3);
    pid_t child = fork();
    if (child == 0) {
        rt_output_file output, other;
        rt_interrupt_catch();
        raise(SIGINT);
        if (!rt_interrupted() || save(path, &error) || rt_output_open(&output, path, &error) ||
            rt_output_open(&other, "/dev/null", &error))
            _exit(1);
        raise(SIGTERM);
        _exit(2);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGTERM);
    rt_safetensors *file = rt_safetensors_load(path, &error); /* the file that was saved between */
    assert_non_null(file);
    rt_safetensors_free(file);
    char temporary[80];
    snprintf(temporary, sizeof temporary, "%s.tmp", path);
    assert_int_equal(access(temporary, F_OK), -1);
}

/* The disk is full after 0, 8, 16 … bytes, until the file fits. */
static void full_disk_at_every_length(void **state) {
    (void)state;
    rt_error error = {{0}};
    struct rlimit former;
    size_t size;
    getrlimit(RLIMIT_FSIZE, &former);
    signal(SIGXFSZ, SIG_IGN);
    write_bytes("old", 3);
    int result = -1;
    for (rlim_t room = 0; result; room += 8) {
        struct rlimit limit = {.rlim_cur = room, .rlim_max = former.rlim_max};
        setrlimit(RLIMIT_FSIZE, &limit);
        result = save(path, &error);
        setrlimit(RLIMIT_FSIZE, &former);
        char *bytes = contents(&size);
        if (result) {
            assert_string_equal(bytes, "old");
            assert_non_null(strstr(error.text, path));
        }
        free(bytes);
        assert_true(room < 4096);
    }
    rt_safetensors *file = rt_safetensors_load(path, &error);
    assert_non_null(file);
    rt_safetensors_free(file);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(comes_back),
        cmocka_unit_test(every_truncation_is_refused),
        cmocka_unit_test(corruption_never_crashes),
        cmocka_unit_test(broken_headers_name_the_reason),
        cmocka_unit_test(huge_header_length_is_refused),
        cmocka_unit_test(failed_writing_leaves_the_old_file),
        cmocka_unit_test(second_signal_leaves_no_unfinished_file),
        cmocka_unit_test(full_disk_at_every_length),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
