#include "http/park.h"
#include "http/reqbody.h"
#include "http/steps.h"

#define PARKED_MAGIC 0x5041524bu

struct parked {
    unsigned               magic;
    uint16_t               version, host_port, status;
    uint8_t                method, form;
    bool                   pipelined, forward;
    uint32_t               number, head_bytes, fields, values, bytes;
    struct conn           *conn;
    const struct protocol *proto;
    void                  *stream;
    struct vhost          *vhost;
    struct location       *location;
    uint64_t               in_bytes, started_ms, started_wall_ms, sent_at_start;
    char                   data[];          /* texts, each behind its length */
};

bool request_may_park(const struct request *r)
{
    return r->proto->swap && !r->at_close && !r->filter_count && !r->subs && !r->sub_count && r->main == r && r->peer == &r->conn->peer && !r->proxied && r->in.n <= UINT8_MAX;
}

static void put(struct build *b, struct text t)
{
    uint32_t n = (uint32_t) t.n;
    build_text(b, text_of((const char *) &n, sizeof n));
    build_text(b, t);
}

static struct text take(struct text *rest)
{
    uint32_t n;
    memcpy(&n, rest->p, sizeof n);
    struct text t = text_of(rest->p + sizeof n, n);
    *rest = text_from(*rest, sizeof n + n);
    return t;
}

/* Values that variables have been given, or have been found to have: they stay; so does what modules know now and will not know then. */
static uint32_t put_values(struct build *b, struct request *r)
{
    uint32_t count = 0;
    size_t n = eval_value_count(r->eval.names);
    for (uint32_t i = 0; i < n; i++) {
        const struct variable *known = variables_at(r->eval.names, i);
        bool settled = known && known->flags & VAR_SETTLED;
        struct value v = settled ? eval_get(&r->eval, i) : r->eval.values[i];
        if (v.state != VALUE_FOUND || (known && known->flags & VAR_NO_CACHE && !settled)) continue;
        build_text(b, text_of((const char *) &i, sizeof i));
        put(b, value_text(v));
        count++;
    }
    return count;
}

struct parked *request_park(struct request *r)
{
    NEED(r, REQUEST_MAGIC);
    ASSERT(request_may_park(r));
    struct build b = build_in_pool(r->pool, 1024, 0);
    const struct text texts[] = { r->line, r->target, r->host, r->user, r->uri, r->asked_scheme, r->method_name };
    for (size_t i = 0; i < countof(texts); i++) put(&b, texts[i]);
    for (unsigned i = 0; i < r->in.n; i++) {
        put(&b, r->in.v[i].name);
        put(&b, r->in.v[i].value);
    }
    uint32_t values = put_values(&b, r);
    struct parked *p = base_alloc(sizeof *p + b.n);
    *p = (struct parked) {
        .magic = PARKED_MAGIC, .version = (uint16_t) r->version, .host_port = r->host_port, .status = (uint16_t) r->out.status, .method = (uint8_t) r->method, .form = r->form,
        .pipelined = r->pipelined, .forward = r->forward, .number = r->number, .head_bytes = r->out.head_bytes, .fields = r->in.n, .values = values, .bytes = (uint32_t) b.n,
        .conn = r->conn, .proto = r->proto, .stream = r->stream, .vhost = r->vhost, .location = r->location,
        .in_bytes = r->in_bytes, .started_ms = r->started_ms, .started_wall_ms = r->started_wall_ms, .sent_at_start = r->sent_at_start,
    };
    memcpy(p->data, b.p, b.n);
    r->closing = true;
    reqbody_end(r);
    r->proto->swap(r->stream, NULL);
    loop_free_later(request_free, r);
    return p;
}

static void take_fields(struct request *r, struct text *rest, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        struct text name = take(rest), value = take(rest);
        enum field_id id = field_lookup(name);
        fields_add(&r->in, r->pool, id, name, value);
        if (id != FIELD_OTHER && !r->in_at[id]) r->in_at[id] = (uint16_t) r->in.n;
    }
}

struct request *request_unpark(struct parked **at)
{
    struct parked *p = *at;
    NEED(p, PARKED_MAGIC);
    *at = NULL;
    struct request *r = request_open(p->conn, p->proto, p->stream, p->vhost);
    struct text rest = pool_text(r->pool, text_of(p->data, p->bytes)), *texts[] = { &r->line, &r->target, &r->host, &r->user, &r->uri, &r->asked_scheme, &r->method_name };
    request_enter(r, p->location);
    for (size_t i = 0; i < countof(texts); i++) *texts[i] = take(&rest);
    take_fields(r, &rest, p->fields);
    for (uint32_t i = 0; i < p->values; i++) {
        uint32_t index;
        memcpy(&index, rest.p, sizeof index);
        rest = text_from(rest, sizeof index);
        struct text value = take(&rest);
        r->eval.values[index] = (struct value) { value.p, (uint32_t) value.n, VALUE_FOUND };
    }
    r->version = p->version;
    r->host_port = p->host_port;
    r->method = p->method;
    r->form = p->form;
    r->pipelined = p->pipelined;
    r->forward = p->forward;
    r->number = p->number;
    r->in_bytes = p->in_bytes;
    r->started_ms = p->started_ms;
    r->started_wall_ms = p->started_wall_ms;
    r->sent_at_start = p->sent_at_start;
    r->out.status = p->status;
    r->out.head_bytes = p->head_bytes;
    r->out.head_sent = true;
    r->step = &step_content;
    r->proto->swap(r->stream, r);
    p->magic = 0;
    free(p);
    return r;
}
