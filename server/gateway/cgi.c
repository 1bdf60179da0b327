#include "gateway/cgi.h"
#include "gateway/pass.h"
#include "http/reqbody.h"

/* ---- parameters ---- */

static conf_result parse_param(struct conf *cf, const struct directive *d, void *field)
{
    struct cgi_params *list = field;
    conf_result why = NULL;
    (void) d;
    bool conditional = cf->count == 4;
    if (conditional && !text_eq(cf->words[3], T("if_not_empty"))) return conf_say(cf, "!invalid parameter \"%.*s\"", TEXT_ARG(cf->words[3]));
    struct template *t = template_compile(cf, cf->words[2], &why);
    if (!t) return why;
    if (list->n == list->cap) list->v = pool_grow(cf->pool, list->v, list->n, &list->cap, sizeof *list->v);
    list->v[list->n++] = (struct cgi_param) { pool_text(cf->pool, cf->words[1]), t, conditional };
    return NULL;
}

const struct conf_type cgi_param_type = { "parameter value [if_not_empty]", sizeof(struct cgi_params), CONF_MULTI, 2, 3, parse_param };

/* RFC 3875 4.1.18: "HTTP_", in capitals, "_" for "-". */
static struct text field_param(struct pool *pool, struct text name)
{
    struct build b = build_in_pool(pool, name.n + 5, 0);
    build_lit(&b, "HTTP_");
    for (size_t i = 0; i < name.n; i++) {
        char c = name.p[i];
        build_char(&b, c >= 'a' && c <= 'z' ? (char) (c - 32) : c == '-' ? '_' : c);
    }
    return build_done(&b);
}

static bool is_given(const struct cgi_params *params, struct text name)
{
    for (size_t i = 0; i < params->n; i++)
        if (text_eq(params->v[i].name, name)) return true;
    return false;
}

/* Lines of one name are one parameter: cookies with "; " (RFC 6265 5.4 says one line; HTTP/2 splits it), others as a list. */
static struct text join(struct request *r, unsigned first)
{
    const struct fields *in = &r->in;
    struct text name = in->v[first].name;
    struct build b = build_in_pool(r->pool, in->v[first].value.n + 64, 0);
    build_text(&b, in->v[first].value);
    for (unsigned i = first + 1; i < in->n; i++) {
        if (!text_eq_nocase(in->v[i].name, name)) continue;
        build_text(&b, in->v[i].id == FIELD_COOKIE ? T("; ") : T(", "));
        build_text(&b, in->v[i].value);
    }
    return build_done(&b);
}

static int place_of(const struct fields *in, unsigned at)
{
    int last = 0;
    for (unsigned i = 0; i < in->n; i++) {
        if (i == at || !text_eq_nocase(in->v[i].name, in->v[at].name)) continue;
        if (i < at) return -1;      /* told already */
        last = 1;
    }
    return last;
}

/* Proxy would be HTTP_PROXY, which many programs take for the address of their own proxy (CVE-2016-5385). */
static void put_fields(const struct cgi_params *params, struct request *r, void (*put)(void *arg, struct text name, struct text value), void *arg)
{
    for (unsigned i = 0; i < r->in.n; i++) {
        const struct field *f = &r->in.v[i];
        struct text name = field_param(r->pool, f->name);
        int more = text_eq(name, T("HTTP_PROXY")) || is_given(params, name) ? -1 : place_of(&r->in, i);
        if (more >= 0) put(arg, name, more ? join(r, i) : f->value);
    }
}

void cgi_params_each(const struct cgi_params *params, struct exchange *x, void (*put)(void *arg, struct text name, struct text value), void *arg)
{
    struct request *r = x->r;
    for (size_t i = 0; i < params->n; i++) {
        struct text value = template_render(params->v[i].value, &r->eval);
        if (value.n || !params->v[i].if_not_empty) put(arg, params->v[i].name, value);
    }
    if (x->conf->pass_headers.on) put_fields(params, r, put, arg);
}

/* ---- answers ---- */

const enum field_id cgi_hidden[CGI_HIDDEN] = { FIELD_X_ACCEL_EXPIRES, FIELD_X_ACCEL_REDIRECT, FIELD_X_ACCEL_LIMIT_RATE, FIELD_X_ACCEL_BUFFERING, FIELD_X_ACCEL_CHARSET };

void cgi_begin(struct cgi_reader *c, struct exchange *x)
{
    *c = (struct cgi_reader) { .left = -1 };
    h1_begin(&c->parse, H1_RESPONSE);
    x->up = (struct upstream_response) { .length = -1, .version = 1000 };
}

static enum gateway_parse bad(struct exchange *x, const char *why)
{
    log_at(x->r->log, L_ERR, x->r->about, 0, "upstream sent invalid header: %s", why);
    return GATEWAY_BAD;
}

/* "404 Not Found" */
static bool read_status(struct exchange *x, struct text t)
{
    uint64_t v;
    ssize_t space = text_find_char(t, ' ');
    if (!text_u64(space < 0 ? t : text_upto(t, (size_t) space), &v) || v < 200 || v > 999) return false;
    x->up.status = (int) v;
    x->up.reason = space < 0 ? T("") : text_trim(text_from(t, (size_t) space));
    return true;
}

