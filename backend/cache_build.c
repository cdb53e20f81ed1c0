/* Which compiler this is: the identifiers that the linker gave this executable and LLVM's library. */
#define _GNU_SOURCE
#include "backend/cache.h"

#include <link.h>
#include <string.h>

typedef struct {
    text_buffer *key;
    int found;
} build_search;

/* Appends the GNU build identifier among the notes; returns how many were found. */
static int append_identifier(text_buffer *key, const char *notes, size_t length) {
    for (size_t at = 0; at + sizeof(ElfW(Nhdr)) <= length;) {
        ElfW(Nhdr) note;
        memcpy(&note, notes + at, sizeof note);
        size_t name = at + sizeof note, content = name + (note.n_namesz + 3U) / 4 * 4;
        if (note.n_type == NT_GNU_BUILD_ID && note.n_namesz == 4 && memcmp(notes + name, "GNU", 4) == 0) {
            text_append_bytes(key, notes + content, note.n_descsz);
            return 1;
        }
        at = content + (note.n_descsz + 3U) / 4 * 4;
    }
    return 0;
}

/* The executable has no name here. */
static int visit(struct dl_phdr_info *object, size_t size, void *user) {
    (void)size;
    build_search *search = user;
    if (*object->dlpi_name && !strstr(object->dlpi_name, "libLLVM"))
        return 0;
    for (int i = 0; i < object->dlpi_phnum; i++) {
        const ElfW(Phdr) *part = &object->dlpi_phdr[i];
        const char *start = (const char *)(object->dlpi_addr + part->p_vaddr); /* NOLINT: an address in memory */
        if (part->p_type == PT_NOTE && append_identifier(search->key, start, part->p_memsz)) {
            search->found++;
            break;
        }
    }
    return 0;
}

bool cache_append_build(text_buffer *key) {
    build_search search = {.key = key};
    dl_iterate_phdr(visit, &search);
    return search.found >= 2;
}
