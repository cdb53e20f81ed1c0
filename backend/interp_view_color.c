/* Steps that change colours. */
#include "backend/interp_view.h"

#include "runtime/resample.h"

#include <math.h>
#include <string.h>

static int64_t pixel_count(const rt_image *image) {
    return (int64_t)image->width * image->height;
}

/* ITU-R 601-2 luma in 16-bit fixed point. */
static uint8_t luma(const uint8_t *pixel) {
    return (uint8_t)((pixel[0] * 19595u + pixel[1] * 38470u + pixel[2] * 7471u + 0x8000u) >> 16);
}

/* from + factor * (to - from), cut to 8 bits, rounded toward zero. */
static uint8_t blend(int from, int to, float factor) {
    float value = (float)from + factor * (float)(to - from);
    return (uint8_t)(value <= 0 ? 0 : value >= 255 ? 255 : (int)value);
}

void interp_brightness(rt_image *image, double factor) {
    for (int64_t i = 0; i < 3 * pixel_count(image); i++)
        image->pixels[i] = blend(0, image->pixels[i], (float)factor);
}

void interp_contrast(rt_image *image, double factor) {
    int64_t count = pixel_count(image), sum = 0;
    for (int64_t i = 0; i < count; i++)
        sum += luma(image->pixels + 3 * i);
    int mean = (int)((double)sum / (double)count + 0.5);
    for (int64_t i = 0; i < 3 * count; i++)
        image->pixels[i] = blend(mean, image->pixels[i], (float)factor);
}

void interp_saturation(rt_image *image, double factor) {
    for (int64_t i = 0; i < pixel_count(image); i++) {
        uint8_t *pixel = image->pixels + 3 * i;
        int grey = luma(pixel);
        for (int c = 0; c < 3; c++)
            pixel[c] = blend(grey, pixel[c], (float)factor);
    }
}

void interp_grayscale(rt_image *image) {
    for (int64_t i = 0; i < pixel_count(image); i++)
        memset(image->pixels + 3 * i, luma(image->pixels + 3 * i), 3);
}

/* ---- hue
 * ----------------------------------------------------------------------------------------------------------------------------
 */

typedef struct {
    uint8_t h, s, v;
} hsv;

static hsv to_hsv(const uint8_t *pixel) {
    int r = pixel[0], g = pixel[1], b = pixel[2];
    int high = r > g ? (r > b ? r : b) : (g > b ? g : b), low = r < g ? (r < b ? r : b) : (g < b ? g : b);
    if (high == low)
        return (hsv){0, 0, (uint8_t)high};
    float range = (float)(high - low), rc = (float)(high - r) / range, gc = (float)(high - g) / range,
          bc = (float)(high - b) / range;
    float h = r == high ? bc - gc : g == high ? (float)(2.0 + rc - bc) : (float)(4.0 + gc - rc);
    h = (float)fmod(h / 6.0 + 1.0, 1.0);
    return (hsv){(uint8_t)(int)(h * 255.0), (uint8_t)(int)(range / (float)high * 255.0), (uint8_t)high};
}

static void from_hsv(hsv colour, uint8_t *pixel) {
    float h = (float)(colour.h * 6.0 / 255.0), s = (float)(colour.s / 255.0), v = colour.v;
    int sector = (int)h;
    float f = h - (float)sector;
    uint8_t p = (uint8_t)lroundf((float)(v * (1.0 - s))), q = (uint8_t)lroundf((float)(v * (1.0 - s * f)));
    uint8_t t = (uint8_t)lroundf((float)(v * (1.0 - s * (1.0 - f)))), top = colour.v;
    const uint8_t sectors[6][3] = {{top, t, p}, {q, top, p}, {p, top, t}, {p, q, top}, {t, p, top}, {top, p, q}};
    memcpy(pixel, colour.s == 0 ? (const uint8_t[]){top, top, top} : sectors[sector % 6], 3);
}

void interp_hue(rt_image *image, double shift) {
    uint8_t turn = (uint8_t)(int)(shift * 255);
    for (int64_t i = 0; i < pixel_count(image); i++) {
        hsv colour = to_hsv(image->pixels + 3 * i);
        colour.h = (uint8_t)(colour.h + turn);
        from_hsv(colour, image->pixels + 3 * i);
    }
}

/* ---- blur
 * ---------------------------------------------------------------------------------------------------------------------------
 */

void interp_gaussian_blur(rt_image *image, int kernel, double sigma, float *work) {
    float weights[512], total = 0;
    for (int i = 0; i < kernel; i++) {
        double x = (i - (kernel - 1) * 0.5) / sigma;
        weights[i] = (float)exp(-0.5 * x * x);
        total += weights[i];
    }
    int width = image->width, height = image->height, reach = kernel / 2;
    float *rows = work;
    for (int y = 0; y < height; y++)
        for (int x = 0; x < width; x++)
            for (int c = 0; c < 3; c++) {
                float sum = 0;
                for (int i = 0; i < kernel; i++)
                    sum += weights[i] * image->pixels[((int64_t)y * width + rt_mirrored(x + i - reach, width)) * 3 + c];
                rows[((int64_t)y * width + x) * 3 + c] = sum / total;
            }
    for (int y = 0; y < height; y++)
        for (int x = 0; x < 3 * width; x++) {
            float sum = 0;
            for (int i = 0; i < kernel; i++)
                sum += weights[i] * rows[(int64_t)rt_mirrored(y + i - reach, height) * 3 * width + x];
            image->pixels[(int64_t)y * 3 * width + x] = (uint8_t)lrintf(sum / total);
        }
}
