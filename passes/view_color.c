/* Colour steps on pixels in registers, with the results of the Python Imaging Library: whole numbers in 0 .. 255 go in
 * and come out of every step.
 *
 * A factor comes as the sum of two numbers of few bits, whose products with a pixel are exact: so a sum of the products
 * is the same whether or not the machine fuses it with one of them. */
#include "passes/lower_views.h"

/* Kinds of steps in the tables. */
enum { STEP_BRIGHTNESS, STEP_SATURATION, STEP_HUE };

static kir_reg add(const kir_builder *b, kir_reg x, kir_reg y) {
    return kir_op2(b, KIR_add, x, y);
}

static kir_reg sub(const kir_builder *b, kir_reg x, kir_reg y) {
    return kir_op2(b, KIR_sub, x, y);
}

static kir_reg mul(const kir_builder *b, kir_reg x, kir_reg y) {
    return kir_op2(b, KIR_mul, x, y);
}

static kir_reg quotient(const kir_builder *b, kir_reg x, kir_reg y) {
    return kir_op2(b, KIR_div, x, y);
}

static kir_reg choose(const kir_builder *b, kir_reg condition, kir_reg yes, kir_reg no) {
    return kir_op3(b, KIR_select, condition, yes, no);
}

static kir_reg equal(const kir_builder *b, kir_reg x, kir_reg y) {
    return kir_op2(b, KIR_equal, x, y);
}

static kir_reg less(const kir_builder *b, kir_reg x, kir_reg y) {
    return kir_op2(b, KIR_less, x, y);
}

/* ---- the tables: [factors, end of segment 0, end of segment 1, …, kind of step 0, …]; at `factors` the pairs of the
 * contrasts, then those of the steps. ---- */

static kir_index first_step(const kir_builder *b, kir_reg block, int segment) {
    return segment == 0 ? kir_at(0) : kir_plus(kir_at(0), 1, view_number(b, block, segment));
}

typedef struct {
    kir_reg high, low;
} factor;

static factor load_factor(const kir_builder *b, const view_writer *w, kir_index place) {
    kir_reg high = kir_load(b, VIEW_FACTORS, place, 1, 1);
    kir_reg low = kir_load(b, VIEW_FACTORS, kir_plus_index(kir_at(1), 1, place), 1, 1);
    return (factor){kir_splat(b, high, w->lanes), kir_splat(b, low, w->lanes)};
}

/* ---- blends ---- */

kir_reg view_luma(const kir_builder *b, const view_writer *w, const view_pixels *pixels) {
    static const double weights[] = {19595, 38470, 7471}; /* ITU-R 601-2 in 16 bits; every sum here is exact */
    kir_reg sum = view_real(b, w, 32768);
    for (int c = 0; c < 3; c++)
        sum = add(b, sum, mul(b, pixels->channel[c], view_real(b, w, weights[c])));
    return kir_op1(b, KIR_floor, mul(b, sum, view_real(b, w, 1.0 / 65536)));
}

/* from + by * (to - from), cut to 8 bits and rounded toward zero. */
static kir_reg blend(const kir_builder *b, const view_writer *w, kir_reg from, kir_reg to, factor by) {
    kir_reg distance = sub(b, to, from);
    kir_reg value = add(b, from, add(b, mul(b, by.low, distance), mul(b, by.high, distance)));
    value = kir_op2(b, KIR_max, value, view_real(b, w, 0));
    return kir_op1(b, KIR_floor, kir_op2(b, KIR_min, value, view_real(b, w, 255)));
}

static void blend_all(const kir_builder *b, const view_writer *w, kir_reg from, factor by, view_pixels *pixels) {
    for (int c = 0; c < 3; c++)
        kir_assign(b, pixels->channel[c], blend(b, w, from, pixels->channel[c], by));
}

void view_contrast(const kir_builder *b, const view_writer *w, int stage, int segment, kir_reg mean,
                   view_pixels *pixels) {
    kir_reg factors = view_number(b, view_block(b, stage, 1), 0);
    factor by = load_factor(b, w, kir_plus(kir_at(2 * (segment - 1)), 1, factors));
    blend_all(b, w, kir_splat(b, mean, w->lanes), by, pixels);
}

/* ---- hue ---- */

/* floor(255 x) for x in 0 .. 1, as if the product were exact: x * 256 - whole and the difference from x are. */
static kir_reg scale_to_byte(const kir_builder *b, const view_writer *w, kir_reg x) {
    kir_reg whole = kir_op1(b, KIR_floor, mul(b, x, view_real(b, w, 255)));
    kir_reg rest = sub(b, sub(b, mul(b, x, view_real(b, w, 256)), whole), x);
    kir_reg below = sub(b, whole, view_real(b, w, 1));
    return choose(b, less(b, rest, view_real(b, w, 0)), below, whole);
}

typedef struct {
    kir_reg hue, saturation, value; /* 0 .. 255 */
} hsv;

/* Six times the hue as a share of the circle, in -1 .. 5. `high`, `low`: the largest and smallest channel; `part`: how
 * far the third is below the largest, as a share of their distance. */
static kir_reg sextant(const kir_builder *b, const view_writer *w, const view_pixels *pixels, kir_reg high,
                       kir_reg part) {
    kir_reg red = pixels->channel[0], green = pixels->channel[1], blue = pixels->channel[2];
    kir_reg from_red =
        choose(b, less(b, green, blue), sub(b, part, view_real(b, w, 1)), sub(b, view_real(b, w, 1), part));
    kir_reg from_green =
        choose(b, less(b, red, blue), sub(b, view_real(b, w, 3), part), add(b, view_real(b, w, 1), part));
    kir_reg from_blue =
        choose(b, less(b, red, green), add(b, view_real(b, w, 3), part), sub(b, view_real(b, w, 5), part));
    return choose(b, equal(b, red, high), from_red, choose(b, equal(b, green, high), from_green, from_blue));
}

