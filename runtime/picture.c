/* What the picture decoders share: telling formats apart, checking dimensions. */
#include "runtime/picture.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

static const uint8_t jpeg_magic[] = {0xFF, 0xD8, 0xFF};
static const uint8_t png_magic[] = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1A, '\n'};

int rt_picture_name(const char *name) {
    const char *dot = strrchr(name, '.');
    return dot != NULL &&
           (strcasecmp(dot, ".jpg") == 0 || strcasecmp(dot, ".jpeg") == 0 || strcasecmp(dot, ".png") == 0);
}

int rt_picture_allocate(const char *name, int64_t width, int64_t height, rt_image *image, rt_error *error) {
    if (width < 1 || height < 1 || width > RT_PICTURE_MOST_PIXELS / height) {
        return rt_fail(error, "%s: absurd dimensions %lldx%lld (at most %lld pixels)", name, (long long)width,
                       (long long)height, (long long)RT_PICTURE_MOST_PIXELS);
    }
    image->width = (int)width;
    image->height = (int)height;
    image->pixels = malloc((size_t)(width * height * 3));
    if (image->pixels == NULL) {
        return rt_fail(error, "%s: out of memory for its %lldx%lld pixels", name, (long long)width, (long long)height);
    }
    return 0;
}

static int starts_with(const uint8_t *bytes, size_t size, const uint8_t *magic, size_t length) {
    return size >= length && memcmp(bytes, magic, length) == 0;
}

int rt_picture_decode(const char *name, const uint8_t *bytes, size_t size, rt_image *image, rt_error *error) {
    *image = (rt_image){0};
    if (starts_with(bytes, size, jpeg_magic, sizeof jpeg_magic)) {
        return rt_picture_decode_jpeg(name, bytes, size, image, error);
    }
    if (starts_with(bytes, size, png_magic, sizeof png_magic)) {
        return rt_picture_decode_png(name, bytes, size, image, error);
    }
    return rt_fail(error, "%s: neither a JPEG nor a PNG picture", name);
}
