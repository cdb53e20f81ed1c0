/* Inside the plots: an axis with its ticks, and texts that may stand in an SVG document. */
#ifndef FRONTEND_DRIVER_PLOT_AXIS_H
#define FRONTEND_DRIVER_PLOT_AXIS_H

#include "frontend/driver/plot.h"

enum { PLOT_MOST_TICKS = 32 };

typedef struct {
    plot_scale scale;
    double low, high; /* low < high; above 0 on logarithmic scales */
    double ticks[PLOT_MOST_TICKS];
    int count;
} plot_axis;

/* Whether a value has a place on that scale. */
bool plot_is_shown(plot_scale scale, double value);
/* An axis with some 4 to 10 round ticks that holds low .. high; any one for an empty range (low > high). */
plot_axis plot_axis_over(plot_scale scale, double low, double high);
/* Where a value lies: 0 at the low end of the axis, 1 at the high end. */
double plot_place(const plot_axis *axis, double value);

/* "131,072", "0.25", "1e-05". */
void plot_append_number(text_buffer *out, double value);
/* The text, escaped for XML; bytes that are no UTF-8, and control characters, become "?". At most `most` characters,
 * the last one "…" where some are left out. */
void plot_append_text(text_buffer *out, const char *text, int most);
/* Characters of the text. */
int plot_text_length(const char *text);

#endif
