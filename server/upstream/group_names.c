#include "upstream/group_names.h"
#include "upstream/group_peer.h"
#include "upstream/balance.h"
#include "upstream/resolver.h"
#include "process/cycle.h"

enum { AGAIN_MS = 1000, LOOK_MS = 100 };      /* not more often, whatever the servers say; and when nothing was found. For names that come and go */

struct named;

/* A target of an SRV answer. */
struct target { struct lookup lookup; struct named *watch; uint32_t weight, priority; };

/* One name, while a configuration serves. */
struct named {
    struct named      *next;
    struct group      *group;
    const struct group_template *name;
    struct text        question;
    uint16_t           port;
    const struct conf_block *block;
    group_names_values *values;
    /* in the manager */
    struct pool       *home;                  /* of one that came while it serves; NULL: the configuration's */
    struct lookup      lookup;
    struct timer       timer;
    struct pool       *pool;                  /* of one round */
    struct target     *targets;
    size_t             target_count, waiting, found_count, found_cap;
    struct group_record *found;
    uint64_t           valid_ms;
    enum lookup_end    failed, failed_before;
};

/* A group that names may come to. */
struct place { struct place *next; struct group *group; const struct conf_block *block; group_names_values *values; uint64_t seen; };

struct names_conf { struct named *first, *last; struct place *places; };

static struct named *come;                    /* those that came, in the manager */

/* ---- what was found ---- */

static void take(struct named *w, const struct lookup *l, uint32_t weight, uint32_t priority)
{
    w->valid_ms = min_of(w->valid_ms, l->valid_ms);
    for (size_t i = 0; i < l->count; i++) {
        if (w->found_count == w->found_cap) w->found = pool_grow(w->pool, w->found, w->found_count, &w->found_cap, sizeof *w->found);
        w->found[w->found_count++] = (struct group_record) { .addr = l->addrs[i], .name = addr_text(w->pool, &l->addrs[i], false), .weight = weight, .priority = priority };
    }
}

static void say_found(const struct named *w)
{
    struct build b = build_in_pool(w->pool, 256, 0);
    for (size_t i = 0; i < w->found_count; i++) {
        if (i) build_lit(&b, ", ");
        build_text(&b, w->found[i].name);
    }
    struct text all = build_done(&b);
    log_at(log_main, L_NOTICE, NULL, 0, "upstream \"%.*s\": \"%.*s\" is %.*s now", TEXT_ARG(w->group->name), TEXT_ARG(w->question), TEXT_ARG(all));
}

static void say_failed(struct named *w)
{
    if (w->failed == w->failed_before) return;
    log_at(log_main, L_ERR, NULL, 0, "upstream \"%.*s\": %.*s could not be resolved (%d: %s), its servers stay as they are",
           TEXT_ARG(w->group->name), TEXT_ARG(w->question), (int) w->failed, lookup_why(w->failed));
}

static void end_round(struct named *w)
{
    for (size_t i = 0; i < w->target_count; i++) lookup_cancel(&w->targets[i].lookup);
    lookup_cancel(&w->lookup);
    w->found = NULL;
    w->targets = NULL;
    w->target_count = w->waiting = w->found_count = w->found_cap = 0;
    pool_close(&w->pool);
}

/* The answer is whole. */
static void conclude(struct named *w)
{
    size_t changed = 0;
    enum group_result how = GROUP_DONE;
    if (w->found_count) {
        how = group_peer_replace(w->group, w->name->id, w->found, w->found_count, &changed);
        w->failed = LOOKUP_FOUND;
        if (changed) say_found(w);
        if (how == GROUP_FULL) log_at(log_main, L_ERR, NULL, 0, "shared memory of upstreams is used up: not all servers of \"%.*s\" are asked", TEXT_ARG(w->question));
    } else {
        w->valid_ms = 0;
        say_failed(w);
    }
    w->failed_before = w->failed;
    uint64_t wait = max_of(w->valid_ms, (uint64_t) AGAIN_MS);
    end_round(w);
    if (how == GROUP_DONE || how == GROUP_FULL) timer_set(&w->timer, wait);     /* else it was removed */
}

static void host_done(struct lookup *l)
{
    struct named *w = container_of(l, struct named, lookup);
    if (l->how == LOOKUP_FOUND) take(w, l, 0, 0);
    else w->failed = l->how;
    conclude(w);
}

/* ---- services: RFC 2782 ---- */

static void target_done(struct lookup *l)
{
    struct target *t = container_of(l, struct target, lookup);
    struct named *w = t->watch;
    if (l->how == LOOKUP_FOUND) take(w, l, t->weight, t->priority);
    else w->failed = l->how;
    if (--w->waiting == 0) conclude(w);
}

