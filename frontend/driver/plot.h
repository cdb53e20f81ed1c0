/* Charts as SVG: panels below one another under one title and one legend, each with lines over a number or bars over
 * categories. */
#ifndef FRONTEND_DRIVER_PLOT_H
#define FRONTEND_DRIVER_PLOT_H

#include "ir/text.h"

#include <stdbool.h>

typedef enum { PLOT_LINEAR, PLOT_LOG10, PLOT_LOG2 } plot_scale; /* LOG2: ticks at powers of 2 */

typedef struct {
    const char *name; /* for the legend; series of the same number share name and colour in all panels */
    const double *x;  /* NULL with categories: value i belongs to category i */
    const double *y;  /* NaN, and what is not above 0 on a logarithmic scale, is left out */
    int count;
} plot_series;

typedef struct {
    const char *title, *x_label, *y_label; /* any may be NULL */
    plot_scale x_scale, y_scale;
    const char *const *categories; /* bars in place of lines when not NULL */
    int category_count;
    const plot_series *series;
    int series_count;
} plot_panel;

typedef struct {
    const char *title; /* or NULL */
    const plot_panel *panels;
    int panel_count;
} plot_figure;

/* Appends the whole document. All texts are escaped; one series alone has no legend. */
void plot_write(const plot_figure *figure, text_buffer *out);

#endif
