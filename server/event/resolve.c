#include "event/resolve.h"
#include "event/nameserver.h"
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define RESOLVER_MAGIC 0x5253564cu

enum { BUCKETS = 256, RETRY_MS = 500, HOSTS_MS = 10000, TIMEOUT_MS = 1000 };

/* What was found: hosts' addresses (v4 first), or services. */
struct found { size_t count, v4; struct addr *addrs; struct lookup_service *services; };

struct part { struct name *name; enum dns_type type; enum lookup_end how; uint32_t ttl, none_ttl; };

struct name {
    struct name     *chain;                  /* of its bucket */
    struct name     *prev, *next;            /* of its resolver: used last first */
    struct resolver *resolver;
    struct lookup   *waiting;
    struct timer     timer;                  /* asks again */
    enum lookup_kind kind;
    unsigned         asked;                  /* questions under way */
    struct part      parts[2];
    struct found     coming, good;           /* of the questions under way; the last good answer */
    enum lookup_end  how;                    /* what came of the last ones, */
    bool             stale;                  /* … with an answer of before, */
    uint64_t         until_ms;               /* and until when that holds */
    uint64_t         stale_until_ms;
    uint64_t         hash;
    struct dns_name  text;
};

struct resolver {
    unsigned             magic;
    struct resolver_want want;
    struct nameserver   *server;             /* opened when the first question is asked */
    struct name         *buckets[BUCKETS];
    struct name         *first, *last;
    struct resolver_figures figures;
    struct resolver_counts *counts;          /* or NULL */
    struct timespec      file;               /* when /etc/resolv.conf was changed, */
    uint64_t             looked_ms;          /* and when that was looked at */
};

const char *lookup_why(enum lookup_end how)
{
    switch (how) {
    case LOOKUP_FOUND: return "Success";
    case LOOKUP_FORMAT: return "Format error";
    case LOOKUP_SERVER: return "Server failure";
    case LOOKUP_NONE: return "Host not found";
    case LOOKUP_UNKNOWN: return "Unimplemented";
    case LOOKUP_REFUSED: return "Operation refused";
    case LOOKUP_TIMEOUT: return "Operation timed out";
    case LOOKUP_BUSY: return "Too many names are being asked for";
    case LOOKUP_UNBUILT: return "Built without c-ares, names are resolved at load only";
    }
    return "Unknown error";
}

bool resolver_is_built(void) { return nameserver_is_built(); }

/* xorshift: no secret depends on it. */
static size_t any(size_t below)
{
    static uint64_t v;
    if (!v && (getrandom(&v, sizeof v, GRND_NONBLOCK) < 0 || !v)) v = clock_now.wall_ms | 1;
    v ^= v << 13;
    v ^= v >> 7;
    v ^= v << 17;
    return below ? (v >> 16) % below : 0;
}

/* ---- what is kept ---- */

static void drop_found(struct found *f)
{
    free(f->addrs);
    free(f->services);
    *f = (struct found) { .count = 0 };
}

static void unlist(struct resolver *r, struct name *n)
{
    if (n->prev) n->prev->next = n->next; else r->first = n->next;
    if (n->next) n->next->prev = n->prev; else r->last = n->prev;
}

static void list(struct resolver *r, struct name *n)
{
    n->prev = NULL;
    n->next = r->first;
    if (r->first) r->first->prev = n; else r->last = n;
    r->first = n;
}

static void drop_name(struct resolver *r, struct name *n)
{
    struct name **at = &r->buckets[n->hash % BUCKETS];
    while (*at != n) at = &(*at)->chain;
    *at = n->chain;
    unlist(r, n);
    timer_end(&n->timer);
    drop_found(&n->coming);
    drop_found(&n->good);
    free(n);
    r->figures.names--;
}

static bool make_room(struct resolver *r)
{
    if (r->figures.names < RESOLVE_NAMES_MAX) return true;
    for (struct name *n = r->last; n; n = n->prev) {
        if (n->waiting || n->asked) continue;
        drop_name(r, n);
        return true;
    }
    return false;
}

static void ask_again(struct timer *t);

