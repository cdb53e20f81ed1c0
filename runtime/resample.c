#include "runtime/resample.h"

#include <math.h>

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

int64_t rt_filter_taps(int64_t in_size, int64_t out_size, rt_interpolation interpolation) {
    int64_t shrinking = (in_size + out_size - 1) / out_size;
    return 2 * (interpolation == RT_BICUBIC ? 2 : 1) * (shrinking < 1 ? 1 : shrinking) + 1;
}

void rt_filter_make(rt_filter_bank *bank, int in_size, int out_size, rt_interpolation interpolation) {
    double (*filter)(double) = interpolation == RT_BICUBIC ? bicubic : bilinear;
    double scale = (double)in_size / out_size, stretch = scale < 1 ? 1 : scale;
    double support = (interpolation == RT_BICUBIC ? 2 : 1) * stretch;
    int32_t offset = 0;
    bank->taps = 1;
    for (int x = 0; x < out_size; x++) {
        double centre = (x + 0.5) * scale, total = 0;
        int first = (int)(centre - support + 0.5), end = (int)(centre + support + 0.5);
        first = first < 0 ? 0 : first;
        end = end > in_size ? in_size : end;
        for (int i = first; i < end; i++)
            total += filter((i - centre + 0.5) / stretch);
        bank->ranges[x] = (rt_tap_range){first, end - first, offset};
        bank->taps = end - first > bank->taps ? end - first : bank->taps;
        for (int i = first; i < end; i++) {
            double fixed = filter((i - centre + 0.5) / stretch) / total * (1 << RT_FILTER_BITS);
            bank->weights[offset++] = (int32_t)(fixed < 0 ? fixed - 0.5 : fixed + 0.5);
        }
    }
}

int rt_mirrored(int place, int size) {
    if (size == 1)
        return 0;
    int period = 2 * (size - 1);
    place %= period;
    place = place < 0 ? place + period : place;
    return place < size ? place : period - place;
}
