/* http_vars: the variables of http itself. */
#include "modules/module.h"
#include "http/credentials.h"
#include "http/reqbody.h"
#include "http/vhost.h"
#include "weir_config.h"
#include "wire/value.h"
#include <errno.h>
#include <netinet/tcp.h>
#include <sys/random.h>
#include <unistd.h>

/* Every getter has this form; row: what data points to. */
#define GETTER(fn) static bool fn(struct eval *e, const struct variable *v __attribute__((unused)), struct text name __attribute__((unused)), struct text *out)

static bool give_number(struct eval *e, uint64_t n, struct text *out)
{
    struct build b = build_in_pool(e->pool, 20, 20);
    build_u64(&b, n);
    *out = build_done(&b);
    return true;
}

static bool give_ms(struct eval *e, uint64_t ms, struct text *out)
{
    struct build b = build_in_pool(e->pool, 24, 24);
    build_ms(&b, ms);
    *out = build_done(&b);
    return true;
}

/* ---- families over lists of fields ---- */

/* "X-Some-Name" is x_some_name. */
static bool is_named(struct text field, struct text name)
{
    if (field.n != name.n) return false;
    for (size_t i = 0; i < name.n; i++) {
        unsigned char c = text_lower((unsigned char) field.p[i]);
        if ((c == '-' ? '_' : c) != (unsigned char) name.p[i]) return false;
    }
    return true;
}

/* All values of a name: of one line as it is, of several joined. */
static bool give_fields(struct pool *pool, const struct fields *f, struct text name, struct text between, struct text *out)
{
    unsigned found = 0;
    struct build b;
    for (unsigned i = 0; i < f->n; i++) {
        if (!is_named(f->v[i].name, name)) continue;
        if (++found == 1) {
            *out = f->v[i].value;
            continue;
        }
        if (found == 2) {
            b = build_in_pool(pool, out->n + f->v[i].value.n + between.n, 0);
            build_text(&b, *out);
        }
        build_text(&b, between);
        build_text(&b, f->v[i].value);
    }
    if (found > 1) *out = build_done(&b);
    return found != 0;
}

GETTER(get_http)
{
    name = text_from(name, strlen("http_"));
    return give_fields(e->pool, &request_of(e)->in, name, text_eq(name, T("cookie")) ? T("; ") : T(", "), out);
}

/* Names that are known by number: data is where the number stands. */
GETTER(get_known)
{
    struct request *r = request_of(e);
    enum field_id id = *(const enum field_id *) v->data;
    unsigned first = r->in_at[id];
    if (!first && likely(r->in.n < 255)) return false;
    for (unsigned i = first; i < r->in.n; i++)
        if (unlikely(r->in.v[i].id == id)) return get_http(e, v, name, out);
    if (!first) return get_http(e, v, name, out);
    *out = r->in.v[first - 1].value;
    return true;
}

GETTER(get_sent_trailer)
{
    return give_fields(e->pool, &request_of(e)->out.trailers, text_from(name, strlen("sent_trailer_")), T(", "), out);
}

GETTER(get_cookie)
{
    const struct request *r = request_of(e);
    name = text_from(name, strlen("cookie_"));
    for (unsigned i = 0; r->in_at[FIELD_COOKIE] && i < r->in.n; i++)
        if (r->in.v[i].id == FIELD_COOKIE && value_cookie(r->in.v[i].value, name, out)) return true;
    return false;
}

GETTER(get_arg)
{
    struct text rest = request_of(e)->args, part;
    name = text_from(name, strlen("arg_"));
    if (!name.n) return false;
    while (text_split(&rest, '&', &part)) {
        if (part.n <= name.n || part.p[name.n] != '=' || !text_eq_nocase(text_upto(part, name.n), name)) continue;
        *out = text_from(part, name.n + 1);
        return true;
    }
    return false;
}

/* ---- what was asked ---- */

