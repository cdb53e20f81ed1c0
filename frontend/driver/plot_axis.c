/* Axes of plots, and texts in SVG. */
#include "frontend/driver/plot_axis.h"

#include <math.h>
#include <string.h>

/* ---- axes ----------------------------------------------------------------------------------------------------------
 */

bool plot_is_shown(plot_scale scale, double value) {
    return isfinite(value) && (scale == PLOT_LINEAR || value > 0);
}

static void add_tick(plot_axis *axis, double value) {
    if (axis->count < PLOT_MOST_TICKS)
        axis->ticks[axis->count++] = value;
}

/* The next of 1, 2, 5, 10, … from `value` on; below it with `down`. */
static double round_number(double value, bool down) {
    static const double steps[] = {1, 2, 5, 10};
    double power = pow(10, floor(log10(value) + 1e-9)), digit = value / power;
    double result = down ? 1 : 10;
    for (int i = 0; i < 4; i++) {
        if (down && steps[i] <= digit * (1 + 1e-9))
            result = steps[i];
        if (!down && steps[3 - i] >= digit * (1 - 1e-9))
            result = steps[3 - i];
    }
    return result * power;
}

static void make_linear(plot_axis *axis, double low, double high) {
    if (!(low < high)) {
        double spread = low == 0 ? 1 : fabs(low) / 2;
        low -= low == 0 ? 0 : spread;
        high += spread;
    }
    double step = round_number((high - low) / 6, false);
    double first = floor(low / step + 1e-9), last = ceil(high / step - 1e-9);
    axis->low = first * step;
    axis->high = last * step;
    int count = (int)(last - first) + 1;
    for (int i = 0; i < count; i++)
        add_tick(axis, (first + i) * step);
}

/* Ticks at 1, 2 and 5 of each decade, or where these are too many at every decade, every second one, … */
static void make_log10(plot_axis *axis, double low, double high) {
    axis->low = round_number(low, true);
    axis->high = round_number(high, false);
    if (axis->low >= axis->high)
        axis->high = round_number(1.5 * axis->low, false);
    int first = (int)floor(log10(axis->low) + 1e-9), last = (int)ceil(log10(axis->high) - 1e-9);
    bool fine = last - first <= 3;
    int stride = 1 + (last - first) / 10;
    for (int power = first; power <= last; power += stride)
        for (int digit = 1; digit <= (fine ? 5 : 1); digit += digit == 2 ? 3 : 1) {
            double value = digit * pow(10, power);
            if (value >= axis->low * (1 - 1e-9) && value <= axis->high * (1 + 1e-9))
                add_tick(axis, value);
        }
}

static void make_log2(plot_axis *axis, double low, double high) {
    int first = (int)floor(log2(low) + 1e-9), last = (int)ceil(log2(high) - 1e-9);
    last += last == first;
    int stride = 1 + (last - first) / 10;
    axis->low = ldexp(1, first);
    axis->high = ldexp(1, last);
    for (int power = first; power <= last; power += stride)
        add_tick(axis, ldexp(1, power));
}

plot_axis plot_axis_over(plot_scale scale, double low, double high) {
    plot_axis axis = {.scale = scale};
    if (!(low <= high)) {
        low = scale == PLOT_LINEAR ? 0 : 1;
        high = scale == PLOT_LINEAR ? 1 : 10;
    }
    if (scale == PLOT_LINEAR)
        make_linear(&axis, low, high);
    else if (scale == PLOT_LOG10)
        make_log10(&axis, low, high);
    else
        make_log2(&axis, low, high);
    return axis;
}

double plot_place(const plot_axis *axis, double value) {
    return axis->scale == PLOT_LINEAR ? (value - axis->low) / (axis->high - axis->low)
                                      : log(value / axis->low) / log(axis->high / axis->low);
}

/* ---- texts ---------------------------------------------------------------------------------------------------------
 */

/* Thousands are set apart in whole numbers of five digits and more. */
void plot_append_number(text_buffer *out, double value) {
    double size = fabs(value);
    if (size < 10000 || size >= 1e12 || value != floor(value)) {
        text_append(out, "%.6g", size < 1e-300 ? 0 : value);
        return;
    }
    char digits[32];
    int length = snprintf(digits, sizeof digits, "%.0f", size);
    text_append(out, "%s", value < 0 ? "-" : "");
    for (int i = 0; i < length; i++)
        text_append(out, "%s%c", i && (length - i) % 3 == 0 ? "," : "", digits[i]);
}

/* Bytes of the character at `text`: 0 at the end, -1 for what XML cannot hold. */
static int character_bytes(const char *text) {
    const unsigned char *at = (const unsigned char *)text;
    if (at[0] < 0x80)
        return at[0] == 0 ? 0 : at[0] < 0x20 || at[0] == 0x7f ? -1 : 1;
    int count = at[0] >= 0xf0 ? 4 : at[0] >= 0xe0 ? 3 : 2;
    if (at[0] < 0xc2 || at[0] > 0xf4)
        return -1;
    for (int i = 1; i < count; i++)
        if ((at[i] & 0xc0) != 0x80)
            return -1;
    bool overlong = (at[0] == 0xe0 && at[1] < 0xa0) || (at[0] == 0xf0 && at[1] < 0x90);
    bool surrogate = at[0] == 0xed && at[1] >= 0xa0;
    bool beyond = (at[0] == 0xf4 && at[1] >= 0x90) || (at[0] == 0xef && at[1] == 0xbf && at[2] >= 0xbe);
    return overlong || surrogate || beyond ? -1 : count;
}

int plot_text_length(const char *text) {
    int length = 0;
    for (int bytes; (bytes = character_bytes(text)); text += bytes < 0 ? 1 : bytes)
        length++;
    return length;
}

static void append_character(text_buffer *out, const char *at, int bytes) {
    switch (*at) {
    case '&': text_append(out, "&amp;"); break;
    case '<': text_append(out, "&lt;"); break;
    case '>': text_append(out, "&gt;"); break;
    case '"': text_append(out, "&quot;"); break;
    default: text_append_bytes(out, bytes < 0 ? "?" : at, (size_t)(bytes < 0 ? 1 : bytes));
    }
}

void plot_append_text(text_buffer *out, const char *text, int most) {
    int left = plot_text_length(text), shown = 0;
    for (int bytes; (bytes = character_bytes(text)); text += bytes < 0 ? 1 : bytes) {
        if (++shown == most && left > most) {
            text_append(out, "…");
            return;
        }
        append_character(out, text, bytes);
    }
}
