#include "gateway/breaker.h"
#include "base/since.h"
#include "gateway/exchange.h"
#include "upstream/state.h"
#include <errno.h>
#include <signal.h>
#include <unistd.h>

enum circuit { CLOSED, OPEN, HALF_OPEN };
enum { SLICES = 10, SEATS = 256, MEND_MS = 1000, LOOKS = 8 };

/* In shared memory. */
struct slice { _Atomic uint64_t number; _Atomic uint32_t tries, errors; };
struct seat { _Atomic uint32_t pid, requests, pending; };      /* what one worker has in hand: it goes with the worker */
struct circuit_state {
    _Atomic uint64_t circuit;                 /* enum circuit, and above its two bits when it became so, in ms: they change together */
    _Atomic uint32_t probes, wells, used, pad;       /* used: seats from here on were never taken */
    _Atomic uint64_t opened, refused;         /* so often, in all */
    _Atomic uint64_t mended_ms;
    struct slice     slices[SLICES];
    struct seat      seats[SEATS];
};

struct breaker {
    uint32_t              errors, least, probes, most_requests, most_pending;      /* errors: percent; most: 0: no bound */
    uint64_t              interval_ms, open_ms;
    struct circuit_state *state;              /* from the first request on */
    struct seat          *seat;
};

/* ---- what is shared ---- */

static bool is_dead(uint32_t pid) { return kill((pid_t) pid, 0) < 0 && errno == ESRCH; }

static enum circuit circuit_of(const struct circuit_state *s) { return (enum circuit) (atomic_load(&s->circuit) & 3); }
static uint64_t since_ms(const struct circuit_state *s) { return atomic_load(&s->circuit) >> 2; }

static void vacate(struct seat *seat)
{
    atomic_store(&seat->requests, 0);
    atomic_store(&seat->pending, 0);
}

/* Gives back what dead workers had, at most once a second. */
static void mend(struct circuit_state *s)
{
    uint64_t last = atomic_load(&s->mended_ms);
    uint32_t me = (uint32_t) getpid();
    if (since_ms_of(last) < MEND_MS || !atomic_compare_exchange_strong(&s->mended_ms, &last, clock_now.ms)) return;
    for (unsigned i = 0; i < SEATS; i++) {
        struct seat *seat = &s->seats[i];
        uint32_t pid = atomic_load(&seat->pid);
        if (!pid || pid == me || !is_dead(pid) || !atomic_compare_exchange_strong(&seat->pid, &pid, me)) continue;
        vacate(seat);
        atomic_store(&seat->pid, 0);
    }
}

static struct seat *sit_down(struct circuit_state *s)
{
    uint32_t me = (uint32_t) getpid();
    for (unsigned i = 0; i < SEATS; i++) {
        struct seat *seat = &s->seats[i];
        uint32_t none = 0;
        if (atomic_load(&seat->pid) != me && !atomic_compare_exchange_strong(&seat->pid, &none, me)) continue;
        vacate(seat);                /* of one that had the same number before */
        uint32_t used = atomic_load(&s->used);
        while (used < i + 1 && !atomic_compare_exchange_weak(&s->used, &used, i + 1)) ;
        return seat;
    }
    return NULL;
}

static struct circuit_state *state_of(const struct group *g)
{
    struct breaker *b = g->breaker;
    if (likely(b->state != NULL)) return b->state;
    b->state = state_extra(g, 'c', sizeof *b->state);
    if (!b->state) b->state = base_zalloc(1, sizeof *b->state);
    mend(b->state);
    b->seat = sit_down(b->state);
    return b->state;
}

/* ---- how it goes ---- */

static struct slice *slice_now(const struct breaker *b)
{
    uint64_t number = clock_now.ms / max_of(b->interval_ms / SLICES, (uint64_t) 1);
    struct slice *s = &b->state->slices[number % SLICES];
    uint64_t was = atomic_load_explicit(&s->number, memory_order_relaxed);
    if (was != number && atomic_compare_exchange_strong(&s->number, &was, number)) {
        atomic_store(&s->tries, 0);
        atomic_store(&s->errors, 0);
    }
    return s;
}

static void sum(const struct breaker *b, uint64_t *tries, uint64_t *errors)
{
    uint64_t number = clock_now.ms / max_of(b->interval_ms / SLICES, (uint64_t) 1);
    *tries = *errors = 0;
    for (unsigned i = 0; i < SLICES; i++) {
        const struct slice *s = &b->state->slices[i];
        if (number - atomic_load(&s->number) >= SLICES) continue;
        *tries += atomic_load_explicit(&s->tries, memory_order_relaxed);
        *errors += atomic_load_explicit(&s->errors, memory_order_relaxed);
    }
}

