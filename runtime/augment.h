/* Data augmentation with torchvision's semantics. A view is a list of operations; the parameters of each are drawn
 * first (draw), then applied (apply), so that a test can apply given parameters and two views can share a draw. */
#ifndef RT_AUGMENT_H
#define RT_AUGMENT_H

#include "runtime/dataset.h"
#include "runtime/error.h"
#include "runtime/picture_reader.h"
#include "runtime/random.h"

#include <stddef.h>
#include <stdint.h>

typedef enum {
    RT_RESIZE,              /* size[2], interpolation */
    RT_CENTER_CROP,         /* size[2] */
    RT_RANDOM_RESIZED_CROP, /* size[2], scale[2], ratio[2], interpolation */
    RT_RANDOM_CROP,         /* size[2], pad */
    RT_RANDOM_TRANSLATE,    /* reach in pixels, mirror padding, p */
    RT_HORIZONTAL_FLIP,     /* p */
    RT_COLOR_JITTER,        /* brightness, contrast, saturation, hue, p */
    RT_GRAYSCALE,           /* p */
    RT_GAUSSIAN_BLUR,       /* kernel, sigma[2], p */
    RT_NORMALIZE,           /* mean[3], std[3] */
    RT_GAUSSIAN_NOISE,      /* of vectors: sigma[2], p */
    RT_RANDOM_MASK,         /* of vectors: share, p */
    RT_RANDOM_SCALE,        /* of vectors: range[2], p */
    RT_AUGMENT_KIND_COUNT
} rt_augment_kind;

enum { RT_MOST_AUGMENTATIONS = 64 }; /* of one view */

typedef enum { RT_BILINEAR, RT_BICUBIC } rt_interpolation;

/* One operation of a view's pipeline, with its settings. Unused fields are 0. */
typedef struct {
    rt_augment_kind kind;
    int draw;    /* operations of equal `draw` number in different views share their random parameters */
    double p;    /* probability of being applied */
    int size[2]; /* height, width */
    double scale[2], ratio[2], sigma[2];
    rt_interpolation interpolation;
    int reach, kernel;
    double brightness, contrast, saturation, hue;
    double mean[3], std[3];
    double share, range[2]; /* of vectors */
} rt_augment_op;

/* What one random draw for one image decided. */
typedef struct {
    int apply;
    int top, left, height, width; /* crop */
    int flip, dx, dy;
    int order[4];                                 /* the four colour steps' order: 0 brightness … 3 hue */
    double brightness, contrast, saturation, hue; /* factors; hue is a shift as a fraction of the circle */
    double sigma, scale;
    rt_random_sequence random; /* where the draws of the elements of a vector go on from */
} rt_augment_draw;

typedef struct rt_view rt_view;

/* What makes pictures of a view of images: a compiled kernel, which reads tables that follow from the draws, or a
 * function that takes the draws themselves. One of the two is NULL. */
typedef struct {
    int64_t strides[3]; /* of what the kernel writes: elements between channels, rows and columns */
    void (*kernel)(void *const *args, char *scratch, int64_t begin, int64_t end);
    int (*apply)(const rt_view *view, const rt_augment_draw *draws, const rt_image *source, float *out,
                 const int64_t stride[3], rt_error *error);
} rt_view_code;

struct rt_view {
    char name[64];
    int op_count;
    rt_augment_op *ops;
    int channels, height, width; /* of the finished view; of vectors: their width, 0, 0 */
    char source_name[64];        /* of the data that it shows; "" where the data has one source without a name */
    int source;                  /* its number */
    const rt_view_code *code;    /* of images; NULL for vectors */
};

/* Parses one line of the text form, `random_resized_crop draw=3 size=32,32 scale=0.08,1 ratio=0.75,1.3333 p=1`
 * (names of the enumeration without RT_, lower case; keys as the fields above; interpolation=bilinear|bicubic).
 * This table of names and keys is the only one; the compiler links it to check specs. */
int rt_augment_parse(const char *line, rt_augment_op *op, rt_error *error);

/* Writes all settings of the operation, those not given included, in the text form ("size=32,32 scale=0.08,1 …") but
 * without name, draw, and a p of 1. Returns the length, as snprintf does. */
int rt_augment_settings(const rt_augment_op *op, char *text, size_t size);

/* Whether the operation is one of vectors, else it is one of images. */
int rt_augment_of_vectors(rt_augment_kind kind);

typedef struct {
    int height, width;
} rt_size;

/* The size of the picture behind the step. */
rt_size rt_size_after(const rt_augment_op *op, rt_size size);

/* Draws parameters for an image of the given size. */
rt_augment_draw rt_augment_draw_parameters(const rt_augment_op *op, int height, int width, rt_random_sequence *random);

/* Bytes of working memory that rt_augment_apply needs for sources up to this size; 64 for a view of vectors. */
int64_t rt_augment_workspace(const rt_view *view, int max_height, int max_width);

/* Runs the whole view on `source`: op i uses draws[i]. Writes float `out` of shape [channels, height, width] whose
 * elements are `stride[0..2]` apart: those of the view's code. Returns -1 with a message when the result's size is not
 * the view's. */
int rt_augment_apply(const rt_view *view, const rt_augment_draw *draws, const rt_image *source, void *workspace,
                     float *out, const int64_t stride[3], rt_error *error);

/* The same for a view of vectors: writes view->channels numbers, `stride` apart. */
void rt_augment_vector(const rt_view *view, const rt_augment_draw *draws, const float *source, float *out,
                       int64_t stride);

/* The part of the source that the view with these draws looks at. */
rt_part rt_augment_part(const rt_view *view, const rt_augment_draw *draws, int height, int width);

/* Item `index` of the view's source in the set, by whichever of the two fits; a picture comes by way of the reader. */
int rt_augment_item(const rt_view *view, const rt_augment_draw *draws, const rt_dataset *dataset, int64_t index,
                    rt_picture_reader *reader, void *workspace, float *out, const int64_t stride[3], rt_error *error);

/* The sides of the item in that source; 0, 0 for a vector. */
void rt_augment_sides(const rt_view *view, const rt_dataset *dataset, int64_t index, int *height, int *width);

#endif