GETTER(get_uri) { *out = request_of(e)->uri; return out->p != NULL; }
GETTER(get_request_uri) { *out = request_of(e)->target; return out->p != NULL; }
GETTER(get_request) { *out = request_of(e)->main->line; return true; }
GETTER(get_request_method) { *out = request_of(e)->main->method_name; return out->p != NULL; }
GETTER(get_is_args) { *out = request_of(e)->args.n ? T("?") : T(""); return true; }
GETTER(get_request_length) { return give_number(e, request_of(e)->in_bytes, out); }

GETTER(get_args)
{
    *out = request_of(e)->args;
    return request_of(e)->has_args;
}

static void set_args(struct eval *e, const struct variable *v, struct text value)
{
    (void) v;
    struct request *r = request_of(e);
    r->args = value;
    r->has_args = true;
    r->valid_target = false;
}

GETTER(get_host)
{
    const struct request *r = request_of(e);
    *out = r->host.n ? r->host : r->vhost->name;
    return true;
}

GETTER(get_request_port)
{
    uint16_t port = request_of(e)->host_port;
    if (port) return give_number(e, port, out);
    *out = T("");
    return true;
}

GETTER(get_is_request_port) { *out = request_of(e)->host_port ? T(":") : T(""); return true; }

GETTER(get_server_protocol)
{
    switch (request_of(e)->version) {
    case 0: case 9: return false;      /* 0: not known yet */
    case 5: *out = T("SOCKS5"); return true;
    case 6: *out = T("transparent"); return true;
    case 1000: *out = T("HTTP/1.0"); return true;
    case 2000: *out = T("HTTP/2.0"); return true;
    default: *out = T("HTTP/1.1"); return true;
    }
}

GETTER(get_content_type)
{
    const struct request *r = request_of(e);
    *out = request_value(r, FIELD_CONTENT_TYPE);
    return request_field(r, FIELD_CONTENT_TYPE) != NULL;
}

GETTER(get_content_length)
{
    const struct request *r = request_of(e);
    if (request_field(r, FIELD_CONTENT_LENGTH)) *out = request_value(r, FIELD_CONTENT_LENGTH);
    else if (r->in_chunked && r->body && r->body->whole) return give_number(e, (uint64_t) r->body->length, out);
    else return false;
    return true;
}

GETTER(get_request_body)
{
    const struct request *r = request_of(e)->main;
    const struct reqbody *b = r->body;
    if (!b || !b->whole || b->file || b->broken) return false;
    if (!b->chain.bytes) {
        *out = T("");
        return r->in_length == 0 || r->in_chunked;     /* a body of nothing is one */
    }
    if (!b->chain.first->next) {
        *out = text_of(b->chain.first->p, b->chain.first->n);
        return true;
    }
    char *p = pool_bytes(e->pool, b->chain.bytes);
    *out = text_of(p, chain_copy_out(&b->chain, p, b->chain.bytes));
    return true;
}

GETTER(get_request_body_file)
{
    const struct reqbody *b = request_of(e)->main->body;
    if (!b || !b->file_name.n) return false;
    *out = b->file_name;
    return true;
}

static int base64_digit(char c)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const char *at = c ? strchr(digits, c) : NULL;
    return at ? (int) (at - digits) : -1;
}

/* RFC 7617 2: user and password in base64; only the user matters here. */
static bool basic_user(struct pool *pool, struct text t, struct text *out)
{
    if (!text_starts_nocase(t, T("basic "))) return false;
    t = text_trim(text_from(t, strlen("basic ")));
    struct build b = build_in_pool(pool, t.n, 0);
    uint32_t bits = 0;
    for (size_t i = 0; i < t.n && t.p[i] != '='; i++) {
        int digit = base64_digit(t.p[i]);
        if (digit < 0) return false;
        bits = bits << 6 | (uint32_t) digit;
        if (i % 4) build_char(&b, (char) (bits >> (6 - 2 * (i % 4))));
    }
    ssize_t colon = text_find_char(build_done(&b), ':');
    if (colon <= 0) return false;
    *out = text_upto(build_done(&b), (size_t) colon);
    return true;
}