/* NULL: there is no room. */
static struct name *get_name(struct resolver *r, enum lookup_kind kind, const struct dns_name *text)
{
    uint64_t hash = text_hash(dns_text(text)) + kind;
    struct name *n = r->buckets[hash % BUCKETS];
    while (n && (n->hash != hash || n->kind != kind || !text_eq(dns_text(&n->text), dns_text(text)))) n = n->chain;
    if (n) {
        unlist(r, n);
        list(r, n);
        return n;
    }
    if (!make_room(r)) return NULL;
    n = base_zalloc(1, sizeof *n);
    n->resolver = r;
    n->kind = kind;
    n->timer.fire = ask_again;
    n->hash = hash;
    n->text = *text;
    n->chain = r->buckets[hash % BUCKETS];
    r->buckets[hash % BUCKETS] = n;
    list(r, n);
    r->figures.names++;
    return n;
}

/* ---- the end of a lookup ---- */

static void leave(struct lookup *l)
{
    struct name *n = l->name;
    task_cancel(&l->task);
    timer_end(&l->timer);
    l->magic = 0;
    if (!n) return;
    if (l->prev) l->prev->next = l->next; else n->waiting = l->next;
    if (l->next) l->next->prev = l->prev;
    l->prev = l->next = NULL;
    l->name = NULL;
}

/* nginx's order: those of IPv4, then those of IPv6, each beginning anywhere, and all of that beginning anywhere. */
static void turn(const struct found *f, uint16_t port, struct addr *out)
{
    size_t to = any(f->count), begin4 = any(f->v4), v6 = f->count - f->v4, begin6 = any(v6);
    for (size_t i = 0; i < f->count; i++) {
        struct addr *a = &out[(to + i) % f->count];
        *a = i < f->v4 ? f->addrs[(begin4 + i) % f->v4] : f->addrs[f->v4 + (begin6 + i - f->v4) % v6];
        addr_set_port(a, port);
    }
}

static void tell(struct task *t)
{
    static struct addr turned[RESOLVE_ADDRS_MAX];
    struct lookup *l = container_of(t, struct lookup, task);
    NEED(l, LOOKUP_MAGIC);
    const struct name *n = l->name;
    if (n && l->how == LOOKUP_FOUND) {
        l->count = n->good.count;
        l->services = n->good.services;
        l->valid_ms = n->until_ms > clock_now.ms ? n->until_ms - clock_now.ms : 0;
        if (n->kind == LOOKUP_HOST) {
            turn(&n->good, l->port, turned);
            l->addrs = turned;
        }
    }
    if (n && l->how != LOOKUP_FOUND) l->resolver->figures.failed++;
    leave(l);
    l->done(l);
}

static void end(struct lookup *l, enum lookup_end how, bool stale)
{
    l->how = how;
    l->stale = stale;
    timer_stop(&l->timer);
    task_post(&l->task);
}

static void end_all(struct name *n)
{
    for (struct lookup *l = n->waiting; l; l = l->next) end(l, n->how, n->stale);
}

static bool has_stale(const struct name *n) { return n->good.count && clock_now.ms < n->stale_until_ms; }

static void expire(struct timer *t)
{
    struct lookup *l = container_of(t, struct lookup, timer);
    bool stale = has_stale(l->name);
    end(l, stale ? LOOKUP_FOUND : LOOKUP_TIMEOUT, stale);
}

/* ---- answers ---- */

static bool add_addr(struct found *f, const struct dns_record *d, bool v6)
{
    if (f->count == RESOLVE_ADDRS_MAX) return false;
    if (!(f->count & (f->count - 1))) f->addrs = base_realloc(f->addrs, sizeof *f->addrs * max_of(f->count * 2, (size_t) 1));
    struct addr a = { .family = v6 ? AF_INET6 : AF_INET };
    memcpy(v6 ? (void *) &a.in6.sin6_addr : (void *) &a.in.sin_addr, d->ip, v6 ? 16 : 4);
    for (size_t i = 0; i < f->count; i++)
        if (addr_eq(&f->addrs[i], &a)) return true;
    if (v6) {
        f->addrs[f->count] = a;
    } else {                             /* before those of IPv6, which may have come first */
        f->addrs[f->count] = f->addrs[f->v4];
        f->addrs[f->v4++] = a;
    }
    f->count++;
    return true;
}

