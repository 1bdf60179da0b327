/* forward_proxy_head: a plain request as its origin sees it (RFC 9110 7.6), and what is taken off the origin's answer. */
#include "modules/forward_proxy.h"
#include "http/reqbody.h"
#include "wire/uri.h"
#include "wire/value.h"

/* ---- which fields ---- */

/* Never passed: of this connection, for this proxy, or written anew. */
static bool is_ours(enum field_id id)
{
    switch (id) {
    case FIELD_HOST: case FIELD_CONTENT_LENGTH: case FIELD_EXPECT: case FIELD_PROXY_AUTHORIZATION: case FIELD_PROXY_AUTHENTICATE: case FIELD_MAX_FORWARDS: return true;
    default: return field_is(id, F_HOP);
    }
}

/* anonymize standard: what names the client, its user, or the proxies on the way. */
static bool names_client(const struct field *f)
{
    static const struct text names[] = {
        TEXT_INIT("Client-IP"), TEXT_INIT("X-Client-IP"), TEXT_INIT("True-Client-IP"), TEXT_INIT("CF-Connecting-IP"), TEXT_INIT("X-Cluster-Client-IP"), TEXT_INIT("X-ProxyUser-IP"),
        TEXT_INIT("X-Correlation-ID"), TEXT_INIT("X-Forwarded"), TEXT_INIT("X-Forwarded-By"), TEXT_INIT("X-Forwarded-Server"), TEXT_INIT("X-Originating-IP"), TEXT_INIT("X-Wap-Profile"),
        TEXT_INIT("X-Client-Data"), TEXT_INIT("Link-Layer"), TEXT_INIT("X-Authenticated-User"), TEXT_INIT("X-Remote-User"),
    };
    switch (f->id) {
    case FIELD_FROM: case FIELD_VIA: case FIELD_FORWARDED: case FIELD_X_FORWARDED_FOR: case FIELD_X_FORWARDED_HOST: case FIELD_X_FORWARDED_PORT:
    case FIELD_X_FORWARDED_PROTO: case FIELD_X_REAL_IP: case FIELD_X_REQUEST_ID: case FIELD_TRACEPARENT: case FIELD_TRACESTATE: return true;
    case FIELD_OTHER: break;
    default: return false;
    }
    for (size_t i = 0; i < countof(names); i++)
        if (text_eq_nocase(f->name, names[i])) return true;
    return false;
}

/* anonymize strict: these alone pass as they are, in this order, and the same line of each stands in every request. */
static const enum field_id passed_strictly[] = {
    FIELD_CONTENT_TYPE, FIELD_CONTENT_ENCODING, FIELD_CONTENT_LANGUAGE, FIELD_RANGE, FIELD_SEC_WEBSOCKET_KEY, FIELD_SEC_WEBSOCKET_VERSION, FIELD_SEC_WEBSOCKET_PROTOCOL,
};
/* Not compressed: there may be a client that does not take it, and that would show. */
static const char uniform[] = "User-Agent: Mozilla/5.0\r\nAccept: */*\r\nAccept-Encoding: identity\r\nAccept-Language: en\r\n";

static bool is_passed(const struct request *r, const struct forward_conf *c, const struct field *f)
{
    if (f->id != FIELD_OTHER && is_ours(f->id)) return false;      /* framing, Host and what else is ours cannot be named away either */
    if (c->forwarded != FORWARDED_PASS && (f->id == FIELD_FORWARDED || f->id == FIELD_X_FORWARDED_FOR || f->id == FIELD_X_REAL_IP))
        if (!(c->forwarded == FORWARDED_APPEND && f->id == FIELD_X_FORWARDED_FOR) && !(c->forwarded == FORWARDED_RFC7239 && f->id == FIELD_FORWARDED)) return false;
    if (c->anonymize == ANONYMIZE_STANDARD && names_client(f)) return false;
    return !r->in_at[FIELD_CONNECTION] || !value_nominates(r->in.v, r->in.n, f->name);
}

/* ---- writing ---- */

static void put_field(struct build *b, struct text name, struct text value)
{
    build_text(b, name);
    build_lit(b, ": ");
    build_text(b, value);
    build_lit(b, "\r\n");
}

static void put_client_fields(struct build *b, const struct request *r, const struct forward_conf *c)
{
    if (c->anonymize == ANONYMIZE_STRICT) {
        build_c(b, uniform);
        for (size_t i = 0; i < countof(passed_strictly); i++)
            if (r->in_at[passed_strictly[i]]) put_field(b, field_row(passed_strictly[i])->name, request_value(r, passed_strictly[i]));
        return;
    }
    for (unsigned i = 0; i < r->in.n; i++)
        if (is_passed(r, c, &r->in.v[i])) put_field(b, r->in.v[i].name, r->in.v[i].value);
}

