/* Pictures of a set, wherever they are: in memory, or in files that are decoded when they are needed. */
#ifndef RT_PICTURE_READER_H
#define RT_PICTURE_READER_H

#include "runtime/picture.h"

/* The smallest part that holds both; one without height holds nothing. */
rt_part rt_part_union(rt_part a, rt_part b);

/* One thread's memory for the picture that it works on. */
typedef struct {
    uint8_t *bytes, *pixels;  /* of the largest file and picture */
    const rt_dataset *source; /* what is in `image`: this part of that item of that source */
    int64_t index;
    rt_part part;
    rt_image image;
} rt_picture_reader;

/* Takes the memory for all sources of the set; none where every picture is in memory already. Returns 0 or -1. */
int rt_picture_reader_open(rt_picture_reader *reader, const rt_dataset *dataset, rt_error *error);
void rt_picture_reader_close(rt_picture_reader *reader);

/* The picture, of which the part is there, until the next one is read. NULL with a message when its file cannot be
 * read. Nothing is read when that part was there already. */
const rt_image *rt_picture_read(rt_picture_reader *reader, const rt_dataset *source, int64_t index, rt_part part,
                                rt_error *error);

#endif
