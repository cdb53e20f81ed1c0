/* Single augmentation steps on 8-bit interleaved pictures, with the arithmetic of the Python Imaging Library, whose
 * results the published pipelines were tuned on. Inside the interpreter. */
#ifndef BACKEND_INTERP_VIEW_H
#define BACKEND_INTERP_VIEW_H

#include "runtime/augment.h"

/* A part of `source` resized: separable, antialiased when shrinking, 8 bits after each pass. `work` holds a picture of
 * target width x part height and the filters' coefficients: interp_resize_workspace bytes for parts up to height x
 * width.
 */
void interp_resize(const rt_image *source, int top, int left, int height, int width, rt_image *target,
                   rt_interpolation interpolation, void *work);
int64_t interp_resize_workspace(int64_t height, int64_t width, int64_t to_height, int64_t to_width);

void interp_flip(rt_image *image);
/* target = source moved by dx, dy over its mirrored border (the edge itself is not repeated). */
void interp_translate_reflect(const rt_image *source, int dx, int dy, rt_image *target);
/* target = the part of the source, padded by zeros, at top, left (in padded coordinates minus the padding). */
void interp_crop(const rt_image *source, int top, int left, rt_image *target);

void interp_brightness(rt_image *image, double factor);
void interp_contrast(rt_image *image, double factor);
void interp_saturation(rt_image *image, double factor);
void interp_hue(rt_image *image, double shift);
void interp_grayscale(rt_image *image);
/* `work` holds width * height * 3 floats. */
void interp_gaussian_blur(rt_image *image, int kernel, double sigma, float *work);

#endif
