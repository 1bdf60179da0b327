/*
 * outlier: "outlier" in an upstream block. A peer that does worse than it should, or than the others of its group, is ejected
 * (PEER_EJECTED) for a while, as Envoy's outlier detection does:
 *
 *   consecutive    so many tries in a row failed, or were answered with 5xx: at once, by the worker that counts the last of them;
 *   success_rate   less of its tries of the last interval went well than the mean of all, less so many standard deviations;
 *   latency        its mean time to the header in the last interval is so many times the group's median.
 *
 * The latter two look at peers with enough requests, where there are enough of those; once an interval, in the manager, which also
 * lets peers back when their time is over. Each ejection is longer than the one before; each interval in service takes one back.
 * What is counted stands in the peers' shared state. Ejection and health checks know nothing of each other.
 */
#ifndef UPSTREAM_OUTLIER_H
#define UPSTREAM_OUTLIER_H

#include "upstream/balance.h"

struct outlier {
    uint32_t consecutive;                 /* 0: not looked at, as the next two */
    double   deviations, times;           /* success_rate, latency */
    uint64_t interval_ms, least_ms, most_ms;      /* of ejections: times the number of the ejection, at most */
    uint32_t min_peers, min_requests;
    uint32_t share, enforced;             /* percent */
};
#define OUTLIER_DEFAULTS .interval_ms = 10000, .least_ms = 30000, .min_peers = 5, .min_requests = 100, .share = 10, .enforced = 100

/* The try in hand ended so, before pick_done. status: of the peer's answer, and the time to its head; header_ms -1: there was none.
 * Only where the group has an outlier. */
void outlier_tell(const struct pick *p, enum peer_verdict how, int status, int64_t header_ms);
/* The try in hand is given up after so long, without an answer (a hedge's other try was quicker): its time counts as that. */
void outlier_late(const struct pick *p, int64_t ms);
/* In the manager: what an interval came to; and who comes back. For its timer, and tests. */
void outlier_judge(struct group *g);
void outlier_let_back(struct group *g);

extern struct module upstream_outlier_module;

#endif
