#include "upstream/outlier.h"
#include "base/clock.h"
#include "process/cycle.h"
#include <sys/random.h>

enum { LOOK_MS = 100 };      /* for those whose time is over */

/* ---- ejecting ---- */

static bool happens(uint32_t percent)
{
    uint32_t any = 0;
    if (percent >= 100) return true;
    if (getrandom(&any, sizeof any, GRND_NONBLOCK) != sizeof any) any = (uint32_t) clock_now.wall_ms * 2654435761u;
    return any % 100 < percent;
}

/* Under the lock: why one more may not be ejected; NULL: it may. One always may, but not the last. */
static const char *full(const struct peer_set *set, uint32_t share)
{
    uint64_t all = 0, out = 0;
    for (uint32_t i = 0; i < set->count; i++) {
        uint32_t marks = atomic_load_explicit(&set->peers[i].state->marks, memory_order_relaxed);
        if (marks & PEER_DOWN) continue;
        all++;
        out += (marks & PEER_EJECTED) != 0;
    }
    if (out + 1 >= all) return "no other would be left";
    return !share || (out && (out + 1) * 100 > all * share) ? "as many are ejected as may be" : NULL;
}

static void put_off(struct group_state *s, uint64_t until_ms)
{
    uint64_t back = atomic_load(&s->back_ms);
    if (!back || until_ms < back) atomic_store(&s->back_ms, until_ms);
}

/* what: in words, for log and status. */
static void eject(struct peer_set *set, struct peer *peer, const char *what)
{
    struct group *g = set->group;
    const struct outlier *o = g->outlier;
    struct peer_outlier *mine = &peer->state->outlier;
    char reason[PEER_REASON];
    group_lock(g);
    const char *why_not = full(set, o->share);
    if (atomic_load(&peer->state->marks) & PEER_EJECTED) {
        group_unlock(g);
        return;
    }
    if (!why_not && !happens(o->enforced)) why_not = "\"enforced\" says so";
    if (!why_not) {
        uint64_t times = atomic_fetch_add(&mine->times, 1) + 1, ms = min_of(o->least_ms * times, o->most_ms);
        atomic_store(&mine->until_ms, clock_now.ms + ms);
        put_off(g->state, clock_now.ms + ms);
        snprintf(reason, sizeof reason, "%s; for %.3gs", what, (double) ms / 1000);
        peer_mark(peer, PEER_EJECTED, 0, reason);
    }
    group_unlock(g);
    if (why_not) log_at(log_main, L_NOTICE, NULL, 0, "peer %.*s of upstream \"%.*s\" is an outlier, but is not ejected, %s: %s",
                        TEXT_ARG(peer->name), TEXT_ARG(g->name), why_not, what);
}

/* ---- what workers count ---- */

static void add_time(struct peer_outlier *o, int64_t ms)
{
    atomic_fetch_add_explicit(&o->header_ms, (uint64_t) ms, memory_order_relaxed);
    atomic_fetch_add_explicit(&o->headers, 1, memory_order_relaxed);
}

void outlier_late(const struct pick *p, int64_t ms) { add_time(&p->peer->state->outlier, ms); }

void outlier_tell(const struct pick *p, enum peer_verdict how, int status, int64_t header_ms)
{
    const struct outlier *o = p->group->outlier;
    struct peer_outlier *mine = &p->peer->state->outlier;
    if (how == PEER_UNASKED) return;
    bool bad = how == PEER_FAILED || status >= 500;
    atomic_fetch_add_explicit(&mine->tries, 1, memory_order_relaxed);
    if (header_ms >= 0) add_time(mine, header_ms);
    if (!bad) {
        if (atomic_load_explicit(&mine->in_row, memory_order_relaxed)) atomic_store_explicit(&mine->in_row, 0, memory_order_relaxed);
        return;
    }
    atomic_fetch_add_explicit(&mine->errors, 1, memory_order_relaxed);
    if (atomic_fetch_add(&mine->in_row, 1) + 1 < o->consecutive || !o->consecutive) return;
    atomic_store(&mine->in_row, 0);
    char what[PEER_REASON];
    snprintf(what, sizeof what, "%u errors in a row", o->consecutive);
    eject(p->set, p->peer, what);
}

/* ---- what the manager makes of it ---- */

/* What an interval came to for one peer: value is a rate or a time. */
struct figure { struct peer *peer; uint32_t tries, errors, headers; uint64_t header_ms; double value; };

static struct figure collect(struct peer *peer)
{
    struct peer_outlier *o = &peer->state->outlier;
    return (struct figure) { .peer = peer, .tries = atomic_exchange(&o->tries, 0), .errors = atomic_exchange(&o->errors, 0),
                             .headers = atomic_exchange(&o->headers, 0), .header_ms = atomic_exchange(&o->header_ms, 0) };
}

static int by_value(const void *a, const void *b)
{
    double x = ((const struct figure *) a)->value, y = ((const struct figure *) b)->value;
    return (x > y) - (x < y);
}

