/* Memory for what kernels work on. */
#ifndef RT_MEMORY_H
#define RT_MEMORY_H

#include <stdint.h>

/* Zeroed memory of at least so many bytes, aligned for vectors; what is never touched takes none. Large pieces lie in
 * large pages where the system has some: looking 4 KB pages up can take longer than the work in them. *block is for
 * free(). NULL where there is no memory. */
char *rt_memory_take(int64_t bytes, void **block);

#endif