GETTER(get_remote_user)
{
    const struct request *r = request_of(e);
    *out = r->user;
    return r->user.n || basic_user(e->pool, credentials_of(r), out);
}

GETTER(get_request_id)
{
    static unsigned char random[1024];
    static size_t used = sizeof random;
    if (used == sizeof random) {
        ASSERT(getrandom(random, sizeof random, 0) == (ssize_t) sizeof random);
        used = 0;
    }
    struct build b = build_in_pool(e->pool, 32, 32);
    build_bytes_hex(&b, text_of((char *) random + used, 16));
    used += 16;
    *out = build_done(&b);
    return true;
}

/* ---- where it was found ---- */

GETTER(get_server_name) { *out = request_of(e)->vhost->name; return true; }
GETTER(get_document_root) { *out = request_root(request_of(e)); return out->n != 0; }
GETTER(get_request_filename) { *out = request_map_path(request_of(e), 0, NULL); return out->n != 0; }

GETTER(get_realpath_root)
{
    struct text root = request_root(request_of(e));
    char *real = root.n ? realpath(pool_cstr(e->pool, root), NULL) : NULL;
    if (!real) {
        if (root.n) log_at(e->log, L_CRIT, e->about, errno, "realpath() \"%.*s\" failed", TEXT_ARG(root));
        return false;
    }
    *out = pool_text(e->pool, text_c(real));
    free(real);
    return true;
}

/* ---- the connection ---- */

GETTER(get_remote_addr) { *out = addr_text(e->pool, request_of(e)->peer, true); return true; }
GETTER(get_connection) { return give_number(e, request_of(e)->conn->about.number, out); }
GETTER(get_connection_requests) { return give_number(e, request_of(e)->main->number, out); }
GETTER(get_connection_time) { return give_ms(e, clock_now.ms - request_of(e)->conn->started_ms, out); }
GETTER(get_server_addr) { *out = addr_text(e->pool, conn_local(request_of(e)->conn), true); return true; }
GETTER(get_pipe) { *out = request_of(e)->main->pipelined ? T("p") : T("."); return true; }

static bool give_port(struct eval *e, const struct addr *a, struct text *out)
{
    uint16_t port = addr_port(a);
    if (port) return give_number(e, port, out);
    *out = T("");
    return true;
}

GETTER(get_remote_port) { return give_port(e, request_of(e)->peer, out); }
GETTER(get_server_port) { return give_port(e, conn_local(request_of(e)->conn), out); }

GETTER(get_binary_remote_addr)
{
    const struct addr *a = request_of(e)->peer;
    if (a->family == AF_INET) *out = pool_text(e->pool, text_of((const char *) &a->in.sin_addr, sizeof a->in.sin_addr));
    else if (a->family == AF_INET6) *out = pool_text(e->pool, text_of((const char *) &a->in6.sin6_addr, sizeof a->in6.sin6_addr));
    else *out = addr_text(e->pool, a, true);
    return true;
}

/* Plain sockets have no layer. */
static bool is_tls(struct eval *e) { return request_of(e)->conn->ops != &conn_plain; }
GETTER(get_scheme) { *out = is_tls(e) ? T("https") : T("http"); return true; }
GETTER(get_https) { *out = is_tls(e) ? T("on") : T(""); return true; }

enum { TCP_RTT, TCP_RTTVAR, TCP_SND_CWND, TCP_RCV_SPACE };
static const int tcp_facts[] = { TCP_RTT, TCP_RTTVAR, TCP_SND_CWND, TCP_RCV_SPACE };

