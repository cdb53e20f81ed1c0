/* Charts as SVG. */
#include "frontend/driver/plot.h"
#include "frontend/driver/plot_axis.h"

#include <assert.h>
#include <math.h>
#include <string.h>

/* In pixels. */
enum {
    WIDTH = 800,
    LEFT = 84,
    RIGHT = 24,
    AREA_WIDTH = WIDTH - LEFT - RIGHT,
    AREA_HEIGHT = 230,
    CHARACTER = 7, /* a character of 12 pixels' height, about */
    LINE = 20,
    LONGEST_CATEGORY = 32,
    LONGEST_LABEL = 100,
    WIDEST_BAR = 56,
    SWATCH = 22
};

/* Told apart by people who see colours differently (Okabe and Ito 2008); later series differ in their markers too. */
static const char *const colours[] = {"#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#555555"};
enum { COLOUR_COUNT = sizeof colours / sizeof *colours };

typedef struct {
    text_buffer *out;
    const plot_panel *panel;
    double top; /* of the panel's area */
    plot_axis x, y;
} drawing;

static const char *colour_of(int series) {
    return colours[series % COLOUR_COUNT];
}

/* "middle", "start" or "end" at a place. */
static void append_label(text_buffer *out, double x, double y, const char *anchor, const char *style, const char *text,
                         int most) {
    text_append(out, "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"%s\"%s>", x, y, anchor, style);
    plot_append_text(out, text, most);
    text_append(out, "</text>\n");
}

static double to_x(const drawing *draw, double value) {
    return LEFT + AREA_WIDTH * plot_place(&draw->x, value);
}

static double to_y(const drawing *draw, double value) {
    return draw->top + AREA_HEIGHT * (1 - plot_place(&draw->y, value));
}

/* ---- axes ----------------------------------------------------------------------------------------------------------
 */

/* The range of what is shown; bars begin at 0. */
static void make_axes(drawing *draw) {
    const plot_panel *panel = draw->panel;
    double low[2] = {INFINITY, INFINITY}, high[2] = {-INFINITY, -INFINITY};
    for (int s = 0; s < panel->series_count; s++)
        for (int i = 0; i < panel->series[s].count; i++) {
            double x = panel->categories ? i : panel->series[s].x[i], y = panel->series[s].y[i];
            if (!plot_is_shown(panel->x_scale, x) || !plot_is_shown(panel->y_scale, y))
                continue;
            low[0] = fmin(low[0], x);
            high[0] = fmax(high[0], x);
            low[1] = fmin(low[1], y);
            high[1] = fmax(high[1], y);
        }
    if (panel->categories && panel->y_scale == PLOT_LINEAR && low[1] <= high[1]) {
        low[1] = fmin(0, low[1]);
        high[1] = fmax(0, high[1]);
    }
    draw->x = plot_axis_over(panel->x_scale, low[0], high[0]);
    draw->y = plot_axis_over(panel->y_scale, low[1], high[1]);
}

static void append_y_axis(const drawing *draw) {
    text_buffer *out = draw->out;
    for (int i = 0; i < draw->y.count; i++) {
        double y = to_y(draw, draw->y.ticks[i]);
        text_append(out, "<line x1=\"%d\" y1=\"%.1f\" x2=\"%d\" y2=\"%.1f\" stroke=\"#dddddd\"/>\n", LEFT, y,
                    LEFT + AREA_WIDTH, y);
        text_append(out, "<text x=\"%d\" y=\"%.1f\" text-anchor=\"end\">", LEFT - 8, y + 4);
        plot_append_number(out, draw->y.ticks[i]);
        text_append(out, "</text>\n");
    }
    if (!draw->panel->y_label)
        return;
    double middle = draw->top + AREA_HEIGHT / 2.0;
    text_append(out, "<text x=\"20\" y=\"%.1f\" text-anchor=\"middle\" transform=\"rotate(-90 20 %.1f)\">", middle,
                middle);
    plot_append_text(out, draw->panel->y_label, LONGEST_LABEL);
    text_append(out, "</text>\n");
}

static void append_x_axis(const drawing *draw) {
    text_buffer *out = draw->out;
    double bottom = draw->top + AREA_HEIGHT;
    for (int i = 0; i < draw->x.count; i++) {
        double x = to_x(draw, draw->x.ticks[i]);
        text_append(out, "<line x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\" stroke=\"#555555\"/>\n", x, bottom, x,
                    bottom + 5);
        text_append(out, "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"middle\">", x, bottom + LINE);
        plot_append_number(out, draw->x.ticks[i]);
        text_append(out, "</text>\n");
    }
}

/* ---- categories ----------------------------------------------------------------------------------------------------
 */

static int least_of(int a, int b) {
    return a < b ? a : b;
}

static double group_width(const plot_panel *panel) {
    return AREA_WIDTH / (double)(panel->category_count > 0 ? panel->category_count : 1);
}

