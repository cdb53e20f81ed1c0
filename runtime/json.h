/* JSON: a writer onto any stream, and a reader for the small documents that the runtime takes in (safetensors
 * headers, lines of metrics.jsonl). */
#ifndef RT_JSON_H
#define RT_JSON_H

#include "runtime/error.h"

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* ---- writing ---- */

typedef struct {
    FILE *stream;
    int comma; /* the next value or key follows another one */
} rt_json_writer;

rt_json_writer rt_json_to(FILE *stream);

/* Inside an object, `key` names the value; in an array, or at the top, it is NULL. */
void rt_json_open(rt_json_writer *writer, const char *key, char bracket); /* '{' or '[' */
void rt_json_close(rt_json_writer *writer, char bracket);                 /* '}' or ']' */
void rt_json_text(rt_json_writer *writer, const char *key, const char *value);
void rt_json_integer(rt_json_writer *writer, const char *key, int64_t value);
void rt_json_boolean(rt_json_writer *writer, const char *key, int value);
/* With that many digits behind the point. */
void rt_json_fixed(rt_json_writer *writer, const char *key, double value, int digits);
/* Nine significant digits, which give a float back exactly; null when the number is not finite. */
void rt_json_real(rt_json_writer *writer, const char *key, double value);

/* ---- reading ---- */

typedef enum {
    RT_JSON_NULL,
    RT_JSON_BOOLEAN,
    RT_JSON_NUMBER,
    RT_JSON_TEXT,
    RT_JSON_ARRAY,
    RT_JSON_OBJECT
} rt_json_kind;

typedef struct rt_json {
    rt_json_kind kind;
    char *key;     /* in an object: this member's name */
    char *text;    /* RT_JSON_TEXT */
    double number; /* RT_JSON_NUMBER, and 0 or 1 for RT_JSON_BOOLEAN */
    int count;     /* of the members of an array or object */
    struct rt_json *first, *next;
} rt_json;

/* Parses exactly one JSON value in text[0 .. size-1]. Returns NULL with a message naming the byte where it went wrong;
 * documents nested deeper than 32 levels are refused. Freed with rt_json_free. */
rt_json *rt_json_parse(const char *text, size_t size, rt_error *error);
void rt_json_free(rt_json *value);

/* The member of that name, or NULL (also when `object` is no object). */
const rt_json *rt_json_member(const rt_json *object, const char *key);

/* The number as a whole one; returns -1 when it is none or lies outside 0 .. 2^53. */
int rt_json_whole(const rt_json *value, int64_t *whole);

#endif
