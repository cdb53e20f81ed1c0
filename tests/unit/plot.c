/* Charts: round ticks, places on axes, escaped texts, and what a document holds. */
#include "frontend/driver/plot.h"
#include "frontend/driver/plot_axis.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <math.h>
#include <string.h>

/* ---- axes ---- */

static void assert_ticks(plot_scale scale, double low, double high, const char *expected) {
    plot_axis axis = plot_axis_over(scale, low, high);
    text_buffer text = {0};
    for (int i = 0; i < axis.count; i++) {
        text_append(&text, i ? " " : "");
        plot_append_number(&text, axis.ticks[i]);
    }
    assert_string_equal(text.data, expected);
    text_free(&text);
}

static void ticks_are_round(void **state) {
    (void)state;
    assert_ticks(PLOT_LINEAR, 0, 1, "0 0.2 0.4 0.6 0.8 1");
    assert_ticks(PLOT_LINEAR, 0, 47.3, "0 10 20 30 40 50");
    assert_ticks(PLOT_LINEAR, -3, 12, "-5 0 5 10 15");
    assert_ticks(PLOT_LINEAR, 0.3, 0.3, "0.15 0.2 0.25 0.3 0.35 0.4 0.45");
    assert_ticks(PLOT_LINEAR, 1e6, 3e6, "1,000,000 1,500,000 2,000,000 2,500,000 3,000,000");
    assert_ticks(PLOT_LOG10, 3, 70, "2 5 10 20 50 100");
    assert_ticks(PLOT_LOG10, 0.004, 2000, "0.01 0.1 1 10 100 1000");
    assert_ticks(PLOT_LOG10, 5, 5, "5 10");
    assert_ticks(PLOT_LOG2, 256, 4096, "256 512 1024 2048 4096");
    assert_ticks(PLOT_LOG2, 100, 300, "64 128 256 512");
    assert_ticks(PLOT_LOG2, 1, 1 << 20, "1 8 64 512 4096 32,768 262,144");
    assert_ticks(PLOT_LINEAR, INFINITY, -INFINITY, "0 0.2 0.4 0.6 0.8 1"); /* nothing to show */
    assert_ticks(PLOT_LOG10, INFINITY, -INFINITY, "1 2 5 10");
}

/* Every range is held by its axis, with ticks in order and within it. */
static void axes_hold_their_range(void **state) {
    (void)state;
    for (int scale = PLOT_LINEAR; scale <= PLOT_LOG2; scale++)
        for (double low = 1e-9; low < 1e9; low *= 7.3)
            for (double ratio = 1; ratio < 1e12; ratio *= 3.7) {
                plot_axis axis = plot_axis_over((plot_scale)scale, low, low * ratio);
                assert_true(axis.low < axis.high);
                assert_true(plot_place(&axis, low) > -1e-6 && plot_place(&axis, low * ratio) < 1 + 1e-6);
                assert_in_range(axis.count, 2, scale == PLOT_LOG10 ? 13 : 12);
                for (int i = 0; i < axis.count; i++) {
                    assert_true(plot_place(&axis, axis.ticks[i]) > -1e-6);
                    assert_true(plot_place(&axis, axis.ticks[i]) < 1 + 1e-6);
                    assert_true(i == 0 || axis.ticks[i] > axis.ticks[i - 1]);
                }
            }
}

static void places_are_proportional(void **state) {
    (void)state;
    plot_axis linear = plot_axis_over(PLOT_LINEAR, 0, 10), log = plot_axis_over(PLOT_LOG10, 1, 100);
    assert_float_equal(plot_place(&linear, 2.5), 0.25, 1e-9);
    assert_float_equal(plot_place(&log, 10), 0.5, 1e-9);
    assert_true(plot_is_shown(PLOT_LINEAR, -1) && !plot_is_shown(PLOT_LOG10, -1) && !plot_is_shown(PLOT_LOG2, 0));
    assert_false(plot_is_shown(PLOT_LINEAR, NAN) || plot_is_shown(PLOT_LINEAR, INFINITY));
}

/* ---- texts ---- */

static void assert_escaped(const char *text, int most, const char *expected) {
    text_buffer out = {0};
    plot_append_text(&out, text, most);
    assert_string_equal(out.data ? out.data : "", expected);
    text_free(&out);
}

