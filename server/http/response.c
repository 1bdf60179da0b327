#include "http/response.h"
#include "http/explain.h"
#include "http/core_conf.h"
#include "http/page.h"
#include "http/reader.h"
#include "http/reqbody.h"
#include "http/steps.h"
#include "http/subrequest.h"

/* ---- what the response has ---- */

struct text response_etag(const struct request *r)
{
    if (r->out.etag.n) return r->out.etag;
    const struct field *f = fields_find(&r->out.fields, FIELD_ETAG);
    return f ? f->value : T("");
}

time_t response_modified(const struct request *r)
{
    return r->out.modified;
}

void response_clear(struct request *r)
{
    ASSERT(!r->out.head_sent);
    r->out = (struct response) { .length = -1, .modified = -1 };
    r->filter_count = 0;
}

void response_refuse(struct request *r, int status)
{
    r->refused = status;
}

void response_weaken_etag(struct request *r)
{
    struct response *o = &r->out;
    struct field *f = o->etag.n ? NULL : fields_find(&o->fields, FIELD_ETAG);
    struct text *etag = f ? &f->value : &o->etag;
    if (text_starts(*etag, T("W/"))) return;
    if (etag->n && etag->p[0] == '"') *etag = pool_printf(r->pool, "W/%.*s", TEXT_ARG(*etag));
    else response_clear_etag(r);
}

void response_clear_etag(struct request *r)
{
    r->out.etag = T("");
    fields_remove(&r->out.fields, FIELD_ETAG);
}

void response_clear_modified(struct request *r)
{
    r->out.modified = -1;
    r->out.has_modified = false;
    fields_remove(&r->out.fields, FIELD_LAST_MODIFIED);
}

void response_clear_ranges(struct request *r)
{
    r->out.accept_ranges = false;
    fields_remove(&r->out.fields, FIELD_ACCEPT_RANGES);
}

/* ---- head ---- */

/* "/there" → "http://host:port/there" */
static void make_absolute(struct request *r)
{
    const struct http_core_conf *core = http_core(r);
    struct response *o = &r->out;
    if (!o->location.n || o->location.p[0] != '/' || !core->absolute_redirect.on) return;
    const struct addr *local = conn_local(r->conn);
    bool tls = r->conn->ops != &conn_plain;
    unsigned port = local->family == AF_UNIX || !core->port_in_redirect.on ? 0 : addr_port(local);
    struct text host = core->server_name_in_redirect.on ? r->vhost->name : r->host;
    if (!host.n && !core->server_name_in_redirect.on) host = addr_text(r->pool, local, true);
    struct build b = build_in_pool(r->pool, host.n + o->location.n + 24, 0);
    build_text(&b, tls ? T("https://") : T("http://"));
    build_text(&b, host);
    if (port && port != (tls ? 443 : 80)) {
        build_char(&b, ':');
        build_u64(&b, port);
    }
    build_text(&b, o->location);
    o->location = build_done(&b);
    o->location_made = true;
}

static bool has_no_body(const struct request *r)
{
    int status = r->out.status;
    return r->method == METHOD_HEAD || r->head_only || status == 204 || status == 304 || (status >= 100 && status < 200 && status != 101);
}

/* The filters of one response; r->filters is at. */
struct passage {
    struct request  *r;
    struct task      task;        /* filter_later */
    bool             watched;     /* its task is cancelled when the request is closed */
    struct filter_at at[];
};

static struct passage *passage_of(const struct request *r) { return container_of(r->filters, struct passage, at); }

static void cancel_later(struct request *r, void *arg)
{
    (void) r;
    task_cancel(&((struct passage *) arg)->task);
}

static void go_on(struct task *t)
{
    struct passage *p = container_of(t, struct passage, task);
    if (!p->r->closing) response_more(p->r);
}

/* For most filters, and one that reads files. */
static struct filter_at *open_passage(struct request *r, size_t most)
{
    struct passage *p = pool_zalloc(r->pool, sizeof *p + (most + 1) * sizeof *p->at);
    *p = (struct passage) { .r = r, .task.run = go_on };
    return r->filters = p->at;
}

