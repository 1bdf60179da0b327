/* open_file_cache: what a worker remembers of files: descriptors, sizes, times, and that they are not there. For open_file.c only. */
#ifndef HTTP_OPEN_FILE_CACHE_H
#define HTTP_OPEN_FILE_CACHE_H

#include "http/open_file.h"

/* As the directive says; what is remembered hangs on it. */
struct open_file_cache {
    uint64_t              max, inactive_ms;
    struct cached_file  **buckets;        /* made at the first use */
    size_t                mask, count;
    struct cached_file   *newest, *oldest;   /* by their last use */
};

/* What is remembered of path opened with these links, not older than valid_ms; counts the use. *out with a hold of its own.
 * False: nothing, or a file whose descriptor is not kept: to be opened and put. */
bool open_file_cache_get(struct open_file_cache *c, struct text path, struct open_links links, enum open_want want, uint64_t valid_ms, struct open_file *out);
/* Remembers found (takes holds of its own); its descriptor only after min_uses uses. */
void open_file_cache_put(struct open_file_cache *c, struct text path, struct open_links links, const struct open_file *found, uint64_t min_uses);
/* Forgets path: it could not be opened, and errors are not remembered. */
void open_file_cache_forget(struct open_file_cache *c, struct text path, struct open_links links);
/* Forgets all. */
void open_file_cache_end(void *cache);

#endif
