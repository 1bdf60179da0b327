/*
 * upstream_api: groups of servers in the API: what is known of them, and changes of them while they serve. A group with "state" keeps
 * its servers in that file, as "server" lines: read with the configuration, written by who changes them.
 */
#include "modules/module.h"
#include "http/api.h"
#include "os/file.h"
#include "process/cycle.h"
#include "tls/counts.h"
#include "upstream/balance.h"
#include "upstream/group_names.h"
#include "upstream/group_peer.h"
#include "upstream/idle.h"
#include "upstream/resolver.h"
#include <errno.h>

enum { STATE_FILE_MOST = 16 << 20, WEIGHT_MOST = 65535 };

struct state_file { struct state_file *next; struct group *group; struct text path; uint32_t servers; const char *file; unsigned line; };
struct state_conf { struct state_file *first; };

extern struct module http_upstream_api_module;

static struct groups *all(void) { return groups_serving(cycle_current->conf, EVAL_HTTP); }

/* ---- as JSON ---- */

static json_int_t number(_Atomic uint64_t *at) { return (json_int_t) atomic_load_explicit(at, memory_order_relaxed); }

static json_t *checks_of(struct peer_counts *c)
{
    uint32_t last = atomic_load(&c->check_passed);
    json_t *j = json_pack("{s:I,s:I,s:I}", "checks", number(&c->checks), "fails", number(&c->checks_failed), "unhealthy", number(&c->unhealthy));
    if (last) json_object_set_new(j, "last_passed", json_boolean(last == 2));
    return j;
}

static json_t *responses_of(struct peer_counts *c)
{
    return json_pack("{s:I,s:I,s:I,s:I,s:I,s:I}", "1xx", number(&c->responses[1]), "2xx", number(&c->responses[2]), "3xx", number(&c->responses[3]),
                     "4xx", number(&c->responses[4]), "5xx", number(&c->responses[5]), "total", number(&c->responses[0]));
}

static void add_times(json_t *j, const struct group *g, struct peer_state *s)
{
    struct peer_history h = peer_state_history(s);
    uint64_t selected = atomic_load(&s->counts.selected_ms), now = clock_now.wall_ms;
    uint64_t down_ms = h.out_ms + (h.out_since_ms && now > h.out_since_ms ? now - h.out_since_ms : 0);
    json_object_set_new(j, "downtime", json_integer((json_int_t) down_ms));
    if (h.out_since_ms) json_object_set_new(j, "downstart", api_time(h.out_since_ms));
    if (h.out_since_ms) json_object_set_new(j, "reason", api_text(text_c(h.reason)));
    if (!g->counted) return;
    if (selected) json_object_set_new(j, "selected", api_time(selected));
    uint32_t header = atomic_load(&s->header_us), whole = atomic_load(&s->response_us);
    if (header) json_object_set_new(j, "header_time", json_integer(header / 1000));
    if (whole) json_object_set_new(j, "response_time", json_integer(whole / 1000));
}

static json_t *peer_json(const struct group *g, const struct group_record *r)
{
    struct peer_state *s = r->state;
    struct peer_counts *c = &s->counts;
    json_t *j = json_pack("{s:I,s:o,s:o,s:b,s:I,s:s,s:I,s:I,s:I,s:I,s:o}", "id", (json_int_t) r->id, "server", api_text(r->name), "name", api_text(r->server),
                          "backup", r->priority > 0, "weight", (json_int_t) r->weight, "state", peer_state_name(s), "active", (json_int_t) atomic_load(&s->inflight),
                          "requests", number(&s->picked), "fails", number(&s->failed), "unavail", number(&c->unavail), "health_checks", checks_of(c));
    if (r->max_conns) json_object_set_new(j, "max_conns", json_integer(r->max_conns));
    if (g->counted) {
        json_object_set_new(j, "responses", responses_of(c));
        json_object_set_new(j, "sent", json_integer(number(&c->sent)));
        json_object_set_new(j, "received", json_integer(number(&c->received)));
    }
    add_times(j, g, s);
    bool secure = tls_counts_of(&c->ssl, METRIC_SSL_HANDSHAKES) || tls_counts_of(&c->ssl, METRIC_SSL_FAILED);
    if (secure) json_object_set_new(j, "ssl", api_ssl_counts(&c->ssl, false));
    return j;
}

