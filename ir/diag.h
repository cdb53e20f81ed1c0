/* Diagnostics: what is wrong with a user's input, collected and returned, printed by the driver alone. */
#ifndef IR_DIAG_H
#define IR_DIAG_H

#include "ir/source.h"
#include "ir/text.h"

#include <stdbool.h>

typedef enum { DIAG_ERROR, DIAG_WARNING, DIAG_REMARK, DIAG_NOTE } diag_severity;

/* A further place of the same diagnostic, shown with its source line and text ("[200, 64, 256] from layer2"). */
typedef struct {
    source_span span;
    const char *text;
} diag_label;

typedef struct {
    diag_severity severity;
    source_span span;
    const char *message; /* lower case, no full stop */
    const char *caret;   /* text beside the caret, or NULL */
    diag_label *labels;
    int label_count, label_capacity;
    const char **notes; /* "note: …" lines, such as suggestions */
    int note_count, note_capacity;
} diag_entry;

typedef struct {
    arena *memory;
    source_table *sources;
    diag_entry *entries;
    int count, capacity;
    int error_count;
} diag_list;

#define DIAG_ERROR_LIMIT 20 /* further errors are counted, not shown */

/* Adds a diagnostic and returns it, valid until the next one is added. */
diag_entry *diag_add(diag_list *list, diag_severity severity, source_span span, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
#define diag_error(list, span, ...) diag_add((list), DIAG_ERROR, (span), __VA_ARGS__)
void diag_add_caret(diag_list *list, diag_entry *entry, const char *format, ...) __attribute__((format(printf, 3, 4)));
void diag_add_label(diag_list *list, diag_entry *entry, source_span span, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
void diag_add_note(diag_list *list, diag_entry *entry, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* Renders all entries: `file:line:column: error: message`, the source line with its number, the caret line, labels,
 * notes. Entries keep their order; `colour` adds terminal colours. */
void diag_render(const diag_list *list, text_buffer *out, bool colour);

/* The candidate nearest to `name` by edit distance (at most a third of its length, rounded, at least 1), or NULL. */
const char *diag_suggest(const char *name, const char *const *candidates, int count);

#endif
