#include "http/explain.h"
#include "config/lint.h"
#include "http/core_conf.h"
#include "http/h1.h"
#include "http/http.h"
#include "http/listen.h"
#include "process/cycle.h"
#include "process/options.h"
#include "wire/h1.h"
#include "wire/uri.h"
#include <sys/stat.h>

enum { LINE = 4096 };

struct explain { unsigned n; };
struct explain *explain_on;

/* ---- lines ---- */

void explain_say(const char *file, unsigned line, const char *fmt, ...)
{
    char room[LINE];
    va_list args;
    va_start(args, fmt);
    vsnprintf(room, sizeof room, fmt, args);
    va_end(args);
    printf("%2u. %s", ++explain_on->n, room);
    if (file) printf("   (%s:%u)", file, line);
    putchar('\n');
    fflush(stdout);
}

void explain_more(const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    printf("      ");
    vprintf(fmt, args);
    putchar('\n');
    va_end(args);
}

/* The nearest line of that name, from b outwards. */
static const struct conf_line *nearest(const struct conf_block *b, const char *name)
{
    const struct conf_line *line = NULL;
    for (; b && !line; b = b->parent) line = lint_first(b, name);
    return line;
}

void explain_directive(const struct request *r, const char *name, const char *fmt, ...)
{
    char room[LINE];
    const struct conf_line *line = nearest(r->location->block, name);
    va_list args;
    va_start(args, fmt);
    vsnprintf(room, sizeof room, fmt, args);
    va_end(args);
    explain_say(line ? line->file : NULL, line ? line->line : 0, "%s", room);
}

/* ---- decisions on the way ---- */

static const char *kind_of(const struct location *l)
{
    switch (l->kind) {
    case LOCATION_EXACT: return "= ";
    case LOCATION_PREFIX_FINAL: return "^~ ";
    case LOCATION_REGEX: return "~ ";
    default: return "";
    }
}

static const char *reason_of(const struct location *l)
{
    switch (l->kind) {
    case LOCATION_EXACT: return "exactly this uri";
    case LOCATION_PREFIX_FINAL: return "the longest prefix, and with ^~ no regular expression is asked";
    case LOCATION_REGEX: return "the first regular expression that matches";
    default: return "the longest prefix, and no regular expression matches";
    }
}

void explain_location(struct request *r, const struct location *l, bool redirect)
{
    if (!l) {
        explain_say(r->vhost->block->file, r->vhost->block->line, "no location matches \"%.*s\": what stands in the server itself holds", TEXT_ARG(r->uri));
        return;
    }
    if (redirect) {
        explain_say(l->block->file, l->block->line, "location %s%.*s is \"%.*s\" with a slash behind it: redirected there", kind_of(l), TEXT_ARG(l->name), TEXT_ARG(r->uri));
        return;
    }
    explain_say(l->block->file, l->block->line, "location %s%.*s for \"%.*s\": %s", kind_of(l), TEXT_ARG(l->name), TEXT_ARG(r->uri), reason_of(l));
    if (l->internal && !r->internal) explain_more("it is internal, and the request is not: 404");
}

/* Does an error_page answer for status? */
static bool explain_page(const struct request *r, int status)
{
    const struct error_pages *pages = &http_core(r)->error_pages;
    if (r->error_page_done || !r->uri_changes) return false;
    for (size_t i = 0; i < pages->n; i++) {
        if (pages->v[i].status != status) continue;
        explain_directive(r, "error_page", "error_page for %d: \"%.*s\"", status, TEXT_ARG(template_source(pages->v[i].uri)));
        return true;
    }
    return false;
}

struct verdict explain_reply(struct request *r, int status)
{
    static const char *const rules[] = { "deny", "auth_basic", "auth_jwt", NULL };
    struct text words = response_reason(status);
    const struct conf_line *line = NULL;
    bool access = r->step == &step_access || r->step == &step_post_access;
    for (size_t i = 0; access && rules[i] && !line; i++)
        if (status == (i ? 401 : 403)) line = nearest(r->location->block, rules[i]);
    explain_say(line ? line->file : NULL, line ? line->line : 0, "answer: %d%s%.*s, decided in step %s", status, words.n ? " " : "", TEXT_ARG(words), r->step->name);
    if (r->out.location.n) explain_more("Location: %.*s", TEXT_ARG(r->out.location));
    return explain_page(r, status) ? error_page_answer(r, status) : v_over();
}

