/* The cache of object code: what is stored comes back whole, the longest unused goes first, other files stay. */
#include "backend/cache.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { ENTRY_BYTES = 100, HEAD_BYTES = 32 };

static char folder[] = "/tmp/cslc-cache-XXXXXX";

static cache_key key_of(const char *text) {
    return cache_key_of(text, strlen(text));
}

static void store(const backend_cache *cache, const char *name) {
    char object[ENTRY_BYTES];
    memset(object, *name, sizeof object);
    cache_store(cache, key_of(name), object, sizeof object);
}

static bool holds(const backend_cache *cache, const char *name) {
    text_buffer object = {0};
    bool found = cache_load(cache, key_of(name), &object);
    if (found) {
        assert_int_equal(object.length, ENTRY_BYTES);
        for (int i = 0; i < ENTRY_BYTES; i++)
            assert_int_equal(object.data[i], *name);
    }
    text_free(&object);
    return found;
}

static void path_of(const char *name, char *path, size_t size) {
    cache_key key = key_of(name);
    snprintf(path, size, "%s/%016llx%016llx.o", folder, (unsigned long long)key.high, (unsigned long long)key.low);
}

/* Makes an entry as old as that. */
static void age(const char *name, int seconds) {
    char path[200];
    struct stat about;
    path_of(name, path, sizeof path);
    assert_int_equal(stat(path, &about), 0);
    struct timespec times[2] = {{about.st_mtime - seconds, 0}, {about.st_mtime - seconds, 0}};
    assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
}

static void test_keys(void **state) {
    (void)state;
    /* the published values of FNV-1a in 128 bits for "" and "a" */
    cache_key empty = cache_key_of("", 0), a = cache_key_of("a", 1);
    assert_true(empty.high == UINT64_C(0x6c62272e07bb0142) && empty.low == UINT64_C(0x62b821756295c58d));
    assert_true(a.high == UINT64_C(0xd228cb696f1a8caf) && a.low == UINT64_C(0x78912b704e4a8964));
}

static void test_every_damaged_byte(void **state) {
    const backend_cache *cache = *state;
    char path[200];
    store(cache, "damaged");
    assert_true(holds(cache, "damaged"));
    path_of("damaged", path, sizeof path);
    for (int at = 0; at < HEAD_BYTES + ENTRY_BYTES; at++) {
        int file = open(path, O_RDWR);
        char was, is;
        assert_int_equal(pread(file, &was, 1, at), 1);
        is = (char)(was ^ 1);
        assert_int_equal(pwrite(file, &is, 1, at), 1);
        assert_false(holds(cache, "damaged"));
        assert_int_equal(pwrite(file, &was, 1, at), 1);
        close(file);
    }
    assert_true(holds(cache, "damaged"));
    for (int length = HEAD_BYTES + ENTRY_BYTES - 1; length >= 0; length--) {
        assert_int_equal(truncate(path, length), 0);
        assert_false(holds(cache, "damaged"));
    }
    store(cache, "damaged");
    assert_true(holds(cache, "damaged"));
}

static void test_the_oldest_goes_first(void **state) {
    backend_cache cache = *(const backend_cache *)*state;
    assert_true(backend_cache_clear(&cache));
    const char *const names[] = {"old", "older", "oldest", "new"};
    for (int i = 0; i < 4; i++) {
        store(&cache, names[i]);
        age(names[i], 100 * (i + 1) % 400);
    }
    assert_true(holds(&cache, "oldest")); /* which makes it the newest */
    cache.limit_bytes = (int64_t)2 * (HEAD_BYTES + ENTRY_BYTES) + 1;
    cache_trim(&cache);
    assert_true(holds(&cache, "oldest"));
    assert_true(holds(&cache, "new"));
    assert_false(holds(&cache, "old"));
    assert_false(holds(&cache, "older"));
}

static void test_other_files_stay(void **state) {
    const backend_cache *cache = *state;
    char path[200];
    snprintf(path, sizeof path, "%s/notes.o", folder);
    assert_int_equal(text_write_file(path, "mine", 4), 0);
    store(cache, "mine");
    int entries;
    int64_t bytes;
    assert_true(backend_cache_clear(cache));
    backend_cache_measure(cache, &entries, &bytes);
    assert_int_equal(entries, 0);
    assert_int_equal(bytes, 0);
    assert_int_equal(unlink(path), 0); /* it was there */
}

static int make_folder(void **state) {
    static backend_cache cache = {.folder = folder, .limit_bytes = BACKEND_CACHE_LIMIT};
    *state = &cache;
    return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state) {
    return backend_cache_clear(*state) && rmdir(folder) == 0 ? 0 : -1;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_keys),
        cmocka_unit_test(test_every_damaged_byte),
        cmocka_unit_test(test_the_oldest_goes_first),
        cmocka_unit_test(test_other_files_stay),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
