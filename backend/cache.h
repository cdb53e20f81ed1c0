/* Inside the back ends: pieces of object code on disk, each under a key of all that it was made from. */
#ifndef BACKEND_CACHE_H
#define BACKEND_CACHE_H

#include "backend/backend.h"

/* 128 bits of what an object was made from. */
typedef struct {
    uint64_t high, low;
} cache_key;

cache_key cache_key_of(const char *bytes, size_t length);

/* Appends the object stored under `key` to `object`. False when there is none, or one that is damaged. */
bool cache_load(const backend_cache *cache, cache_key key, text_buffer *object);
/* Stores an object; it appears whole or not at all. What cannot be written is left out: it is made again next time. */
void cache_store(const backend_cache *cache, cache_key key, const char *object, size_t length);
/* Removes the entries that were longest unused until the rest keeps the cache's limit. */
void cache_trim(const backend_cache *cache);

/* Appends the build identifiers of this executable and of LLVM's library, which change with every other code
 * generator. False when one has none: its objects must not be kept. */
bool cache_append_build(text_buffer *key);

#endif