/* Those of least priority are asked first, all others are backups; where the server is one itself, those others are nothing. */
static void services_done(struct lookup *l)
{
    struct named *w = container_of(l, struct named, lookup);
    struct resolver_values v = w->values(w->block);
    if (l->how != LOOKUP_FOUND) {
        w->failed = l->how;
        conclude(w);
        return;
    }
    w->valid_ms = l->valid_ms;
    w->targets = pool_array(w->pool, struct target, l->count);
    for (size_t i = 0; i < l->count; i++) {
        const struct lookup_service *s = &l->services[i];
        bool first = s->priority == l->services[0].priority;
        if (!first && (w->name->server.priority || w->group->balance->no_backup)) break;
        w->targets[w->target_count++] = (struct target) { .watch = w, .weight = s->weight, .priority = !first, .lookup.done = target_done };
    }
    w->waiting = w->target_count;
    for (size_t i = 0; i < w->target_count; i++) {
        const struct lookup_service *s = &l->services[i];
        lookup_start(resolver_of(&v), &w->targets[i].lookup, LOOKUP_HOST, dns_text(&s->target), s->port, v.timeout.ms);
    }
}

/* ---- the manager's life ---- */

static void ask(struct timer *t)
{
    struct named *w = container_of(t, struct named, timer);
    struct resolver_values v = w->values(w->block);
    bool service = w->name->server.service.n > 0;
    w->pool = pool_open(0);
    w->valid_ms = UINT64_MAX;
    w->lookup.done = service ? services_done : host_done;
    lookup_start(resolver_of(&v), &w->lookup, service ? LOOKUP_SRV : LOOKUP_HOST, w->question, w->port, v.timeout.ms);
}

static struct named *watches_of(const struct cycle *c)
{
    const struct names_conf *conf = conf_values(c->conf->top, &upstream_names_module);
    return conf->first;
}

/* ---- names that come and go ---- */

/* port_out: as given, 0: none was. */
static conf_result question_of(struct pool *pool, const struct group_server *s, struct text *question_out, uint16_t *port_out)
{
    struct text host;
    const char *why;
    if (!addr_split(s->address, &host, port_out, &why)) return why;
    *question_out = group_names_question(pool, host, s->service);
    return dns_name_of(*question_out, NULL) ? NULL : "invalid host";
}

static void begin(struct place *p, const struct group_record *r)
{
    struct pool *home = pool_open(0);
    struct named *w = pool_new(home, struct named);
    struct group_template *t = pool_new(home, struct group_template);
    *t = (struct group_template) { .id = r->id, .server = { .address = pool_text(home, r->server), .service = pool_text(home, r->service), .priority = r->priority, .default_port = 80 } };
    *w = (struct named) { .next = come, .group = p->group, .name = t, .block = p->block, .values = p->values, .home = home, .timer.fire = ask };
    conf_result why = question_of(home, &t->server, &w->question, &w->port);
    ASSERT(!why);
    if (!w->port) w->port = t->server.default_port;
    come = w;
    ask(&w->timer);
}

static void end_watch(struct named *w)
{
    timer_end(&w->timer);
    end_round(w);
    pool_close(&w->home);         /* w lies in it */
}

static bool is_watched(const struct named *w, const struct group *g, uint32_t id)
{
    while (w && (w->group != g || w->name->id != id)) w = w->next;
    return w != NULL;
}

static bool is_there(const struct group_record *v, size_t n, uint32_t id)
{
    for (size_t i = 0; i < n; i++)
        if (v[i].is_name && v[i].id == id) return true;
    return false;
}

static void look_at_group(struct place *p, struct named *first)
{
    size_t n;
    struct pool *pool = pool_open(0);
    struct group_record *v = group_peer_list(p->group, pool, &n);
    for (struct named **at = &come; *at; ) {
        struct named *w = *at;
        if (w->group != p->group || is_there(v, n, w->name->id)) {
            at = &w->next;
            continue;
        }
        *at = w->next;
        end_watch(w);
    }
    for (size_t i = 0; i < n; i++)
        if (v[i].is_name && !is_watched(first, p->group, v[i].id) && !is_watched(come, p->group, v[i].id)) begin(p, &v[i]);
    pool_close(&pool);
}

static struct { struct timer timer; struct names_conf *conf; } lookout;

static void look(struct timer *t)
{
    for (struct place *p = lookout.conf->places; p; p = p->next) {
        uint64_t version = p->group->roster ? atomic_load(&p->group->roster->version) : 0;
        if (version == p->seen) continue;
        p->seen = version;
        look_at_group(p, lookout.conf->first);
    }
    timer_set(t, LOOK_MS);
}