static int longest_category(const plot_panel *panel) {
    int longest = 0;
    for (int i = 0; i < panel->category_count; i++) {
        int length = plot_text_length(panel->categories[i]);
        longest = length > longest ? length : longest;
    }
    return longest;
}

/* Whether names of categories are too long to stand side by side. */
static bool is_slanted(const plot_panel *panel) {
    return CHARACTER * (longest_category(panel) + 1) > group_width(panel);
}

/* Below the area, without the axis' label. */
static double category_height(const plot_panel *panel) {
    if (!panel->categories || !is_slanted(panel))
        return LINE;
    return LINE + 0.5 * CHARACTER * least_of(longest_category(panel), LONGEST_CATEGORY);
}

static void append_categories(const drawing *draw) {
    const plot_panel *panel = draw->panel;
    double y = draw->top + AREA_HEIGHT + LINE - 2;
    for (int i = 0; i < panel->category_count; i++) {
        double x = LEFT + group_width(panel) * (i + 0.5);
        char turned[64] = "";
        if (is_slanted(panel))
            snprintf(turned, sizeof turned, " transform=\"rotate(-30 %.1f %.1f)\"", x, y);
        append_label(draw->out, x, y, is_slanted(panel) ? "end" : "middle", turned, panel->categories[i],
                     is_slanted(panel) ? LONGEST_CATEGORY : LONGEST_LABEL);
    }
}

/* ---- bars ----------------------------------------------------------------------------------------------------------
 */

/* Three digits are enough above a bar. */
static void append_value(text_buffer *out, double x, double y, double value) {
    double size = fabs(value);
    int digits = size >= 100 || value == floor(value) ? 0 : size >= 10 ? 1 : size >= 0.1 ? 2 : 3;
    text_append(out, "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"middle\" font-size=\"11\">%.*f</text>\n", x, y, digits,
                value);
}

static void append_bar(const drawing *draw, int series, double left, double width, double value) {
    text_buffer *out = draw->out;
    double base = to_y(draw, draw->y.scale == PLOT_LINEAR ? 0 : draw->y.low);
    if (!plot_is_shown(draw->y.scale, value)) {
        text_append(out, "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"middle\" fill=\"%s\">×</text>\n", left + width / 2,
                    draw->top + AREA_HEIGHT - 4, colour_of(series));
        return;
    }
    double y = to_y(draw, value);
    text_append(out, "<rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\" fill=\"%s\"%s/>\n", left,
                fmin(y, base), 0.94 * width, fabs(base - y), colour_of(series),
                series >= COLOUR_COUNT ? " opacity=\"0.55\"" : "");
    if (width >= 4 * CHARACTER)
        append_value(out, left + 0.47 * width, value < 0 ? y + 13 : y - 4, value);
}

static void append_bars(const drawing *draw) {
    const plot_panel *panel = draw->panel;
    double group = group_width(panel);
    double width = fmin(0.84 * group / (panel->series_count > 0 ? panel->series_count : 1), WIDEST_BAR);
    for (int s = 0; s < panel->series_count; s++)
        for (int i = 0; i < panel->series[s].count && i < panel->category_count; i++) {
            double left = LEFT + group * (i + 0.5) + width * (s - panel->series_count / 2.0);
            append_bar(draw, s, left, width, panel->series[s].y[i]);
        }
}

/* ---- lines ---------------------------------------------------------------------------------------------------------
 */

static void append_marker(text_buffer *out, int series, double x, double y) {
    const char *colour = colour_of(series);
    switch (series % 4) {
    case 0: text_append(out, "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"4\" fill=\"%s\"/>\n", x, y, colour); break;
    case 1:
        text_append(out, "<rect x=\"%.1f\" y=\"%.1f\" width=\"8\" height=\"8\" fill=\"%s\"/>\n", x - 4, y - 4, colour);
        break;
    case 2: text_append(out, "<path d=\"M%.1f %.1fl5 9h-10z\" fill=\"%s\"/>\n", x, y - 5, colour); break;
    default: text_append(out, "<path d=\"M%.1f %.1fl5 5l-5 5l-5 -5z\" fill=\"%s\"/>\n", x, y - 5, colour);
    }
}

/* Points that cannot be shown part the line. */
static void append_line(const drawing *draw, int number) {
    const plot_series *series = &draw->panel->series[number];
    bool drawn = false;
    text_append(draw->out, "<path fill=\"none\" stroke=\"%s\" stroke-width=\"2\" d=\"", colour_of(number));
    for (int i = 0; i < series->count; i++) {
        bool shown = plot_is_shown(draw->x.scale, series->x[i]) && plot_is_shown(draw->y.scale, series->y[i]);
        if (shown)
            text_append(draw->out, "%c%.1f %.1f", drawn ? 'L' : 'M', to_x(draw, series->x[i]),
                        to_y(draw, series->y[i]));
        drawn = shown;
    }
    text_append(draw->out, "\"/>\n");
    for (int i = 0; i < series->count; i++)
        if (plot_is_shown(draw->x.scale, series->x[i]) && plot_is_shown(draw->y.scale, series->y[i]))
            append_marker(draw->out, number, to_x(draw, series->x[i]), to_y(draw, series->y[i]));
}

