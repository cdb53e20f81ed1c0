/* Pairing two lists in order. */
#include "frontend/driver/diff.h"

#include <assert.h>
#include <string.h>

/* The worth of a pair: equal ones most, then counterparts; others are no pair. */
static int worth(const diff_item *a, const diff_item *b) {
    if (strcmp(a->key, b->key) != 0)
        return 0;
    return strcmp(a->text, b->text) == 0 ? 3 : 2;
}

static void add_row(arena *memory, diff_component *component, const diff_item *left, const diff_item *right) {
    assert(left || right);
    diff_row row = {
        .name = left ? left->key : right->key, .left = left ? left->text : NULL, .right = right ? right->text : NULL};
    row.same = left && right && strcmp(left->text, right->text) == 0;
    component->same &= row.same;
    ARENA_PUSH(memory, component->rows, component->count, component->capacity, row);
}

void diff_align(arena *memory, const diff_items *left, const diff_items *right, diff_component *component) {
    int width = right->count + 1;
    /* best[i][j]: of the lists from i and j on */
    int *best = arena_alloc(memory, (size_t)(left->count + 1) * (size_t)width * sizeof *best);
    for (int i = left->count - 1; i >= 0; i--)
        for (int j = right->count - 1; j >= 0; j--) {
            int pair = worth(&left->items[i], &right->items[j]);
            int skip_left = best[(i + 1) * width + j], skip_right = best[i * width + j + 1];
            int both = pair ? pair + best[(i + 1) * width + j + 1] : 0;
            int skip = skip_left > skip_right ? skip_left : skip_right;
            best[i * width + j] = both > skip ? both : skip;
        }
    int i = 0, j = 0;
    while (i < left->count || j < right->count) {
        bool both = i < left->count && j < right->count;
        int pair = both ? worth(&left->items[i], &right->items[j]) : 0;
        if (pair && best[i * width + j] == pair + best[(i + 1) * width + j + 1])
            add_row(memory, component, &left->items[i++], &right->items[j++]);
        else if (i < left->count && (!both || best[i * width + j] == best[(i + 1) * width + j]))
            add_row(memory, component, &left->items[i++], NULL);
        else
            add_row(memory, component, NULL, &right->items[j++]);
    }
}