/* One worker makes the change, and tells of it. */
static bool change(struct exchange *x, enum circuit from, enum circuit to)
{
    struct circuit_state *s = x->pick.group->breaker->state;
    uint64_t was = atomic_load(&s->circuit);
    if ((was & 3) != from || !atomic_compare_exchange_strong(&s->circuit, &was, clock_now.ms << 2 | to)) return false;
    atomic_store(&s->probes, 0);
    atomic_store(&s->wells, 0);
    if (to == OPEN) atomic_fetch_add(&s->opened, 1);
    return true;
}

static void open_if_bad(struct exchange *x, const struct breaker *b)
{
    uint64_t tries, errors;
    sum(b, &tries, &errors);
    if (tries < b->least || errors * 100 < tries * b->errors || !change(x, CLOSED, OPEN)) return;
    log_at(x->r->log, L_WARN, x->r->about, 0, "the breaker of upstream \"%.*s\" opens: %llu of %llu tries failed", TEXT_ARG(x->pick.group->name),
           (unsigned long long) errors, (unsigned long long) tries);
}

static void forget_errors(const struct breaker *b)
{
    for (unsigned i = 0; i < SLICES; i++) {
        atomic_store(&b->state->slices[i].tries, 0);
        atomic_store(&b->state->slices[i].errors, 0);
    }
}

static void tell_probe(struct exchange *x, const struct breaker *b, bool well)
{
    struct circuit_state *s = b->state;
    struct text name = x->pick.group->name;
    if (!well) {
        if (change(x, HALF_OPEN, OPEN)) log_at(x->r->log, L_WARN, x->r->about, 0, "the breaker of upstream \"%.*s\" opens again: a probe failed", TEXT_ARG(name));
        return;
    }
    if (atomic_fetch_add(&s->wells, 1) + 1 < b->probes || !change(x, HALF_OPEN, CLOSED)) return;
    forget_errors(b);
    log_at(x->r->log, L_NOTICE, x->r->about, 0, "the breaker of upstream \"%.*s\" closes; it was opened %llu times and refused %llu requests in all", TEXT_ARG(name),
           (unsigned long long) atomic_load(&s->opened), (unsigned long long) atomic_load(&s->refused));
}

void breaker_tell(struct exchange *x, enum peer_verdict how)
{
    struct breaker *b = x->place.of;
    if (how == PEER_UNASKED) return;
    bool well = how != PEER_FAILED && x->up.status < 500;
    if (x->place.probe) {
        x->place.probe = false;
        tell_probe(x, b, well);
        return;
    }
    struct slice *s = slice_now(b);
    atomic_fetch_add_explicit(&s->tries, 1, memory_order_relaxed);
    if (well) return;
    atomic_fetch_add_explicit(&s->errors, 1, memory_order_relaxed);
    if (b->errors && circuit_of(b->state) == CLOSED) open_if_bad(x, b);
}

/* ---- who is let in ---- */

static bool take(_Atomic uint32_t *count, uint32_t most)
{
    uint32_t was = atomic_load(count);
    while (was < most)
        if (atomic_compare_exchange_weak(count, &was, was + 1)) return true;
    return false;
}

enum kind { REQUESTS, PENDING };
static _Atomic uint32_t *count_of(struct seat *seat, enum kind kind) { return kind == REQUESTS ? &seat->requests : &seat->pending; }

static uint64_t in_hand(struct circuit_state *s, enum kind kind)
{
    uint64_t sum = 0;
    for (uint32_t i = 0, used = atomic_load(&s->used); i < used; i++) sum += atomic_load(count_of(&s->seats[i], kind));
    return sum;
}

/* It takes first and looks then, so that there is never one too many; two that are in each other's way look again. No seat: no bound. */
static bool take_for(struct breaker *b, enum kind kind, uint32_t most)
{
    if (!b->seat) return true;
    _Atomic uint32_t *mine = count_of(b->seat, kind);
    for (unsigned looks = 0; looks < LOOKS; looks++) {
        atomic_fetch_add(mine, 1);
        if (!most || in_hand(b->state, kind) <= most) return true;
        atomic_fetch_sub(mine, 1);
        if (in_hand(b->state, kind) < most) continue;
        if (looks) break;
        mend(b->state);
    }
    return false;
}

static bool refuse(struct exchange *x, struct breaker *b, const char *why)
{
    atomic_fetch_add_explicit(&b->state->refused, 1, memory_order_relaxed);
    log_at(x->r->log, L_ERR, x->r->about, 0, "upstream \"%.*s\" is not asked: %s", TEXT_ARG(x->pick.group->name), why);
    return false;
}

