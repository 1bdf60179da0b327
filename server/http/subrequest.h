/*
 * subrequest: a request within a request, for the same client, by another uri; owned by its parent, on the parent's
 * connection. It begins at server_rewrite, "internal" locations are open to it, access is not asked again. Its response goes
 *   inline       into the parent's response, at its place in order (postpone.h);
 *   to memory    for who opened it, at most subrequest_output_buffer_size;
 *   nowhere      only its head counts (status), or nothing at all (background: it goes on when its parent is through).
 * It shares the parent's variables, has a pool of its own, and ends at the latest when its parent ends (but for background).
 * Nothing runs in subrequest_open: it begins, and ends, later in the turn.
 */
#ifndef HTTP_SUBREQUEST_H
#define HTTP_SUBREQUEST_H

#include "http/response.h"

enum subrequest_way { SUBREQUEST_INLINE, SUBREQUEST_MEMORY, SUBREQUEST_STATUS, SUBREQUEST_BACKGROUND };

struct subrequest_want {
    struct text         uri, args;      /* path decoded and normalised; they live as long as the parent */
    struct text         named;          /* "@name": the location that answers, instead of the uri's; empty: none */
    enum subrequest_way way;
    bool                same_method;    /* the parent's, instead of GET */
    bool                no_body;        /* the parent's request body is not given to it */
    /* It answered (for STATUS: its head is there): status and head may be read, and subrequest_memory. What is kept must be
     * copied: it ends soon. NULL: nobody asks. Not called when the parent ends before. */
    void              (*done)(struct request *sub, void *arg);
    void               *arg;
    const struct chain *instead;        /* inline: instead of an empty response, or an error made here; NULL: none */
};

struct subrequest;

/* NULL after a log line: too deep (50), too many (65,000), within one to memory. A background one too many is not begun. */
struct request *subrequest_open(struct request *parent, const struct subrequest_want *w);
/* What came to memory; empty for errors. */
struct text subrequest_memory(const struct request *sub);
/* Its source is through? */
bool        subrequest_is_over(const struct request *sub);

/* ---- for the rooms of requests ---- */

/* Ranges of files in its response are to be read, for the sake of who takes it. */
bool subrequest_needs_bytes(const struct request *r);
/* From error_page: an error made here is answered by "instead". */
bool subrequest_replaces(struct request *r);
/* From response_head: a status without a body (204, 304) becomes one that has what stands instead (want.instead). */
void subrequest_heads(struct request *r);
/* From response_body of a subrequest: what its source gives. */
void subrequest_gives(struct request *r, struct chain *in, enum body_end end);
/* From request_close: the subrequests of r end, but those in the background. */
void subrequest_end_all(struct request *r);
/* There are some in the background: they go on without the connection, and r must stay; the last one of them frees it. */
bool subrequest_stay(struct request *r);

/* ---- for postpone ---- */

/* It is its turn: what it held goes to the parent, and from now on what it gives. True: it is over. */
bool subrequest_flow(struct subrequest *s);
/* Room for more of its response. */
void subrequest_more(struct subrequest *s);

#endif