void explain_head(struct request *r)
{
    struct text words = response_reason(r->out.status);
    explain_say(NULL, 0, "answer: %d%s%.*s, made here", r->out.status, words.n ? " " : "", TEXT_ARG(words));
    if (r->out.location.n) explain_more("Location: %.*s", TEXT_ARG(r->out.location));
    if (r->out.type.n) explain_more("Content-Type: %.*s", TEXT_ARG(r->out.type));
    if (r->out.length >= 0) explain_more("Content-Length: %lld", (long long) r->out.length);
}

void explain_file(struct request *r, struct text path, bool there, bool folder)
{
    const struct hook_list *list = &r->vhost->http->hooks[r->step->index];
    const char *name = r->hook < list->n ? list->v[r->hook]->name : r->step->name;
    explain_directive(r, name, "%s: \"%.*s\" %s", name, TEXT_ARG(path), !there ? "is not there" : folder ? "is a folder" : "is a file");
}

bool explain_skips(const struct request *r, const struct hook *hook)
{
    const struct conf_line *line;
    if (!text_starts(text_c(hook->name), T("limit_"))) return false;
    line = nearest(r->location->block, hook->name);
    if (line) explain_say(line->file, line->line, "%s is not asked: it depends on other requests", hook->name);
    return true;
}

/* ---- who answers ---- */

static struct verdict explain_files(struct request *r)
{
    const struct hook_list *list = &r->vhost->http->hooks[STEP_CONTENT];
    for (r->hook = 0; r->uri.n && r->uri.p[r->uri.n - 1] == '/' && r->hook < list->n; r->hook++) {
        if (!text_eq(text_c(list->v[r->hook]->name), T("index"))) continue;
        struct verdict v = list->v[r->hook]->run(r);
        if (v.what != V_NEXT) return v;
    }
    struct text path = request_map_path(r, 0, NULL);
    const char *by = http_core(r)->root.alias_of ? "alias" : "root";
    struct stat st;
    bool there = stat(path.p, &st) == 0;
    explain_directive(r, by, "answer: the file \"%.*s\", by %s", TEXT_ARG(path), by);
    if (!there || S_ISDIR(st.st_mode)) explain_more("%s", there ? "which is a folder" : "which is not there");
    return there ? v_over() : v_reply(404);
}

struct verdict explain_content(struct request *r)
{
    const struct conf_block *b = r->location->block;
    if (!r->location->content) return explain_files(r);
    if (nearest(b, "proxy_pass")) return r->location->content(r);      /* which says more where it would connect */
    explain_say(b->file, b->line, "answer: by the handler of this location");
    return v_over();
}

/* ---- the request ---- */

static bool wrong(const char *what, const char *why)
{
    fprintf(stderr, "weir: --explain: %s: \"%s\"\n", why, what);
    return false;
}

static void take_field(struct request *r, struct text name, struct text value)
{
    request_take_field(r, &(struct field) { .id = field_lookup(name), .name = name, .value = value });
}

/* What was asked, in parts. */
struct asked { struct h1_request_line line; struct uri uri; struct uri_host host; bool has_host; uint16_t port; };

static bool read_asked(struct pool *pool, const struct options *o, struct asked *a)
{
    struct h1_parse parse;
    struct text t = pool_printf(pool, "%s%s HTTP/1.1\r\n", strchr(o->explain, ' ') ? "" : "GET ", o->explain), host = T("");
    *a = (struct asked) { .port = 0 };
    h1_begin(&parse, H1_REQUEST);
    if (h1_request_line(&parse, t.p, t.n, &a->line) != H1_DONE || (a->line.form != H1_ORIGIN && a->line.form != H1_ABSOLUTE))
        return wrong(o->explain, "not a request like 'GET http://host/uri'");
    if (uri_parse(a->line.path, true, pool, &a->uri) != FAULT_NONE) return wrong(o->explain, "not a valid uri");
    host = a->line.authority;
    if (a->line.form == H1_ABSOLUTE) a->port = text_eq_nocase(a->line.scheme, T("https")) ? 443 : 80;
    for (size_t i = 0; i < o->header_count && !host.n; i++)
        if (text_starts_nocase(text_c(o->headers[i]), T("host:"))) host = text_trim(text_from(text_c(o->headers[i]), 5));
    if (!host.n) return true;
    if (uri_host(host, pool, &a->host) != FAULT_NONE) return wrong(o->explain, "not a valid host");
    a->has_host = true;
    if (a->host.port) a->port = a->host.port;
    return true;
}