static void texts_are_escaped(void **state) {
    (void)state;
    assert_escaped("a < b && \"c\" > d", 99, "a &lt; b &amp;&amp; &quot;c&quot; &gt; d");
    assert_escaped("tab\tbell\a", 99, "tab?bell?");
    assert_escaped("größer ≥ 𝛼", 99, "größer ≥ 𝛼");
    assert_escaped("\xc3(\xff\xed\xa0\x80\xc0\x80\xef\xbf\xbf", 99, "?(?????????"); /* no UTF-8, or not for XML */
    assert_escaped("\xe2\x82", 99, "??");                                           /* cut off */
    assert_escaped("abcdef", 6, "abcdef");
    assert_escaped("abcdefg", 6, "abcde…");
    assert_escaped("", 6, "");
    assert_int_equal(plot_text_length("größer\xff"), 7);
}

/* ---- documents ---- */

static int count_of(const char *text, const char *part) {
    int count = 0;
    for (; (text = strstr(text, part)); text += strlen(part))
        count++;
    return count;
}

static const double sizes[] = {256, 512, 1024, 2048};

static void lines_part_where_nothing_is_shown(void **state) {
    (void)state;
    const double fast[] = {1, 2, NAN, 4}, slow[] = {10, 0, 300, 2000};
    const plot_series series[] = {{"fast & small", sizes, fast, 4}, {"slow", sizes, slow, 4}};
    const plot_panel panel = {.title = "time",
                              .x_label = "n",
                              .y_label = "ms",
                              .x_scale = PLOT_LOG2,
                              .y_scale = PLOT_LOG10,
                              .series = series,
                              .series_count = 2};
    text_buffer out = {0};
    plot_write(&(plot_figure){"a title", &panel, 1}, &out);
    assert_int_equal(strncmp(out.data, "<svg ", 5), 0);
    assert_string_equal(out.data + out.length - 7, "</svg>\n");
    assert_non_null(strstr(out.data, ">fast &amp; small</text>"));
    assert_non_null(strstr(out.data, ">a title</text>"));
    assert_int_equal(count_of(out.data, "<circle"), 3 + 1); /* a marker a point, and one in the legend */
    const char *line = strstr(out.data, "stroke=\"#0072b2\" stroke-width=\"2\" d=\"M84.0 ");
    assert_non_null(line);                          /* begins at the left edge … */
    assert_int_equal(count_of(line, "M776.0 "), 1); /* … and starts anew at the right one */
    assert_null(strstr(out.data, "nan"));
    assert_null(strstr(out.data, "inf"));
    text_free(&out);
}

static void bars_stand_on_zero(void **state) {
    (void)state;
    const char *const categories[] = {"one", "two"};
    const double up[] = {10, NAN}, down[] = {-10, 5};
    const plot_series series[] = {{"up", NULL, up, 2}, {"down", NULL, down, 2}};
    const plot_panel panel = {.categories = categories, .category_count = 2, .series = series, .series_count = 2};
    text_buffer out = {0};
    plot_write(&(plot_figure){NULL, &panel, 1}, &out);
    /* the area is 230 high from -10 to 10 */
    assert_int_equal(count_of(out.data, "height=\"115.0\""), 2);
    assert_int_equal(count_of(out.data, "height=\"57.5\""), 1);
    assert_int_equal(count_of(out.data, "×"), 1);
    assert_int_equal(count_of(out.data, "rotate("), 0);
    text_free(&out);
}

static void long_categories_are_slanted(void **state) {
    (void)state;
    const char *const categories[] = {"an encoder with a very long name, which nothing else has", "b", "c", "d"};
    const double values[] = {1, 2, 3, 4};
    const plot_series series = {"only one", NULL, values, 4};
    const plot_panel panel = {.categories = categories, .category_count = 4, .series = &series, .series_count = 1};
    text_buffer out = {0};
    plot_write(&(plot_figure){NULL, &panel, 1}, &out);
    assert_int_equal(count_of(out.data, "rotate(-30"), 4);
    assert_non_null(strstr(out.data, ">an encoder with a very long nam…<"));
    assert_null(strstr(out.data, "only one")); /* one series needs no legend */
    text_free(&out);
}

static void nothing_is_a_document_too(void **state) {
    (void)state;
    const double none[] = {NAN};
    const plot_series series = {"", none, none, 1};
    const plot_panel panels[] = {{.series = &series, .series_count = 1}, {.title = "empty"}};
    text_buffer out = {0};
    plot_write(&(plot_figure){"", panels, 2}, &out);
    assert_null(strstr(out.data, "nan"));
    assert_string_equal(out.data + out.length - 7, "</svg>\n");
    text_free(&out);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ticks_are_round),
        cmocka_unit_test(axes_hold_their_range),
        cmocka_unit_test(places_are_proportional),
        cmocka_unit_test(texts_are_escaped),
        cmocka_unit_test(lines_part_where_nothing_is_shown),
        cmocka_unit_test(bars_stand_on_zero),
        cmocka_unit_test(long_categories_are_slanted),
        cmocka_unit_test(nothing_is_a_document_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
