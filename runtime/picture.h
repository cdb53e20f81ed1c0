/* Decodes JPEG and PNG pictures. Private to the runtime. */
#ifndef RT_PICTURE_H
#define RT_PICTURE_H

#include "runtime/dataset.h"
#include "runtime/error.h"

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define RT_PICTURE_MOST_PIXELS ((int64_t)1 << 27) /* a header that claims more is an error, not an allocation */

/* A part of a picture. */
typedef struct {
    int top, left, height, width;
} rt_part;

/* Decodes `bytes` to 8-bit RGB, whatever the picture's own colours are (grey, palette, RGBA, CMYK, 16 bits); an
 * alpha channel is dropped. `name` is for messages. On success the caller frees image->pixels. */
int rt_picture_decode(const char *name, const uint8_t *bytes, size_t size, rt_image *image, rt_error *error);

/* The same into image->pixels, which has room for a whole picture of the image's size. Of formats that allow it only
 * the rows and columns of the part are decoded, to the same numbers and the same places. */
int rt_picture_decode_part(const char *name, const uint8_t *bytes, size_t size, rt_part part, rt_image *image,
                           rt_error *error);

/* Reads the size from the file's header, and that of the file. */
int rt_picture_measure(const char *path, rt_image *image, int64_t *bytes, rt_error *error);

/* Whether a file's name ends as a picture's: .jpg, .jpeg or .png in any case. */
int rt_picture_name(const char *name);

/* The decoders behind it, for bytes that start with their format's magic number. `part` is NULL for all. A failure may
 * leave image->pixels allocated. */
int rt_picture_decode_jpeg(const char *name, const uint8_t *bytes, size_t size, const rt_part *part, rt_image *image,
                           rt_error *error);
int rt_picture_decode_png(const char *name, const uint8_t *bytes, size_t size, rt_image *image, rt_error *error);
int rt_picture_measure_jpeg(const char *name, FILE *file, rt_image *image, rt_error *error);

/* Checks the dimensions in a header and allocates image->pixels; where these are there, they must be the image's. */
int rt_picture_allocate(const char *name, int64_t width, int64_t height, rt_image *image, rt_error *error);

#endif
