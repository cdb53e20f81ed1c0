/* cslc cache: how much object code is kept, and where; with --clear, none any more. */
#include "frontend/driver/driver.h"

#include <errno.h>
#include <string.h>

int driver_cache(driver_session *work) {
    if (!work->cache) {
        printf("no object code is kept: CSLC_CACHE is empty, or there is no home\n");
        return STATUS_GOOD;
    }
    if (work->options->clear && !backend_cache_clear(work->cache)) {
        fprintf(stderr, "cslc: error: cannot empty '%s': %s\n", work->cache->folder, strerror(errno));
        return STATUS_FAILED;
    }
    int entries;
    int64_t bytes;
    backend_cache_measure(work->cache, &entries, &bytes);
    printf("%s: %d objects, %.1f of at most %.0f MiB\n", work->cache->folder, entries, (double)bytes / (1 << 20),
           (double)work->cache->limit_bytes / (1 << 20));
    return STATUS_GOOD;
}
