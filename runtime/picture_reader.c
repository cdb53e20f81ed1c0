#include "runtime/picture_reader.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int least(int a, int b) {
    return a < b ? a : b;
}

static int most(int a, int b) {
    return a > b ? a : b;
}

rt_part rt_part_union(rt_part a, rt_part b) {
    if (a.height == 0 || b.height == 0)
        return a.height == 0 ? b : a;
    rt_part both = {.top = least(a.top, b.top), .left = least(a.left, b.left)};
    both.height = most(a.top + a.height, b.top + b.height) - both.top;
    both.width = most(a.left + a.width, b.left + b.width) - both.left;
    return both;
}

static int holds(rt_part outer, rt_part inner) {
    rt_part both = rt_part_union(outer, inner);
    return memcmp(&both, &outer, sizeof both) == 0;
}

int rt_picture_reader_open(rt_picture_reader *reader, const rt_dataset *dataset, rt_error *error) {
    int64_t bytes = 0, pixels = 0;
    for (const rt_dataset *source = dataset; source; source = source->next)
        for (int64_t i = 0; source->files && i < source->count; i++) {
            int64_t size = 3 * (int64_t)source->images[i].width * source->images[i].height;
            bytes = source->files[i].bytes > bytes ? source->files[i].bytes : bytes;
            pixels = size > pixels ? size : pixels;
        }
    *reader = (rt_picture_reader){.source = NULL};
    if (pixels == 0)
        return 0;
    reader->bytes = malloc((size_t)bytes + 1);
    reader->pixels = malloc((size_t)pixels);
    if (reader->bytes && reader->pixels)
        return 0;
    rt_picture_reader_close(reader);
    return rt_fail(error, "out of memory for decoding pictures");
}

void rt_picture_reader_close(rt_picture_reader *reader) {
    free(reader->bytes);
    free(reader->pixels);
    *reader = (rt_picture_reader){.source = NULL};
}

/* The whole file; it must still have the size that it had when the set was opened. */
static int read_file(const rt_picture_file *file, uint8_t *bytes, rt_error *error) {
    int descriptor = open(file->path, O_RDONLY | O_CLOEXEC);
    if (descriptor < 0)
        return rt_fail(error, "%s: cannot open: %s", file->path, strerror(errno));
    struct stat status;
    int64_t done = 0;
    ssize_t got = fstat(descriptor, &status) ? -1 : 1;
    for (; got > 0 && done < file->bytes; done += got)
        got = read(descriptor, bytes + done, (size_t)(file->bytes - done));
    if (got < 0)
        rt_fail(error, "%s: cannot read: %s", file->path, strerror(errno));
    else if (done < file->bytes || status.st_size != file->bytes)
        rt_fail(error, "%s: has changed since the set was opened", file->path);
    close(descriptor);
    return got >= 0 && done == file->bytes && status.st_size == file->bytes ? 0 : -1;
}

const rt_image *rt_picture_read(rt_picture_reader *reader, const rt_dataset *source, int64_t index, rt_part part,
                                rt_error *error) {
    const rt_image *image = &source->images[index];
    if (image->pixels)
        return image;
    if (reader->source == source && reader->index == index && holds(reader->part, part))
        return &reader->image;
    const rt_picture_file *file = &source->files[index];
    reader->source = NULL;
    reader->image = (rt_image){image->width, image->height, reader->pixels};
    if (read_file(file, reader->bytes, error) ||
        rt_picture_decode_part(file->path, reader->bytes, (size_t)file->bytes, part, &reader->image, error))
        return NULL;
    reader->source = source;
    reader->index = index;
    reader->part = part;
    return &reader->image;
}
