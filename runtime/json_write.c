#include "runtime/json.h"

#include <inttypes.h>
#include <math.h>

rt_json_writer rt_json_to(FILE *stream) {
    return (rt_json_writer){.stream = stream};
}

static void quoted(FILE *stream, const char *text) {
    fputc('"', stream);
    for (const unsigned char *at = (const unsigned char *)text; *at; at++) {
        if (*at == '"' || *at == '\\')
            fprintf(stream, "\\%c", *at);
        else if (*at < 0x20)
            fprintf(stream, "\\u%04x", *at);
        else
            fputc(*at, stream);
    }
    fputc('"', stream);
}

static void begin(rt_json_writer *writer, const char *key) {
    if (writer->comma)
        fputs(", ", writer->stream);
    writer->comma = 1;
    if (key) {
        quoted(writer->stream, key);
        fputs(": ", writer->stream);
    }
}

void rt_json_open(rt_json_writer *writer, const char *key, char bracket) {
    begin(writer, key);
    fputc(bracket, writer->stream);
    writer->comma = 0;
}

void rt_json_close(rt_json_writer *writer, char bracket) {
    fputc(bracket, writer->stream);
    writer->comma = 1;
}

void rt_json_text(rt_json_writer *writer, const char *key, const char *value) {
    begin(writer, key);
    quoted(writer->stream, value);
}

void rt_json_integer(rt_json_writer *writer, const char *key, int64_t value) {
    begin(writer, key);
    fprintf(writer->stream, "%" PRId64, value);
}

void rt_json_boolean(rt_json_writer *writer, const char *key, int value) {
    begin(writer, key);
    fputs(value ? "true" : "false", writer->stream);
}

void rt_json_real(rt_json_writer *writer, const char *key, double value) {
    begin(writer, key);
    if (isfinite(value))
        fprintf(writer->stream, "%.9g", value);
    else
        fputs("null", writer->stream);
}

void rt_json_fixed(rt_json_writer *writer, const char *key, double value, int digits) {
    begin(writer, key);
    fprintf(writer->stream, "%.*f", digits, value);
}
