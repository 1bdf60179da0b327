/*
 * api: the paths below "api", which parts of modules answer for. NGINX Plus's paths, methods, objects and error codes.
 *
 *   /api/9/nginx            a part of no section        /api/9/http/keyvals/zone       part "keyvals" of section "http", rest: "zone"
 */
#ifndef HTTP_API_H
#define HTTP_API_H

#include "http/response.h"
#include "os/metrics.h"
#include <jansson.h>

enum { API_LEAST = 1, API_MOST = 9, API_DEPTH = 4, API_BODY_MOST = 65536 };

struct api_call {
    struct request *r;
    enum method     method;               /* GET, POST, PATCH, DELETE */
    unsigned        version;
    struct text     rest[API_DEPTH];      /* what follows the part's name, decoded */
    size_t          depth;
    json_t         *body;                 /* of POST and PATCH: an object */
    json_t         *answer;               /* of 200 and 201; taken over by who asked */
    struct text     location;             /* of 201: the path below the part; empty: none */
    const char     *code;                 /* of an error */
    char            words[128];
};

struct api_part {
    const char *section, *name;           /* section NULL: none */
    unsigned    since;                    /* version */
    unsigned    methods;                  /* but GET: 1 << METHOD_POST … */
    bool        named;                    /* rest names an object in a collection: ?fields= is of the objects then */
    /* The status: 200, 201, 204, or what api_refuse gave. */
    int       (*serve)(struct api_call *c);
};
extern const int api_part_kind;           /* module.part_kind; the part is an array that ends with name NULL */

/* Calls fn for every part of every module. */
void api_parts_each(void (*fn)(const struct api_part *p, void *arg), void *arg);
/* NULL: there is none (in this version). */
const struct api_part *api_part_find(struct text section, struct text name, unsigned version);
__attribute__((format(printf, 4, 5))) int api_refuse(struct api_call *c, int status, const char *code, const char *fmt, ...);
/* An argument of the query, decoded; false: not given. */
bool api_argument(const struct api_call *c, struct text name, struct text *out);
json_t *api_text(struct text t);
/* The object "ssl": of handshakes with clients, or with servers (which need no certificate of ours, nor choose the cipher). get(m, arg): how
 * often (METRIC_SSL_…). */
json_t *api_ssl(uint64_t (*get)(enum metric m, const void *arg), const void *arg, bool clients);
/* The same of counts. */
struct tls_counts;
json_t *api_ssl_counts(const struct tls_counts *c, bool clients);
/* "2026-01-31T12:00:00.000Z" */
json_t *api_time(uint64_t wall_ms);

#endif