static struct text span_text(char *room, size_t size, uint64_t ms)
{
    struct build b = build_in_room(room, size);
    build_u64(&b, ms % 1000 ? ms : ms / 1000);
    build_text(&b, ms % 1000 ? T("ms") : T("s"));
    return build_done(&b);
}

static json_t *server_json(const struct group_record *r)
{
    char fail[32], slow[32];
    json_t *j = json_pack("{s:I,s:o,s:I,s:I,s:I,s:o,s:o,s:o,s:b,s:b}", "id", (json_int_t) r->id, "server", api_text(r->is_name ? r->server : r->name),
                          "weight", (json_int_t) r->weight, "max_conns", (json_int_t) r->max_conns, "max_fails", (json_int_t) r->max_fails,
                          "fail_timeout", api_text(span_text(fail, sizeof fail, r->fail_timeout_ms)), "slow_start", api_text(span_text(slow, sizeof slow, r->slow_start_ms)),
                          "route", api_text(r->route), "backup", r->priority > 0, "down", r->down);
    if (r->drain) json_object_set_new(j, "drain", json_true());
    if (r->parent != GROUP_NO_PARENT) json_object_set_new(j, "parent", json_integer(r->parent));
    if (r->is_name) json_object_set_new(j, "host", api_text(r->server));
    if (r->service.n) json_object_set_new(j, "service", api_text(r->service));
    return j;
}

struct records { struct group_record *v; size_t n; };

static struct records records_of(struct group *g, struct pool *pool)
{
    struct records list;
    list.v = group_peer_list(g, pool, &list.n);
    return list;
}

static const struct group_record *find(const struct records *list, uint64_t id)
{
    for (size_t i = 0; i < list->n; i++)
        if (list->v[i].id == id) return &list->v[i];
    return NULL;
}

static json_t *servers_json(struct group *g, struct pool *pool)
{
    json_t *j = json_array();
    struct records list = records_of(g, pool);
    for (size_t i = 0; i < list.n; i++) json_array_append_new(j, server_json(&list.v[i]));
    return j;
}

static json_t *group_json(struct group *g, struct pool *pool)
{
    json_t *peers = json_array();
    struct records list = records_of(g, pool);
    for (size_t i = 0; i < list.n; i++)
        if (list.v[i].state) json_array_append_new(peers, peer_json(g, &list.v[i]));
    return json_pack("{s:o,s:i,s:i,s:o}", "peers", peers, "keepalive", (int) idle_count(g), "zombies", 0, "zone", api_text(g->name));
}

static json_t *all_json(struct pool *pool)
{
    json_t *j = json_object();
    for (struct group *g = all() ? groups_first(all()) : NULL; g; g = g->next)
        if (!g->implicit) json_object_setn_new(j, g->name.p, g->name.n, group_json(g, pool));
    return j;
}

/* Statistics begin anew. */
static void reset(struct group *g, struct pool *pool)
{
    struct records list = records_of(g, pool);
    for (size_t i = 0; i < list.n; i++) {
        struct peer_state *s = list.v[i].state;
        if (!s) continue;
        struct peer_counts *c = &s->counts;
        _Atomic uint64_t *const counts[] = { &s->picked, &s->failed, &c->checks, &c->checks_failed, &c->unhealthy, &c->unavail, &c->sent, &c->received };
        for (size_t k = 0; k < countof(counts); k++) atomic_store(counts[k], 0);
        for (size_t k = 0; k < countof(c->responses); k++) atomic_store(&c->responses[k], 0);
        tls_counts_forget(&c->ssl);
    }
}

/* ---- the state file ---- */

static const struct state_file *state_of(const struct group *g)
{
    const struct state_conf *c = conf_values(cycle_current->conf->top, &http_upstream_api_module);
    for (const struct state_file *s = c->first; s; s = s->next)
        if (s->group == g) return s;
    return NULL;
}

static void write_line(struct build *b, const struct group_record *r)
{
    char room[32];
    if (r->parent != GROUP_NO_PARENT) return;      /* its name is written */
    build_lit(b, "server ");
    build_text(b, r->is_name ? r->server : r->name);
    if (r->is_name) build_lit(b, " resolve");
    if (r->service.n) build_fmt(b, " service=%.*s", TEXT_ARG(r->service));
    if (r->weight != 1) build_fmt(b, " weight=%u", r->weight);
    if (r->max_conns) build_fmt(b, " max_conns=%u", r->max_conns);
    if (r->max_fails != 1) build_fmt(b, " max_fails=%u", r->max_fails);
    if (r->fail_timeout_ms != 10000) build_fmt(b, " fail_timeout=%.*s", TEXT_ARG(span_text(room, sizeof room, r->fail_timeout_ms)));
    if (r->slow_start_ms) build_fmt(b, " slow_start=%.*s", TEXT_ARG(span_text(room, sizeof room, r->slow_start_ms)));
    if (r->route.n) build_fmt(b, " route=%.*s", TEXT_ARG(r->route));
    if (r->priority) build_lit(b, " backup");
    if (r->down) build_lit(b, " down");
    if (r->drain) build_lit(b, " drain");
    build_lit(b, ";\n");
}