static bool add_service(struct found *f, const struct dns_record *d)
{
    if (f->count == RESOLVE_SERVICES_MAX) return false;
    if (!d->target.n || !d->port || !dns_name_of(dns_text(&d->target), NULL)) return true;
    if (!(f->count & (f->count - 1))) f->services = base_realloc(f->services, sizeof *f->services * max_of(f->count * 2, (size_t) 1));
    size_t at = f->count++;
    for (; at && f->services[at - 1].priority > d->priority; at--) f->services[at] = f->services[at - 1];
    f->services[at] = (struct lookup_service) { .target = d->target, .port = d->port, .priority = d->priority, .weight = d->weight };
    return true;
}

static void read_message(struct part *p, struct text message)
{
    struct name *n = p->name;
    struct resolver *r = n->resolver;
    struct dns_answer a;
    struct dns_record d;
    /* by way of the search list the name asked for may be a longer one */
    if (!dns_open(&a, message, r->want.count ? dns_text(&n->text) : T(""), p->type)) {
        p->how = LOOKUP_FORMAT;
        return;
    }
    size_t before = n->coming.count;
    while (dns_next(&a, &d) && (p->type == DNS_SRV ? add_service(&n->coming, &d) : add_addr(&n->coming, &d, p->type == DNS_AAAA))) {}
    p->how = n->coming.count > before ? LOOKUP_FOUND : LOOKUP_NONE;
    p->ttl = a.ttl;
    p->none_ttl = a.none_ttl;
}

static void hold(struct name *n, enum lookup_end how, bool stale, uint64_t ms)
{
    n->how = how;
    n->stale = stale;
    n->until_ms = clock_now.ms + ms;
}

static void found_some(struct name *n)
{
    uint64_t ttl = UINT32_MAX;
    for (unsigned i = 0; i < countof(n->parts); i++)
        if (n->parts[i].name && n->parts[i].how == LOOKUP_FOUND) ttl = min_of(ttl, (uint64_t) n->parts[i].ttl);
    if (n->stale) log_at(log_main, L_NOTICE, NULL, 0, "\"%s\" is resolved again", n->text.s);
    drop_found(&n->good);
    n->good = n->coming;
    n->coming = (struct found) { .count = 0 };
    hold(n, LOOKUP_FOUND, false, n->resolver->want.valid_ms ? n->resolver->want.valid_ms : ttl * 1000);
    n->stale_until_ms = n->until_ms + RESOLVE_STALE_MS;
}

static void found_none(struct name *n)
{
    uint64_t ttl = UINT32_MAX, ms;
    for (unsigned i = 0; i < countof(n->parts); i++)
        if (n->parts[i].name) ttl = min_of(ttl, (uint64_t) n->parts[i].none_ttl);
    ms = ttl ? min_of(ttl * 1000, (uint64_t) RESOLVE_NONE_MAX_MS) : RESOLVE_NONE_MS;
    if (n->resolver->want.valid_ms) ms = min_of(ms, n->resolver->want.valid_ms);
    drop_found(&n->good);
    hold(n, LOOKUP_NONE, false, ms);
}

/* The servers could not tell. Who has nothing else waits on, while they only do not answer. False: they still wait. */
static bool failed(struct name *n, enum lookup_end how)
{
    if (has_stale(n)) {
        if (!n->stale) log_at(log_main, L_WARN, NULL, 0, "\"%s\" could not be resolved (%d: %s), its last answer is used", n->text.s, how, lookup_why(how));
        hold(n, LOOKUP_FOUND, true, RESOLVE_RECHECK_MS);
        return true;
    }
    drop_found(&n->good);
    hold(n, how, false, how == LOOKUP_TIMEOUT ? 0 : RESOLVE_NONE_MS);
    if (how != LOOKUP_TIMEOUT) return true;
    if (n->waiting) timer_set(&n->timer, RETRY_MS);
    return false;
}

static void settle(struct name *n)
{
    enum lookup_end worst = LOOKUP_NONE;
    for (unsigned i = 0; i < countof(n->parts); i++)
        if (n->parts[i].name && n->parts[i].how != LOOKUP_FOUND && (worst == LOOKUP_NONE || worst == LOOKUP_TIMEOUT)) worst = n->parts[i].how;
    if (n->coming.count) found_some(n);
    else if (worst == LOOKUP_NONE) found_none(n);
    else if (!failed(n, worst)) return;
    end_all(n);
}

