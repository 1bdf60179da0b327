/* proxy: requests passed to another server over HTTP. */
#include "modules/proxy.h"
#include "http/explain.h"
#include "http/reqbody.h"
#include "upstream/group.h"
#include "wire/uri.h"

/* ---- urls ---- */

static bool take_port(struct text t, uint16_t *out)
{
    uint64_t v;
    if (!text_u64(t, &v) || !v || v > 65535) return false;
    *out = (uint16_t) v;
    return true;
}

/* "host", "host:port", "[v6]:port" */
static const char *split_host(struct text t, struct proxy_url *out)
{
    ssize_t end = t.n && t.p[0] == '[' ? text_find_char(t, ']') : 0;
    if (end < 0 || !t.n) return "invalid host";
    ssize_t colon = text_find_char(text_from(t, (size_t) end), ':');
    out->host = colon < 0 ? t : text_upto(t, (size_t) (end + colon));
    if (!out->host.n) return "no host";
    if (colon >= 0 && !take_port(text_from(t, (size_t) (end + colon + 1)), &out->port)) return "invalid port";
    out->host_header = out->port && out->port != out->default_port ? t : out->host;
    return NULL;
}

/* "unix:/path" or "unix:/path:/uri" */
static const char *split_unix(struct text t, struct proxy_url *out)
{
    ssize_t colon = text_find_char(text_from(t, 5), ':');
    out->is_unix = true;
    out->host = colon < 0 ? t : text_upto(t, 5 + (size_t) colon);
    out->uri = colon < 0 ? (struct text) { NULL, 0 } : text_from(t, 6 + (size_t) colon);
    out->host_header = T("localhost");
    return out->host.n > 5 ? NULL : "no path in the unix domain socket";
}

const char *proxy_url_parse(struct pool *pool, struct text t, struct proxy_url *out)
{
    (void) pool;
    bool secure = text_starts_nocase(t, T("https://"));
    *out = (struct proxy_url) { .scheme = secure ? T("https") : T("http"), .secure = secure, .default_port = secure ? 443 : 80 };
    if (!secure && !text_starts_nocase(t, T("http://"))) return "invalid URL prefix";
    t = text_from(t, out->scheme.n + 3);
    if (text_starts_nocase(t, T("unix:"))) return split_unix(t, out);
    size_t end = 0;
    while (end < t.n && t.p[end] != '/' && t.p[end] != '?') end++;
    out->uri = text_from(t, end);
    return split_host(text_upto(t, end), out);
}

/* ---- proxy_pass ---- */

static struct verdict answer(struct request *r);

static conf_result check_place(struct conf *cf, const struct location *l, const struct proxy_pass *p)
{
    if (p->dynamic || !p->url.uri.n) return NULL;
    if (l && (l->kind == LOCATION_PREFIX || l->kind == LOCATION_EXACT || l->kind == LOCATION_PREFIX_FINAL)) return NULL;
    return conf_say(cf, "!\"proxy_pass\" cannot have URI part in location given by regular expression, or inside named location, "
                        "or inside \"if\" statement, or inside \"limit_except\" block");
}

static bool has_variables(struct text t) { return text_find_char(t, '$') >= 0; }

static conf_result parse_pass(struct conf *cf, const struct directive *d, void *field)
{
    (void) d;
    (void) field;
    conf_result why = NULL;
    struct proxy_pass *p = pool_new(cf->pool, struct proxy_pass);
    struct location *l = location_reading(cf);
    p->source = pool_text(cf->pool, cf->words[1]);
    p->groups = groups_of(cf, EVAL_HTTP);
    if (l) p->location = l->name;
    if (has_variables(p->source)) {
        p->dynamic = template_compile(cf, p->source, &why);
        if (!p->dynamic) return why;
    } else {
        const char *wrong = proxy_url_parse(cf->pool, p->source, &p->url);
        if (wrong) return conf_say(cf, "!%s in \"%.*s\"", wrong, TEXT_ARG(p->source));
        why = check_place(cf, l, p);
        if (why) return why;
        p->ref = group_reference(cf, p->groups, p->url.host, p->url.port, p->url.default_port, &why);
        if (!p->ref) return why;
    }
    if (p->dynamic || p->url.secure) proxy_ssl_note(cf, p);
    location_redirects_folder(cf);
    if (l) l->probe = &proxy_probe;
    return location_set_content(cf, answer, p);
}