/* Written by whoever changed something: again, when somebody else did meanwhile, so that the last word is the newest. */
static void save(struct group *g, const struct log *log)
{
    const struct state_file *s = state_of(g);
    uint64_t version;
    if (!s) return;
    do {
        version = atomic_load(&g->roster->version);
        struct pool *scratch = pool_open(0);
        struct build b = build_in_pool(scratch, 4096, 0);
        struct records list = records_of(g, scratch);
        for (size_t i = 0; i < list.n; i++) write_line(&b, &list.v[i]);
        if (file_replace(s->path.p, build_done(&b), 0644) != 0) log_at(log, L_ERR, NULL, errno, "state file \"%s\" cannot be written", s->path.p);
        pool_close(&scratch);
    } while (atomic_load(&g->roster->version) != version);
}

/* ---- what a request wants ---- */

struct wish { struct group_record r; unsigned fields; bool has_server; };

static int bad(struct api_call *c, const char *code, const char *name) { return api_refuse(c, 400, code, "invalid \"%s\"", name); }

static bool take_number(const json_t *v, uint32_t least, uint32_t most, uint32_t *out)
{
    if (!json_is_integer(v) || json_integer_value(v) < least || json_integer_value(v) > most) return false;
    *out = (uint32_t) json_integer_value(v);
    return true;
}

static bool take_span(const json_t *v, uint64_t *out) { return json_is_string(v) && conf_read_span(text_of(json_string_value(v), json_string_length(v)), out); }

static bool take_bool(const json_t *v, bool *out)
{
    *out = json_is_true(v);
    return json_is_boolean(v);
}

/* An address with its port, which is 80 where it has none; or a name, which the manager looks up. */
static int take_server(struct api_call *c, struct wish *w, const json_t *v)
{
    struct pool *pool = c->r->pool;
    struct text t = text_of(json_string_value(v), json_string_length(v));
    struct text host;
    uint16_t port;
    const char *why;
    bool is_any = t.n && (t.p[0] == '*' || text_find_char(t, ' ') >= 0 || text_find_char(t, ';') >= 0 || text_find_char(t, '\n') >= 0);
    if (!t.n || is_any || strlen(t.p) != t.n || !addr_split(t, &host, &port, &why)) return api_refuse(c, 400, "UpstreamBadAddress", "error while parsing");
    w->has_server = true;
    if (addr_parse(pool, t, 80, &w->r.addr)) {
        w->r.name = w->r.server = addr_text(pool, &w->r.addr, false);
        return 0;
    }
    if (!resolver_is_built()) return api_refuse(c, 400, "UpstreamNoResolver", "no resolver defined to resolve");
    w->r.is_name = true;
    w->r.name = w->r.server = t;
    return 0;
}

/* In a line of a state file, and in DNS. */
static bool is_one_word(struct text t)
{
    for (size_t i = 0; i < t.n; i++)
        if ((unsigned char) t.p[i] <= ' ' || strchr(";{}\"'\\$", t.p[i]) || t.p[i] == 0x7f) return false;
    return true;
}

static int take_route(struct api_call *c, struct wish *w, const json_t *v)
{
    struct text t = text_of(json_string_value(v), json_string_length(v));
    if (t.n > GROUP_ROUTE_MAX) return api_refuse(c, 400, "UpstreamBadRoute", "route is too long");
    if (!is_one_word(t)) return api_refuse(c, 400, "UpstreamBadRoute", "invalid \"route\"");
    w->r.route = t;
    return 0;
}