static void judge_rates(struct peer_set *set, struct figure *v, size_t n)
{
    const struct outlier *o = set->group->outlier;
    double sum = 0, variance = 0;
    char what[PEER_REASON];
    for (size_t i = 0; i < n; i++) sum += v[i].value;
    double mean = sum / (double) n;
    for (size_t i = 0; i < n; i++) variance += (v[i].value - mean) * (v[i].value - mean) / (double) n;
    for (size_t i = 0; i < n && v[i].value < mean; i++) {        /* the worst first */
        double below = mean - v[i].value;
        if (below * below <= o->deviations * o->deviations * variance) break;
        snprintf(what, sizeof what, "success %.1f%%, mean %.1f%%", v[i].value * 100, mean * 100);
        eject(set, v[i].peer, what);
    }
}

static void judge_times(struct peer_set *set, struct figure *v, size_t n)
{
    double median = n % 2 ? v[n / 2].value : (v[n / 2 - 1].value + v[n / 2].value) / 2;
    char what[PEER_REASON];
    for (size_t i = n; i-- > 0; ) {
        if (v[i].value <= max_of(median, 1.0) * set->group->outlier->times) break;
        snprintf(what, sizeof what, "header in %.4gms, median %.4gms", v[i].value, median);
        eject(set, v[i].peer, what);
    }
}

/* Those of all that have enough requests, sorted, to one of the above. */
static void judge(struct peer_set *set, const struct figure *all, bool timed)
{
    const struct outlier *o = set->group->outlier;
    struct figure *v = base_alloc(sizeof *v * max_of(set->count, 1u));
    size_t n = 0;
    for (uint32_t i = 0; i < set->count; i++) {
        const struct figure *f = &all[i];
        if ((timed ? f->headers : f->tries) < o->min_requests || atomic_load(&f->peer->state->marks) & (PEER_DOWN | PEER_EJECTED)) continue;
        v[n] = *f;
        v[n++].value = timed ? (double) f->header_ms / f->headers : 1 - (double) f->errors / f->tries;
    }
    qsort(v, n, sizeof *v, by_value);
    if (n && n >= o->min_peers) (timed ? judge_times : judge_rates)(set, v, n);
    free(v);
}

/* An interval in service: the next ejection is shorter again. */
static void forgive(struct peer *peer)
{
    struct peer_outlier *o = &peer->state->outlier;
    uint32_t times = atomic_load(&o->times);
    if (times && !(atomic_load(&peer->state->marks) & PEER_EJECTED)) atomic_compare_exchange_strong(&o->times, &times, times - 1);
}

void outlier_judge(struct group *g)
{
    struct peer_set *set = group_set(g);
    const struct outlier *o = g->outlier;
    struct figure *all = base_alloc(sizeof *all * max_of(set->count, 1u));
    for (uint32_t i = 0; i < set->count; i++) {
        forgive(&set->peers[i]);
        all[i] = collect(&set->peers[i]);
    }
    if (o->deviations > 0) judge(set, all, false);
    if (o->times > 0) judge(set, all, true);
    free(all);
}

static void let_back(struct peer *peer, const char *reason)
{
    atomic_store(&peer->state->outlier.in_row, 0);
    peer_mark(peer, 0, PEER_EJECTED, reason);
}

void outlier_let_back(struct group *g)
{
    struct peer_set *set = group_set(g);
    uint64_t next = 0;
    group_lock(g);
    for (uint32_t i = 0; i < set->count; i++) {
        struct peer *peer = &set->peers[i];
        if (!(atomic_load(&peer->state->marks) & PEER_EJECTED)) continue;
        uint64_t until = atomic_load(&peer->state->outlier.until_ms);
        if (until <= clock_now.ms) let_back(peer, "the time of its ejection is over");
        else if (!next || until < next) next = until;
    }
    atomic_store(&g->state->back_ms, next);
    group_unlock(g);
}

/* ---- the manager's life; a worker's, for groups that are in no shared memory ---- */

struct lookout { struct timer timer; struct group *group; uint64_t judged_ms; };

static void look(struct timer *t)
{
    struct lookout *w = container_of(t, struct lookout, timer);
    uint64_t back = atomic_load(&w->group->state->back_ms);
    bool due = clock_now.ms - w->judged_ms >= w->group->outlier->interval_ms;
    if (due || (back && back <= clock_now.ms)) outlier_let_back(w->group);       /* due: one that went and came again too */
    if (due) {
        w->judged_ms = clock_now.ms;
        outlier_judge(w->group);
    }
    timer_set(t, min_of(w->group->outlier->interval_ms, (uint64_t) LOOK_MS));
}

/* Nobody would let them back any more. */
static void let_all_back(struct group *g)
{
    struct peer_set *set = group_set(g);
    for (uint32_t i = 0; i < set->count; i++)
        if (atomic_load_explicit(&set->peers[i].state->marks, memory_order_relaxed) & PEER_EJECTED) let_back(&set->peers[i], "outliers are not looked for any more");
}

