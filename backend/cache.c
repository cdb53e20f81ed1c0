/* The cache of object code: one file an entry, written aside and renamed, checked by a hash of its bytes when read. */
#include "backend/cache.h"
#include "runtime/output_file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* What a file begins with. */
typedef struct {
    char magic[8];
    uint64_t length;
    cache_key content;
} entry_head;

static const char magic[8] = "cslobj1";

enum { KEY_DIGITS = 32, PATH_BYTES = 4096 };

/* FNV-1a in 128 bits. */
cache_key cache_key_of(const char *bytes, size_t length) {
    const unsigned __int128 prime = (unsigned __int128)1 << 88 | 0x13b;
    unsigned __int128 hash = (unsigned __int128)UINT64_C(0x6c62272e07bb0142) << 64 | UINT64_C(0x62b821756295c58d);
    for (size_t i = 0; i < length; i++)
        hash = (hash ^ (uint8_t)bytes[i]) * prime;
    return (cache_key){(uint64_t)(hash >> 64), (uint64_t)hash};
}

/* ---- the folder ------------------------------------------------------------------------------------------------- */

bool backend_cache_choose(arena *memory, backend_cache *cache) {
    const char *named = getenv("CSLC_CACHE"), *base = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    *cache = (backend_cache){.limit_bytes = BACKEND_CACHE_LIMIT};
    if (named)
        cache->folder = *named ? arena_strdup(memory, named) : NULL;
    else if (base && *base == '/')
        cache->folder = arena_printf(memory, "%s/cslc", base);
    else if (home && *home == '/')
        cache->folder = arena_printf(memory, "%s/.cache/cslc", home);
    return cache->folder != NULL;
}

/* Makes the folder, closed to others, and those above it; whether that went well shows when a file is opened there. */
static void make_folder(const char *path) {
    rt_error unheeded;
    if (access(path, F_OK) != 0 && rt_make_folders(path, &unheeded) == 0)
        chmod(path, 0700);
}

static bool entry_path(const backend_cache *cache, cache_key key, char *path) {
    int length = snprintf(path, PATH_BYTES, "%s/%016llx%016llx.o", cache->folder, (unsigned long long)key.high,
                          (unsigned long long)key.low);
    return length < PATH_BYTES;
}

/* Whether a file of the folder is ours: an entry, or one that was being written. */
static bool is_entry(const char *name) {
    if (strncmp(name, "writing-", 8) == 0)
        return strlen(name) == strlen("writing-XXXXXX");
    return strspn(name, "0123456789abcdef") == KEY_DIGITS && strcmp(name + KEY_DIGITS, ".o") == 0;
}

/* ---- entries ---------------------------------------------------------------------------------------------------- */

static bool entry_is_whole(const char *data, size_t length) {
    entry_head head;
    if (length < sizeof head)
        return false;
    memcpy(&head, data, sizeof head);
    cache_key content = cache_key_of(data + sizeof head, length - sizeof head);
    return memcmp(head.magic, magic, sizeof magic) == 0 && head.length == length - sizeof head &&
           head.content.high == content.high && head.content.low == content.low;
}

bool cache_load(const backend_cache *cache, cache_key key, text_buffer *object) {
    char path[PATH_BYTES];
    size_t length;
    char *data = entry_path(cache, key, path) ? text_read_file(path, &length) : NULL;
    bool good = data && entry_is_whole(data, length);
    if (good) {
        text_append_bytes(object, data + sizeof(entry_head), length - sizeof(entry_head));
        utimensat(AT_FDCWD, path, NULL, 0); /* used now: trimming takes the oldest */
    }
    free(data);
    return good;
}

static bool write_whole(int file, const char *data, size_t length) {
    while (length > 0) {
        ssize_t written = write(file, data, length);
        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0)
            return false;
        data += written;
        length -= (size_t)written;
    }
    return true;
}

void cache_store(const backend_cache *cache, cache_key key, const char *object, size_t length) {
    char path[PATH_BYTES], temporary[PATH_BYTES];
    if (!entry_path(cache, key, path))
        return;
    snprintf(temporary, sizeof temporary, "%s/writing-XXXXXX", cache->folder);
    make_folder(cache->folder);
    int file = mkstemp(temporary);
    if (file < 0)
        return;
    entry_head head = {.length = length, .content = cache_key_of(object, length)};
    memcpy(head.magic, magic, sizeof magic);
    bool good = write_whole(file, (const char *)&head, sizeof head) && write_whole(file, object, length);
    good &= close(file) == 0;
    if (!good || rename(temporary, path) != 0)
        unlink(temporary);
}

/* ---- all entries ------------------------------------------------------------------------------------------------ */

typedef struct {
    char name[48];
    int64_t bytes;
    struct timespec used;
} entry_file;

typedef struct {
    entry_file *files;
    int count, capacity;
    int64_t bytes;
} entry_list;

/* The entries of the folder; none when it cannot be read. */
static entry_list list_entries(const backend_cache *cache, arena *memory) {
    entry_list list = {0};
    DIR *folder = opendir(cache->folder);
    struct dirent *item;
    struct stat about;
    while (folder && (item = readdir(folder)) != NULL) {
        if (!is_entry(item->d_name) || fstatat(dirfd(folder), item->d_name, &about, AT_SYMLINK_NOFOLLOW) != 0)
            continue;
        entry_file file = {.bytes = about.st_size, .used = about.st_mtim};
        snprintf(file.name, sizeof file.name, "%.47s", item->d_name);
        ARENA_PUSH(memory, list.files, list.count, list.capacity, file);
        list.bytes += file.bytes;
    }
    if (folder)
        closedir(folder);
    return list;
}

static int by_use(const void *left, const void *right) {
    const struct timespec *a = &((const entry_file *)left)->used, *b = &((const entry_file *)right)->used;
    if (a->tv_sec != b->tv_sec)
        return a->tv_sec < b->tv_sec ? -1 : 1;
    return (a->tv_nsec > b->tv_nsec) - (a->tv_nsec < b->tv_nsec);
}

/* Removes the files longest unused until at most `bytes` are left; false when one cannot be removed. */
static bool remove_down_to(const backend_cache *cache, int64_t bytes) {
    arena *memory = arena_new();
    if (!memory)
        return false;
    bool good = true;
    entry_list list = list_entries(cache, memory);
    if (list.count > 0 && list.bytes > bytes)
        qsort(list.files, (size_t)list.count, sizeof *list.files, by_use);
    for (int i = 0; i < list.count && list.bytes > bytes; i++) {
        char path[PATH_BYTES];
        snprintf(path, sizeof path, "%s/%s", cache->folder, list.files[i].name);
        good &= unlink(path) == 0 || errno == ENOENT; /* another cslc may have been first */
        list.bytes -= list.files[i].bytes;
    }
    arena_free(memory);
    return good;
}

void cache_trim(const backend_cache *cache) {
    remove_down_to(cache, cache->limit_bytes);
}

bool backend_cache_clear(const backend_cache *cache) {
    return remove_down_to(cache, -1);
}

void backend_cache_measure(const backend_cache *cache, int *entries, int64_t *bytes) {
    arena *memory = arena_new();
    *entries = 0;
    *bytes = 0;
    if (!memory)
        return;
    entry_list list = list_entries(cache, memory);
    *entries = list.count;
    *bytes = list.bytes;
    arena_free(memory);
}
