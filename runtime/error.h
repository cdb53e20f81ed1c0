/* Errors as values: a runtime function that can fail on user input takes an rt_error, fills it and returns -1 (or
 * NULL); the command line alone prints. */
#ifndef RT_ERROR_H
#define RT_ERROR_H

typedef struct {
    char text[1024]; /* a whole sentence without "error:", naming the file or flag; "" means no error */
} rt_error;

/* Sets the message, printf style, and returns -1 so that callers can `return rt_fail(...)`. */
int rt_fail(rt_error *error, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