/* One member of the object. 0: understood. */
static int take(struct api_call *c, struct wish *w, const char *name, const json_t *v)
{
    static const struct { const char *name, *code; unsigned field; } known[] = {
        { "weight", "UpstreamBadWeight", GROUP_WEIGHT }, { "max_conns", "UpstreamBadMaxConns", GROUP_MAX_CONNS }, { "max_fails", "UpstreamBadMaxFails", GROUP_MAX_FAILS },
        { "fail_timeout", "UpstreamBadFailTimeout", GROUP_FAIL_TIMEOUT }, { "slow_start", "UpstreamBadSlowStart", GROUP_SLOW_START },
        { "backup", "UpstreamConfFormatError", GROUP_PRIORITY }, { "down", "UpstreamConfFormatError", GROUP_DOWN }, { "drain", "UpstreamConfFormatError", GROUP_DRAIN },
    };
    bool backup = false, fine = true;
    struct group_record *r = &w->r;
    if (json_is_object(v) || json_is_array(v)) return api_refuse(c, 400, "UpstreamConfFormatError", "nested object or list");
    if (!strcmp(name, "id") && c->method == METHOD_POST) return 0;
    if (!strcmp(name, "server") && json_is_string(v)) return take_server(c, w, v);
    if (!strcmp(name, "service") && json_is_string(v) && c->method == METHOD_POST) {
        r->service = text_of(json_string_value(v), json_string_length(v));
        return is_one_word(r->service) ? 0 : bad(c, "UpstreamConfFormatError", name);
    }
    if (!strcmp(name, "route") && json_is_string(v)) {
        w->fields |= GROUP_ROUTE;
        return take_route(c, w, v);
    }
    size_t i = 0;
    while (i < countof(known) && strcmp(known[i].name, name)) i++;
    if (i == countof(known)) return api_refuse(c, 400, "UpstreamConfFormatError", "unknown parameter \"%.64s\"", name);
    switch (known[i].field) {
    case GROUP_WEIGHT: fine = take_number(v, 1, WEIGHT_MOST, &r->weight); break;
    case GROUP_MAX_CONNS: fine = take_number(v, 0, INT32_MAX, &r->max_conns); break;
    case GROUP_MAX_FAILS: fine = take_number(v, 0, INT32_MAX, &r->max_fails); break;
    case GROUP_FAIL_TIMEOUT: fine = take_span(v, &r->fail_timeout_ms); break;
    case GROUP_SLOW_START: fine = take_span(v, &r->slow_start_ms); break;
    case GROUP_PRIORITY: fine = take_bool(v, &backup); r->priority = backup; break;
    case GROUP_DOWN: fine = take_bool(v, &r->down); break;
    default: fine = take_bool(v, &r->drain); break;
    }
    w->fields |= known[i].field;
    return fine ? 0 : bad(c, known[i].code, name);
}

static int read_wish(struct api_call *c, const struct group *g, struct wish *w)
{
    const char *name;
    json_t *v;
    int status;
    *w = (struct wish) { .r = { .parent = GROUP_NO_PARENT, .weight = 1, .max_fails = 1, .fail_timeout_ms = 10000 } };
    json_object_foreach(c->body, name, v)
        if ((status = take(c, w, name, v)) != 0) return status;
    if (w->r.priority && g->balance->no_backup) return api_refuse(c, 400, "UpstreamNoBackup", "upstream \"%.*s\" has no backup", TEXT_ARG(g->name));
    return 0;
}

static int result(struct api_call *c, const struct group *g, enum group_result how)
{
    switch (how) {
    case GROUP_FIXED: return api_refuse(c, 400, "UpstreamStatic", "upstream is static");
    case GROUP_NO_SUCH: return api_refuse(c, 404, "UpstreamServerNotFound", "server not found");
    case GROUP_FULL: return api_refuse(c, 400, "UpstreamOutOfMemory", "upstream \"%.*s\" memory exhausted", TEXT_ARG(g->name));
    case GROUP_LAST: return api_refuse(c, 400, "UpstreamServerImmutable", "server is immutable");
    default: return 0;
    }
}

static void tell(const struct api_call *c, const struct group *g, const char *what, uint64_t id)
{
    log_at(log_main, L_NOTICE, c->r->about, 0, "server %llu of upstream \"%.*s\" was %s by the API", (unsigned long long) id, TEXT_ARG(g->name), what);
}

