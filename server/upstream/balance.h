/*
 * balance: which peer is asked next. An algorithm is one file with one struct balance; directives of upstream blocks
 * set group->balance. All of them see the same pick, and the same rules on who may be asked: pick_may.
 */
#ifndef UPSTREAM_BALANCE_H
#define UPSTREAM_BALANCE_H

#include "upstream/group.h"

#define PICK_MAGIC 0x5049434bu

/* One request's way through a group. Lies inside its owner (exchange, session). */
struct pick {
    unsigned      magic;
    struct group *group;
    struct peer_set *set;          /* the group's peers as they were when it began */
    struct peer  *peer;            /* in hand: held since pick_next, until pick_done */
    struct peer  *last;            /* of groups with a sticky: the one asked last */
    struct pool  *pool;
    struct eval  *eval;            /* for keys with variables; may be NULL */
    uint64_t      tried_few;       /* peers tried, by index, while there are at most 64 */
    uint64_t     *tried;           /* = &tried_few, or in pool */
    uint32_t      tries;           /* left, the one in hand included */
    uint32_t      hold;            /* of seat.h */
    uint64_t      opened_ms;
    uint64_t      started_ms;      /* of the try in hand */
    bool          unfinished;      /* … its time counts already: least_time … inflight */
    uint32_t      from;            /* the priority that is asked begins at this peer; 0: the primary ones */
    bool          panics;          /* too few peers are healthy: health does not count (panic_threshold) */
    bool          busy;            /* some peer was passed by for nothing but its max_conns: a place may come free */
    uint32_t      looks;           /* algorithms that guess: how many guesses could not be asked */
    void         *data;            /* the algorithm's own, from its open */
};

struct balance {
    const char   *name;
    bool          no_backup;       /* "server … backup" is refused after its directive, as nginx does */
    /* Once for each set of peers, made in pool: set->prepared; may be NULL. Is not prepared (NULL) where it fails at run time:
     * the algorithm goes by turns then. */
    conf_result (*prepare)(const struct group *g, struct peer_set *set, struct pool *pool);
    /* Begins a pick; may be NULL. */
    void        (*open)(struct pick *p);
    /* One peer among from … to - 1 of the set for which pick_may says yes; NULL: none. Must hold it (pick_hold). */
    struct peer *(*next)(struct pick *p, uint32_t from, uint32_t to);
    /* The try in hand ended so; may be NULL. */
    void        (*done)(struct pick *p, bool failed);
};
extern const struct balance balance_round_robin;     /* smooth, weighted */
/* group->timed: the moving average that counts together with the requests in hand. */
enum balance_time { BALANCE_UNTIMED, BALANCE_HEADER, BALANCE_LAST_BYTE };
extern const struct balance balance_least_conn, balance_least_time, balance_ip_hash, balance_hash, balance_ring, balance_random, balance_random_two;

/* ---- while a configuration is read ---- */

/* The directive in cf chooses b for g, with its balance_conf. When one has chosen before: nginx's [warn]; the last one counts. */
void balance_set(struct conf *cf, struct group *g, const struct balance *b, void *conf);
/* The same for those with a configuration of their own. key: may have variables. */
conf_result balance_ip_hash_set(struct conf *cf, struct group *g);
conf_result balance_hash_set(struct conf *cf, struct group *g, struct text key);
/* "consistent". bound: no peer gets more than this times its fair part of the requests in hand; 0: no bound. */
conf_result balance_ring_set(struct conf *cf, struct group *g, struct text key, double bound);
conf_result balance_random_set(struct conf *cf, struct group *g, bool two, enum balance_time timed);
/* least_conn (BALANCE_UNTIMED) and least_time. unfinished: requests that are not finished count as well, by the time they have taken. */
void balance_least_set(struct conf *cf, struct group *g, enum balance_time timed, bool unfinished);

/* ---- while it serves ---- */

/* How a try ended, as far as the peer is concerned. */
enum peer_verdict {
    PEER_WELL,       /* it answered */
    PEER_FAILED,     /* counts against max_fails */
    PEER_PASSED,     /* another one is asked, but this one did nothing wrong (http_404 …) */
    PEER_UNASKED,    /* nothing can be said: the client left, a kept connection was stale */
};

void pick_open(struct pick *p, struct group *g, struct pool *pool, struct eval *e);
/* The next peer, held; primary ones first, then backups by priority. NULL: nobody is left ("no live upstreams"); p->busy: some
 * would be but for max_conns. */
struct peer *pick_next(struct pick *p);
/* The try in hand went so: for the counts, where the group's are kept. Before pick_done. */
static inline bool pick_counts(const struct pick *p) { return p->group->counted && p->peer; }
/* The head of its answer is there. */
void pick_end_unfinished(struct pick *p);
static inline void pick_headed(struct pick *p) { if (unlikely(p->unfinished) && p->group->timed == BALANCE_HEADER) pick_end_unfinished(p); }
/* Ends the try in hand (p->peer is NULL after; without one: nothing). log, about: for "upstream server temporarily disabled". */
void pick_done(struct pick *p, enum peer_verdict how, const struct log *log, const struct log_about *about);
/* Another try is left among those not yet asked? */
static inline bool pick_more(const struct pick *p) { return p->tries > 0; }

/* ---- for algorithms ---- */

static inline bool pick_was_tried(const struct pick *p, uint32_t i) { return p->tried[i >> 6] >> (i & 63) & 1; }
/* Not tried, its marks let it be asked, not failed too often of late, not full. */
bool pick_may(struct pick *p, const struct peer *peer);
/* The same but for having been tried. */
bool pick_could(const struct pick *p, const struct peer *peer);
/* The peer's average in microseconds; 0: not known. Of one that was not asked for long it counts for less and less, so that it is
 * tried again. */
uint64_t balance_time_of(const struct peer *peer, enum balance_time timed);
/* us of the peer, as it would be if those of its requests that are not finished had ended now; never less. */
uint64_t balance_time_raised(const struct group *g, const struct peer *peer, uint64_t us);
/* Takes one place of the peer; false: it became full meanwhile. */
bool pick_hold(struct pick *p, struct peer *peer);
static inline bool pick_take(struct pick *p, struct peer *peer) { return pick_may(p, peer) && pick_hold(p, peer); }
/* By turns: where an algorithm has no better answer (backups, too many wrong guesses), and how every one of them blames. */
struct peer *round_robin_next(struct pick *p, uint32_t from, uint32_t to);
/* For a set of many: once it is sealed. */
void round_robin_prepare(struct peer_set *set, struct pool *pool);
void round_robin_done(struct pick *p, bool failed);

#endif