/* The listen directive that it would come by: of that port, and of that address if the host is one. */
static const struct listen *find_listen(const struct http *h, struct pool *pool, const struct asked *a)
{
    struct addr to;
    const struct listen *best = NULL;
    bool literal = a->has_host && addr_parse(pool, a->host.name, a->port ? a->port : 80, &to);
    for (const struct listen *l = h->listens; l; l = l->next) {
        if (a->port && (l->at.addr.family == AF_UNIX || addr_port(&l->at.addr) != a->port)) continue;
        if (literal && addr_eq(&l->at.addr, &to)) return l;
        if (!best) best = l;
    }
    return best;
}

static void explain_server(const struct listen *l, const struct vhost *v, const struct asked *a, struct eval *e)
{
    const struct conf_block *b = v->block;
    explain_say(l->file, l->line, "listen %.*s: %s", TEXT_ARG(l->name), a->port ? "of the port that was asked for" : "the first one, since no port was asked for");
    if (!l->at.names) explain_say(b->file, b->line, "server \"%.*s\": the only one there", TEXT_ARG(v->name));
    else if (v == l->at.fallback && (!a->host.name.n || !names_find(l->at.names, a->host.name, e)))
        explain_say(b->file, b->line, "server \"%.*s\": none has the name \"%.*s\", and this one is %s", TEXT_ARG(v->name), TEXT_ARG(a->host.name), l->default_given ? "the default_server" : "the first");
    else explain_say(b->file, b->line, "server \"%.*s\": it has the name \"%.*s\"", TEXT_ARG(v->name), TEXT_ARG(a->host.name));
}

static void fill(struct request *r, const struct options *o, const struct asked *a)
{
    h1_head_line(r, &a->line);
    struct uri uri = a->uri;
    uri_parse(a->line.path, http_core(r)->merge_slashes.on, r->pool, &uri);      /* as the server has it; it is a valid one */
    request_take_uri(r, &uri);
    r->host = a->host.name;
    r->host_port = a->host.port;
    if (a->line.authority.n) take_field(r, T("Host"), a->line.authority);
    for (size_t i = 0; i < o->header_count; i++) {
        struct text t = text_c(o->headers[i]);
        ssize_t colon = text_find_char(t, ':');
        if (colon > 0 && !(text_eq_nocase(text_upto(t, (size_t) colon), T("Host")) && r->in_at[FIELD_HOST]))
            take_field(r, text_upto(t, (size_t) colon), text_trim(text_from(t, (size_t) colon + 1)));
    }
}

static void no_end(struct request *r, const char *why) { (void) r, (void) why; }
static void no_body(struct request *r, struct chain *in, enum body_end end) { (void) r, (void) end; chain_clear(in); }
static void no_head(struct request *r) { (void) r; }
static size_t no_room(struct request *r) { (void) r; return 0; }

static const struct protocol nowhere = { .name = "HTTP/1.1", .head = no_head, .body = no_body, .room = no_room, .want_body = no_head, .ended = no_end };

bool explain_run(struct cycle *c)
{
    static struct explain explaining;
    static struct conn_ops over_tls;            /* as plain ones, but not them: $scheme is https */
    const struct http *h = http_of(c->conf);
    struct asked a;
    struct conn *conn = pool_new(c->pool, struct conn);
    if (!h) return wrong(c->options->explain, "there is no http block");
    if (!read_asked(c->pool, c->options, &a)) return false;
    const struct listen *l = find_listen(h, c->pool, &a);
    if (!l) return wrong(c->options->explain, "no server listens on this port");
    over_tls = conn_plain;
    *conn = (struct conn) { .magic = CONN_MAGIC, .fd = -1, .ops = l->at.tls ? &over_tls : &conn_plain, .log = log_main, .local = l->at.addr };
    if (!addr_parse(c->pool, text_c(c->options->from ? c->options->from : "127.0.0.1"), 40000, &conn->peer)) return wrong(c->options->from, "not an address");
    cycle_current = c;
    explain_on = &explaining;
    struct request *r = request_open(conn, &nowhere, NULL, l->at.fallback);
    fill(r, c->options, &a);
    struct vhost *v = vhost_find(&l->at, r->host, &r->eval);
    explain_server(l, v, &a, &r->eval);
    request_set_vhost(r, v);
    request_run(r);
    if (r->resumable) explain_say(NULL, 0, "step %s waits for something, which cannot be foretold", r->step->name);
    explain_on = NULL;
    return true;
}