static void count_answer(const struct resolver *r, enum lookup_end how)
{
    unsigned at = how == LOOKUP_TIMEOUT ? RESOLVER_TIMEDOUT : how <= LOOKUP_REFUSED ? how : RESOLVER_OTHER;
    if (r->counts) atomic_fetch_add_explicit(&r->counts->answers[at], 1, memory_order_relaxed);
}

static void told(void *arg, enum lookup_end how, struct text message)
{
    struct part *p = arg;
    struct name *n = p->name;
    count_answer(n->resolver, how);
    p->how = how;
    if (how == LOOKUP_FOUND && !message.n) p->how = LOOKUP_NONE;
    if ((how == LOOKUP_FOUND || how == LOOKUP_NONE) && message.n) read_message(p, message);
    if (--n->asked == 0) settle(n);
}

/* ---- questions ---- */

/* Without a way to the world by IPv6 its addresses are of no use: what the system's own resolver goes by. */
static bool has_ipv6(void)
{
    struct sockaddr_in6 far = { .sin6_family = AF_INET6, .sin6_port = htons(53), .sin6_addr = { { { 0x20, 0x01, 0x0d, 0xb8, [15] = 1 } } } };
    int fd = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0) return false;
    bool ok = connect(fd, (struct sockaddr *) &far, sizeof far) == 0;      /* sends nothing */
    close(fd);
    return ok;
}

/* The system's may change while we run. */
static void look_at_file(struct resolver *r)
{
    struct stat st;
    if (r->server && (nameserver_load(r->server) || clock_now.ms - r->looked_ms < RESOLVE_RECHECK_MS)) return;
    r->looked_ms = clock_now.ms;
    if (stat("/etc/resolv.conf", &st) != 0 || (st.st_mtim.tv_sec == r->file.tv_sec && st.st_mtim.tv_nsec == r->file.tv_nsec)) return;
    r->file = st.st_mtim;
    nameserver_close(&r->server);
}

static bool open_server(struct resolver *r)
{
    if (!r->want.count) look_at_file(r);
    if (r->server) return true;
    if (!r->want.count) r->want.ipv6 = has_ipv6();
    r->server = nameserver_open(r->want.servers, r->want.count);
    return r->server != NULL;
}

static bool is_in_hosts(struct name *n)
{
    struct addr a;
    struct dns_record d;
    if (nameserver_hosts(n->resolver->server, n->text.s, AF_INET, &a)) {
        memcpy(d.ip, &a.in.sin_addr, 4);
        add_addr(&n->coming, &d, false);
    }
    if (nameserver_hosts(n->resolver->server, n->text.s, AF_INET6, &a)) {
        memcpy(d.ip, &a.in6.sin6_addr, 16);
        add_addr(&n->coming, &d, true);
    }
    n->parts[0] = (struct part) { .name = n, .how = LOOKUP_FOUND, .ttl = HOSTS_MS / 1000 };
    n->parts[1] = (struct part) { .name = NULL };
    return n->coming.count > 0;
}

static void ask_for(struct name *n, unsigned i, bool wanted, enum dns_type type)
{
    n->parts[i] = (struct part) { .name = wanted ? n : NULL, .type = type };
    n->asked += wanted;
}

static void ask(struct name *n)
{
    struct resolver *r = n->resolver;
    bool host = n->kind == LOOKUP_HOST;
    timer_stop(&n->timer);
    if (!open_server(r)) {
        n->parts[0] = (struct part) { .name = n, .how = LOOKUP_SERVER };
        n->parts[1] = (struct part) { .name = NULL };
        settle(n);
        return;
    }
    if (host && !r->want.count && is_in_hosts(n)) {
        settle(n);
        return;
    }
    drop_found(&n->coming);
    ask_for(n, 0, !host || r->want.ipv4, host ? DNS_A : DNS_SRV);
    ask_for(n, 1, host && r->want.ipv6, DNS_AAAA);
    r->figures.asked += n->asked;
    if (r->counts) atomic_fetch_add_explicit(&r->counts->asked[host ? RESOLVER_NAME : RESOLVER_SERVICE], n->asked, memory_order_relaxed);
    /* either may be told at once: nothing is settled before both are asked */
    n->asked++;
    for (unsigned i = 0; i < countof(n->parts); i++)
        if (n->parts[i].name) nameserver_ask(r->server, n->text.s, n->parts[i].type, told, &n->parts[i]);
    if (--n->asked == 0) settle(n);
}