static const struct conf_type pass_type = { "URL", 0, 0, 1, 1, parse_pass };

/* ---- a request ---- */

static bool make_request(struct exchange *x)
{
    const struct proxy_request *q = x->data;
    if (q->url.secure) x->secure = proxy_ssl_of(x->r);
    return proxy_head_make(x);
}

static const struct gateway_protocol proxy_protocol = {
    .name = "http", .make_request = make_request, .restart = answer_restart, .parse_head = answer_parse_head, .parse_body = answer_parse_body,
    .raw_left = answer_raw_left, .raw_took = answer_raw_took, .ends_at_eof = answer_ends_at_eof, .frame_body = proxy_frame_body, .frames_whole = true,
    .rewrite_field = proxy_redirect_field, .hedged = sizeof(struct proxy_request),
};

static struct group *group_by_url(struct request *r, const struct proxy_pass *p, const struct proxy_url *u)
{
    struct group *g = groups_find(p->groups, u->host, u->port);
    if (!g && !u->port && !u->is_unix) g = groups_find(p->groups, u->host, u->default_port);
    if (g) return g;
    struct addr a;
    bool numeric = u->is_unix || text_find_char(u->host, '.') >= 0 || text_find_char(u->host, ':') >= 0;    /* else "80" were a port */
    if (numeric && addr_parse(r->pool, u->host, u->port ? u->port : u->default_port, &a)) {
        if (u->port) addr_set_port(&a, u->port);
        return group_of_address(r->pool, &a, addr_text(r->pool, &a, false));
    }
    return NULL;
}

/* Where to, for this request. NULL: status_out, logged; 0: where q->url.host is, which must be looked up. */
static struct group *find_target(struct request *r, struct proxy_request *q, int *status_out)
{
    const struct proxy_pass *p = q->pass;
    if (likely(!p->dynamic)) {
        q->url = p->url;
        return p->ref->group;
    }
    struct text url = template_render(p->dynamic, &r->eval);
    const char *wrong = proxy_url_parse(r->pool, url, &q->url);
    if (wrong) {
        log_at(r->log, L_ERR, r->about, 0, "%s in \"%.*s\"", wrong, TEXT_ARG(url));
        *status_out = 500;
        return NULL;
    }
    if (q->url.uri.n && q->url.uri.p[0] == '?') q->url.uri = pool_printf(r->pool, "/%.*s", TEXT_ARG(q->url.uri));
    *status_out = 0;
    return group_by_url(r, p, &q->url);
}

/* A chunked body cannot be told to an HTTP/1.0 server before it is known whole. */
static bool streams(const struct request *r, const struct proxy_conf *c)
{
    return !c->g.request_buffering.on && !c->body && c->g.pass_body.on && (!r->in_chunked || c->version >= 1001);
}

/* Connections to what no configuration names, of this worker; each serves the name that it was made for alone. */
static struct group keeper = { .magic = GROUP_MAGIC, .keep = { 64, KEEP_REQUESTS, KEEP_TIME_MS, KEEP_TIMEOUT_MS } };

static bool is_found(const struct group *g) { return !g || !g->file; }

static void keep_found(struct exchange *x, struct text host)
{
    x->keep = true;
    x->keep_in = &keeper;
    x->keep_tag = secure_digest(host);
}

/* --explain: what would be sent, by whose code it is sent, to nobody. */
static struct verdict explain(struct request *r, struct proxy_request *q, struct group *g)
{
    struct exchange *x = pool_new(r->pool, struct exchange);
    *x = (struct exchange) { .magic = EXCHANGE_MAGIC, .r = r, .proto = &proxy_protocol, .conf = &q->conf->g, .data = q, .keep = is_found(g) ? !q->url.is_unix : g->keep.connections > 0 };
    r->exchange = x;
    if (!proxy_head_make(x)) return v_reply(500);
    explain_directive(r, "proxy_pass", "answer: by proxy_pass to %.*s, uri \"%.*s\"", TEXT_ARG(g ? g->name : q->url.host_header), TEXT_ARG(x->target.uri));
    struct text head = x->send.head, line;
    while (text_split(&head, '\n', &line)) {
        if (text_ends(line, T("\r"))) line.n--;
        if (line.n) explain_more("%.*s", TEXT_ARG(line));
    }
    r->exchange = NULL;
    return v_over();
}

