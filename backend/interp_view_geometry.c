/* Steps that move pixels. */
#include "backend/interp_view.h"

#include "runtime/resample.h"

#include <string.h>

enum { MOST_TAPS = 5 }; /* a pixel of the longer side: 2 * support + 1, for the widest filter */

int64_t interp_resize_workspace(int64_t height, int64_t width, int64_t to_height, int64_t to_width) {
    int64_t outputs = to_height > to_width ? to_height : to_width, longest = outputs;
    longest = height > longest ? height : longest;
    longest = width > longest ? width : longest;
    return 3 * to_width * height + 64 + outputs * (int64_t)sizeof(rt_tap_range) +
           longest * MOST_TAPS * (int64_t)sizeof(int32_t);
}

static uint8_t clip(int32_t sum) {
    sum >>= RT_FILTER_BITS;
    return (uint8_t)(sum < 0 ? 0 : sum > 255 ? 255 : sum);
}

static void resize_rows(const uint8_t *source, int64_t row_bytes, int height, uint8_t *target, int out_width,
                        const rt_filter_bank *bank) {
    for (int y = 0; y < height; y++)
        for (int x = 0; x < out_width; x++) {
            const rt_tap_range *range = &bank->ranges[x];
            const int32_t *weights = bank->weights + range->offset;
            const uint8_t *pixel = source + y * row_bytes + 3 * range->first;
            int32_t sums[3] = {1 << (RT_FILTER_BITS - 1), 1 << (RT_FILTER_BITS - 1), 1 << (RT_FILTER_BITS - 1)};
            for (int i = 0; i < range->count; i++, pixel += 3)
                for (int c = 0; c < 3; c++)
                    sums[c] += weights[i] * pixel[c];
            for (int c = 0; c < 3; c++)
                *target++ = clip(sums[c]);
        }
}

static void resize_columns(const uint8_t *source, int width, uint8_t *target, int out_height,
                           const rt_filter_bank *bank) {
    for (int y = 0; y < out_height; y++) {
        const rt_tap_range *range = &bank->ranges[y];
        const int32_t *weights = bank->weights + range->offset;
        for (int x = 0; x < 3 * width; x++) {
            int32_t sum = 1 << (RT_FILTER_BITS - 1);
            for (int i = 0; i < range->count; i++)
                sum += weights[i] * source[(int64_t)(range->first + i) * 3 * width + x];
            *target++ = clip(sum);
        }
    }
}

void interp_resize(const rt_image *source, int top, int left, int height, int width, rt_image *target,
                   rt_interpolation interpolation, void *work) {
    int64_t row_bytes = 3 * (int64_t)source->width;
    const uint8_t *part = source->pixels + top * row_bytes + 3 * (int64_t)left;
    uint8_t *narrow = work;
    int64_t narrow_bytes = ((int64_t)3 * target->width * height + 63) / 64 * 64;
    int side = target->width > target->height ? target->width : target->height;
    rt_filter_bank bank;
    bank.ranges = (rt_tap_range *)(void *)(narrow + narrow_bytes);
    bank.weights = (int32_t *)(void *)(bank.ranges + side);
    if (width == target->width) {
        for (int y = 0; y < height; y++)
            memcpy(narrow + (int64_t)y * 3 * width, part + y * row_bytes, 3 * (size_t)width);
    } else {
        rt_filter_make(&bank, width, target->width, interpolation);
        resize_rows(part, row_bytes, height, narrow, target->width, &bank);
    }
    if (height == target->height) {
        memcpy(target->pixels, narrow, (size_t)(3 * target->width) * (size_t)height);
    } else {
        rt_filter_make(&bank, height, target->height, interpolation);
        resize_columns(narrow, target->width, target->pixels, target->height, &bank);
    }
}

void interp_flip(rt_image *image) {
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

void interp_translate_reflect(const rt_image *source, int dx, int dy, rt_image *target) {
    for (int y = 0; y < target->height; y++) {
        const uint8_t *row = source->pixels + (int64_t)rt_mirrored(y + dy, source->height) * 3 * source->width;
        for (int x = 0; x < target->width; x++)
            memcpy(target->pixels + ((int64_t)y * target->width + x) * 3, row + 3 * rt_mirrored(x + dx, source->width),
                   3);
    }
}

void interp_crop(const rt_image *source, int top, int left, rt_image *target) {
    for (int y = 0; y < target->height; y++)
        for (int x = 0; x < target->width; x++) {
            int from_y = y + top, from_x = x + left;
            uint8_t *pixel = target->pixels + ((int64_t)y * target->width + x) * 3;
            int inside = from_y >= 0 && from_y < source->height && from_x >= 0 && from_x < source->width;
            if (inside)
                memcpy(pixel, source->pixels + ((int64_t)from_y * source->width + from_x) * 3, 3);
            else
                memset(pixel, 0, 3);
        }
}
