/* A comparison on one screen, or as JSON. */
#include "frontend/driver/diff.h"
#include "runtime/json.h"

#include <stdlib.h>
#include <string.h>

#define NAME_CHARACTERS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_0123456789."

enum { COLUMN = 52 }; /* of a side's text; longer texts go on below */

static const char *path_of(const explanation *method) {
    return method->sources->files[method->description.source].path;
}

/* How many bytes of `text` the next line takes: up to `width`, broken after a space, comma or parenthesis. */
static size_t break_at(const char *text, size_t width) {
    size_t length = strlen(text);
    if (length <= width)
        return length;
    for (size_t at = width; at > width / 2; at--)
        if (text[at] == ' ')
            return at;
    for (size_t at = width; at > width / 2; at--)
        if (strchr(",(", text[at - 1]))
            return at;
    return width;
}

/* The text with numbers of six digits at most. */
static const char *shorten(arena *memory, const char *text) {
    text_buffer shorter = {0};
    for (const char *at = text; *at;) {
        size_t digits = strspn(at, "0123456789."), name = strspn(at, NAME_CHARACTERS);
        if (digits > 7 && digits == name && memchr(at, '.', digits)) {
            text_append(&shorter, "%.6g", strtod(at, NULL));
        } else {
            digits = name ? name : 1;
            text_append_bytes(&shorter, at, digits);
        }
        at += digits;
    }
    const char *kept = arena_strdup(memory, shorter.data ? shorter.data : "");
    text_free(&shorter);
    return kept;
}

static const char *advance(const char *text, size_t length) {
    text += length;
    while (*text == ' ')
        text++;
    return text;
}

/* One row, on as many lines as its longer side takes. '=' stands for the same text, '|' for another, '<' and '>' for
 * what one side alone has. */
static void write_row(arena *memory, const diff_row *row, int name_width, text_buffer *out) {
    const char *exact_left = row->left ? row->left : "", *exact_right = row->right && !row->same ? row->right : "";
    const char *left = shorten(memory, exact_left), *right = shorten(memory, exact_right);
    if (!row->same && strcmp(left, right) == 0) { /* they differ further on */
        left = exact_left;
        right = exact_right;
    }
    char mark = row->same ? '=' : !row->left ? '>' : !row->right ? '<' : '|';
    for (bool first = true; first || *left || *right; first = false) {
        size_t left_part = break_at(left, COLUMN), right_part = break_at(right, COLUMN);
        text_append(out, "  %-*s  %-*.*s %c %.*s", name_width, first ? row->name : "", COLUMN, (int)left_part, left,
                    first ? mark : ' ', (int)right_part, right);
        while (out->data[out->length - 1] == ' ')
            out->data[--out->length] = 0;
        text_append(out, "\n");
        left = advance(left, left_part);
        right = advance(right, right_part);
    }
}

/* Equal settings of the training follow in one line. */
static bool is_quiet(const diff_component *component, const diff_row *row) {
    return row->same && strcmp(component->name, "train") == 0;
}

static void write_quiet(const diff_component *component, int name_width, text_buffer *out) {
    size_t width = (size_t)name_width + COLUMN + 20, at = 0;
    for (int i = 0; i < component->count; i++) {
        const diff_row *row = &component->rows[i];
        if (!is_quiet(component, row))
            continue;
        size_t length = strlen(row->name) + strlen(row->left) + 3;
        bool start = at == 0 || at + length > width;
        if (start)
            text_append(out, "%s  %-*s  ", at ? ",\n" : "", name_width, at ? "" : "(equal)");
        else
            text_append(out, ", ");
        text_append(out, "%s %s", row->name, row->left);
        at = start ? length : at + length;
    }
    if (at)
        text_append(out, "\n");
}

static int name_width_of(const diff_report *report) {
    size_t width = 0;
    for (int i = 0; i < report->count; i++)
        for (int j = 0; j < report->components[i].count; j++) {
            size_t length = strlen(report->components[i].rows[j].name);
            width = length > width ? length : width;
        }
    return (int)width;
}

static void write_component(arena *memory, const diff_component *component, int name_width, text_buffer *out) {
    text_append(out, "%s%s\n", component->name,
                component->count == 0 ? ": neither has any"
                : component->same     ? ": the same"
                                      : "");
    for (int i = 0; i < component->count && !component->same; i++)
        if (!is_quiet(component, &component->rows[i]))
            write_row(memory, &component->rows[i], name_width, out);
    if (!component->same)
        write_quiet(component, name_width, out);
}

void diff_write_text(const diff_report *report, text_buffer *out) {
    int name_width = name_width_of(report);
    text_append(out, "  %-*s  %-*s   %s\n", name_width, "", COLUMN, report->sides[0]->module->name,
                report->sides[1]->module->name);
    text_append(out, "  %-*s  %-*s   %s\n", name_width, "", COLUMN, path_of(report->sides[0]),
                path_of(report->sides[1]));
    for (int i = 0; i < report->count; i++)
        write_component(report->memory, &report->components[i], name_width, out);
}

static void write_side(rt_json_writer *json, const char *key, const explanation *method) {
    rt_json_open(json, key, '{');
    rt_json_text(json, "method", method->module->name);
    rt_json_text(json, "spec", path_of(method));
    rt_json_close(json, '}');
}

bool diff_write_json(const diff_report *report, text_buffer *out) {
    explain_stream stream;
    if (!explain_stream_open(&stream))
        return false;
    rt_json_writer writer = rt_json_to(stream.stream), *json = &writer;
    rt_json_open(json, NULL, '{');
    write_side(json, "left", report->sides[0]);
    write_side(json, "right", report->sides[1]);
    rt_json_open(json, "components", '[');
    for (int i = 0; i < report->count; i++) {
        const diff_component *component = &report->components[i];
        rt_json_open(json, NULL, '{');
        rt_json_text(json, "name", component->name);
        rt_json_boolean(json, "same", component->same);
        rt_json_open(json, "rows", '[');
        for (int j = 0; j < component->count; j++) {
            const diff_row *row = &component->rows[j];
            rt_json_open(json, NULL, '{');
            rt_json_text(json, "name", row->name);
            if (row->left)
                rt_json_text(json, "left", row->left);
            if (row->right)
                rt_json_text(json, "right", row->right);
            rt_json_boolean(json, "same", row->same);
            rt_json_close(json, '}');
        }
        rt_json_close(json, ']');
        rt_json_close(json, '}');
    }
    rt_json_close(json, ']');
    rt_json_close(json, '}');
    return explain_stream_close(&stream, out);
}
