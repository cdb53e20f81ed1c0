#include "ir/diag.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

static const char *format_text(arena *memory, const char *format, va_list args) {
    va_list again;
    va_copy(again, args);
    int length = vsnprintf(NULL, 0, format, again);
    va_end(again);
    char *text = arena_alloc(memory, (size_t)length + 1);
    vsnprintf(text, (size_t)length + 1, format, args);
    return text;
}

diag_entry *diag_add(diag_list *list, diag_severity severity, source_span span, const char *format, ...) {
    va_list args;
    va_start(args, format);
    diag_entry entry = {.severity = severity, .span = span, .message = format_text(list->memory, format, args)};
    va_end(args);
    if (severity == DIAG_ERROR)
        list->error_count++;
    ARENA_PUSH(list->memory, list->entries, list->count, list->capacity, entry);
    return &list->entries[list->count - 1];
}

void diag_add_caret(diag_list *list, diag_entry *entry, const char *format, ...) {
    va_list args;
    va_start(args, format);
    entry->caret = format_text(list->memory, format, args);
    va_end(args);
}

void diag_add_label(diag_list *list, diag_entry *entry, source_span span, const char *format, ...) {
    va_list args;
    va_start(args, format);
    diag_label label = {span, format_text(list->memory, format, args)};
    va_end(args);
    ARENA_PUSH(list->memory, entry->labels, entry->label_count, entry->label_capacity, label);
}

void diag_add_note(diag_list *list, diag_entry *entry, const char *format, ...) {
    va_list args;
    va_start(args, format);
    const char *note = format_text(list->memory, format, args);
    va_end(args);
    ARENA_PUSH(list->memory, entry->notes, entry->note_count, entry->note_capacity, note);
}

/* ---- rendering ------------------------------------------------------------------------------------------------------
 */

typedef struct {
    const diag_list *list;
    text_buffer *out;
    bool colour;
} renderer;

static const char *paint(const renderer *render, const char *code) {
    return render->colour ? code : "";
}

static void render_place(const renderer *render, source_span span) {
    const source_table *sources = render->list->sources;
    if (sources && span.line > 0 && span.file >= 0 && span.file < sources->count)
        text_append(render->out, "%s:%d:%d: ", sources->files[span.file].path, span.line, span.column);
}

/* A byte that continues a UTF-8 character stands in no column of its own. */
static bool continues_character(char byte) {
    return ((unsigned char)byte & 0xC0) == 0x80;
}

/* The bytes [begin, end) of a line that are shown: all of them or, of a very long one, those around the span. */
typedef struct {
    int begin, end;
} excerpt;

enum { EXCERPT_BYTES = 160 };

static excerpt excerpt_around(const char *line, int length, source_span span) {
    excerpt part = {0, length};
    if (length <= EXCERPT_BYTES)
        return part;
    part.begin = span.column - 1 > EXCERPT_BYTES / 2 ? span.column - 1 - EXCERPT_BYTES / 2 : 0;
    part.end = part.begin + EXCERPT_BYTES < length ? part.begin + EXCERPT_BYTES : length;
    while (part.begin < part.end && continues_character(line[part.begin]))
        part.begin++;
    while (part.end < length && continues_character(line[part.end]))
        part.end++;
    return part;
}

/* The source line with its number and, below it, carets with `beside`. */
static void render_source(const renderer *render, source_span span, const char *beside) {
    size_t length = 0;
    const char *line = render->list->sources ? source_line(render->list->sources, span.file, span.line, &length) : NULL;
    if (!line)
        return;
    excerpt part = excerpt_around(line, (int)length, span);
    int first = span.column - 1, last = first + span.length < part.end ? first + span.length : part.end;
    text_append(render->out, "%5d | %s%.*s%s\n", span.line, part.begin > 0 ? "…" : "", part.end - part.begin,
                line + part.begin, part.end < (int)length ? "…" : "");
    text_append(render->out, "      | %s", part.begin > 0 ? " " : "");
    for (int i = part.begin; i < first && i < part.end; i++)
        if (!continues_character(line[i]))
            text_append(render->out, "%c", line[i] == '\t' ? '\t' : ' ');
    text_append(render->out, "%s^", paint(render, "\033[1;32m"));
    for (int i = first + 1; i < last; i++)
        if (!continues_character(line[i]))
            text_append(render->out, "^");
    text_append(render->out, "%s%s%s\n", paint(render, "\033[0m"), beside ? " " : "", beside ? beside : "");
}