static void ask_again(struct timer *t)
{
    struct name *n = container_of(t, struct name, timer);
    if (n->waiting && !n->asked) ask(n);
}

/* ---- lookups ---- */

static bool read_numeric(struct text t, uint16_t port, struct addr *out)
{
    struct cidr c;
    if (t.n > 2 && t.p[0] == '[' && t.p[t.n - 1] == ']') t = text_of(t.p + 1, t.n - 2);
    if (text_find_char(t, '/') >= 0 || !addr_parse_cidr(t, &c)) return false;
    *out = c.base;
    addr_set_port(out, port);
    return true;
}

static void wait_for(struct lookup *l, struct name *n, uint64_t timeout_ms)
{
    struct resolver *r = l->resolver;
    l->name = n;
    l->next = n->waiting;
    if (n->waiting) n->waiting->prev = l;
    n->waiting = l;
    if (clock_now.ms < n->until_ms) {
        r->figures.kept++;
        end(l, n->how, n->stale);
        return;
    }
    if (!timeout_ms) timeout_ms = TIMEOUT_MS;
    timer_set(&l->timer, has_stale(n) ? min_of(timeout_ms, (uint64_t) RESOLVE_PATIENCE_MS) : timeout_ms);
    if (n->asked || timer_is_set(&n->timer)) r->figures.joined++;
    else ask(n);
}

void lookup_start(struct resolver *r, struct lookup *l, enum lookup_kind kind, struct text name, uint16_t port, uint64_t timeout_ms)
{
    NEED(r, RESOLVER_MAGIC);
    ASSERT(l->done && !lookup_is_on(l));
    *l = (struct lookup) { .magic = LOOKUP_MAGIC, .kind = kind, .port = port, .done = l->done, .resolver = r, .task = { .run = tell }, .timer = { .fire = expire } };
    struct dns_name text;
    struct name *n;
    if (kind == LOOKUP_HOST && read_numeric(name, port, &l->numeric)) {
        l->addrs = &l->numeric;
        l->count = 1;
        l->valid_ms = UINT32_MAX;
        end(l, LOOKUP_FOUND, false);
    } else if (!dns_name_of(name, &text)) {
        end(l, LOOKUP_NONE, false);
    } else if (!nameserver_is_built()) {
        end(l, LOOKUP_UNBUILT, false);
    } else if ((n = get_name(r, kind, &text)) == NULL) {
        end(l, LOOKUP_BUSY, false);
    } else {
        wait_for(l, n, timeout_ms);
    }
}

void lookup_cancel(struct lookup *l)
{
    if (lookup_is_on(l)) leave(l);
}

/* ---- resolvers ---- */

static void end_resolver(void *arg)
{
    struct resolver *r = arg;
    NEED(r, RESOLVER_MAGIC);
    nameserver_close(&r->server);
    for (struct name *n = r->first; n; n = n->next) {
        n->asked = 0;
        ASSERT(!n->waiting);
    }
    while (r->first) drop_name(r, r->first);
    r->magic = 0;
}

struct resolver *resolver_open(struct pool *pool, const struct resolver_want *w)
{
    struct resolver *r = pool_new(pool, struct resolver);
    r->magic = RESOLVER_MAGIC;
    r->want = *w;
    struct addr *servers = pool_array(pool, struct addr, w->count);
    if (w->count) memcpy(servers, w->servers, sizeof *servers * w->count);
    r->want.servers = servers;
    pool_cleanup(pool, end_resolver, r);
    return r;
}

struct resolver *resolver_system(void)
{
    static struct resolver r = { .magic = RESOLVER_MAGIC, .want = { .ipv4 = true, .ipv6 = true } };
    return &r;
}

void resolver_count(struct resolver *r, struct resolver_counts *counts)
{
    NEED(r, RESOLVER_MAGIC);
    r->counts = counts;
}

struct resolver_figures resolver_figures(const struct resolver *r)
{
    NEED(r, RESOLVER_MAGIC);
    return r->figures;
}
