#include "gateway/queue.h"
#include "gateway/exchange.h"

enum { LOOK_MS = 5 };        /* for places that other workers give back */

struct queue {
    uint32_t         most, count;
    uint64_t         timeout_ms;
    struct exchange *first, *last;
    struct exchange *serving;      /* exchange_next is asked for it just now */
    struct timer     timer;
    struct task      task;
};

static struct queue *queue_of(const struct exchange *x) { return x->pick.group->queue; }

static void time_out(struct exchange *x)
{
    log_at(x->r->log, L_ERR, x->r->about, 0, "no server of upstream \"%.*s\" became free in time", TEXT_ARG(x->pick.group->name));
    exchange_give_up(x, 502);
}

/* x may get its peer now. What it still waits for, those behind may not need: only who was not asked yet stands for all. */
static bool serve(struct queue *q, struct exchange *x)
{
    if (clock_now.ms - x->queued.since_ms >= q->timeout_ms) {
        time_out(x);
        return true;
    }
    q->serving = x;
    exchange_next(x);
    q->serving = NULL;
    return !x->queued.in || x->retry.count;
}

static void run(struct queue *q)
{
    struct exchange *x = q->first;
    while (x) {
        struct exchange *next = x->queued.next;
        bool go_on = serve(q, x);
        if (!go_on) break;
        x = next && !next->queued.in ? q->first : next;
    }
    if (q->count) timer_set(&q->timer, LOOK_MS);
}

static void look(struct timer *t) { run(container_of(t, struct queue, timer)); }
static void turn(struct task *t) { run(container_of(t, struct queue, task)); }

bool queue_has_others(const struct exchange *x)
{
    const struct queue *q = queue_of(x);
    return q->first && !x->queued.in;
}

bool queue_join(struct exchange *x)
{
    struct queue *q = queue_of(x);
    x->pick.from = 0;              /* primary peers are looked at again */
    if (x->queued.in) return true;
    if (q->count >= q->most) {
        log_at(x->r->log, L_ERR, x->r->about, 0, "the queue of upstream \"%.*s\" is full", TEXT_ARG(x->pick.group->name));
        return false;
    }
    exchange_move(x, EXCHANGE_QUEUED);
    x->queued = (struct queue_place) { .prev = q->last, .since_ms = clock_now.ms, .in = true };
    if (q->last) q->last->queued.next = x;
    else q->first = x;
    q->last = x;
    q->count++;
    q->timer.fire = look;
    q->task.run = turn;
    if (!timer_is_set(&q->timer)) timer_set(&q->timer, LOOK_MS);
    return true;
}

int64_t queue_leave(struct exchange *x)
{
    struct queue_place *p = &x->queued;
    if (!p->in) return -1;
    struct queue *q = queue_of(x);
    if (p->prev) p->prev->queued.next = p->next;
    else q->first = p->next;
    if (p->next) p->next->queued.prev = p->prev;
    else q->last = p->prev;
    p->in = false;
    if (!--q->count) timer_end(&q->timer);
    return (int64_t) (clock_now.ms - p->since_ms);
}

void queue_wake(struct group *g)
{
    if (g->queue->count) task_post(&g->queue->task);
}

/* ---- the directive ---- */

static conf_result parse(struct conf *cf, const struct directive *d, void *field)
{
    struct group *g = cf->block->object;
    uint64_t most;
    (void) d;
    (void) field;
    struct queue *q = g->queue = pool_new(cf->pool, struct queue);
    q->timeout_ms = 60000;
    if (!text_u64(cf->words[1], &most) || !most || most > INT32_MAX) return conf_invalid;
    q->most = (uint32_t) most;
    if (cf->count == 2) return NULL;
    if (text_starts(cf->words[2], T("timeout=")) && conf_read_span(text_from(cf->words[2], 8), &q->timeout_ms) && q->timeout_ms) return NULL;
    return conf_say(cf, "!invalid parameter \"%.*s\"", TEXT_ARG(cf->words[2]));
}

static const struct conf_type type = { "number [timeout=time]", 0, 0, 1, 2, parse };

static const struct directive rows[] = {
    D_DO(&type, "queue", IN_UPSTREAM, NULL, NULL, "How many requests each worker lets wait, at most for the timeout (60s), while all servers have as many as max_conns says; the client of one that cannot be passed on gets 502."),
    { .name = NULL },
};

struct module upstream_queue_module = { .name = "upstream_queue", .rows = rows };
