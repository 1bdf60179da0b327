/*
 * budget: how many requests of a group there were in the last seconds, and how many were passed to another peer; over all workers
 * and generations, in shared memory. What keeps an outage from being made worse by those who try again.
 */
#ifndef GATEWAY_BUDGET_H
#define GATEWAY_BUDGET_H

#include "upstream/group.h"

struct gateway_budget;

/* A request of g begins. */
void budget_count(struct group *g);
/* Would one more retry keep within b? */
bool budget_left(struct group *g, const struct gateway_budget *b);
/* One request of g is passed to another peer. */
void budget_spend(struct group *g);

#endif
