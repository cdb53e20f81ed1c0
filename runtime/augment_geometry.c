/* Steps that move pixels. */
#include "runtime/augment_steps.h"

#include <math.h>
#include <stdbool.h>
#include <string.h>

enum { FILTER_BITS = 22 }; /* fixed-point coefficients; products of 8-bit pixels stay within 32 bits */

static double bilinear(double x) {
    x = fabs(x);
    return x < 1 ? 1 - x : 0;
}

/* Keys' cubic with a = -0.5. */
static double bicubic(double x) {
    const double a = -0.5;
    x = fabs(x);
    if (x < 1)
        return ((a + 2) * x - (a + 3)) * x * x + 1;
    return x < 2 ? (((x - 5) * x + 8) * x - 4) * a : 0;
}

/* One output pixel: the inputs first .. first + count - 1 with these weights. */
typedef struct {
    int32_t first, count, offset;
} tap_range;

typedef struct {
    tap_range *ranges;
    int32_t *weights;
} filter_bank;

enum { MOST_TAPS = 5 }; /* a pixel of the longer side: 2 * support + 1, for the widest filter */

int64_t rt_resize_workspace(int64_t height, int64_t width, int64_t to_height, int64_t to_width) {
    int64_t outputs = to_height > to_width ? to_height : to_width, longest = outputs;
    longest = height > longest ? height : longest;
    longest = width > longest ? width : longest;
    return 3 * to_width * height + 64 + outputs * (int64_t)sizeof(tap_range) +
           longest * MOST_TAPS * (int64_t)sizeof(int32_t);
}

static void make_filters(filter_bank *bank, int in_size, int out_size, rt_interpolation interpolation) {
    double (*filter)(double) = interpolation == RT_BICUBIC ? bicubic : bilinear;
    double scale = (double)in_size / out_size, stretch = scale < 1 ? 1 : scale;
    double support = (interpolation == RT_BICUBIC ? 2 : 1) * stretch;
    int32_t offset = 0;
    for (int x = 0; x < out_size; x++) {
        double centre = (x + 0.5) * scale, total = 0;
        int first = (int)(centre - support + 0.5), end = (int)(centre + support + 0.5);
        first = first < 0 ? 0 : first;
        end = end > in_size ? in_size : end;
        for (int i = first; i < end; i++)
            total += filter((i - centre + 0.5) / stretch);
        bank->ranges[x] = (tap_range){first, end - first, offset};
        for (int i = first; i < end; i++) {
            double fixed = filter((i - centre + 0.5) / stretch) / total * (1 << FILTER_BITS);
            bank->weights[offset++] = (int32_t)(fixed < 0 ? fixed - 0.5 : fixed + 0.5);
        }
    }
}

static uint8_t clip(int32_t sum) {
    sum >>= FILTER_BITS;
    return (uint8_t)(sum < 0 ? 0 : sum > 255 ? 255 : sum);
}

static void resize_rows(const uint8_t *source, int64_t row_bytes, int height, uint8_t *target, int out_width,
                        const filter_bank *bank) {
    for (int y = 0; y < height; y++)
        for (int x = 0; x < out_width; x++) {
            const tap_range *range = &bank->ranges[x];
            const int32_t *weights = bank->weights + range->offset;
            const uint8_t *pixel = source + y * row_bytes + 3 * range->first;
            int32_t sums[3] = {1 << (FILTER_BITS - 1), 1 << (FILTER_BITS - 1), 1 << (FILTER_BITS - 1)};
            for (int i = 0; i < range->count; i++, pixel += 3)
                for (int c = 0; c < 3; c++)
                    sums[c] += weights[i] * pixel[c];
            for (int c = 0; c < 3; c++)
                *target++ = clip(sums[c]);
        }
}

static void resize_columns(const uint8_t *source, int width, uint8_t *target, int out_height, const filter_bank *bank) {
    for (int y = 0; y < out_height; y++) {
        const tap_range *range = &bank->ranges[y];
        const int32_t *weights = bank->weights + range->offset;
        for (int x = 0; x < 3 * width; x++) {
            int32_t sum = 1 << (FILTER_BITS - 1);
            for (int i = 0; i < range->count; i++)
                sum += weights[i] * source[(int64_t)(range->first + i) * 3 * width + x];
            *target++ = clip(sum);
        }
    }
}

void rt_resize(const rt_image *source, int top, int left, int height, int width, rt_image *target,
               rt_interpolation interpolation, void *work) {
    int64_t row_bytes = 3 * (int64_t)source->width;
    const uint8_t *part = source->pixels + top * row_bytes + 3 * (int64_t)left;
    uint8_t *narrow = work;
    int64_t narrow_bytes = ((int64_t)3 * target->width * height + 63) / 64 * 64;
    int side = target->width > target->height ? target->width : target->height;
    filter_bank bank;
    bank.ranges = (tap_range *)(void *)(narrow + narrow_bytes);
    bank.weights = (int32_t *)(void *)(bank.ranges + side);
    if (width == target->width) {
        for (int y = 0; y < height; y++)
            memcpy(narrow + (int64_t)y * 3 * width, part + y * row_bytes, (size_t)(3 * width));
    } else {
        make_filters(&bank, width, target->width, interpolation);
        resize_rows(part, row_bytes, height, narrow, target->width, &bank);
    }
    if (height == target->height) {
        memcpy(target->pixels, narrow, (size_t)(3 * target->width) * (size_t)height);
    } else {
        make_filters(&bank, height, target->height, interpolation);
        resize_columns(narrow, target->width, target->pixels, target->height, &bank);
    }
}

void rt_flip(rt_image *image) {
    for (int y = 0; y < image->height; y++) {
        uint8_t *row = image->pixels + (int64_t)y * 3 * image->width;
        for (int x = 0; x < image->width / 2; x++)
            for (int c = 0; c < 3; c++) {
                uint8_t kept = row[3 * x + c];
                row[3 * x + c] = row[3 * (image->width - 1 - x) + c];
                row[3 * (image->width - 1 - x) + c] = kept;
            }
    }
}

static int mirrored(int place, int size) {
    if (size == 1)
        return 0;
    int period = 2 * (size - 1);
    place %= period;
    place = place < 0 ? place + period : place;
    return place < size ? place : period - place;
}

void rt_translate_reflect(const rt_image *source, int dx, int dy, rt_image *target) {
    for (int y = 0; y < target->height; y++) {
        const uint8_t *row = source->pixels + (int64_t)mirrored(y + dy, source->height) * 3 * source->width;
        for (int x = 0; x < target->width; x++)
            memcpy(target->pixels + ((int64_t)y * target->width + x) * 3, row + 3 * mirrored(x + dx, source->width), 3);
    }
}

void rt_crop(const rt_image *source, int top, int left, rt_image *target) {
    for (int y = 0; y < target->height; y++)
        for (int x = 0; x < target->width; x++) {
            int from_y = y + top, from_x = x + left;
            uint8_t *pixel = target->pixels + ((int64_t)y * target->width + x) * 3;
            bool inside = from_y >= 0 && from_y < source->height && from_x >= 0 && from_x < source->width;
            if (inside)
                memcpy(pixel, source->pixels + ((int64_t)from_y * source->width + from_x) * 3, 3);
            else
                memset(pixel, 0, 3);
        }
}
