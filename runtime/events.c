#include "runtime/events.h"
#include "runtime/archive.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* ---- records ---- */

uint32_t rt_masked_crc32c(const void *bytes, size_t size) {
    const unsigned char *at = bytes;
    uint32_t crc = UINT32_MAX;
    for (size_t i = 0; i < size; i++) {
        crc ^= at[i];
        for (int bit = 0; bit < 8; bit++) /* a table would pay for megabytes, not for 100 bytes a step */
            crc = crc >> 1 ^ (crc & 1 ? UINT32_C(0x82F63B78) : 0);
    }
    crc = ~crc;
    return (crc >> 15 | crc << 17) + UINT32_C(0xA282EAD8);
}

static void put_number(unsigned char *to, uint64_t number, int bytes) {
    for (int i = 0; i < bytes; i++)
        to[i] = (unsigned char)(number >> 8 * i);
}

static int write_record(rt_events *events, const unsigned char *bytes, size_t size, rt_error *error) {
    unsigned char head[12], tail[4];
    put_number(head, size, 8);
    put_number(head + 8, rt_masked_crc32c(head, 8), 4);
    put_number(tail, rt_masked_crc32c(bytes, size), 4);
    fwrite(head, 1, sizeof head, events->stream);
    fwrite(bytes, 1, size, events->stream);
    fwrite(tail, 1, sizeof tail, events->stream);
    if (fflush(events->stream) || ferror(events->stream))
        return rt_fail(error, "cannot write %s: %s", events->path, strerror(errno));
    return 0;
}

/* ---- protocol buffers: a field is its number and kind, then its value ---- */

enum { KIND_VARINT = 0, KIND_8_BYTES = 1, KIND_LENGTH = 2, KIND_4_BYTES = 5 };

static size_t put_varint(unsigned char *to, uint64_t number) {
    size_t count = 0;
    for (; number >= 128; number >>= 7)
        to[count++] = (unsigned char)(number | 128);
    to[count++] = (unsigned char)number;
    return count;
}

static size_t put_key(unsigned char *to, int field, int kind) {
    to[0] = (unsigned char)(field << 3 | kind);
    return 1;
}

static size_t put_bytes(unsigned char *to, int field, const void *bytes, size_t size) {
    size_t count = put_key(to, field, KIND_LENGTH);
    count += put_varint(to + count, size);
    memcpy(to + count, bytes, size);
    return count + size;
}

enum { EVENT_TIME = 1, EVENT_STEP = 2, EVENT_VERSION = 3, EVENT_SUMMARY = 5, EVENT_SESSION = 7 };

/* An event of `step` whose one further field is a message. */
static int write_event(rt_events *events, int field, const void *message, size_t size, rt_error *error) {
    unsigned char bytes[RT_EVENT_BYTES + 64];
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    double seconds = (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
    uint64_t image;
    memcpy(&image, &seconds, sizeof image);
    size_t count = put_key(bytes, EVENT_TIME, KIND_8_BYTES);
    put_number(bytes + count, image, 8);
    count += 8;
    count += put_key(bytes + count, EVENT_STEP, KIND_VARINT);
    count += put_varint(bytes + count, (uint64_t)events->step);
    count += put_bytes(bytes + count, field, message, size);
    return write_record(events, bytes, count, error);
}

/* ---- the file ---- */

static int begin_file(rt_events *events, int64_t first_step, rt_error *error) {
    static const char version[] = "brain.Event:2";
    static const unsigned char session_start[] = {1 << 3 | KIND_VARINT, 1}; /* SessionLog {1: status = START} */
    if (write_event(events, EVENT_VERSION, version, sizeof version - 1, error))
        return -1;
    events->step = first_step;
    return write_event(events, EVENT_SESSION, session_start, sizeof session_start, error);
}

int rt_events_open(rt_events *events, const char *folder, int64_t first_step, rt_error *error) {
    struct timespec now;
    char name[80];
    *events = (rt_events){0};
    clock_gettime(CLOCK_REALTIME, &now); /* readers take the files of a folder in the order of their names */
    snprintf(name, sizeof name, "events.out.tfevents.%010" PRId64 ".%09ld", (int64_t)now.tv_sec, now.tv_nsec);
    events->path = rt_path_join(folder, name);
    if (!events->path)
        return rt_fail(error, "no memory to open the log");
    events->stream = fopen(events->path, "w");
    if (!events->stream)
        return rt_fail(error, "cannot write %s: %s", events->path, strerror(errno));
    return begin_file(events, first_step, error);
}

void rt_events_close(rt_events *events) {
    if (events->stream)
        fclose(events->stream);
    free(events->path);
    *events = (rt_events){0};
}

void rt_events_begin(rt_events *events, int64_t step) {
    events->step = step;
    events->length = 0;
}

void rt_events_scalar(rt_events *events, const char *tag, double value) {
    enum { VALUE_TAG = 1, VALUE_NUMBER = 2, SUMMARY_VALUE = 1, MOST_TAG = 255 };
    unsigned char message[MOST_TAG + 16];
    float number = (float)value;
    uint32_t image;
    size_t length = strlen(tag);
    memcpy(&image, &number, sizeof image);
    size_t count = put_bytes(message, VALUE_TAG, tag, length < MOST_TAG ? length : MOST_TAG);
    count += put_key(message + count, VALUE_NUMBER, KIND_4_BYTES);
    put_number(message + count, image, 4);
    count += 4;
    if (events->length + count + 8 <= sizeof events->summary)
        events->length += put_bytes(events->summary + events->length, SUMMARY_VALUE, message, count);
}

int rt_events_end(rt_events *events, rt_error *error) {
    return write_event(events, EVENT_SUMMARY, events->summary, events->length, error);
}