/* RFC 7239 4: node; IPv6 in brackets and quotes. */
static void put_forwarded(struct build *b, const struct request *r, int how)
{
    char room[ADDR_TEXT_MAX];
    struct build a = build_in_room(room, sizeof room);
    addr_print(&a, r->peer, true);
    bool six = r->peer->family == AF_INET6;
    if (how == FORWARDED_APPEND) put_field(b, T("X-Forwarded-For"), build_done(&a));
    else build_fmt(b, "Forwarded: for=%s%.*s%s\r\n", six ? "\"[" : "", (int) a.n, a.p, six ? "]\"" : "");
}

static void put_via(struct build *b, unsigned version, const struct forward_conf *c)
{
    build_fmt(b, "Via: 1.%u ", version >= 1001 ? 1 : 0);
    build_text(b, forward_proxy_name(c));
    build_lit(b, "\r\n");
}

/* RFC 9110 7.6.2: a decimal number of any length. False: there is none. */
static bool read_hops(const struct request *r, uint64_t *out)
{
    const struct field *f = request_field(r, FIELD_MAX_FORWARDS);
    if (!f || !f->value.n) return false;
    for (size_t i = 0; i < f->value.n; i++)
        if ((unsigned char) (f->value.p[i] - '0') > 9) return false;
    if (!text_u64(f->value, out)) *out = UINT64_MAX;
    return true;
}

static void put_hops(struct build *b, const struct request *r)
{
    uint64_t hops;
    if ((r->method != METHOD_TRACE && r->method != METHOD_OPTIONS) || !read_hops(r, &hops) || !hops) return;
    build_fmt(b, "Max-Forwards: %llu\r\n", (unsigned long long) min_of(hops - 1, (uint64_t) INT32_MAX));      /* RFC 9110 7.6.2 */
}

static void put_framing(struct build *b, const struct request *r, struct forward *f)
{
    f->length_up = r->in_length;
    if (r->in_chunked) f->length_up = r->body ? r->body->length : 0;
    if (f->length_up >= 0) build_fmt(b, "Content-Length: %lld\r\n", (long long) f->length_up);
}

/* RFC 9110 7.8: an upgrade is the client's wish, and passed on. */
static bool wants_upgrade(const struct request *r)
{
    return r->version >= 1001 && r->in_at[FIELD_UPGRADE] && r->in_at[FIELD_CONNECTION] && value_has(request_value(r, FIELD_CONNECTION), T("upgrade"));
}

static void put_host(struct build *b, const struct request *r, const struct forward *f)
{
    build_text(b, r->host);
    if (f->ask.port != (text_eq(f->ask.scheme, T("https")) ? 443 : 80)) build_fmt(b, ":%u", f->ask.port);
}

static void put_origin(struct build *b, const struct request *r, const struct forward *f)
{
    build_text(b, f->ask.scheme);
    build_lit(b, "://");
    put_host(b, r, f);
}

/* Absolute for a parent. RFC 9112 3.2.4: what was "*" in it has no path there. */
static void put_target(struct build *b, struct request *r, struct forward *f)
{
    bool options = r->method == METHOD_OPTIONS && r->valid_target && text_eq(r->target, T("/")) && text_find(r->line, T("/ HTTP")) < 0;
    bool absolute = forward_proxy_parent_is_http(f);
    if (absolute) put_origin(b, r, f);
    if (options && absolute) return;
    if (options) build_char(b, '*');                                            /* RFC 9112 3.2.4 */
    else if (r->valid_target) build_text(b, r->target);
    else {
        uri_escape(b, r->uri, URI_ESCAPE_URI);
        if (r->args.n) {
            build_char(b, '?');
            build_text(b, r->args);
        }
    }
}

static bool make_request(struct exchange *x)
{
    struct forward *f = forward_of(x);
    struct request *r = x->r;
    const struct forward_conf *c = f->conf;
    struct build b = build_in_pool(r->pool, 256 + (size_t) r->in_bytes, 0);
    f->answer.method = r->method;
    build_text(&b, r->method_name);
    build_char(&b, ' ');
    size_t at = b.n;
    put_target(&b, r, f);
    x->target.uri = text_of(b.p + at, b.n - at);
    build_lit(&b, " HTTP/1.1\r\nHost: ");
    put_host(&b, r, f);
    build_lit(&b, "\r\n");
    struct text login = forward_proxy_parent_is_http(f) ? forward_proxy_parent_login(r, f) : T("");
    if (login.n) put_field(&b, T("Proxy-Authorization"), login);
    if (wants_upgrade(r)) {
        build_lit(&b, "Connection: upgrade\r\n");
        put_field(&b, T("Upgrade"), request_value(r, FIELD_UPGRADE));
    }
    put_framing(&b, r, f);
    put_client_fields(&b, r, c);
    put_hops(&b, r);
    if (!c->anonymize && (c->forwarded == FORWARDED_APPEND || c->forwarded == FORWARDED_RFC7239)) put_forwarded(&b, r, c->forwarded);
    if (!c->anonymize && !text_eq(c->via, T("off"))) put_via(&b, r->version, c);
    build_lit(&b, "\r\n");
    x->send.head = build_done(&b);
    x->target.uri = text_of(b.p + at, x->target.uri.n);
    return build_ok(&b);
}