static struct verdict answer(struct request *r)
{
    struct proxy_conf *c = request_values(r, &http_proxy_module);
    if (!streams(r, c)) {
        struct verdict v = reqbody_whole(r);
        if (v.what != V_NEXT) return v;
    }
    struct proxy_request *q = pool_new(r->pool, struct proxy_request);
    int status = 500;
    q->pass = r->location->content_data;
    q->conf = c;
    struct group *g = find_target(r, q, &status);
    if (!g && status) return v_reply(status);
    if (unlikely(explain_on != NULL)) return explain(r, q, g);
    struct exchange *x = exchange_open(r, &proxy_protocol, &c->g, &(struct gateway_target) {
        .group = g, .scheme = q->url.scheme, .host = q->url.host, .port = q->url.port ? q->url.port : q->url.default_port }, q);
    x->keep = g && g->keep.connections > 0;
    if (unlikely(is_found(g)) && !q->url.is_unix) keep_found(x, q->url.host);
    return exchange_start(x);
}

/* ---- variables ---- */

static struct proxy_request *request_here(struct eval *e)
{
    const struct exchange *x = exchange_of(request_of(e));
    return x && x->proto == &proxy_protocol ? proxy_of(x) : NULL;
}

static bool get_host(struct eval *e, const struct variable *v, struct text name, struct text *out)
{
    (void) v;
    (void) name;
    struct proxy_request *q = request_here(e);
    if (!q) return false;
    *out = q->url.host_header;
    return true;
}

static bool get_port(struct eval *e, const struct variable *v, struct text name, struct text *out)
{
    (void) v;
    (void) name;
    struct proxy_request *q = request_here(e);
    if (!q) return false;
    *out = q->url.is_unix ? T("") : pool_printf(e->pool, "%u", q->url.port ? q->url.port : q->url.default_port);
    return true;
}

/* X-Forwarded-For of the client with its address behind. */
static bool get_forwarded(struct eval *e, const struct variable *v, struct text name, struct text *out)
{
    (void) v;
    (void) name;
    struct request *r = request_of(e);
    struct build b = build_in_pool(e->pool, 64, 0);
    for (unsigned i = 0; i < r->in.n; i++) {
        if (r->in.v[i].id != FIELD_X_FORWARDED_FOR) continue;
        build_text(&b, r->in.v[i].value);
        build_lit(&b, ", ");
    }
    build_text(&b, value_text(eval_get_name(e, T("remote_addr"))));
    *out = build_done(&b);
    return true;
}

static bool get_length(struct eval *e, const struct variable *v, struct text name, struct text *out)
{
    (void) v;
    (void) name;
    struct proxy_request *q = request_here(e);
    if (!q || q->length_up < 0) return false;
    *out = pool_printf(e->pool, "%lld", (long long) q->length_up);
    return true;
}

static bool get_chunked(struct eval *e, const struct variable *v, struct text name, struct text *out)
{
    (void) v;
    (void) name;
    struct proxy_request *q = request_here(e);
    if (!q || !q->answer.chunked_up) return false;
    *out = T("chunked");
    return true;
}

static const struct variable variables[] = {
    { .name = "proxy_host", .get = get_host, .flags = VAR_NO_CACHE, .help = "Host and port of the proxied server as proxy_pass names it." },
    { .name = "proxy_port", .get = get_port, .flags = VAR_NO_CACHE, .help = "Port of the proxied server as proxy_pass names it, or that of its scheme." },
    { .name = "proxy_add_x_forwarded_for", .get = get_forwarded, .flags = VAR_NO_CACHE, .help = "The client's X-Forwarded-For with $remote_addr behind it." },
    { .name = "proxy_internal_body_length", .get = get_length, .flags = VAR_NO_CACHE, .help = "Length of the request body as it is passed on." },
    { .name = "proxy_internal_chunked", .get = get_chunked, .flags = VAR_NO_CACHE, .help = "\"chunked\" where the request body is passed on so." },
    { .name = NULL },
};

/* ---- rows ---- */

static const enum field_id hidden[] = {
    FIELD_DATE, FIELD_SERVER, FIELD_X_ACCEL_EXPIRES, FIELD_X_ACCEL_REDIRECT, FIELD_X_ACCEL_LIMIT_RATE, FIELD_X_ACCEL_BUFFERING, FIELD_X_ACCEL_CHARSET,
};

