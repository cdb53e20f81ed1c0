/* TensorBoard's event files: a record a step with its scalars. FOLDER/events.out.tfevents.TIME is new for each process;
 * what earlier ones wrote for steps from the first one on no longer counts (a SessionLog of kind START says so).
 *
 * A record is its length (u64, little-endian), the masked CRC-32C of these 8 bytes, its bytes, and their masked
 * CRC-32C; the bytes are a protocol buffer Event {1: wall_time, 2: step, 3: file_version, 5: Summary, 7: SessionLog}.
 */
#ifndef RT_EVENTS_H
#define RT_EVENTS_H

#include "runtime/error.h"

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum { RT_EVENT_BYTES = 4096 };

typedef struct {
    FILE *stream;
    char *path;
    int64_t step;
    size_t length; /* of the step's Summary so far */
    unsigned char summary[RT_EVENT_BYTES];
} rt_events;

/* Opens a new event file in the folder for a run that begins, or goes on, with `first_step`. Returns 0, or -1 with a
 * message; rt_events_close follows in either case. */
int rt_events_open(rt_events *events, const char *folder, int64_t first_step, rt_error *error);
void rt_events_close(rt_events *events);

/* A step's scalars: begin, any number of scalars, end, which writes and flushes them and returns -1 with a message when
 * it could not. Scalars beyond RT_EVENT_BYTES are left out. */
void rt_events_begin(rt_events *events, int64_t step);
void rt_events_scalar(rt_events *events, const char *tag, double value);
int rt_events_end(rt_events *events, rt_error *error);

/* CRC-32C (Castagnoli) as the record format masks it. */
uint32_t rt_masked_crc32c(const void *bytes, size_t size);

#endif
