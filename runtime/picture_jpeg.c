/* JPEG through libjpeg-turbo, its errors turned into values. */
#include "runtime/picture.h"

#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>

#include <jerror.h>
#include <jpeglib.h>

/* Lives in the caller of the function that calls setjmp, so that a jump leaves it well defined. */
typedef struct {
    struct jpeg_error_mgr handler; /* first: libjpeg hands back a pointer to it */
    struct jpeg_decompress_struct decoder;
    jmp_buf escape;
    const char *name;
    rt_image *image;
    rt_error *error;
    uint8_t *row; /* one CMYK row */
    rt_part part; /* what is wanted */
} jpeg_job;

static void leave_with_message(j_common_ptr info) {
    jpeg_job *job = (jpeg_job *)(void *)info->err;
    char message[JMSG_LENGTH_MAX];
    info->err->format_message(info, message);
    rt_fail(job->error, "%s: damaged JPEG picture: %s", job->name, message);
    longjmp(job->escape, 1);
}

/* libjpeg pads a truncated picture with grey and warns; we take that as an error and let harmless warnings pass. */
static void check_warning(j_common_ptr info, int level) {
    if (level < 0 && info->err->msg_code == JWRN_JPEG_EOF) {
        leave_with_message(info);
    }
}

/* Adobe's CMYK is stored inverted: each value is how much light is left. */
static void convert_cmyk_row(const uint8_t *cmyk, int inverted, int width, uint8_t *rgb) {
    for (int x = 0; x < width; x++) {
        int light = inverted ? cmyk[4 * x + 3] : 255 - cmyk[4 * x + 3];
        for (int channel = 0; channel < 3; channel++) {
            int passed = inverted ? cmyk[4 * x + channel] : 255 - cmyk[4 * x + channel];
            rgb[3 * x + channel] = (uint8_t)((passed * light + 127) / 255);
        }
    }
}

/* Leaves out columns, in whole blocks, and the rows above. A column's colours depend on its neighbours', so some more
 * than wanted are decoded. Returns the first column. */
static JDIMENSION skip_to_part(jpeg_job *job) {
    enum { NEIGHBOURS = 4 };
    struct jpeg_decompress_struct *decoder = &job->decoder;
    int left = job->part.left - NEIGHBOURS, right = job->part.left + job->part.width + NEIGHBOURS;
    left = left < 0 ? 0 : left;
    right = right > job->image->width ? job->image->width : right;
    JDIMENSION first = (JDIMENSION)left, width = (JDIMENSION)(right - left);
    if (width < decoder->output_width) {
        jpeg_crop_scanline(decoder, &first, &width);
    }
    if (job->part.top > 0) {
        jpeg_skip_scanlines(decoder, (JDIMENSION)job->part.top);
    }
    return first;
}

static int read_rows(jpeg_job *job) {
    struct jpeg_decompress_struct *decoder = &job->decoder;
    size_t row_bytes = (size_t)job->image->width * 3;
    JDIMENSION first = skip_to_part(job), end = (JDIMENSION)(job->part.top + job->part.height);
    int cmyk = decoder->out_color_space == JCS_CMYK;
    if (cmyk) {
        job->row = malloc((size_t)decoder->output_width * 4);
        if (job->row == NULL) {
            return rt_fail(job->error, "%s: out of memory", job->name);
        }
    }
    while (decoder->output_scanline < end) {
        uint8_t *target = job->image->pixels + decoder->output_scanline * row_bytes + 3 * (size_t)first;
        JSAMPROW row = cmyk ? job->row : target;
        jpeg_read_scanlines(decoder, &row, 1);
        if (cmyk) {
            convert_cmyk_row(job->row, decoder->saw_Adobe_marker, (int)decoder->output_width, target);
        }
    }
    return 0;
}

static int decode(jpeg_job *job, const uint8_t *bytes, size_t size, const rt_part *part) {
    struct jpeg_decompress_struct *decoder = &job->decoder;
    if (setjmp(job->escape) != 0) {
        return -1;
    }
    jpeg_create_decompress(decoder);
    jpeg_mem_src(decoder, bytes, size);
    jpeg_read_header(decoder, TRUE);
    /* A coded block takes a bit at least and stands for at most 32 x 32 pixels: what claims more is refused before
     * memory is taken for it. */
    if ((int64_t)decoder->image_width * decoder->image_height > ((int64_t)size + 64) * 8 * 1024) {
        return rt_fail(job->error, "%s: damaged JPEG picture: truncated", job->name);
    }
    int four = decoder->jpeg_color_space == JCS_CMYK || decoder->jpeg_color_space == JCS_YCCK;
    decoder->out_color_space = four ? JCS_CMYK : JCS_RGB;
    if (rt_picture_allocate(job->name, decoder->image_width, decoder->image_height, job->image, job->error) != 0) {
        return -1;
    }
    job->part = part ? *part : (rt_part){0, 0, job->image->height, job->image->width};
    jpeg_start_decompress(decoder);
    if (read_rows(job) != 0) {
        return -1;
    }
    if (decoder->output_scanline == decoder->output_height) {
        jpeg_finish_decompress(decoder);
    }
    return 0;
}

static void handle_errors(jpeg_job *job) {
    job->decoder.err = jpeg_std_error(&job->handler);
    job->handler.error_exit = leave_with_message;
    job->handler.emit_message = check_warning;
}

int rt_picture_decode_jpeg(const char *name, const uint8_t *bytes, size_t size, const rt_part *part, rt_image *image,
                           rt_error *error) {
    jpeg_job job = {.name = name, .image = image, .error = error};
    handle_errors(&job);
    int result = decode(&job, bytes, size, part);
    jpeg_destroy_decompress(&job.decoder);
    free(job.row);
    return result;
}

static int read_header(jpeg_job *job, FILE *file) {
    if (setjmp(job->escape) != 0) {
        return -1;
    }
    jpeg_create_decompress(&job->decoder);
    jpeg_stdio_src(&job->decoder, file);
    jpeg_read_header(&job->decoder, TRUE);
    *job->image = (rt_image){(int)job->decoder.image_width, (int)job->decoder.image_height, NULL};
    return 0;
}

int rt_picture_measure_jpeg(const char *name, FILE *file, rt_image *image, rt_error *error) {
    jpeg_job job = {.name = name, .image = image, .error = error};
    handle_errors(&job);
    int result = read_header(&job, file);
    jpeg_destroy_decompress(&job.decoder);
    return result;
}