static void ask_filters(struct request *r)
{
    const struct http *h = r->vhost->http;
    struct filter_at *at = NULL;
    bool needs_bytes = r->main != r && subrequest_needs_bytes(r);
    r->filter_count = 0;
    r->refused = 0;
    for (size_t i = 0; i < h->filter_count && !r->refused; i++) {
        struct filter_at here = { .filter = h->filters[i] };
        if (!h->filters[i]->head(r, &here)) continue;
        if (!at) at = open_passage(r, h->filter_count - i);
        at[r->filter_count++] = here;
        needs_bytes |= here.filter->bytes;
    }
    if (!needs_bytes) return;
    if (!at) at = open_passage(r, 0);
    memmove(at + 1, at, r->filter_count++ * sizeof *at);
    at[0] = reader_open(r);
}

bool response_head(struct request *r)
{
    NEED(r, REQUEST_MAGIC);
    if (r->closing || r->out.ended) return false;
    ASSERT(!r->out.head_sent);
    if (r->err_status) {
        r->out.status = r->err_status;
        r->out.reason = T("");
    }
    if (unlikely(explain_on != NULL)) {
        explain_head(r);
        return false;
    }
    if (unlikely(r->main != r)) subrequest_heads(r);
    r->out.no_body = has_no_body(r);
    ask_filters(r);
    if (r->refused) {
        r->filter_count = 0;
        steps_run(r, v_reply(r->refused));
        return false;
    }
    if (has_no_body(r)) r->out.no_body = true;
    if (r->out.status != 200 && r->out.status != 206 && r->out.status != 304) r->out.modified = -1;      /* as nginx */
    if (r->out.status == 204) {
        r->out.type = T("");
        r->out.length = -1;
    }
    if (r->out.location.n) make_absolute(r);
    if (r->main == r) reqbody_discard_unwanted(r);
    r->out.head_sent = true;
    r->proto->head(r);
    return !r->closing;
}

/* ---- body ---- */

static void to_protocol(struct request *r, struct chain *in, enum body_end end)
{
    r->out.body_bytes += in->bytes;
    r->proto->body(r, in, end);
}

void filter_pass(struct request *r, struct filter_at *at, struct chain *in, enum body_end end)
{
    size_t next = (size_t) (at - r->filters) + 1;
    if (next < r->filter_count) r->filters[next].filter->body(r, &r->filters[next], in, end);
    else to_protocol(r, in, end);
}

/* Does any filter from the nth on hold something? */
static bool is_held(const struct request *r, size_t n)
{
    for (; n < r->filter_count; n++)
        if (r->filters[n].holds) return true;
    return false;
}

size_t filter_room(struct request *r, const struct filter_at *at)
{
    return r->closing || is_held(r, (size_t) (at - r->filters) + 1) ? 0 : r->proto->room(r);
}

void filter_later(struct request *r, struct filter_at *at)
{
    struct passage *p = passage_of(r);
    at->holds = true;
    if (!p->watched) request_at_close(r, cancel_later, p);
    p->watched = true;
    task_post(&p->task);
}

void response_more(struct request *r)
{
    NEED(r, REQUEST_MAGIC);
    for (unsigned i = r->filter_count; i-- && !r->closing;) {
        struct filter_at *at = &r->filters[i];
        if (!at->holds) continue;
        if (r->proto->room(r)) at->filter->more(r, at);
        if (at->holds) return;
    }
    if (r->source.more && response_room(r)) r->source.more(r, r->source.arg);
}

void response_body(struct request *r, struct chain *in, enum body_end end)
{
    NEED(r, REQUEST_MAGIC);
    if (r->closing || r->out.ended || !r->out.head_sent) {
        chain_clear(in);
        return;
    }
    if (unlikely(r->main != r)) subrequest_gives(r, in, end);
    r->out.ended = end != BODY_MORE;
    if (r->out.no_body) chain_clear(in);
    if (r->filter_count && !r->out.no_body) r->filters[0].filter->body(r, &r->filters[0], in, end);
    else to_protocol(r, in, end);
    ASSERT(chain_empty(in));
}

size_t response_room(struct request *r)
{
    return r->closing || r->out.ended || is_held(r, 0) ? 0 : r->proto->room(r);
}

/* ---- small ones ---- */

struct verdict response_text(struct request *r, int status, struct text type, struct text body, bool keep)
{
    struct chain c = CHAIN_EMPTY;
    r->out.status = status;
    if (type.n) r->out.type = type;
    else request_set_type(r);
    r->out.length = (int64_t) body.n;
    if (!response_head(r)) return v_over();
    chain_add_text(&c, keep ? body : pool_text(r->pool, body));
    response_body(r, &c, BODY_FINAL);
    return v_over();
}
