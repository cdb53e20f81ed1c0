/* PNG through libpng, its errors turned into values. */
#include "runtime/picture.h"

#include <png.h>
#include <stdlib.h>
#include <string.h>

/* Lives in the caller of the function that calls setjmp, so that a jump leaves it well defined. */
typedef struct {
    png_structp decoder;
    png_infop info;
    const char *name;
    const uint8_t *bytes;
    size_t left;
    rt_image *image;
    rt_error *error;
    png_bytep *rows;
} png_job;

static void leave_with_message(png_structp decoder, png_const_charp message) {
    png_job *job = png_get_error_ptr(decoder);
    rt_fail(job->error, "%s: damaged PNG picture: %s", job->name, message);
    png_longjmp(decoder, 1);
}

static void ignore_warning(png_structp decoder, png_const_charp message) {
    (void)decoder;
    (void)message;
}

static void read_bytes(png_structp decoder, png_bytep to, size_t size) {
    png_job *job = png_get_io_ptr(decoder);
    if (size > job->left) {
        png_error(decoder, "truncated");
    }
    memcpy(to, job->bytes, size);
    job->bytes += size;
    job->left -= size;
}

/* Deflate makes at most 1032 bytes of one: a picture larger than that is refused before memory is taken for it. */
static int claims_too_much(const png_job *job) {
    png_uint_32 height = png_get_image_height(job->decoder, job->info);
    return png_get_rowbytes(job->decoder, job->info) > (job->left + 64) * 1032 / (height ? height : 1);
}

static void ask_for_rgb(png_job *job) {
    png_set_scale_16(job->decoder);
    png_set_expand(job->decoder);
    png_set_gray_to_rgb(job->decoder);
    png_set_strip_alpha(job->decoder);
    png_set_interlace_handling(job->decoder);
    png_read_update_info(job->decoder, job->info);
}

static int decode(png_job *job) {
    if (setjmp(png_jmpbuf(job->decoder)) != 0) {
        return -1;
    }
    png_set_read_fn(job->decoder, job, read_bytes);
    png_read_info(job->decoder, job->info);
    png_uint_32 width = png_get_image_width(job->decoder, job->info);
    png_uint_32 height = png_get_image_height(job->decoder, job->info);
    if (claims_too_much(job)) {
        return rt_fail(job->error, "%s: damaged PNG picture: truncated", job->name);
    }
    if (rt_picture_allocate(job->name, width, height, job->image, job->error) != 0) {
        return -1;
    }
    ask_for_rgb(job);
    if (png_get_rowbytes(job->decoder, job->info) != (size_t)width * 3) {
        return rt_fail(job->error, "%s: PNG picture of an unknown colour type", job->name);
    }
    job->rows = malloc(height * sizeof *job->rows);
    if (job->rows == NULL) {
        return rt_fail(job->error, "%s: out of memory", job->name);
    }
    for (size_t y = 0; y < height; y++) {
        job->rows[y] = job->image->pixels + y * width * 3;
    }
    png_read_image(job->decoder, job->rows);
    png_read_end(job->decoder, NULL);
    return 0;
}

int rt_picture_decode_png(const char *name, const uint8_t *bytes, size_t size, rt_image *image, rt_error *error) {
    png_job job = {.name = name, .bytes = bytes, .left = size, .image = image, .error = error};
    job.decoder = png_create_read_struct(PNG_LIBPNG_VER_STRING, &job, leave_with_message, ignore_warning);
    job.info = job.decoder == NULL ? NULL : png_create_info_struct(job.decoder);
    int result = job.info == NULL ? rt_fail(error, "%s: out of memory", name) : decode(&job);
    png_destroy_read_struct(&job.decoder, &job.info, NULL);
    free(job.rows);
    return result;
}
