/*
 * peer: one address of a group, and what all workers of all generations know about it.
 *
 * A peer is a process's own and never changes; its peer_state is shared. Why a peer may not be asked is in one word of marks,
 * which changes through peer_mark alone: under the state's lock, with a reason, a time and a line in the log.
 */
#ifndef UPSTREAM_PEER_H
#define UPSTREAM_PEER_H

#include "base/log.h"
#include "os/addr.h"
#include "os/shm.h"
#include "tls/counts.h"

struct group;

#define GROUP_NO_PARENT UINT32_MAX

/* Several may hold at once. */
enum peer_mark {
    PEER_DOWN      = 1,      /* an administrator says so: never asked */
    PEER_DRAINING  = 2,      /* … asked only for sessions bound to it (sticky) */
    PEER_CHECKING  = 4,      /* not yet found healthy since it came, and that is mandatory */
    PEER_UNHEALTHY = 8,      /* the last active health checks failed */
    PEER_EJECTED   = 16,     /* an outlier: worse than the others of its group */
    PEER_UNAVAIL   = 32,     /* failed max_fails times: one request each fail_timeout tries it */
};
enum { PEER_MARKS_OUT = PEER_CHECKING | PEER_UNHEALTHY | PEER_EJECTED | PEER_UNAVAIL, PEER_REASON = 56 };

/* What a status page tells; kept where the group's servers are counted (group->counted). Times are of the wall clock. */
struct peer_counts {
    _Atomic uint64_t responses[6];              /* by class: [1] … [5]; [0]: all */
    _Atomic uint64_t sent, received;            /* bytes */
    _Atomic uint64_t unavail;                   /* times it became PEER_UNAVAIL */
    _Atomic uint64_t checks, checks_failed, unhealthy;    /* active checks made, failed; times it became PEER_UNHEALTHY */
    _Atomic uint32_t check_passed;              /* the last check: 0 none was made, 1 failed, 2 passed */
    _Atomic uint32_t pad;
    _Atomic uint64_t selected_ms;               /* last time it was asked */
    struct tls_counts ssl;                      /* handshakes with it */
};

/* What outlier.h counts of a peer. */
struct peer_outlier {
    _Atomic uint32_t in_row;                    /* errors since the last answer that was well */
    _Atomic uint32_t times;                     /* it was ejected, less one for each interval in service since */
    _Atomic uint64_t until_ms;                  /* monotonic: the end of its ejection */
    _Atomic uint32_t tries, errors, headers, pad;       /* of this interval; headers: heads of answers */
    _Atomic uint64_t header_ms;                 /* … the time to those, in sum */
};

/* In shared memory. Counters are atomic; the weights and the failure record change under the group's lock, what stands behind
 * `lock` under that. The layout is part of the zone's signature. */
struct peer_state {
    _Atomic uint32_t inflight;        /* requests (sessions) that use it now, over all workers */
    _Atomic uint32_t marks;           /* enum peer_mark */
    _Atomic uint32_t fails;           /* since the last time it was found well */
    int32_t          effective;       /* smooth round robin: weight as lowered by failures */
    int32_t          weight;          /* … configured weight that effective was made from */
    int64_t          current;         /* … credit, in parts of PEER_WEIGHT_ONE */
    _Atomic uint64_t accessed_ms;     /* monotonic: last failure */
    _Atomic uint64_t checked_ms;      /* monotonic: last failure, or last trial after one */
    _Atomic uint64_t picked, failed;  /* in all */
    _Atomic uint64_t slow_from_ms;    /* monotonic: when it came back; 0: nothing is known */
    struct shm_lock  lock;
    _Atomic uint32_t header_us, response_us;    /* moving averages of the times to the header and to the end; 0: not known */
    _Atomic uint32_t unfinished;      /* least_time … inflight: requests whose time is not known yet, and when they began, in sum */
    _Atomic uint64_t begun_ms;
    uint64_t         changed_ms;      /* wall clock: of the last change of marks */
    uint64_t         out_since_ms;    /* wall clock: any of PEER_MARKS_OUT; 0: none */
    uint64_t         out_ms;          /* … before that, in all */
    _Atomic uint64_t retired_ms;      /* monotonic: no set has it since; 0: in use */
    char             reason[PEER_REASON];       /* of the last change; ends with NUL */
    struct peer_counts counts;
    struct peer_outlier outlier;
};

struct peer {
    struct addr        addr;
    struct text        name;          /* as $upstream_addr prints it: "127.0.0.1:8081", "unix:/path" */
    struct text        server;        /* as the configuration names it */
    struct text        route;         /* for sticky: server … route=; empty: none */
    struct group      *group;
    struct peer_state *state;         /* shared; private memory where there is no zone (tests, numeric run-time addresses) */
    uint32_t           index;         /* in its set */
    uint32_t           id, parent;    /* of its record: group_peer.h */
    uint32_t           copy;          /* how many of this name stood before it in its group */
    uint32_t           weight, max_conns, max_fails;
    uint32_t           priority;      /* 0: asked first; 1: backup; … */
    uint64_t           fail_timeout_ms, slow_start_ms;
    bool               down, drain;   /* what its marks begin with */
};

/* Sets and clears marks of the peer at once. reason: a short text for logs and status. False: they were so already, and
 * nothing was logged. Any process. */
bool peer_mark(struct peer *p, uint32_t set, uint32_t clear, const char *reason);
/* What an active check found, once it is decided: PEER_CHECKING (to be checked before it is asked), PEER_UNHEALTHY, or 0: healthy,
 * which also ends PEER_CHECKING and PEER_UNAVAIL. False: no change. */
bool peer_set_health(struct peer *p, uint32_t mark, const char *reason);
/* One active check was made. */
void peer_count_check(struct peer *p, bool passed);
/* The state in one word, as status pages name it: "up", "draining", "down", "unavail", "checking", "unhealthy", "ejected". */
const char *peer_state_name(const struct peer_state *s);
/* A consistent copy of what stands behind the lock. */
/* A weight for the balance, in parts: a peer that came back a moment ago has little of it, and all when its slow_start is over. */
enum { PEER_WEIGHT_ONE = 256 };
uint64_t peer_weight_slow(const struct peer *p, uint64_t weight);
static inline uint64_t peer_weight(const struct peer *p, uint32_t weight)
{
    return likely(!p->slow_start_ms) ? (uint64_t) weight * PEER_WEIGHT_ONE : peer_weight_slow(p, (uint64_t) weight * PEER_WEIGHT_ONE);
}
struct peer_history { uint64_t changed_ms, out_since_ms, out_ms; char reason[PEER_REASON]; };
struct peer_history peer_state_history(struct peer_state *s);

/* How one try went on the wire. -1: it did not come to that. */
struct peer_answer { int status; uint64_t sent, received; int64_t header_ms, response_ms; };
/* Adds it to the counts and the averages. */
void peer_count_answer(struct peer_state *s, const struct peer_answer *a);

#endif