GETTER(get_tcpinfo)
{
    struct tcp_info ti = { 0 };
    socklen_t size = sizeof ti;
    if (getsockopt(request_of(e)->conn->fd, IPPROTO_TCP, TCP_INFO, &ti, &size) != 0) return false;
    switch (*(const int *) v->data) {
    case TCP_RTT: return give_number(e, ti.tcpi_rtt, out);
    case TCP_RTTVAR: return give_number(e, ti.tcpi_rttvar, out);
    case TCP_SND_CWND: return give_number(e, ti.tcpi_snd_cwnd, out);
    default: return give_number(e, ti.tcpi_rcv_space, out);
    }
}

/* ---- what was answered ---- */

GETTER(get_status) { *out = pool_printf(e->pool, "%03d", request_status(request_of(e))); return true; }
GETTER(get_request_completion) { *out = request_of(e)->out.complete ? T("OK") : T(""); return true; }
GETTER(get_request_time) { return give_ms(e, clock_now.ms - request_of(e)->started_ms, out); }

static uint64_t sent(const struct request *r) { return r->conn->sent - r->main->sent_at_start; }
GETTER(get_bytes_sent) { return give_number(e, sent(request_of(e)), out); }

GETTER(get_body_bytes_sent)
{
    const struct request *r = request_of(e);
    uint64_t all = sent(r), head = r->main->out.head_bytes;
    return give_number(e, all > head ? all - head : 0, out);
}

GETTER(get_sent_content_type)
{
    const struct response *s = &request_of(e)->out;
    *out = s->charset.n ? pool_printf(e->pool, "%.*s; charset=%.*s", TEXT_ARG(s->type), TEXT_ARG(s->charset)) : s->type;
    return s->type.n != 0;
}

GETTER(get_sent_content_length)
{
    const struct response *s = &request_of(e)->out;
    return s->length >= 0 && give_number(e, (uint64_t) s->length, out);
}

GETTER(get_sent_location)
{
    const struct response *s = &request_of(e)->out;
    *out = s->location;
    return s->location.n || give_fields(e->pool, &s->fields, T("location"), T(", "), out);
}

GETTER(get_sent_etag)
{
    *out = response_etag(request_of(e));
    return out->n != 0;
}

GETTER(get_sent_last_modified)
{
    time_t t = response_modified(request_of(e));
    struct tm tm;
    char room[64];
    if (t == -1 || !gmtime_r(&t, &tm)) return false;
    *out = pool_text(e->pool, text_of(room, strftime(room, sizeof room, "%a, %d %b %Y %H:%M:%S GMT", &tm)));
    return true;
}

GETTER(get_sent_connection)
{
    const struct request *r = request_of(e);
    *out = r->out.status == 101 ? T("upgrade") : r->keepalive ? T("keep-alive") : T("close");
    return true;
}

GETTER(get_sent_keep_alive)
{
    struct request *r = request_of(e);
    uint64_t ms = http_core(r)->keepalive_timeout.header_ms;
    if (!r->keepalive || !ms) return false;
    *out = pool_printf(e->pool, "timeout=%llu", (unsigned long long) ms / 1000);
    return true;
}

GETTER(get_sent_transfer_encoding)
{
    const struct request *r = request_of(e);
    *out = T("chunked");
    return r->out.head_sent && !r->out.no_body && r->out.length < 0 && r->version == 1001;
}

GETTER(get_sent_http)
{
    return give_fields(e->pool, &request_of(e)->out.fields, text_from(name, strlen("sent_http_")), T(", "), out);
}

/* ---- process and time ---- */

GETTER(get_version) { (void) e; *out = T(WEIR_VERSION); return true; }
GETTER(get_pid) { return give_number(e, (uint64_t) getpid(), out); }
GETTER(get_msec) { return give_ms(e, clock_now.wall_ms, out); }
GETTER(get_time_local) { *out = pool_text(e->pool, clock_log()); return true; }
GETTER(get_time_iso8601) { *out = pool_text(e->pool, clock_iso()); return true; }

GETTER(get_time_iso8601_ms)
{
    struct text t = clock_iso();
    const size_t seconds = strlen("2026-11-23T06:28:15");
    *out = pool_printf(e->pool, "%.*s.%03u%.*s", (int) seconds, t.p, (unsigned) (clock_now.wall_ms % 1000), TEXT_ARG(text_from(t, seconds)));
    return true;
}

