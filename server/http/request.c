#include "http/request.h"
#include "http/core_conf.h"
#include "http/explain.h"
#include "http/reqbody.h"
#include "http/steps.h"
#include "http/subrequest.h"
#include "wire/uri.h"

struct at_close { struct at_close *next; void (*fn)(struct request *r, void *arg); void *arg; };

enum { REQUEST_POOL = 4096, FIELDS_USUAL = 16, REDIRECTS = 10, SUBREQUESTS = 51 };

/* ---- fields ---- */

void fields_grow(struct fields *f, struct pool *p)
{
    struct field *old = f->v;
    f->cap = f->cap ? f->cap * 2 : FIELDS_USUAL;
    f->v = pool_alloc(p, sizeof(struct field) * f->cap);
    if (f->n) memcpy(f->v, old, sizeof(struct field) * f->n);
}

struct field *fields_find(const struct fields *f, enum field_id id)
{
    for (unsigned i = 0; i < f->n; i++)
        if (f->v[i].id == id) return &f->v[i];
    return NULL;
}

struct field *fields_find_name(const struct fields *f, struct text name)
{
    for (unsigned i = 0; i < f->n; i++)
        if (text_eq_nocase(f->v[i].name, name)) return &f->v[i];
    return NULL;
}

void fields_remove(struct fields *f, enum field_id id)
{
    unsigned kept = 0;
    for (unsigned i = 0; i < f->n; i++)
        if (f->v[i].id != id) f->v[kept++] = f->v[i];
    f->n = kept;
}

/* ---- the beginning ---- */

void request_enter(struct request *r, struct location *l)
{
    NEED(l, LOCATION_MAGIC);
    if (unlikely(l->limit_except && !(l->limit_except & 1u << r->method))) l = l->limit_except_location;
    r->location = l;
    r->values = l->block->values;
    if (l->log && r->main == r) r->conn->log = r->log = r->eval.log = l->log;      /* a subrequest keeps the main one's, as in nginx */
}

void request_set_vhost(struct request *r, struct vhost *v)
{
    NEED(v, VHOST_MAGIC);
    r->vhost = v;
    request_enter(r, v->self);
}

/* Of parent, or of nobody. */
static struct request *make(struct request *parent, struct pool *pool, struct conn *c, struct vhost *v)
{
    struct request *r = pool_new(pool, struct request);
    r->magic = REQUEST_MAGIC;
    r->pool = pool;
    r->conn = c;
    r->peer = &c->peer;
    r->parent = parent;
    r->main = parent ? parent->main : r;
    r->uri_changes = REDIRECTS + 1;
    r->subrequests = SUBREQUESTS;
    r->in_length = -1;
    r->valid_target = r->valid_location = true;
    r->out.length = r->out.modified = -1;
    r->started_ms = clock_now.ms;
    r->started_wall_ms = clock_now.wall_ms;
    r->sent_at_start = c->sent;
    r->log = parent ? parent->log : c->log;
    r->about = &c->about;
    r->eval = (struct eval) { .kind = EVAL_HTTP, .pool = pool, .log = r->log, .about = r->about, .names = v->http->names };
    r->eval.values = parent ? parent->eval.values : pool_zalloc(pool, sizeof(struct value) * v->http->value_count);
    request_set_vhost(r, v);
    return r;
}

struct request *request_open(struct conn *c, const struct protocol *proto, void *stream, struct vhost *v)
{
    struct request *r = make(NULL, pool_open(REQUEST_POOL), c, v);
    r->proto = proto;
    r->stream = stream;
    return r;
}

struct request *request_open_within(struct request *parent, struct pool *pool, const struct protocol *proto, void *stream)
{
    struct request *r = make(parent, pool, parent->conn, parent->vhost);
    r->proto = proto;
    r->stream = stream;
    return r;
}

void **request_context(struct request *r, const struct module *m)
{
    if (!r->contexts) r->contexts = pool_array(r->pool, void *, conf_slots());
    return &r->contexts[m->slot];
}

/* ---- running ---- */

void request_run(struct request *r)
{
    NEED(r, REQUEST_MAGIC);
    steps_run(r, v_goto(&step_post_read));
}

void request_resume(struct request *r)
{
    NEED(r, REQUEST_MAGIC);
    r->resumed = true;
    if (r->running || !r->resumable) return;
    r->resumable = false;
    steps_run(r, v_wait());
}

void request_go(struct request *r, struct verdict v)
{
    NEED(r, REQUEST_MAGIC);
    if (r->closing) return;
    r->resumable = false;
    steps_run(r, v);
}