static hsv to_hsv(const kir_builder *b, const view_writer *w, const view_pixels *pixels) {
    kir_reg red = pixels->channel[0], green = pixels->channel[1], blue = pixels->channel[2];
    kir_reg high = kir_op2(b, KIR_max, kir_op2(b, KIR_max, red, green), blue);
    kir_reg low = kir_op2(b, KIR_min, kir_op2(b, KIR_min, red, green), blue);
    kir_reg middle = sub(b, sub(b, add(b, add(b, red, green), blue), high), low);
    kir_reg range = sub(b, high, low), one = view_real(b, w, 1), zero = view_real(b, w, 0);
    kir_reg part = quotient(b, sub(b, high, middle), kir_op2(b, KIR_max, range, one));
    kir_reg turns = quotient(b, sextant(b, w, pixels, high, part), view_real(b, w, 6));
    turns = choose(b, less(b, turns, zero), add(b, one, turns), turns);
    kir_reg share = quotient(b, range, kir_op2(b, KIR_max, high, one));
    kir_reg gray = equal(b, range, zero);
    return (hsv){choose(b, gray, zero, scale_to_byte(b, w, turns)), scale_to_byte(b, w, share), high};
}

/* Value less saturation where the channel, whose own hue is `centre` sixths of the circle, has left its plateau. */
static kir_reg channel_of(const kir_builder *b, const view_writer *w, kir_reg sixths, double centre, hsv colour) {
    kir_reg distance = kir_op1(b, KIR_abs, sub(b, sixths, view_real(b, w, centre)));
    kir_reg one = view_real(b, w, 1), zero = view_real(b, w, 0);
    /* red is measured from its opposite, as its own hue is both 0 and 6 */
    kir_reg left = centre == 3 ? sub(b, view_real(b, w, 2), distance) : sub(b, distance, one);
    left = kir_op2(b, KIR_min, kir_op2(b, KIR_max, left, zero), one);
    kir_reg taken = mul(b, colour.value, mul(b, colour.saturation, left));
    return kir_op1(b, KIR_floor, add(b, sub(b, colour.value, taken), view_real(b, w, 0.5)));
}

static void turn_hue(const kir_builder *b, const view_writer *w, kir_reg turn, view_pixels *pixels) {
    hsv colour = to_hsv(b, w, pixels);
    kir_reg hue = add(b, colour.hue, turn), circle = view_real(b, w, 256);
    hue = choose(b, less(b, hue, circle), hue, sub(b, hue, circle));
    kir_reg sixths = mul(b, hue, view_real(b, w, 6.0 / 255));
    colour.saturation = mul(b, colour.saturation, view_real(b, w, 1.0 / 255));
    static const double centres[] = {3, 2, 4};
    for (int c = 0; c < 3; c++)
        kir_assign(b, pixels->channel[c], channel_of(b, w, sixths, centres[c], colour));
}

/* ---- the steps of a segment ---- */

static void write_step(const kir_builder *b, const view_writer *w, int kind, kir_index place, view_pixels *pixels) {
    if (kind == STEP_HUE)
        turn_hue(b, w, kir_splat(b, kir_load(b, VIEW_FACTORS, place, 1, 1), w->lanes), pixels);
    else if (kind == STEP_SATURATION)
        blend_all(b, w, view_luma(b, w, pixels), load_factor(b, w, place), pixels);
    else
        blend_all(b, w, view_real(b, w, 0), load_factor(b, w, place), pixels);
}

/* One branch for each kind that the view may have: all pixels of a picture take the same one. */
static void write_kinds(const kir_builder *b, const view_writer *w, int kinds, kir_reg kind, kir_index place,
                        view_pixels *pixels) {
    for (int i = STEP_BRIGHTNESS; i <= STEP_HUE; i++) {
        if (!(kinds & 1 << i))
            continue;
        kinds &= ~(1 << i);
        if (!kinds) {
            write_step(b, w, i, place, pixels);
            return;
        }
        kir_builder yes, no;
        kir_reg wanted = kir_op2(b, KIR_equal, kind, kir_number(b, kir_scalar_type(KIR_I32), i));
        kir_if(b, wanted, &yes, &no);
        write_step(&yes, w, i, place, pixels);
        write_kinds(&no, w, kinds, kind, place, pixels);
        return;
    }
}

void view_steps(const kir_builder *b, const view_writer *w, int stage, int segment, view_pixels *pixels) {
    const view_stage *info = &w->plan->stages[stage];
    if (!info->steps)
        return;
    kir_reg block = view_block(b, stage, 1), factors = view_number(b, block, 0);
    kir_index end = kir_plus(kir_at(0), 1, view_number(b, block, 1 + segment));
    kir_builder body;
    kir_reg step = kir_loop(b, first_step(b, block, segment), end, 1, &body);
    kir_index place = kir_plus(kir_plus(kir_at(2 + info->contrasts), 1, block), 1, step);
    bool several = (info->steps & (info->steps - 1)) != 0;
    kir_reg kind = several ? kir_load(&body, VIEW_NUMBERS, place, 1, 1) : -1;
    place = kir_plus(kir_plus(kir_at(2 * info->contrasts), 1, factors), 2, step);
    write_kinds(&body, w, info->steps, kind, place, pixels);
}
