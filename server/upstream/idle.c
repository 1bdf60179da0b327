#include "upstream/idle.h"
#include "process/cycle.h"

struct kept {
    struct kept  *prev, *next;      /* of its group, most recent first */
    struct idle  *idle;
    struct conn  *conn;
    struct addr   to, from;
    uint64_t      params;
    uint32_t      requests;
};

struct idle {
    struct idle  *next;             /* of this worker's */
    struct group *group;
    struct kept  *first, *last;
    unsigned      count;
};

static struct idle *all;

static void take_off(struct kept *k)
{
    struct idle *i = k->idle;
    if (k->prev) k->prev->next = k->next; else i->first = k->next;
    if (k->next) k->next->prev = k->prev; else i->last = k->prev;
    i->count--;
    timer_stop(&k->conn->timer);
    conn_set_idle(k->conn, false);
}

static void drop(struct kept *k)
{
    take_off(k);
    conn_close(&k->conn);
    free(k);
}

/* Whatever happens to a connection that waits is its end: the peer closed it, said something unasked, or time is up. */
static void ready(struct conn *c, unsigned what)
{
    bool said = what & CONN_READ && (c->ops == &conn_plain || !conn_is_quiet(c));      /* TLS may have something to itself */
    if (said || what & CONN_TIMEOUT || c->hangup) drop(c->owner);
}

static bool fits(const struct kept *k, const struct idle_key *key)
{
    static const struct addr none;
    return k->params == key->params && addr_eq(&k->to, key->to) && addr_eq(&k->from, key->from ? key->from : &none);
}

struct conn *idle_take(struct group *g, const struct idle_key *key, uint32_t *requests_out)
{
    if (!g->idle) return NULL;
    for (struct kept *k = g->idle->first; k; k = k->next) {
        if (!fits(k, key) || k->conn->hangup) continue;
        struct conn *c = k->conn;
        *requests_out = k->requests;
        take_off(k);
        free(k);
        return c;
    }
    return NULL;
}

static struct idle *idle_of(struct group *g)
{
    if (g->idle) return g->idle;
    struct idle *i = base_zalloc(1, sizeof *i);
    i->group = g;
    i->next = all;
    all = i;
    return g->idle = i;
}

static bool may_stay(const struct group *g, uint32_t requests, const struct conn *c)
{
    const struct group_keep *keep = &g->keep;
    return keep->connections && requests < keep->requests && clock_now.ms - c->started_ms <= keep->time_ms
        && !process_quitting && !c->hangup;
}

void idle_put(struct group *g, const struct idle_key *key, uint32_t requests, struct conn **conn)
{
    struct conn *c = *conn;
    if (!may_stay(g, requests, c)) {
        conn_close(conn);
        return;
    }
    *conn = NULL;
    struct idle *i = idle_of(g);
    if (i->count >= g->keep.connections) drop(i->last);
    struct kept *k = base_zalloc(1, sizeof *k);
    *k = (struct kept) { .next = i->first, .idle = i, .conn = c, .to = *key->to, .params = key->params, .requests = requests };
    if (key->from) k->from = *key->from;
    if (i->first) i->first->prev = k; else i->last = k;
    i->first = k;
    i->count++;
    c->owner = k;
    c->ready = ready;
    c->log = log_main;
    timer_set(&c->timer, g->keep.timeout_ms);
    conn_set_idle(c, true);
}

void idle_close_all(void)
{
    for (struct idle *i = all; i; i = i->next)
        while (i->first) drop(i->first);
}

unsigned idle_count(const struct group *g) { return g->idle ? g->idle->count : 0; }