static void start(struct cycle *c, bool shared)
{
    for (unsigned kind = 0; kind < EVAL_KINDS; kind++) {
        struct groups *gs = groups_serving(c->conf, (enum eval_kind) kind);
        for (struct group *g = gs ? groups_first(gs) : NULL; g; g = g->next) {
            if (!g->outlier) {
                if (shared) let_all_back(g);
                continue;
            }
            if ((g->roster != NULL) != shared) continue;
            struct lookout *w = pool_new(c->pool, struct lookout);
            *w = (struct lookout) { .timer = { .fire = look }, .group = g, .judged_ms = clock_now.ms };
            timer_set(&w->timer, LOOK_MS);
        }
    }
}

/* ---- the directive ---- */

enum form { NUMBER, PERCENT, SPAN, FACTOR };
#define PARAMETER(name, kind, field, least, most) { TEXT_INIT(name "="), kind, offsetof(struct outlier, field), least, most }
static const struct { struct text key; enum form form; size_t at; double least, most; } parameters[] = {
    PARAMETER("consecutive", NUMBER, consecutive, 1, 1e6), PARAMETER("success_rate", FACTOR, deviations, 0.1, 100), PARAMETER("latency", FACTOR, times, 1.1, 1000),
    PARAMETER("interval", SPAN, interval_ms, 100, 86400e3), PARAMETER("ejection", SPAN, least_ms, 100, 86400e3), PARAMETER("max_ejection", SPAN, most_ms, 100, 86400e3),
    PARAMETER("min_peers", NUMBER, min_peers, 2, 1e6), PARAMETER("min_requests", NUMBER, min_requests, 1, 1e6),
    PARAMETER("max_ejected", PERCENT, share, 0, 100), PARAMETER("enforced", PERCENT, enforced, 0, 100),
};

static bool read_value(struct conf *cf, struct text value, enum form form, double *out)
{
    uint64_t n = 0;
    char *end;
    if (form == FACTOR) {
        const char *number = pool_cstr(cf->scratch, value);
        *out = strtod(number, &end);
        return *number >= '0' && *number <= '9' && !*end;
    }
    if (form == PERCENT && !text_ends(value, T("%"))) return false;
    bool well = form == SPAN ? conf_read_span(value, &n) : text_u64(form == PERCENT ? text_upto(value, value.n - 1) : value, &n);
    *out = (double) n;
    return well;
}

static bool read_parameter(struct conf *cf, struct outlier *o, struct text word)
{
    double v;
    for (size_t i = 0; i < countof(parameters); i++) {
        if (!text_starts(word, parameters[i].key)) continue;
        if (!read_value(cf, text_from(word, parameters[i].key.n), parameters[i].form, &v) || v < parameters[i].least || v > parameters[i].most) return false;
        char *field = (char *) o + parameters[i].at;
        if (parameters[i].form == FACTOR) *(double *) field = v;
        else if (parameters[i].form == SPAN) *(uint64_t *) field = (uint64_t) v;
        else *(uint32_t *) field = (uint32_t) v;
        return true;
    }
    return false;
}

static conf_result parse(struct conf *cf, const struct directive *d, void *field)
{
    struct group *g = cf->block->object;
    (void) d, (void) field;
    struct outlier *o = g->outlier = pool_new(cf->pool, struct outlier);
    *o = (struct outlier) { OUTLIER_DEFAULTS };
    for (size_t i = 1; i < cf->count; i++)
        if (!read_parameter(cf, o, cf->words[i])) return conf_say(cf, "!invalid parameter \"%.*s\"", TEXT_ARG(cf->words[i]));
    if (!o->most_ms) o->most_ms = max_of(o->least_ms, (uint64_t) 300000);
    if (o->most_ms < o->least_ms) return "!\"max_ejection\" is less than \"ejection\"";
    if (o->consecutive || o->deviations > 0 || o->times > 0) return NULL;
    o->consecutive = 5;
    o->deviations = 1.9;
    return NULL;
}

static const struct conf_type type = { "[consecutive=number] [success_rate=factor] [latency=factor] [interval=time] [min_peers=number] [min_requests=number] "
                                       "[ejection=time] [max_ejection=time] [max_ejected=percent%] [enforced=percent%]", 0, 0, 0, countof(parameters), parse };

static const struct directive rows[] = {
    { .name = "outlier", .type = &type, .where = IN_UPSTREAM, .since = "weir",
      .help = "A server is left alone for ejection (30s), longer each time, after so many errors in a row (consecutive), when its success_rate of the interval (10s) is so many standard deviations "
              "below the mean, or its time to the header so many times the median (latency). Alone: consecutive=5 success_rate=1.9. At most max_ejected (10%) are, but always one." },
    { .name = NULL },
};

static void start_worker(struct cycle *c, unsigned slot)
{
    (void) slot;
    start(c, false);
}

static void start_manager(struct cycle *c) { start(c, true); }

static const struct process_part part = { .worker_start = start_worker, .manager_start = start_manager };

struct module upstream_outlier_module = { .name = "upstream_outlier", .rows = rows, .part = &part, .part_kind = &process_part_kind };