/* ---- the answer ---- */

static enum gateway_parse parse_head(struct exchange *x, const char *p, size_t n, size_t *used_out)
{
    const struct forward_conf *c = forward_of(x)->conf;
    struct fields *all = &x->up.fields;
    unsigned kept = 0;
    enum gateway_parse how = answer_parse_head(x, p, n, used_out);
    if (how != GATEWAY_DONE) return how;
    if (x->up.status == 407) {         /* the client would give our credentials away */
        log_at(x->r->log, L_ERR, x->r->about, 0, forward_proxy_parent_is_http(forward_of(x)) ? "the parent asks for, or refuses, a user and a password (407)" : "an origin asks for credentials of a proxy");
        return GATEWAY_BAD;
    }
    struct fields as_came = { pool_alloc(x->r->pool, sizeof(struct field) * (all->n + 1)), all->n, all->n };
    if (all->n) memcpy(as_came.v, all->v, sizeof(struct field) * all->n);
    for (unsigned i = 0; i < as_came.n; i++) {
        const struct field *f = &as_came.v[i];
        bool ours = f->id == FIELD_PROXY_AUTHENTICATE || f->id == FIELD_PROXY_AUTHENTICATION_INFO;
        bool hop = f->id != FIELD_UPGRADE && f->id != FIELD_CONTENT_LENGTH && value_nominates(as_came.v, as_came.n, f->name);
        if (!ours && !hop) all->v[kept++] = *f;
    }
    all->n = kept;
    if (!c->anonymize && !text_eq(c->via, T("off")))
        fields_add(all, x->r->pool, FIELD_VIA, T("Via"), pool_printf(x->r->pool, "1.%u %.*s", x->up.version >= 1001 ? 1 : 0, TEXT_ARG(forward_proxy_name(c))));
    return how;
}

const struct gateway_protocol forward_proxy_protocol = {
    .name = "forward", .make_request = make_request, .restart = answer_restart, .parse_head = parse_head, .parse_body = answer_parse_body,
    .raw_left = answer_raw_left, .raw_took = answer_raw_took, .ends_at_eof = answer_ends_at_eof, .frame_body = answer_frame_body,
    .another = forward_proxy_another, .connected = forward_proxy_note,
};

/* ---- loops, and ends of the way ---- */

bool forward_proxy_loops(const struct request *r, const struct forward_conf *c)
{
    struct text own = forward_proxy_name(c);
    for (unsigned i = 0; i < r->in.n; i++) {
        struct text rest = r->in.v[i].value, part;
        if (r->in.v[i].id != FIELD_VIA) continue;
        while (text_split(&rest, ',', &part)) {
            part = text_trim(part);
            ssize_t space = text_find_char(part, ' ');
            if (space < 0) continue;
            struct text by = text_trim(text_from(part, (size_t) space));
            ssize_t end = text_find_char(by, ' ');
            if (text_eq_nocase(end < 0 ? by : text_upto(by, (size_t) end), own)) return true;
        }
    }
    return false;
}

/* RFC 9110 7.6.2. */
bool forward_proxy_ends_here(const struct request *r)
{
    uint64_t hops;
    return (r->method == METHOD_TRACE || r->method == METHOD_OPTIONS) && read_hops(r, &hops) && !hops;
}

struct verdict forward_proxy_echo(struct request *r)
{
    struct build b = build_in_pool(r->pool, (size_t) r->in_bytes + 16, 0);
    if (r->method == METHOD_OPTIONS) {
        response_add(r, FIELD_ALLOW, T("Allow"), T("GET, HEAD, POST, PUT, DELETE, OPTIONS, PATCH, TRACE, CONNECT"));
        return response_text(r, 200, T("text/plain"), T(""), true);
    }
    build_text(&b, r->line);
    build_lit(&b, "\r\n");
    for (unsigned i = 0; i < r->in.n; i++) {        /* RFC 9110 9.3.8: no field that may be a secret */
        const struct field *f = &r->in.v[i];
        if (f->id != FIELD_AUTHORIZATION && f->id != FIELD_PROXY_AUTHORIZATION && f->id != FIELD_COOKIE) put_field(&b, f->name, f->value);
    }
    build_lit(&b, "\r\n");
    return response_text(r, 200, T("message/http"), build_done(&b), true);
}