void request_fail(struct request *r, int status)
{
    struct chain none = CHAIN_EMPTY;
    NEED(r, REQUEST_MAGIC);
    if (r->closing || r->out.ended) return;
    if (r->out.head_sent) response_body(r, &none, BODY_BROKEN);
    else request_go(r, v_reply(status));
}

int request_status(const struct request *r)
{
    return r->err_status ? r->err_status : r->out.status;
}

void request_take_uri(struct request *r, const struct uri *u)
{
    r->uri = u->path;
    r->args = u->args;
    r->exten = u->exten;
    r->has_args = u->args.n > 0;      /* "/x?" has none, as in nginx */
    r->complex_uri = u->complex;
    r->quoted_uri = u->quoted;
    r->plus_in_uri = u->plus;
}

/* ---- redirects made here ---- */

void request_set_exten(struct request *r)
{
    r->exten = T("");
    for (size_t i = r->uri.n; i-- > 2;) {
        if (r->uri.p[i] == '/') return;
        if (r->uri.p[i] != '.' || r->uri.p[i - 1] == '/') continue;
        r->exten = text_from(r->uri, i + 1);
        return;
    }
}

static bool count_redirect(struct request *r, const char *how, struct text where)
{
    if (r->uri_changes && --r->uri_changes) return true;
    request_log(r, L_ERR, 0, "rewrite or internal redirection cycle while %s \"%.*s\"", how, TEXT_ARG(where));
    return false;
}

static void forget(struct request *r)
{
    if (r->contexts) memset(r->contexts, 0, sizeof(void *) * conf_slots());
    r->internal = true;
    r->valid_target = r->add_uri_to_alias = false;
    r->valid_location = true;
    r->access_status = 0;
}

struct verdict request_redirect(struct request *r, struct text uri, struct text args)
{
    NEED(r, REQUEST_MAGIC);
    if (!count_redirect(r, "internally redirecting to", uri)) return v_reply(500);
    explain_note(NULL, 0, "internally redirected to \"%.*s\"%s%.*s, in step %s", TEXT_ARG(uri), args.n ? " with args " : "", TEXT_ARG(args), r->step->name);
    r->uri = uri;
    r->args = args;
    r->has_args = args.n > 0;
    request_set_exten(r);
    forget(r);
    request_enter(r, r->vhost->self);
    return v_goto(&step_server_rewrite);
}

struct verdict request_redirect_named(struct request *r, struct text name)
{
    NEED(r, REQUEST_MAGIC);
    if (!count_redirect(r, "redirecting to named location", name)) return v_reply(500);
    if (!r->uri.n) {
        request_log(r, L_ERR, 0, "empty URI in redirect to named location \"%.*s\"", TEXT_ARG(name));
        return v_reply(500);
    }
    struct location *l = locations_named(r->vhost->locations, name);
    if (!l) {
        request_log(r, L_ERR, 0, "could not find named location \"%.*s\"", TEXT_ARG(name));
        return v_reply(500);
    }
    explain_note(l->block->file, l->block->line, "internally redirected to location %.*s, in step %s", TEXT_ARG(name), r->step->name);
    forget(r);
    r->uri_changed = false;
    request_enter(r, l);
    return v_goto(&step_rewrite);
}

/* ---- the end ---- */

void request_at_close(struct request *r, void (*fn)(struct request *r, void *arg), void *arg)
{
    struct at_close *a = pool_new(r->pool, struct at_close);
    *a = (struct at_close) { r->at_close, fn, arg };
    r->at_close = a;
}

void request_at_close_cancel(struct request *r, void (*fn)(struct request *r, void *arg), void *arg)
{
    struct at_close **at = &r->at_close;
    while (*at && ((*at)->fn != fn || (*at)->arg != arg)) at = &(*at)->next;
    if (*at) *at = (*at)->next;
}

static void log_it(struct request *r)
{
    const struct hook_list *list = &r->vhost->http->hooks[STEP_LOG];
    const char *was = r->about->doing;
    r->about->doing = "logging request";
    r->step = &step_log;
    for (size_t i = 0; i < list->n; i++) list->v[i]->run(r);
    r->about->doing = was;
}

void request_free(void *p)
{
    struct request *r = p;
    struct pool *pool = r->pool;
    r->magic = 0;
    pool_close(&pool);
}

