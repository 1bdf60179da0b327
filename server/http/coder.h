/*
 * coder: bodies coded on their way out (RFC 9110 8.4). A coder is one content coding (gzip, br, zstd), made by a module; a
 * response goes through the one that the client weighs highest (http/coding.h), at equal weights the first by order.
 *
 * A module gives its coder in its "extra": { .part = &coder, .part_kind = &coder_part_kind }.
 */
#ifndef HTTP_CODER_H
#define HTTP_CODER_H

#include "http/response.h"
#include "http/type_set.h"

/* What every coder's directives say: embedded in the module's values. */
struct coder_conf { flag on; bytes min_length; struct type_set types; bufs buffers; };

enum coder_op { CODER_GO, CODER_FLUSH, CODER_END };
enum coder_did { CODER_DONE,        /* all input is taken; for FLUSH and END: and all of it is out */
                 CODER_FULL,        /* out is full: the same again with more room */
                 CODER_FAILED };
struct coder_io { const char *in; size_t in_n; char *out; size_t out_n; };    /* moved on by step */

struct coder {
    struct text name;                /* of the coding */
    unsigned    order;               /* at equal weights lower comes first: br 1, zstd 2, gzip 3 */
    const struct coder_conf *(*conf)(const struct request *r);
    /* A stream for a body of length bytes (-1: not known); NULL after a log line. step is called until END is DONE or it
     * FAILED (after a log line); close gives everything back. */
    void     *(*open)(struct request *r, int64_t length);
    enum coder_did (*step)(struct request *r, void *stream, struct coder_io *io, enum coder_op op);
    void      (*close)(void *stream);
};
extern const int coder_part_kind;

/* How much went through the coder of that name; false: it was not used, or nothing has come out. */
struct coder_figures { uint64_t in, out; };
bool coder_figures(struct request *r, struct text name, struct coder_figures *out);
/* "3.14": in by out, rounded. For $gzip_ratio and the like. */
bool coder_ratio(struct request *r, struct text name, struct text *out);

#endif
