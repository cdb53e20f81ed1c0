/* A growing text buffer: what printers write into before anything reaches a file. */
#ifndef IR_TEXT_H
#define IR_TEXT_H

#include <stddef.h>
#include <stdio.h>

typedef struct {
    char *data; /* always ends with a zero byte; NULL while empty */
    size_t length, capacity;
} text_buffer;

void text_append(text_buffer *text, const char *format, ...) __attribute__((format(printf, 2, 3)));
void text_append_bytes(text_buffer *text, const char *bytes, size_t length);
void text_free(text_buffer *text);
/* A float in the shortest decimal form that reads back to the same double ("inf", "-inf", "nan" included). */
void text_append_number(text_buffer *text, double value);

/* Reads a whole file; returns malloc'd zero-terminated text, or NULL with errno set. Refuses files over 64 MiB. */
char *text_read_file(const char *path, size_t *length);
/* Writes a whole file by way of `path`.tmp and rename, so that a failure leaves nothing half-written; a device or pipe
 * is written itself, and "-" is stdout. Returns 0, or -1 with errno set. */
int text_write_file(const char *path, const char *data, size_t length);

#endif