void request_close(struct request **at, const char *why)
{
    struct request *r = *at;
    *at = NULL;
    if (!r) return;
    NEED(r, REQUEST_MAGIC);
    if (r->closing) return;
    r->closing = true;
    log_at(r->log, L_DEBUG, r->about, 0, "request closed: %s", why);
    if (r->main != r && r->out.ended && http_core(r)->log_subrequest.on) log_it(r);
    subrequest_end_all(r);
    if (r->exchange) r->exchange_ops->end(r);
    for (struct at_close *a = r->at_close; a; a = a->next) a->fn(r, a->arg);
    if (r->main == r) log_it(r);
    bool stays = subrequest_stay(r);
    reqbody_end(r);
    if (!stays) loop_free_later(request_free, r);
    r->proto->ended(r, why);
}

/* ---- log lines ---- */

static void put_quoted(struct build *b, struct text t)
{
    build_escaped(b, t);
    build_char(b, '"');
}

/* error_log_tag. Finding a value may log, which is then told without tags; and no capture of a rewrite under way is lost. */
static void put_tags(struct build *b, struct request *r)
{
    static bool within;
    const struct log_tags *tags = &http_core(r)->error_log_tags;
    struct captures *captures = r->eval.captures;
    if (within) return;
    within = true;
    r->eval.captures = NULL;
    for (size_t i = 0; i < tags->n; i++) {
        build_fmt(b, ", %.*s: \"", TEXT_ARG(tags->v[i].name));
        put_quoted(b, template_render(tags->v[i].value, &r->eval));
    }
    r->eval.captures = captures;
    within = false;
}

void request_describe(struct build *b, const struct request *r)
{
    build_lit(b, ", client: ");
    addr_print(b, r->peer, true);
    build_lit(b, ", server: ");
    build_text(b, r->vhost->name);
    if (r->line.n) {
        build_lit(b, ", request: \"");
        put_quoted(b, r->line);
    }
    if (r->main != r) {
        build_lit(b, ", subrequest: \"");
        put_quoted(b, r->uri);
    }
    if (r->exchange && r->exchange_ops->describe) r->exchange_ops->describe((struct request *) (uintptr_t) r, b);
    struct text host = request_value(r, FIELD_HOST), referrer = request_value(r, FIELD_REFERER);
    if (host.n) {
        build_lit(b, ", host: \"");
        put_quoted(b, host);
    }
    if (referrer.n) {
        build_lit(b, ", referrer: \"");
        put_quoted(b, referrer);
    }
    if (http_core(r)->error_log_tags.n) put_tags(b, (struct request *) (uintptr_t) r);
}

/* ---- files ---- */

struct text request_root(struct request *r)
{
    const struct http_root *root = &http_core(r)->root;
    if (!root->dynamic) return root->path;
    struct text path = template_render(root->dynamic, &r->eval);
    if (path.n && path.p[0] == '/') return path;
    struct text prefix = cycle_current->conf->prefix;
    return pool_printf(r->pool, "%.*s%.*s", TEXT_ARG(prefix), TEXT_ARG(path));
}

struct text request_map_path(struct request *r, size_t spare, size_t *root_len_out)
{
    const struct location *alias = http_core(r)->root.alias_of;
    if (alias && !r->valid_location) {
        request_log(r, L_ERR, 0, "\"alias\" cannot be used in location \"%.*s\" where URI was rewritten", TEXT_ARG(alias->name));
        return T("");
    }
    struct text root = request_root(r), rest = r->uri;
    if (alias && alias->kind == LOCATION_REGEX) rest = r->add_uri_to_alias ? r->uri : T("");
    else if (alias) rest = text_from(r->uri, min_of(alias->name.n, r->uri.n));
    struct build b = build_in_pool(r->pool, root.n + rest.n + spare + 1, 0);
    build_text(&b, root);
    build_text(&b, rest);
    build_char(&b, '\0');
    if (root_len_out) *root_len_out = root.n;
    return text_of(b.p, b.n - 1);
}

void request_set_type(struct request *r)
{
    if (r->out.type.n) return;       /* of an upstream that redirected to here */
    static const struct { struct text exten, type; } known[] = {
        { TEXT_INIT("html"), TEXT_INIT("text/html") }, { TEXT_INIT("gif"), TEXT_INIT("image/gif") }, { TEXT_INIT("jpg"), TEXT_INIT("image/jpeg") },
    };
    const struct http_core_conf *core = http_core(r);
    if (r->out.type.n) return;              /* an upstream that said X-Accel-Redirect said it */
    r->out.type = core->default_type;
    if (!r->exten.n) return;
    if (core->types) {
        const struct text *type = table_get(core->types, r->exten);
        if (type) r->out.type = *type;
        return;
    }
    for (size_t i = 0; i < countof(known); i++)
        if (text_eq_nocase(r->exten, known[i].exten)) r->out.type = known[i].type;
}
