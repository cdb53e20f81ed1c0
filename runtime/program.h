/* What an emitted program is to the runtime: a manifest in text and a table of compiled functions. Every back end
 * produces exactly this; the runtime knows nothing else of the compiler. */
#ifndef RT_PROGRAM_H
#define RT_PROGRAM_H

#include "runtime/augment.h"
#include "runtime/error.h"
#include "runtime/pool.h"

#include <stddef.h>
#include <stdint.h>

#define RT_MAX_RANK 8

/* What compiled code sees while it runs. The three regions are owned by the caller, 64-byte aligned. */
typedef struct {
    char *state; /* parameters, statistics, optimiser slots: kept between steps */
    char *arena; /* inputs, outputs and everything that lives within one call */
    rt_pool *pool;
    struct rt_profile *profile; /* runtime/profile.h; NULL: nothing is recorded */
} rt_frame;

/* One compiled kernel: iterations [begin, end) of its parallel loop over the buffers in `args`; `scratch` is the
 * worker's own memory. */
typedef void (*rt_kernel)(void *const *args, char *scratch, int64_t begin, int64_t end);

/* Runs a kernel's parallel loop on the pool, `rounds` times one after the other over iterations that count on: round r
 * has those from r * extent on. `nanoseconds`: that one thread takes for them, about, if the pool is to decide whether
 * to divide them (rt_pool_pays); 0: they are divided. Called by compiled functions. */
void rt_launch(const rt_frame *frame, rt_kernel kernel, void *const *args, int64_t extent, int64_t rounds,
               int64_t nanoseconds);

/* Runs a kernel on several sets of buffers, the parts, in one go: `args` has `arg_count` pointers for each of them, and
 * ends[p] is the number of iterations of the parts up to p. The threads share out all iterations together, or the pool
 * decides, as for rt_launch. Called by compiled functions. */
void rt_launch_parts(const rt_frame *frame, rt_kernel kernel, void *const *args, int64_t arg_count, const int64_t *ends,
                     int64_t part_count, int64_t nanoseconds);

/* The launches of a function as data, for compilers that would rather not write thousands of calls in a row. Of each
 * launch in turn `numbers` has: the kernel's number, arguments of a part, parts, extent, rounds, nanoseconds; where
 * there are several parts the iterations up to the end of each, as rt_launch_parts takes them; and the places of its
 * buffers, part after part: twice the bytes from the start of their region, and one more in the arena. */
typedef struct {
    const rt_kernel *kernels;
    const int64_t *numbers;
    int64_t launch_count, most_places; /* of any launch */
} rt_launch_list;

/* An rt_function: makes the launches of `list`, an rt_launch_list, in their order. */
void rt_run_launches(const rt_frame *frame, void *list);

/* Row blocks `begin` to `end` of result[rows, columns] = left[rows, inner] right[inner, columns], `block` rows each, by
 * OpenBLAS on the calling thread; row-major, a transposed operand is stored the other way round. Called by kernels. */
void rt_product(const float *left, const float *right, float *result, int64_t begin, int64_t end, int64_t rows,
                int64_t columns, int64_t inner, int64_t block, int left_transposed, int right_transposed);

/* A compiled function of the program (`init`, `train_step`, `embed`). `context` is its entry's. */
typedef void (*rt_function)(const rt_frame *frame, void *context);

typedef struct {
    const char *name;
    rt_function run;
    void *context; /* an rt_launch_list of rt_run_launches; the interpreter's function; else NULL */
} rt_entry;

/* The one symbol of an emitted object file: `const rt_program csl_program`. */
typedef struct {
    const char *manifest; /* text, see rt_manifest_parse */
    int entry_count;
    const rt_entry *entries;
    const rt_view_code *views; /* of each of the manifest's views in order */
} rt_program;

typedef enum { RT_F32, RT_I32, RT_BOOL } rt_dtype; /* 4, 4 and 1 bytes */

/* A named tensor in one of the regions. Dimensions are logical (as the spec and PyTorch see them); strides, in
 * elements, say where it lies. */
typedef struct {
    char name[256];
    char role[16]; /* state: param, statistic, ema, slot, queue, counter; else input or output */
    rt_dtype dtype;
    int rank;
    int64_t dims[RT_MAX_RANK], strides[RT_MAX_RANK];
    int64_t offset; /* bytes from the region's start */
} rt_tensor;

/* What a function's launches are, in the order in which it makes them. */
typedef struct {
    char *kernel, *place; /* "conv2d_64x64_3x3"; "specs/lib/nn.csl:12" or "-" */
    char component[16];   /* augment, encoder, extract, similarity, loss, train or none */
    int64_t flops, bytes_read, bytes_written;
} rt_launch_info;

typedef struct {
    char name[64];
    int64_t arena_bytes;
    int input_count, output_count, launch_count;
    rt_tensor *inputs, *outputs;
    rt_launch_info *launches;
} rt_function_info;

typedef struct {
    char key[64], value[512];
} rt_setting;

typedef struct {
    char method[128], spec[1024], fingerprint[64], precision[16], processor[16];
    int64_t state_bytes, arena_bytes, scratch_bytes; /* arena and scratch: the largest of the functions */
    int state_count, function_count, view_count, setting_count;
    rt_tensor *states;
    rt_function_info *functions;
    rt_view
        *views; /* the training views, in order; those named "evaluate" are the evaluation pipelines, one a source */
    rt_setting *settings;
} rt_manifest;

/* Reads the manifest, one record a line, words separated by spaces:
 *
 *   cslc-program 1
 *   method NAME
 *   spec PATH
 *   fingerprint HEX                        changes whenever states, shapes or views change
 *   precision WORD                         of products: f32, f32x3, f32x2 or bf16
 *   processor NAME                         the least that runs the program (runtime/cpu.h); any, where it is left out
 *   bytes state N arena N scratch N
 *   state NAME ROLE DTYPE OFFSET RANK DIM… STRIDE…
 *   function NAME ARENA_BYTES
 *   input NAME DTYPE OFFSET RANK DIM… STRIDE…      of the function above
 *   output NAME DTYPE OFFSET RANK DIM… STRIDE…
 *   launch KERNEL FLOPS BYTES_READ BYTES_WRITTEN COMPONENT PLACE
 *   view NAME CHANNELS HEIGHT WIDTH [of SOURCE]    of images; the sources of the data are those of the views "evaluate"
 *   view NAME WIDTH [of SOURCE]                    of vectors
 *   augment OP KEY=VALUE…                          of the view above, in order
 *   setting KEY VALUE                              batch, epochs, steps, knn.k, knn.t, linear.epochs, linear.lr, …
 *
 * Functions and their conventional inputs and outputs (i32 and f32 scalars unless noted):
 *   init        inputs seed
 *   train_step  inputs view.<name> [N,C,H,W] or [N,W] f32, seed, step, total_steps, steps_per_epoch (i32), and where
 * the spec uses them labels i32 [N], index i32 [N]; outputs loss, lr, and any named by the spec gradients   the same
 * inputs as train_step; outputs loss and grad.<parameter>; writes no state (for --dump-step) embed       inputs image
 * [N,C,H,W] or vector [N,W] f32, or those sources that it reads by their names; output features [N,F] f32
 */
rt_manifest *rt_manifest_parse(const char *text, rt_error *error);
void rt_manifest_free(rt_manifest *manifest);

/* The whole command line of an emitted program; returns its exit status (0 good, 1 failed, 2 wrong usage). */
int rt_main(int argc, char **argv, const rt_program *program);

#endif