static int add(struct api_call *c, struct group *g)
{
    struct wish w;
    uint32_t id = 0;
    int status = read_wish(c, g, &w);
    if (status) return status;
    if (!w.has_server) return api_refuse(c, 400, "UpstreamConfFormatError", "missing \"server\" argument");
    if (w.r.service.n && !w.r.is_name) return api_refuse(c, 400, "UpstreamBadAddress", "service is for a name");
    struct group_server named = { .address = w.r.server, .service = w.r.service };
    const char *why = w.r.is_name ? group_names_fault(c->r->pool, &named) : NULL;
    if (why) return api_refuse(c, 400, "UpstreamBadAddress", "%s", why);
    if ((status = result(c, g, group_peer_add(g, &w.r, &id)))) return status;
    tell(c, g, "added", id);
    save(g, c->r->log);
    w.r.id = id;
    c->answer = server_json(&w.r);
    c->location = pool_printf(c->r->pool, "%.*s%s%u", TEXT_ARG(c->r->uri), text_ends(c->r->uri, T("/")) ? "" : "/", id);
    return 201;
}

static int change(struct api_call *c, struct group *g, uint32_t id)
{
    struct wish w;
    int status = read_wish(c, g, &w);
    if (status) return status;
    if (w.has_server) return api_refuse(c, 400, "UpstreamServerImmutable", "server is immutable");
    if (w.fields && (status = result(c, g, group_peer_change(g, id, &w.r, w.fields)))) return status;
    tell(c, g, "changed", id);
    save(g, c->r->log);
    struct records list = records_of(g, c->r->pool);
    const struct group_record *r = find(&list, id);
    if (!r) return api_refuse(c, 404, "UpstreamServerNotFound", "server not found");
    c->answer = server_json(r);
    return 200;
}

static int remove_server(struct api_call *c, struct group *g, uint32_t id)
{
    int status = result(c, g, group_peer_remove(g, id));
    if (status) return status;
    tell(c, g, "removed", id);
    save(g, c->r->log);
    c->answer = servers_json(g, c->r->pool);
    return 200;
}

static int serve_server(struct api_call *c, struct group *g)
{
    uint64_t id;
    if (!text_u64(c->rest[2], &id) || id >= UINT32_MAX) return api_refuse(c, 400, "UpstreamBadServerId", "invalid server ID");
    struct records list = records_of(g, c->r->pool);
    const struct group_record *r = find(&list, id);
    if (!r) return api_refuse(c, 404, "UpstreamServerNotFound", "server with ID \"%llu\" does not exist", (unsigned long long) id);
    if (c->method == METHOD_PATCH) return change(c, g, (uint32_t) id);
    if (c->method == METHOD_DELETE) return remove_server(c, g, (uint32_t) id);
    if (c->method != METHOD_GET) return api_refuse(c, 405, "MethodDisabled", "method disabled");
    c->answer = server_json(r);
    return 200;
}

static int serve(struct api_call *c)
{
    struct pool *pool = c->r->pool;
    if (c->depth == 0 && c->method == METHOD_GET) {
        c->answer = all_json(pool);
        return 200;
    }
    struct group *g = c->depth && all() ? groups_find(all(), c->rest[0], 0) : NULL;
    if (!c->depth) return api_refuse(c, 405, "MethodDisabled", "method disabled");
    if (!g || g->implicit) return api_refuse(c, 404, "UpstreamNotFound", "upstream not found");
    if (c->depth > 1 && (!text_eq(c->rest[1], T("servers")) || c->depth > 3)) return api_refuse(c, 404, "PathNotFound", "path not found");
    if (c->depth == 3) return serve_server(c, g);
    if (c->depth == 2 && c->method == METHOD_POST) return add(c, g);
    if (c->depth == 1 && c->method == METHOD_DELETE) {
        reset(g, pool);
        return 204;
    }
    if (c->method != METHOD_GET) return api_refuse(c, 405, "MethodDisabled", "method disabled");
    c->answer = c->depth == 1 ? group_json(g, pool) : servers_json(g, pool);
    return 200;
}

/* ---- reading it ---- */