static void start_manager(struct cycle *c)
{
    for (struct named *w = watches_of(c); w; w = w->next) {
        if (!w->group->roster) continue;          /* state.c has said that there is no room */
        w->timer.fire = ask;
        ask(&w->timer);
    }
    lookout.conf = conf_own_values(c->conf, c->conf->top, &upstream_names_module);
    lookout.timer.fire = look;
    if (lookout.conf->places && resolver_is_built()) look(&lookout.timer);
}

static void quit(struct cycle *c)
{
    for (struct named *w = watches_of(c); w; w = w->next) {
        timer_end(&w->timer);
        end_round(w);
    }
    timer_end(&lookout.timer);
    while (come) {
        struct named *w = come;
        come = w->next;
        end_watch(w);
    }
}

/* ---- from one generation to the next ---- */

static const struct group_record *same_name(const struct group_record *v, size_t n, const struct group_server *s)
{
    for (size_t i = 0; i < n; i++)
        if (v[i].is_name && text_eq(v[i].server, s->address) && text_eq(v[i].service, s->service)) return &v[i];
    return NULL;
}

static void carry(struct named *w, struct pool *pool)
{
    size_t n, count = 0;
    struct group_record *v = group_peer_list_before(w->group, pool, &n);
    const struct group_record *name = same_name(v, n, &w->name->server);
    if (!name) return;
    struct group_record *mine = pool_array(pool, struct group_record, n);
    for (size_t i = 0; i < n; i++) {
        if (v[i].parent != name->id) continue;
        mine[count] = (struct group_record) { .addr = v[i].addr, .name = v[i].name };
        if (name->service.n) mine[count].weight = v[i].weight;
        if (name->service.n) mine[count].priority = v[i].priority;
        count++;
    }
    if (count) group_peer_replace(w->group, w->name->id, mine, count, NULL);
}

static bool open_cycle(struct cycle *c)
{
    for (struct named *w = c->testing ? NULL : watches_of(c); w; w = w->next) {
        struct pool *pool = pool_open(0);
        if (w->group->roster) carry(w, pool);
        pool_close(&pool);
    }
    return true;
}

/* ---- while a configuration is read ---- */

/* "http" of "example.com": _http._tcp.example.com; what has a dot stands before the name as it is. */
struct text group_names_question(struct pool *pool, struct text host, struct text service)
{
    if (!service.n) return host;
    if (text_find_char(service, '.') >= 0) return pool_printf(pool, "%.*s.%.*s", TEXT_ARG(service), TEXT_ARG(host));
    return pool_printf(pool, "_%.*s._tcp.%.*s", TEXT_ARG(service), TEXT_ARG(host));
}

void group_names_allow(struct conf *cf, struct group *g, group_names_values *values)
{
    struct names_conf *c = conf_own_values(cf, cf->top, &upstream_names_module);
    struct place *p = pool_new(cf->pool, struct place);
    *p = (struct place) { .next = c->places, .group = g, .values = values };
    c->places = p;
}

void group_names_block(struct conf *cf, const struct group *g, const struct conf_block *block)
{
    struct names_conf *c = conf_own_values(cf, cf->top, &upstream_names_module);
    struct place *p = c->places;
    while (p->group != g) p = p->next;
    p->block = block;
}

conf_result group_names_server(struct conf *cf, struct group *g, const struct group_server *s)
{
    struct names_conf *c = conf_own_values(cf, cf->top, &upstream_names_module);
    const struct place *p = c->places;
    struct text question = s->address;
    uint16_t port;
    if (!resolver_is_built()) return "!resolving names at run time needs c-ares, which this weir was built without";
    conf_result why = question_of(cf->pool, s, &question, &port);
    if (why) return conf_say(cf, "!%s in upstream \"%.*s\"", why, TEXT_ARG(question));
    if (s->service.n && port) return conf_say(cf, "!service upstream \"%.*s\" may not have port", TEXT_ARG(s->address));
    while (p->group != g) p = p->next;
    struct named *w = pool_new(cf->pool, struct named);
    *w = (struct named) { .group = g, .name = group_add_template(cf, g, s), .question = pool_text(cf->pool, question), .port = port ? port : s->default_port, .block = cf->block, .values = p->values };
    if (c->last) c->last->next = w;
    else c->first = w;
    c->last = w;
    return NULL;
}

conf_result group_names_fault(struct pool *pool, const struct group_server *s)
{
    struct text question;
    uint16_t port;
    conf_result why = question_of(pool, s, &question, &port);
    return !why && s->service.n && port ? "service may not have port" : why;
}

static const struct process_part part = { .open = open_cycle, .worker_quit = quit, .manager_start = start_manager };

struct module upstream_names_module = { .name = "upstream_names", .conf_size = sizeof(struct names_conf), .part = &part, .part_kind = &process_part_kind };
