/* TensorBoard's event files: the checks, the records of a known step, a step with more than fits, a full disk. */
#include "runtime/events.h"
#include "runtime/archive.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char folder[64];

static int make_folder(void **state) {
    (void)state;
    strcpy(folder, "/tmp/cslc-events-XXXXXX");
    return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state) {
    (void)state;
    return rmdir(folder);
}

static uint64_t number_at(const unsigned char *bytes, int count) {
    uint64_t number = 0;
    for (int i = count - 1; i >= 0; i--)
        number = number << 8 | bytes[i];
    return number;
}

/* Checks the record at `bytes` and returns its body; *bytes moves behind it. */
static const unsigned char *next_record(const unsigned char **bytes, size_t *length) {
    const unsigned char *record = *bytes;
    *length = (size_t)number_at(record, 8);
    assert_int_equal(number_at(record + 8, 4), rt_masked_crc32c(record, 8));
    assert_int_equal(number_at(record + 12 + *length, 4), rt_masked_crc32c(record + 12, *length));
    *bytes = record + 16 + *length;
    return record + 12;
}

static void checks_of_known_bytes(void **state) {
    (void)state;
    uint32_t crc = 0xE3069283u; /* RFC 3720's check value of "123456789" */
    assert_int_equal(rt_masked_crc32c("123456789", 9), (crc >> 15 | crc << 17) + 0xA282EAD8u);
}

static void records_of_a_step(void **state) {
    (void)state;
    /* step 300, Summary { value { tag: "loss" simple_value: 1.5 } } behind 9 bytes of wall time */
    static const unsigned char step[] = {2 << 3, 0xAC, 2,   5 << 3 | 2, 13,         1 << 3 | 2, 11, 1 << 3 | 2, 4,
                                         'l',    'o',  's', 's',        2 << 3 | 5, 0,          0,  0xC0,       0x3F};
    rt_events events;
    rt_error error = {{0}};
    rt_file file;
    size_t length;
    assert_int_equal(rt_events_open(&events, folder, 300, &error), 0);
    rt_events_begin(&events, 300);
    rt_events_scalar(&events, "loss", 1.5);
    assert_int_equal(rt_events_end(&events, &error), 0);
    assert_int_equal(rt_file_read(events.path, &file, &error), 0);
    const unsigned char *at = (const unsigned char *)file.bytes;
    const unsigned char *version = next_record(&at, &length);
    assert_memory_equal(version + length - 13, "brain.Event:2", 13);
    const unsigned char *session = next_record(&at, &length);
    assert_memory_equal(session + length - 4, "\x3A\x02\x08\x01", 4);
    const unsigned char *summary = next_record(&at, &length);
    assert_int_equal(length, 9 + sizeof step);
    assert_memory_equal(summary + 9, step, sizeof step);
    assert_ptr_equal(at, (const unsigned char *)file.bytes + file.size);
    rt_file_free(&file);
    unlink(events.path);
    rt_events_close(&events);
}

static void more_scalars_than_fit(void **state) {
    (void)state;
    rt_events events;
    rt_error error = {{0}};
    char tag[600];
    memset(tag, 'x', sizeof tag);
    tag[sizeof tag - 1] = 0;
    assert_int_equal(rt_events_open(&events, folder, 0, &error), 0);
    rt_events_begin(&events, 0);
    for (int i = 0; i < 100; i++)
        rt_events_scalar(&events, tag, i);
    assert_true(events.length <= RT_EVENT_BYTES && events.length > RT_EVENT_BYTES / 2);
    assert_int_equal(rt_events_end(&events, &error), 0);
    unlink(events.path);
    rt_events_close(&events);
}

static void places_that_cannot_be_written(void **state) {
    (void)state;
    rt_events events;
    rt_error error = {{0}};
    assert_int_equal(rt_events_open(&events, "/nowhere/at/all", 0, &error), -1);
    assert_non_null(strstr(error.text, "/nowhere/at/all"));
    rt_events_close(&events);
    assert_int_equal(rt_events_open(&events, folder, 0, &error), 0);
    unlink(events.path);
    fclose(events.stream);
    events.stream = fopen("/dev/full", "w");
    rt_events_begin(&events, 1);
    rt_events_scalar(&events, "loss", 1);
    error.text[0] = 0;
    assert_int_equal(rt_events_end(&events, &error), -1);
    assert_non_null(strstr(error.text, "cannot write"));
    rt_events_close(&events);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(checks_of_known_bytes),
        cmocka_unit_test(records_of_a_step),
        cmocka_unit_test(more_scalars_than_fit),
        cmocka_unit_test(places_that_cannot_be_written),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