GETTER(get_hostname)
{
    static char host[256];
    (void) e;
    if (!host[0]) {
        gethostname(host, sizeof host - 1);
        for (char *p = host; *p; p++) *p = (char) text_lower((unsigned char) *p);
    }
    *out = text_c(host);
    return true;
}

static const enum field_id known[] = { FIELD_HOST, FIELD_USER_AGENT, FIELD_REFERER, FIELD_COOKIE, FIELD_VIA, FIELD_X_FORWARDED_FOR };

#define V(nm, fn, fl, hp) { .name = nm, .get = fn, .flags = fl, .help = hp }
#define N VAR_NO_CACHE

static const struct variable variables[] = {
    V("arg_", get_arg, N | VAR_PREFIX, "The argument of that name in the request line, as it came."),
    { .name = "args", .get = get_args, .set = set_args, .flags = N | VAR_CHANGEABLE, .help = "The arguments in the request line." },
    V("binary_remote_addr", get_binary_remote_addr, 0, "The client's address as 4 or 16 bytes."),
    V("body_bytes_sent", get_body_bytes_sent, N, "Bytes sent to the client, without the response's head."),
    V("bytes_sent", get_bytes_sent, N, "Bytes sent to the client."),
    V("connection", get_connection, 0, "The connection's serial number."),
    V("connection_requests", get_connection_requests, 0, "How many requests the connection has brought so far, with this one."),
    V("connection_time", get_connection_time, N, "How long the connection is open, in seconds with milliseconds."),
    V("content_length", get_content_length, N, "The request's Content-Length."),
    V("content_type", get_content_type, 0, "The request's Content-Type."),
    V("cookie_", get_cookie, VAR_PREFIX, "The cookie of that name."),
    V("document_root", get_document_root, N, "The root or alias in force for the request."),
    V("document_uri", get_uri, N, "The same as $uri."),
    V("host", get_host, 0, "The host of the request line, else of the Host header, else the server's name."),
    V("hostname", get_hostname, 0, "The machine's name."),
    V("http_", get_http, VAR_PREFIX, "The request header of that name, in lower case with \"_\" for \"-\"; several lines are joined."),
    { .name = "http_host", .get = get_known, .data = &known[0], .help = "The request's Host, as it came." },
    { .name = "http_user_agent", .get = get_known, .data = &known[1], .help = "The request's User-Agent." },
    { .name = "http_referer", .get = get_known, .data = &known[2], .help = "The request's Referer." },
    { .name = "http_cookie", .get = get_known, .data = &known[3], .help = "The request's cookies; several lines are joined by \"; \"." },
    { .name = "http_via", .get = get_known, .data = &known[4], .help = "The request's Via; several lines are joined." },
    { .name = "http_x_forwarded_for", .get = get_known, .data = &known[5], .help = "The request's X-Forwarded-For; several lines are joined." },
    V("https", get_https, 0, "\"on\" over TLS, else empty."),
    V("is_args", get_is_args, N, "\"?\" where the request has arguments, else empty."),
    V("is_request_port", get_is_request_port, 0, "\":\" where $request_port is not empty, else empty."),
    V("msec", get_msec, N, "The time now in seconds since the epoch, with milliseconds."),
    V("nginx_version", get_version, 0, "The version of this server."),
    V("pid", get_pid, 0, "The worker's process number."),
    V("pipe", get_pipe, 0, "\"p\" where the request was pipelined, else \".\"."),
    V("query_string", get_args, N, "The same as $args."),
    V("realpath_root", get_realpath_root, N, "$document_root with all symbolic links resolved."),
    V("remote_addr", get_remote_addr, 0, "The client's address."),
    V("remote_port", get_remote_port, 0, "The client's port."),
    V("remote_user", get_remote_user, 0, "The user name given in basic authentication."),
    V("request", get_request, 0, "The whole request line."),
    V("request_body", get_request_body, N, "The request's body, where it was read whole into memory."),
    V("request_body_file", get_request_body_file, N, "The name of the temporary file that holds the request's body."),
    V("request_completion", get_request_completion, N, "\"OK\" when the request was answered to the end, else empty."),
    V("request_filename", get_request_filename, N, "The path of the file that $uri means, by root or alias."),
    V("request_id", get_request_id, 0, "Sixteen random bytes in hexadecimal, new for each request."),
    V("request_length", get_request_length, N, "Bytes of the request: its line, headers and body."),
    V("request_method", get_request_method, 0, "The request's method."),
    V("request_port", get_request_port, 0, "The port of the request line or of the Host header, empty where there is none."),
    V("request_time", get_request_time, N, "Time since the request's first bytes, in seconds with milliseconds."),
    V("request_uri", get_request_uri, 0, "The request's target with arguments, as it came."),
    V("scheme", get_scheme, 0, "\"http\" or \"https\"."),
    V("sent_http_", get_sent_http, N | VAR_PREFIX, "The response header of that name, in lower case with \"_\" for \"-\"."),
    V("sent_http_connection", get_sent_connection, N, "The response's Connection."),
    V("sent_http_content_length", get_sent_content_length, N, "The response's Content-Length."),
    V("sent_http_content_type", get_sent_content_type, N, "The response's Content-Type."),
    V("sent_http_etag", get_sent_etag, N, "The response's ETag."),
    V("sent_http_keep_alive", get_sent_keep_alive, N, "The response's Keep-Alive."),
    V("sent_http_last_modified", get_sent_last_modified, N, "The response's Last-Modified."),
    V("sent_http_location", get_sent_location, N, "The response's Location."),
    V("sent_http_transfer_encoding", get_sent_transfer_encoding, N, "The response's Transfer-Encoding."),
    V("sent_trailer_", get_sent_trailer, N | VAR_PREFIX, "The response's trailer field of that name."),
    V("server_addr", get_server_addr, 0, "The address at which the request came in."),
    V("server_name", get_server_name, 0, "The first server_name of the server that took the request."),
    V("server_port", get_server_port, 0, "The port at which the request came in."),
    V("server_protocol", get_server_protocol, 0, "\"HTTP/1.0\", \"HTTP/1.1\" or \"HTTP/2.0\"; \"SOCKS5\" by listen … socks, \"transparent\" for what is not HTTP by listen … transparent."),
    V("status", get_status, N, "The response's status."),
    { .name = "tcpinfo_rtt", .get = get_tcpinfo, .flags = N, .data = &tcp_facts[0], .help = "The client connection's round trip time in microseconds." },
    { .name = "tcpinfo_rttvar", .get = get_tcpinfo, .flags = N, .data = &tcp_facts[1], .help = "How much that round trip time varies, in microseconds." },
    { .name = "tcpinfo_snd_cwnd", .get = get_tcpinfo, .flags = N, .data = &tcp_facts[2], .help = "The client connection's congestion window in segments." },
    { .name = "tcpinfo_rcv_space", .get = get_tcpinfo, .flags = N, .data = &tcp_facts[3], .help = "The client connection's receive window in bytes." },
    V("time_iso8601", get_time_iso8601, N, "Local time as 2026-11-23T06:28:15+00:00."),
    V("time_iso8601_ms", get_time_iso8601_ms, N, "Local time as 2026-11-23T06:28:15.123+00:00."),
    V("time_local", get_time_local, N, "Local time as logs have it: 23/Nov/2026:06:28:15 +0000."),
    V("uri", get_uri, N, "The request's path, decoded and normalised; changed by rewrites and redirects."),
    { .name = NULL },
};

static const struct http_part part = { .variables = variables };

struct module http_vars_module = { .name = "http_variables", .part = &part, .part_kind = &http_part_kind };
