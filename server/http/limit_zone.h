/* limit_zone: what limit_req_zone, limit_conn_zone, limit_rate_zone and limit_quota_zone have in common: a key, and a table in shared memory by its digests. */
#ifndef HTTP_LIMIT_ZONE_H
#define HTTP_LIMIT_ZONE_H

#include "eval/template.h"
#include "http/api.h"
#include "http/request.h"
#include "os/shm_table.h"
#include "process/cycle.h"

/* What a zone decided, over all workers and generations. */
enum limit_count { LIMIT_PASSED, LIMIT_DELAYED, LIMIT_REJECTED, LIMIT_DELAYED_DRY_RUN, LIMIT_REJECTED_DRY_RUN, LIMIT_COUNTED_TOGETHER, LIMIT_LATE, LIMIT_ALONE, LIMIT_CLOSED, LIMIT_COUNTS };
struct limit_counts { _Atomic uint64_t v[LIMIT_COUNTS]; _Atomic uint32_t alone; };      /* alone: sync's server is away, which was told */

struct limit_zone {
    struct text       name;
    struct template  *key;         /* NULL: named somewhere, not defined (yet) */
    size_t            size;
    unsigned          ipv6_prefix; /* of $binary_remote_addr, where that is the key; 0: all of it */
    uint64_t          rate, burst; /* the module's own */
    const char       *file;        /* where it was first named */
    unsigned          line;
    struct shm_table *table;
    struct limit_counts *counts;   /* in shared memory */
    void             *more;        /* the module's own */
};

/* The zone of that name in *zones (made when there is none yet), added when it is new. */
struct limit_zone *limit_zone_named(struct conf *cf, struct table **zones, struct text name);
/* The words of a ..._zone directive: "key zone=name:size [ipv6_prefix=bits]"; others go to read (NULL: there are none), which puts what
 * they say into *told, or says in *why_out what is wrong; false: it does not know the word. The zone takes told's rate, burst and more. */
conf_result limit_zone_read(struct conf *cf, struct table **zones, bool (*read)(struct conf *cf, struct text word, struct limit_zone *told, conf_result *why_out), struct limit_zone *told);
/* All of them, one after the other; NULL: no more. *at: 0 at first. zones may be NULL: none. */
struct limit_zone *limit_zone_next(const struct table *zones, size_t *at);
/* At the end of reading: a zone that was named but not defined is an error. */
void limit_zones_check(struct conf *cf, const struct table *zones);
/* In the master: their tables. kind: of the module, part of the names in shared memory. False after a log line. */
bool limit_zones_open(struct cycle *c, const struct table *zones, const char *kind, size_t value_size);

/* The request's key as the zone counts it, and its digest. False: the key is empty, this zone does not count the request. */
bool limit_zone_text(const struct limit_zone *z, struct request *r, struct text *out);
bool limit_zone_key(const struct limit_zone *z, struct request *r, struct siphash *out);
/* The zone is full: is it time to say so (again)? Once an hour. */
bool limit_zone_may_tell(const struct limit_zone *z);

static inline void limit_zone_count(const struct limit_zone *z, enum limit_count what) { atomic_fetch_add_explicit(&z->counts->v[what], 1, memory_order_relaxed); }

/* For the API: the zones with their counts, as NGINX Plus has them, or one of them; DELETE makes it begin anew. */
struct limit_count_name { enum limit_count what; const char *name; };
struct limit_zones_shown {
    const struct limit_count_name *counts;                                   /* ends with name NULL */
    const char *kind, *code;                                                 /* "limit_req not found", "LimitReqNotFound" */
    void      (*more)(const struct limit_zone *z, json_t *j);                /* may be NULL */
};
int limit_zones_serve(struct api_call *c, const struct table *zones, const struct limit_zones_shown *shown);

#endif