/* Open for long enough: half open. Half open for as long as that: what the probes came to is not told any more. */
static bool let_through(struct exchange *x, struct breaker *b)
{
    struct circuit_state *s = b->state;
    enum circuit now = circuit_of(s);
    bool rested = since_ms_of(since_ms(s)) >= b->open_ms;
    if (now == CLOSED) return true;
    if (now == OPEN && !rested) return false;
    if (now == OPEN && change(x, OPEN, HALF_OPEN))
        log_at(x->r->log, L_NOTICE, x->r->about, 0, "the breaker of upstream \"%.*s\" is half open", TEXT_ARG(x->pick.group->name));
    else if (now == HALF_OPEN && rested && atomic_load(&s->probes) >= b->probes) change(x, HALF_OPEN, HALF_OPEN);
    x->place.probe = take(&s->probes, b->probes);
    return x->place.probe;
}

static void end_probe(struct exchange *x)
{
    struct circuit_state *s = x->pick.group->breaker->state;
    if (x->place.probe && circuit_of(s) == HALF_OPEN) atomic_fetch_sub(&s->probes, 1);
    x->place.probe = false;
}

bool breaker_enter(struct exchange *x)
{
    struct breaker *b = x->pick.group->breaker;
    state_of(x->pick.group);
    if (!let_through(x, b)) return refuse(x, b, "the breaker is open");
    if (!take_for(b, REQUESTS, b->most_requests)) {
        end_probe(x);
        return refuse(x, b, "as many requests are in hand as may be");
    }
    x->place.of = b;
    return true;
}

bool breaker_connects(struct exchange *x)
{
    struct breaker *b = x->place.of;
    if (x->place.pending) return true;
    if (!take_for(b, PENDING, b->most_pending)) return refuse(x, b, "as many requests wait for a connection as may");
    return x->place.pending = true;
}

static void give_back(struct breaker *b, enum kind kind)
{
    if (b->seat) atomic_fetch_sub(count_of(b->seat, kind), 1);
}

void breaker_asked(struct exchange *x)
{
    struct breaker *b = x->place.of;
    if (!x->place.pending) return;
    x->place.pending = false;
    give_back(b, PENDING);
}

void breaker_leave(struct exchange *x)
{
    struct breaker *b = x->place.of;
    breaker_asked(x);
    end_probe(x);
    give_back(b, REQUESTS);
    x->place.of = NULL;
}

struct text breaker_word(struct group *g)
{
    static const struct text words[] = { TEXT_INIT("closed"), TEXT_INIT("open"), TEXT_INIT("half_open") };
    return g->breaker ? words[circuit_of(state_of(g))] : T("");
}

/* ---- the directive ---- */

static bool number(struct text w, struct text key, uint64_t most, uint32_t *out)
{
    uint64_t v;
    if (!text_starts(w, key) || !text_u64(text_from(w, key.n), &v) || v > most) return false;
    *out = (uint32_t) v;
    return true;
}

static bool span_of(struct text w, struct text key, uint64_t *out)
{
    return text_starts(w, key) && conf_read_span(text_from(w, key.n), out) && *out;
}

static bool parameter(struct breaker *b, struct text w)
{
    if (text_starts(w, T("errors="))) return text_ends(w, T("%")) && number(text_upto(w, w.n - 1), T("errors="), 100, &b->errors) && b->errors;
    return (number(w, T("min="), INT32_MAX, &b->least) && b->least) || (number(w, T("probes="), INT32_MAX, &b->probes) && b->probes)
        || number(w, T("max_requests="), INT32_MAX, &b->most_requests) || number(w, T("max_pending="), INT32_MAX, &b->most_pending)
        || span_of(w, T("interval="), &b->interval_ms) || span_of(w, T("open="), &b->open_ms);
}

static conf_result parse(struct conf *cf, const struct directive *d, void *field)
{
    struct group *g = cf->block->object;
    (void) d;
    (void) field;
    struct breaker *b = g->breaker = pool_new(cf->pool, struct breaker);
    *b = (struct breaker) { .least = 20, .probes = 1, .interval_ms = 10000, .open_ms = 5000 };
    for (size_t i = 1; i < cf->count; i++)
        if (!parameter(b, cf->words[i])) return conf_say(cf, "!invalid parameter \"%.*s\"", TEXT_ARG(cf->words[i]));
    return NULL;
}

static const struct conf_type type = { "[errors=percent%] [min=number] [interval=time] [open=time] [probes=number] [max_requests=number] [max_pending=number]", 0, 0, 1, 7, parse };

static const struct directive rows[] = {
    { .name = "breaker", .type = &type, .where = IN_UPSTREAM, .since = "weir",
      .help = "Lets the group rest, answering 503, when errors percent of at least min (20) tries of the last interval (10s) failed, for the time open (5s), "
              "until as many requests as probes (1) were answered well; max_requests and max_pending bound what it has in hand, and what waits for a connection." },
    { .name = NULL },
};

struct module upstream_breaker_module = { .name = "upstream_breaker", .rows = rows };