/* ---- panels --------------------------------------------------------------------------------------------------------
 */

enum { PANEL_HEAD = 34 };

static double panel_height(const plot_panel *panel) {
    return PANEL_HEAD + AREA_HEIGHT + category_height(panel) + (panel->x_label ? LINE : 0) + 10;
}

static void append_panel(text_buffer *out, const plot_panel *panel, double top) {
    drawing draw = {.out = out, .panel = panel, .top = top + PANEL_HEAD};
    make_axes(&draw);
    if (panel->title)
        append_label(out, LEFT, top + PANEL_HEAD - 12, "start", " font-weight=\"bold\"", panel->title, LONGEST_LABEL);
    append_y_axis(&draw);
    double zero = to_y(&draw, panel->categories && draw.y.scale == PLOT_LINEAR ? 0 : draw.y.low);
    if (panel->categories) {
        append_bars(&draw);
        append_categories(&draw);
    } else {
        append_x_axis(&draw);
        for (int s = 0; s < panel->series_count; s++)
            append_line(&draw, s);
    }
    text_append(out, "<path d=\"M%d %.1fV%.1fM%d %.1fH%d\" fill=\"none\" stroke=\"#555555\"/>\n", LEFT, draw.top,
                draw.top + AREA_HEIGHT, LEFT, zero, LEFT + AREA_WIDTH);
    if (panel->x_label)
        append_label(out, LEFT + AREA_WIDTH / 2.0, draw.top + AREA_HEIGHT + category_height(panel) + LINE, "middle", "",
                     panel->x_label, LONGEST_LABEL);
}

/* ---- the legend ----------------------------------------------------------------------------------------------------
 */

static const plot_panel *panel_of_most_series(const plot_figure *figure) {
    const plot_panel *most = NULL;
    for (int i = 0; i < figure->panel_count; i++)
        if (!most || figure->panels[i].series_count > most->series_count)
            most = &figure->panels[i];
    return most;
}

static void append_entry(text_buffer *out, const plot_panel *panel, int series, double x, double y) {
    if (panel->categories) {
        text_append(out, "<rect x=\"%.1f\" y=\"%.1f\" width=\"14\" height=\"12\" fill=\"%s\"%s/>\n", x, y - 10,
                    colour_of(series), series >= COLOUR_COUNT ? " opacity=\"0.55\"" : "");
    } else {
        text_append(out, "<path d=\"M%.1f %.1fh18\" stroke=\"%s\" stroke-width=\"2\"/>\n", x - 2, y - 4,
                    colour_of(series));
        append_marker(out, series, x + 7, y - 4);
    }
    append_label(out, x + SWATCH, y, "start", "", panel->series[series].name, LONGEST_LABEL);
}

/* From `top` down, in as many rows as it takes; its height. */
static double append_legend(text_buffer *out, const plot_figure *figure, double top) {
    const plot_panel *panel = panel_of_most_series(figure);
    if (!panel || panel->series_count < 2)
        return 0;
    double x = LEFT, y = top + 14;
    for (int s = 0; s < panel->series_count; s++) {
        int length = least_of(plot_text_length(panel->series[s].name), LONGEST_LABEL);
        double width = SWATCH + CHARACTER * length + 18;
        if (x + width > WIDTH && x > LEFT) {
            x = LEFT;
            y += LINE;
        }
        append_entry(out, panel, s, x, y);
        x += width;
    }
    return y + 6 - top;
}

void plot_write(const plot_figure *figure, text_buffer *out) {
    text_buffer body = {0};
    double height = 10;
    if (figure->title) {
        append_label(&body, WIDTH / 2.0, height + 18, "middle", " font-size=\"16\" font-weight=\"bold\"", figure->title,
                     LONGEST_LABEL - 10);
        height += 32;
    }
    height += append_legend(&body, figure, height);
    assert(figure->panels || figure->panel_count == 0);
    for (int i = 0; i < figure->panel_count; i++) {
        append_panel(&body, &figure->panels[i], height);
        height += panel_height(&figure->panels[i]);
    }
    text_append(out,
                "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%.0f\" viewBox=\"0 0 %d %.0f\" "
                "font-family=\"Helvetica, Arial, sans-serif\" font-size=\"12\" fill=\"#222222\">\n",
                WIDTH, height, WIDTH, height);
    text_append(out, "<rect width=\"100%%\" height=\"100%%\" fill=\"white\"/>\n");
    text_append_bytes(out, body.data ? body.data : "", body.length);
    text_append(out, "</svg>\n");
    text_free(&body);
}
