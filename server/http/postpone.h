/*
 * postpone: the filter that puts responses of subrequests into their parent's, in order. What the parent gives behind an
 * open subrequest waits for it; meanwhile the filter holds, so that the parent's source stops.
 */
#ifndef HTTP_POSTPONE_H
#define HTTP_POSTPONE_H

#include "http/subrequest.h"

/* From the head of a filter that stands before it: responses of others may be joined into this one. */
void   postpone_expect(struct request *r);
/* The next place in parent's response is s's: the place. */
struct part;
struct part *postpone_add(struct request *parent, struct subrequest *s);
/* Is it s's turn among the parts of parent? */
bool   postpone_is_first(const struct request *parent, const struct subrequest *s);
/* From the subrequest whose turn it is. */
void   postpone_pass(struct request *parent, struct chain *in);
/* Do the filters behind it need bytes? */
bool   postpone_needs_bytes(const struct request *parent);
size_t postpone_room(struct request *parent);
/* The first one is over: on to what stands behind it. */
void   postpone_advance(struct request *parent);
/* Whose place it is is no more. */
void   postpone_forget(struct part *place);

#endif
