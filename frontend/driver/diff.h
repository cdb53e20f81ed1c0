/* What `cslc diff` says of two specs: rows that pair what belongs together, component by component. */
#ifndef FRONTEND_DRIVER_DIFF_H
#define FRONTEND_DRIVER_DIFF_H

#include "frontend/driver/explain.h"

/* Something of one method that may have a counterpart in the other. */
typedef struct {
    const char *key;  /* what makes two of them counterparts: the operation of a step, the name of a setting */
    const char *text; /* what must be equal then */
} diff_item;

typedef struct {
    diff_item *items;
    int count, capacity;
} diff_items;

typedef struct {
    const char *name;
    const char *left, *right; /* NULL where that side has nothing */
    bool same;
} diff_row;

typedef struct {
    const char *name; /* of the component */
    bool same;
    diff_row *rows;
    int count, capacity;
} diff_component;

typedef struct {
    arena *memory;
    const explanation *sides[2];
    diff_component *components;
    int count, capacity;
} diff_report;

/* Pairs items in their order: as many equal ones as possible, then as many of equal keys. */
void diff_align(arena *memory, const diff_items *left, const diff_items *right, diff_component *component);
diff_report diff_methods(arena *memory, const explanation *left, const explanation *right);

void diff_write_text(const diff_report *report, text_buffer *out);
/* Appends the document; false without memory. */
bool diff_write_json(const diff_report *report, text_buffer *out);

#endif