static bool read_length(struct cgi_reader *c, struct text t)
{
    uint64_t v;
    if (!text_u64(t, &v) || v > INT64_MAX || (c->left >= 0 && (uint64_t) c->left != v)) return false;
    c->left = (int64_t) v;
    return true;
}

/* False: it says what cannot be. */
static bool take_field(struct cgi_reader *c, struct exchange *x, const struct field *f)
{
    if (f->id == FIELD_CONTENT_LENGTH && !read_length(c, f->value)) return false;
    if (text_eq_nocase(f->name, T("Status"))) {
        c->status = f->value;
        bool passed = c->shows_status;
        for (size_t i = 0; i < x->conf->pass.n; i++) passed |= text_eq_nocase(x->conf->pass.v[i], T("Status"));
        if (!passed) return true;
    }
    fields_add(&x->up.fields, x->r->pool, f->id, f->name, f->value);
    return true;
}

/* RFC 3875 6.2, 6.3.3 */
static enum gateway_parse end_of_head(struct cgi_reader *c, struct exchange *x)
{
    if (c->status.n && !read_status(x, c->status)) return bad(x, "no valid Status");
    if (!x->up.status) x->up.status = fields_find(&x->up.fields, FIELD_LOCATION) ? 302 : 200;
    x->up.length = c->left;
    return GATEWAY_DONE;
}

static enum gateway_parse parse_status_line(struct cgi_reader *c, struct exchange *x, const char *p, size_t n)
{
    static const char http[] = "HTTP/";
    size_t common = min_of(n, sizeof http - 1);
    c->begun = memcmp(p, http, common) != 0;
    if (c->begun) return GATEWAY_DONE;
    if (n < sizeof http - 1) return GATEWAY_MORE;
    struct h1_status_line line;
    enum h1_result how = h1_status_line(&c->parse, p, n, &line);
    if (how == H1_MORE) return GATEWAY_MORE;
    if (how != H1_DONE || line.status < 200) return bad(x, how == H1_DONE ? "a status below 200" : fault_row(c->parse.fault)->words);
    x->up.status = (int) line.status;
    x->up.reason = line.reason;
    c->begun = true;
    return GATEWAY_DONE;
}

enum gateway_parse cgi_parse_head(struct cgi_reader *c, struct exchange *x, bool http, const char *p, size_t n, size_t *used_out)
{
    struct field f;
    enum h1_result how;
    if (http && !c->begun) {
        enum gateway_parse status = parse_status_line(c, x, p, n);
        if (status != GATEWAY_DONE) return status;
    }
    while ((how = h1_field(&c->parse, p, n, &f)) == H1_FIELD)
        if (!take_field(c, x, &f)) return bad(x, "no valid Content-Length");
    if (how == H1_MORE) return GATEWAY_MORE;
    if (how == H1_BAD) return bad(x, fault_row(c->parse.fault)->words);
    *used_out = c->parse.at;
    return end_of_head(c, x);
}

enum gateway_parse cgi_parse_body(struct cgi_reader *c, struct chunk *chunk, const char *p, size_t n, struct chain *out, size_t *used_out)
{
    size_t take = c->left < 0 ? n : min_of(n, (size_t) c->left);
    if (take) chain_add_chunk(out, chunk, p, take);
    *used_out = take;
    if (c->left < 0) return GATEWAY_MORE;
    c->left -= (int64_t) take;
    return c->left ? GATEWAY_MORE : GATEWAY_DONE;
}

/* ---- plain bytes, one request a connection ---- */

void cgi_restart(struct exchange *x)
{
    struct cgi *c = cgi_of(x);
    cgi_begin(&c->reader, x);
    c->reader.shows_status = c->shows_status;
}

enum gateway_parse cgi_plain_head(struct exchange *x, const char *p, size_t n, size_t *used_out)
{
    return cgi_parse_head(&cgi_of(x)->reader, x, true, p, n, used_out);
}

enum gateway_parse cgi_plain_body(struct exchange *x, struct chunk *chunk, const char *p, size_t n, struct chain *out, size_t *used_out)
{
    return cgi_parse_body(&cgi_of(x)->reader, chunk, p, n, out, used_out);
}

bool cgi_ends_at_eof(struct exchange *x) { return cgi_of(x)->reader.left <= 0; }

struct verdict cgi_answer(struct request *r, const struct gateway_protocol *proto, const struct gateway_conf *g, struct cgi given)
{
    /* A body whose length is not told must be whole: the server has to be told before. */
    if (g->request_buffering.on || !g->pass_body.on || r->in_chunked) {
        struct verdict v = reqbody_whole(r);
        if (v.what != V_NEXT) return v;
    }
    int status = 500;
    struct gateway_target to = { .scheme = text_c(proto->name), .uri = r->uri };
    if (!gateway_pass_find(r, r->location->content_data, &to, &status)) return v_reply(status);
    struct cgi *c = pool_new(r->pool, struct cgi);
    *c = given;
    return exchange_start(exchange_open(r, proto, g, &to, c));
}
