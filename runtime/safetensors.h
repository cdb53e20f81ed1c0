/* The safetensors file format: an 8-byte header length, a JSON header, then the tensors' bytes without holes. */
#ifndef RT_SAFETENSORS_H
#define RT_SAFETENSORS_H

#include "runtime/tensor.h"

/* A tensor to write: its description (offset and strides included) and the region it lies in. */
typedef struct {
    rt_tensor tensor;
    const char *region;
} rt_tensor_source;

typedef struct {
    char key[32], value[1024];
} rt_metadata;

/* Writes the tensors, dense and in the given order, with their metadata, to a file that appears whole or not at all.
 * Returns 0, or -1 with a message naming the path. */
int rt_safetensors_save(const char *path, const rt_tensor_source *sources, int source_count,
                        const rt_metadata *metadata, int metadata_count, rt_error *error);

/* A file in memory. The tensors are dense; `offset` counts from `data`. */
typedef struct {
    char *bytes; /* the whole file */
    const char *data;
    int tensor_count, metadata_count;
    rt_tensor *tensors;
    rt_metadata *metadata;
} rt_safetensors;

/* Reads and checks a file: truncation, an absurd header length, a wrong type or shape, overlaps, holes and repeated
 * names are refused with a message naming the path and the reason. Returns NULL then. */
rt_safetensors *rt_safetensors_load(const char *path, rt_error *error);
void rt_safetensors_free(rt_safetensors *file);

/* The tensor or metadata value of that name, or NULL. */
const rt_tensor *rt_safetensors_find(const rt_safetensors *file, const char *name);
const char *rt_safetensors_metadata(const rt_safetensors *file, const char *key);

#endif
