/* limit_zone: what limit_req_zone, limit_conn_zone and limit_rate_zone have in common: a key, and a table in shared memory by its digests. */
#ifndef HTTP_LIMIT_ZONE_H
#define HTTP_LIMIT_ZONE_H

#include "eval/template.h"
#include "http/request.h"
#include "os/shm_table.h"
#include "process/cycle.h"

struct limit_zone {
    struct text       name;
    struct template  *key;         /* NULL: named somewhere, not defined (yet) */
    size_t            size;
    unsigned          ipv6_prefix; /* of $binary_remote_addr, where that is the key; 0: all of it */
    uint64_t          rate, burst; /* the module's own */
    const char       *file;        /* where it was first named */
    unsigned          line;
    struct shm_table *table;
};

/* The zone of that name in *zones (made when there is none yet), added when it is new. */
struct limit_zone *limit_zone_named(struct conf *cf, struct table **zones, struct text name);
/* The words of a ..._zone directive: "key zone=name:size [ipv6_prefix=bits]"; "rate=" and "burst=" go to read (NULL: there are no
 * such words), which puts what they say into *told, or is false. The zone takes told's rate and burst. */
conf_result limit_zone_read(struct conf *cf, struct table **zones, bool (*read)(struct text word, struct limit_zone *told), struct limit_zone *told);
/* At the end of reading: a zone that was named but not defined is an error. */
void limit_zones_check(struct conf *cf, const struct table *zones);
/* In the master: their tables. kind: of the module, part of the names in shared memory. False after a log line. */
bool limit_zones_open(struct cycle *c, const struct table *zones, const char *kind, size_t value_size);

/* The digest of the request's key. False: the key is empty, this zone does not count the request. */
bool limit_zone_key(const struct limit_zone *z, struct request *r, struct siphash *out);
/* The zone is full: is it time to say so (again)? Once an hour. */
bool limit_zone_may_tell(const struct limit_zone *z);

#endif
