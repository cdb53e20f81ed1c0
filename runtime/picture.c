/* What the picture decoders share: telling formats apart, checking dimensions. */
#include "runtime/picture.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

static const uint8_t jpeg_magic[] = {0xFF, 0xD8, 0xFF};
static const uint8_t png_magic[] = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1A, '\n'};

int rt_picture_name(const char *name) {
    const char *dot = strrchr(name, '.');
    return dot != NULL &&
           (strcasecmp(dot, ".jpg") == 0 || strcasecmp(dot, ".jpeg") == 0 || strcasecmp(dot, ".png") == 0);
}

static int check_size(const char *name, int64_t width, int64_t height, rt_error *error) {
    if (width < 1 || height < 1 || width > RT_PICTURE_MOST_PIXELS / height) {
        return rt_fail(error, "%s: absurd dimensions %lldx%lld (at most %lld pixels)", name, (long long)width,
                       (long long)height, (long long)RT_PICTURE_MOST_PIXELS);
    }
    return 0;
}

int rt_picture_allocate(const char *name, int64_t width, int64_t height, rt_image *image, rt_error *error) {
    if (check_size(name, width, height, error) != 0) {
        return -1;
    }
    if (image->pixels != NULL) {
        return width == image->width && height == image->height
                   ? 0
                   : rt_fail(error, "%s: has changed since the set was opened", name);
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

static int decode(const char *name, const uint8_t *bytes, size_t size, const rt_part *part, rt_image *image,
                  rt_error *error) {
    if (starts_with(bytes, size, jpeg_magic, sizeof jpeg_magic)) {
        return rt_picture_decode_jpeg(name, bytes, size, part, image, error);
    }
    if (starts_with(bytes, size, png_magic, sizeof png_magic)) {
        return rt_picture_decode_png(name, bytes, size, image, error);
    }
    return rt_fail(error, "%s: neither a JPEG nor a PNG picture", name);
}

int rt_picture_decode(const char *name, const uint8_t *bytes, size_t size, rt_image *image, rt_error *error) {
    *image = (rt_image){0};
    if (decode(name, bytes, size, NULL, image, error) == 0) {
        return 0;
    }
    free(image->pixels);
    *image = (rt_image){0};
    return -1;
}

int rt_picture_decode_part(const char *name, const uint8_t *bytes, size_t size, rt_part part, rt_image *image,
                           rt_error *error) {
    return decode(name, bytes, size, &part, image, error);
}

/* ---- sizes ---- */

static int64_t big_endian(const uint8_t *bytes) {
    return (int64_t)bytes[0] << 24 | bytes[1] << 16 | bytes[2] << 8 | bytes[3];
}

/* A PNG begins with a chunk whose data are width and height. */
static int measure_start(const char *path, FILE *file, rt_image *image, rt_error *error) {
    uint8_t start[24];
    size_t size = fread(start, 1, sizeof start, file);
    rewind(file);
    if (starts_with(start, size, jpeg_magic, sizeof jpeg_magic)) {
        return rt_picture_measure_jpeg(path, file, image, error);
    }
    if (!starts_with(start, size, png_magic, sizeof png_magic)) {
        return rt_fail(error, "%s: neither a JPEG nor a PNG picture", path);
    }
    int64_t width = size == sizeof start ? big_endian(start + 16) : 0;
    int64_t height = size == sizeof start ? big_endian(start + 20) : 0;
    width = width > INT32_MAX ? 0 : width;
    height = height > INT32_MAX ? 0 : height;
    *image = (rt_image){(int)width, (int)height, NULL};
    return 0;
}

int rt_picture_measure(const char *path, rt_image *image, int64_t *bytes, rt_error *error) {
    FILE *file = fopen(path, "rb");
    struct stat status;
    if (file == NULL || fstat(fileno(file), &status) != 0) {
        rt_fail(error, "%s: cannot open: %s", path, strerror(errno));
        if (file != NULL) {
            fclose(file);
        }
        return -1;
    }
    *bytes = status.st_size;
    int result = measure_start(path, file, image, error);
    fclose(file);
    return result == 0 ? check_size(path, image->width, image->height, error) : result;
}