static void render_entry(const renderer *render, const diag_entry *entry) {
    static const char *const names[] = {"error", "warning", "remark", "note"};
    static const char *const colours[] = {"\033[1;31m", "\033[1;35m", "\033[1;34m", "\033[1;36m"};
    render_place(render, entry->span);
    text_append(render->out, "%s%s:%s %s\n", paint(render, colours[entry->severity]), names[entry->severity],
                paint(render, "\033[0m"), entry->message);
    render_source(render, entry->span, entry->caret);
    for (int i = 0; i < entry->label_count; i++) {
        text_append(render->out, "      ");
        render_place(render, entry->labels[i].span);
        text_append(render->out, "%s\n", entry->labels[i].text);
        render_source(render, entry->labels[i].span, NULL);
    }
    for (int i = 0; i < entry->note_count; i++)
        text_append(render->out, "      note: %s\n", entry->notes[i]);
}

/* What two views of one encoder do wrong in the same place is said once. */
static bool said_before(const diag_list *list, int index) {
    const diag_entry *entry = &list->entries[index];
    for (int i = 0; i < index; i++) {
        const diag_entry *other = &list->entries[i];
        if (memcmp(&other->span, &entry->span, sizeof entry->span) == 0 && strcmp(other->message, entry->message) == 0)
            return true;
    }
    return false;
}

void diag_render(const diag_list *list, text_buffer *out, bool colour) {
    renderer render = {list, out, colour};
    int shown = 0;
    for (int i = 0; i < list->count; i++) {
        if (said_before(list, i))
            continue;
        if (list->entries[i].severity == DIAG_ERROR && shown++ >= DIAG_ERROR_LIMIT)
            continue;
        render_entry(&render, &list->entries[i]);
    }
    if (shown > DIAG_ERROR_LIMIT)
        text_append(out, "and %d more errors\n", shown - DIAG_ERROR_LIMIT);
}

/* ---- suggestions ----------------------------------------------------------------------------------------------------
 */

enum { NAME_LIMIT = 64 };

/* Edits (insert, delete, replace, swap neighbours) between two names of at most NAME_LIMIT characters. */
static int edit_distance(const char *a, const char *b) {
    size_t n = strlen(a), m = strlen(b);
    int row[3][NAME_LIMIT + 1];
    for (size_t j = 0; j <= m; j++)
        row[1][j] = (int)j;
    for (size_t i = 1; i <= n; i++) {
        int *before = row[(i + 2) % 3], *above = row[i % 3], *here = row[(i + 1) % 3];
        here[0] = (int)i;
        for (size_t j = 1; j <= m; j++) {
            int best = above[j - 1] + (a[i - 1] != b[j - 1]);
            if (above[j] + 1 < best)
                best = above[j] + 1;
            if (here[j - 1] + 1 < best)
                best = here[j - 1] + 1;
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] && before[j - 2] + 1 < best)
                best = before[j - 2] + 1;
            here[j] = best;
        }
    }
    return row[(n + 1) % 3][m];
}

const char *diag_suggest(const char *name, const char *const *candidates, int count) {
    size_t length = strlen(name);
    int limit = ((int)length + 1) / 3;
    int best = (limit > 1 ? limit : 1) + 1;
    const char *nearest = NULL;
    for (int i = 0; i < count && length <= NAME_LIMIT; i++) {
        int distance = strlen(candidates[i]) <= NAME_LIMIT ? edit_distance(name, candidates[i]) : NAME_LIMIT;
        /* As many edits as letters: nothing is left of the name. */
        if (distance > 0 && distance < best && distance < (int)length) {
            best = distance;
            nearest = candidates[i];
        }
    }
    return nearest;
}