static conf_result check(struct conf *cf, struct conf_block *b, void *values)
{
    struct proxy_conf *c = values;
    (void) b;
    conf_result why = gateway_conf_check(cf, &c->g, "proxy_", hidden, countof(hidden));
    return why ? why : proxy_head_compile(cf, c);
}

static const struct conf_choice versions[] = { { "1.0", 1000 }, { "1.1", 1001 }, { NULL, 0 } };

static const struct directive rows[] = {
    GATEWAY_ROWS(struct proxy_conf, g, "proxy_", "proxy_temp", gateway_next_choices),
    GATEWAY_HEDGE_ROW(struct proxy_conf, g, "proxy_"),
    D_FLAG(struct proxy_conf, g.pass_trailers, "proxy_pass_trailers", IN_HSL, "off", "Whether trailer fields of the answer are passed to the client."),
    { .name = "proxy_pass_request_trailers", .type = &conf_flag, .where = IN_HSL, .offset = FIELD(struct proxy_conf, g.pass_request_trailers, flag), .dflt = "off", .since = "weir",
      .help = "Whether trailer fields of a chunked request are passed to the proxied server, which then gets the body chunked." },
    D_TYPE(struct proxy_conf, headers, struct proxy_headers, &proxy_header_type, "proxy_set_header", IN_HSL, NULL, "A field of the request as it is passed on; an empty value leaves it out."),
    D_TYPE(struct proxy_conf, redirects, struct proxy_redirects, &proxy_redirect_type, "proxy_redirect", IN_HSL, "default", "What in Location and Refresh of the answer is replaced."),
    D_TYPE(struct proxy_conf, domains, struct proxy_redirects, &proxy_cookie_domain_type, "proxy_cookie_domain", IN_HSL, "off", "What in the Domain of cookies of the answer is replaced."),
    D_TYPE(struct proxy_conf, paths, struct proxy_redirects, &proxy_cookie_path_type, "proxy_cookie_path", IN_HSL, "off", "What in the Path of cookies of the answer is replaced."),
    D_TYPE(struct proxy_conf, cookies, struct proxy_cookies, &proxy_cookie_flags_type, "proxy_cookie_flags", IN_HSL, "off", "Flags that cookies of the answer get, or lose."),
    D_ENUM(struct proxy_conf, version, "proxy_http_version", IN_HSL, "1.1", versions, "The version of HTTP spoken to the proxied server."),
    { .name = "proxy_protocol", .type = &preface_type, .where = IN_HSL, .offset = FIELD(struct proxy_conf, g.preface, struct preface_conf *), .dflt = "off", .since = "weir",
      .help = "Whether connections to the proxied server begin with a PROXY protocol header that tells who the client is, and of which version." },
    D_TEMPLATE(struct proxy_conf, method, "proxy_method", IN_HSL, NULL, "The method that is passed on instead of the client's."),
    D_TEMPLATE(struct proxy_conf, body, "proxy_set_body", IN_HSL, NULL, "The request body that is passed on instead of the client's."),
    D_NONE("proxy_send_lowat", IN_HSL, "size", "0", "SO_SNDLOWAT of connections to the proxied server, which Linux does not have."),
    D_NONE("proxy_headers_hash_max_size", IN_HSL, "size", "512", "Size of a table of field names, which here has the size it needs."),
    D_NONE("proxy_headers_hash_bucket_size", IN_HSL, "size", "64", "Size of a bucket of a table of field names, which here has none."),
    { .name = NULL },
};

/* A module of its own, so that a location with nothing but proxy_pass shares the values of its parent. */
static const struct directive pass_rows[] = {
    D_DO(&pass_type, "proxy_pass", IN_LOCATION | IN_IF | IN_LIMIT_EXCEPT, NULL, NULL, "Passes requests to the server or upstream that the URL names."),
    { .name = NULL },
};

struct module http_proxy_pass_module = { .name = "http_proxy_pass", .rows = pass_rows };

static const struct http_part part = { .variables = variables };

struct module http_proxy_module = {
    .name = "http_proxy", .conf_size = sizeof(struct proxy_conf), .rows = rows, .check = check, .part = &part, .part_kind = &http_part_kind,
};