static bool read_word(struct text w, struct group_server *s, bool *resolve)
{
    static const struct { const char *name; size_t offset; } numbers[] = {
        { "weight=", offsetof(struct group_server, weight) }, { "max_conns=", offsetof(struct group_server, max_conns) }, { "max_fails=", offsetof(struct group_server, max_fails) },
    };
    for (size_t i = 0; i < countof(numbers); i++) {
        struct text name = text_c(numbers[i].name);
        uint64_t v;
        if (!text_starts(w, name)) continue;
        if (!text_u64(text_from(w, name.n), &v) || v > INT32_MAX) return false;
        *(uint32_t *) ((char *) s + numbers[i].offset) = (uint32_t) v;
        return true;
    }
    if (text_starts(w, T("fail_timeout="))) return conf_read_span(text_from(w, 13), &s->fail_timeout_ms);
    if (text_starts(w, T("slow_start="))) return conf_read_span(text_from(w, 11), &s->slow_start_ms);
    if (text_starts(w, T("route="))) s->route = text_from(w, 6);
    else if (text_starts(w, T("service="))) s->service = text_from(w, 8);
    else if (text_eq(w, T("resolve"))) *resolve = true;
    else if (text_eq(w, T("backup"))) s->priority = 1;
    else if (text_eq(w, T("down"))) s->down = true;
    else if (text_eq(w, T("drain"))) s->drain = true;
    else return false;
    return true;
}

static conf_result read_server(struct conf *cf, struct state_file *f, struct text line)
{
    struct group_server s = { .default_port = 80, GROUP_SERVER_DEFAULTS };
    struct text word, rest = text_trim(line);
    bool resolve = false;
    if (!text_starts(rest, T("server ")) || !text_ends(rest, T(";"))) return conf_say(cf, "!\"%s\" has a line that is no server: \"%.*s\"", f->path.p, TEXT_ARG(line));
    rest = text_of(rest.p + 7, rest.n - 8);
    while (text_split(&rest, ' ', &word)) {
        if (!word.n) continue;
        if (!s.address.n) s.address = word;
        else if (!read_word(word, &s, &resolve)) return conf_say(cf, "!\"%s\" has an invalid parameter \"%.*s\"", f->path.p, TEXT_ARG(word));
    }
    f->servers++;
    s.address = pool_text(cf->pool, s.address);
    s.route = pool_text(cf->pool, s.route);
    return resolve ? group_names_server(cf, f->group, &s) : group_add_server(cf, f->group, &s);
}

/* A file that is not there yet has no servers. */
static conf_result read_state(struct conf *cf, struct state_file *f)
{
    char *room = pool_bytes(cf->scratch, STATE_FILE_MOST);
    ssize_t n = file_read(f->path.p, room, STATE_FILE_MOST);
    if (n < 0 && errno == ENOENT) return NULL;
    if (n < 0 || n == STATE_FILE_MOST - 1) return conf_say(cf, "!\"%s\" cannot be read (%d: %s)", f->path.p, n < 0 ? errno : EFBIG, strerrordesc_np(n < 0 ? errno : EFBIG));
    struct text rest = text_of(room, (size_t) n), line;
    conf_result why = NULL;
    while (!why && text_split(&rest, '\n', &line)) {
        struct text t = text_trim(line);
        if (t.n && t.p[0] != '#') why = read_server(cf, f, t);
    }
    return why;
}

static conf_result parse_state(struct conf *cf, const struct directive *d, void *field)
{
    (void) d, (void) field;
    struct state_conf *top = conf_own_values(cf, cf->top, &http_upstream_api_module);
    struct state_file *f = pool_new(cf->pool, struct state_file);
    struct group *g = cf->block->object;
    *f = (struct state_file) { .next = top->first, .group = g, .path = conf_full_path(cf, cf->words[1], false), .file = cf->file, .line = cf->line };
    if (g->next_id) return conf_say(cf, "!\"state\" keeps the servers of an upstream: there may be no \"server\" beside it");
    g->stateful = true;
    top->first = f;
    return read_state(cf, f);
}

static conf_result finish(struct conf *cf, void *values)
{
    const struct state_conf *top = values;
    for (const struct state_file *f = top->first; f; f = f->next)
        if (f->group->next_id != f->servers) conf_error_at(cf, f->file, f->line, "\"state\" keeps the servers of an upstream: there may be no \"server\" beside it");
    return NULL;
}

static const struct conf_type type_state = { .syntax = "file", .min = 1, .max = 1, .parse = parse_state };
static const struct directive rows[] = {
    D_DO(&type_state, "state", IN_UPSTREAM, NULL, NULL, "A file that keeps the servers of the group, which are added and changed by the API."),
    { .name = NULL },
};

static const struct api_part parts[] = { { "http", "upstreams", 1, 1u << METHOD_DELETE | 1u << METHOD_POST | 1u << METHOD_PATCH, true, serve }, { 0 } };

struct module http_upstream_api_module = { .name = "http_upstream_api", .conf_size = sizeof(struct state_conf), .rows = rows, .finish = finish, .part = parts, .part_kind = &api_part_kind };
