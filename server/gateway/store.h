/*
 * store: a copy of an answer of 200 on its way to be a file (…_store): written to a temporary file as it comes, and put in its place
 * when it is whole. What the client does has no influence on it.
 */
#ifndef GATEWAY_STORE_H
#define GATEWAY_STORE_H

#include "base/chain.h"

struct exchange;
struct store;

/* x's answer is about to come. NULL: no copy is made of it (not a 200, no body: HEAD), or the file cannot be (logged). */
struct store *store_open(struct exchange *x);
/* What comes next; in is left as it is. */
void store_take(struct store *s, const struct chain *in);
/* whole: the copy takes its place; else, or when that fails (logged), it is gone. NULL is fine. */
void store_end(struct store **s, bool whole);

#endif
