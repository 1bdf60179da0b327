#include "http/socks.h"
#include "http/prelude.h"
#include "http/reqbody.h"
#include "http/response.h"
#include "process/cycle.h"
#include "wire/base64.h"
#include "wire/socks.h"
#include "wire/uri.h"

#define SOCKS_MAGIC 0x534f4b35u

enum socks_state {
    SOCKS_GREETING,      /* which methods does the client know? */
    SOCKS_LOGIN,         /* user and password are to come */
    SOCKS_CHECKING,      /* a request runs, which has them and no target yet */
    SOCKS_ASKING,        /* the target is to come; there may be a request that waits for it */
    SOCKS_SERVING,
    SOCKS_LINGER,        /* all was said; what the client still sends is dropped */
    SOCKS_TUNNEL,        /* the connection's bytes are somebody else's */
    SOCKS_OVER,          /* closed; freed at the end of the turn */
};

struct socks {
    struct prelude p;
    uint8_t        reply;                 /* enum socks_reply, where the client's words were wrong */
    struct chunk  *in;                    /* NULL: nothing is read */
    uint32_t       from, to, took;        /* bytes that are not done with; those that are */
    struct chain   out;
};

static const uint16_t legal[] = {
    [SOCKS_GREETING] = 1 << SOCKS_LOGIN | 1 << SOCKS_ASKING | 1 << SOCKS_LINGER,
    [SOCKS_LOGIN]    = 1 << SOCKS_CHECKING | 1 << SOCKS_LINGER,
    [SOCKS_CHECKING] = 1 << SOCKS_ASKING | 1 << SOCKS_LINGER,
    [SOCKS_ASKING]   = 1 << SOCKS_SERVING,
    [SOCKS_SERVING]  = 1 << SOCKS_LINGER | 1 << SOCKS_TUNNEL,
    [SOCKS_LINGER]   = 0,
    [SOCKS_TUNNEL]   = 0,
};

static void drop(struct prelude *p)
{
    struct socks *s = container_of(p, struct socks, p);
    chunk_drop(&s->in);
    chain_clear(&s->out);
}

static struct cells cells = CELLS(struct socks);
static const struct prelude_kind kind = {
    .magic = SOCKS_MAGIC, .legal = legal, .over = SOCKS_OVER, .tunnel = SOCKS_TUNNEL, .reading = SOCKS_ASKING, .doing = "reading SOCKS handshake", .cells = &cells, .drop = drop,
};

static struct socks *of_request(const struct request *r)
{
    struct socks *s = r->stream;
    NEED(&s->p, SOCKS_MAGIC);
    return s;
}

/* ---- the end ---- */

static void linger(struct socks *s)
{
    uint64_t ms = prelude_core(&s->p)->lingering_timeout.ms;
    prelude_move(&s->p, SOCKS_LINGER);
    s->p.conn->about.doing = "closing SOCKS connection";
    conn_shutdown(s->p.conn);
    timer_set(&s->p.conn->timer, ms);
    if (s->p.conn->readable) conn_wake(s->p.conn, CONN_READ);
}

static void drop_rest(struct socks *s)
{
    enum { AT_ONCE = 16 };
    char room[4096];
    for (unsigned i = 0; i < AT_ONCE && s->p.conn->readable; i++) {
        struct io_done d = conn_recv(s->p.conn, room, sizeof room);
        if (d.how == IO_EOF || d.how == IO_ERROR) {
            prelude_end(&s->p, false);
            return;
        }
    }
    if (s->p.conn->readable) conn_wake(s->p.conn, CONN_READ);
}

/* ---- words to the client ---- */

static bool flush(struct socks *s)
{
    if (!s->out.bytes || !s->p.conn->writable) return !s->out.bytes;
    return conn_send(s->p.conn, &s->out, 0).how == IO_OK;
}

static bool say(struct socks *s, const char *p, size_t n)
{
    chain_add_copy(&s->out, text_of(p, n));
    return flush(s);
}

static bool say_two(struct socks *s, unsigned a, unsigned b) { return say(s, (char[]) { (char) a, (char) b }, 2); }

/* RFC 1928 6. Which address we have towards the target is nothing for clients: 0.0.0.0:0. */
static bool say_reply(struct socks *s, unsigned reply) { return say(s, (char[10]) { SOCKS_VERSION, (char) reply, 0, SOCKS_IPV4 }, 10); }

static unsigned reply_of(const struct socks *s)
{
    if (s->reply) return s->reply;
    switch (request_status(s->p.r)) {
    case 401: case 403: case 405: case 407: case 429: return SOCKS_NOT_ALLOWED;
    case 502: case 504: return SOCKS_NO_HOST;
    default: return SOCKS_FAILED;
    }
}

/* ---- reading ---- */

/* False: nothing came, or the connection was ended. */
static bool fill(struct socks *s)
{
    if (!s->p.conn->readable) return false;
    if (!s->in) s->in = chunk_open(CHUNK_SMALL);
    if (s->to == s->in->size) {
        memmove(s->in->data, s->in->data + s->from, s->to - s->from);
        s->to -= s->from;
        s->from = 0;
    }
    ASSERT(s->to < s->in->size);       /* no message is that long */
    struct io_done d = conn_recv(s->p.conn, s->in->data + s->to, s->in->size - s->to);
    if (d.how == IO_OK) s->to += (uint32_t) d.n;
    else if (d.how != IO_AGAIN) prelude_lost(&s->p, d);
    return d.how == IO_OK;
}

static const char *bytes_of(const struct socks *s) { return s->in ? s->in->data + s->from : ""; }

static void use(struct socks *s, size_t n)
{
    s->from += (uint32_t) n;
    s->took += (uint32_t) n;
}

static void open_request(struct socks *s);

static void refuse(struct socks *s, const char *why, int answer)
{
    log_at(s->p.conn->log, L_INFO, &s->p.conn->about, 0, "client sent %s", why);
    if (answer >= 0) say_two(s, SOCKS_VERSION, (unsigned) answer);
    linger(s);
}

/* Of both ways the one by which somebody may be known. */
static enum socks_result take_greeting(struct socks *s)
{
    struct socks_greeting g;
    size_t used;
    const char *why;
    enum socks_result how = socks_read_greeting(bytes_of(s), s->to - s->from, &g, &used, &why);
    if (how == SOCKS_BAD) refuse(s, why, -1);
    if (how != SOCKS_DONE) return how;
    use(s, used);
    if (!g.password && !g.no_login) {
        refuse(s, "a greeting without a method that is known here", SOCKS_NO_METHOD);
        return SOCKS_BAD;
    }
    prelude_move(&s->p, g.password ? SOCKS_LOGIN : SOCKS_ASKING);
    say_two(s, SOCKS_VERSION, g.password ? SOCKS_PASSWORD : SOCKS_NO_LOGIN);
    return SOCKS_DONE;
}

/* A ":" in a user would make another user, and another password, of it. RFC 7617 2. */
static enum socks_result take_login(struct socks *s)
{
    struct socks_login l;
    size_t used;
    const char *why;
    enum socks_result how = socks_read_login(bytes_of(s), s->to - s->from, &l, &used, &why);
    if (how == SOCKS_BAD) refuse(s, why, -1);
    if (how != SOCKS_DONE) return how;
    use(s, used);
    open_request(s);
    struct request *r = s->p.r;
    bool fine = text_find_char(l.user, ':') < 0;
    struct build plain = build_in_pool(r->pool, l.user.n + l.password.n + 1, 0), b = build_in_pool(r->pool, 64, 0);
    build_text(&plain, l.user);
    build_char(&plain, ':');
    build_text(&plain, l.password);
    build_lit(&b, "Basic ");
    base64_encode(&b, build_done(&plain), false);
    struct text value = build_done(&b);
    fields_add(&r->in, r->pool, FIELD_PROXY_AUTHORIZATION, T("Proxy-Authorization"), value);
    fields_add(&r->in, r->pool, FIELD_AUTHORIZATION, T("Authorization"), value);      /* tunnel_pass alone is no proxy's: credentials.h */
    r->in_at[FIELD_PROXY_AUTHORIZATION] = 1;
    r->in_at[FIELD_AUTHORIZATION] = 2;
    prelude_move(&s->p, SOCKS_CHECKING);
    timer_stop(&s->p.conn->timer);
    if (!fine) request_log(r, L_INFO, 0, "client sent a user with a colon");
    if (fine && s->p.vhost->forwards) request_run(r);
    else request_go(r, v_reply(fine ? 405 : 407));
    return SOCKS_DONE;
}

static void set_target(struct socks *s, const struct socks_request *q)
{
    struct request *r = s->p.r;
    struct uri_host host;
    struct addr a = { .family = AF_UNSPEC };
    struct text name = q->host;
    if (q->kind == SOCKS_IPV4) {
        a.in = (struct sockaddr_in) { .sin_family = AF_INET };
        memcpy(&a.in.sin_addr, q->host.p, 4);
    } else if (q->kind == SOCKS_IPV6) {
        a.in6 = (struct sockaddr_in6) { .sin6_family = AF_INET6 };
        memcpy(&a.in6.sin6_addr, q->host.p, 16);
    }
    if (q->kind != SOCKS_NAME) name = addr_text(r->pool, &a, true);
    if (q->kind == SOCKS_IPV6) name = pool_printf(r->pool, "[%.*s]", TEXT_ARG(name));
    r->line = pool_printf(r->pool, "CONNECT %.*s:%u SOCKS5", TEXT_ARG(name), q->port);
    r->target = pool_printf(r->pool, "%.*s:%u", TEXT_ARG(name), q->port);
    r->host_port = q->port;
    r->in_bytes = s->took;
    if (uri_host(name, r->pool, &host) == FAULT_NONE) r->host = pool_text(r->pool, host.name);
}

/* Where to. DONE: it stands in the request, which was opened where there was none. */
static enum socks_result take_target(struct socks *s)
{
    struct socks_request q;
    enum socks_reply reply;
    size_t used;
    const char *why;
    enum socks_result how;
    while ((how = socks_read_request(bytes_of(s), s->to - s->from, &q, &used, &reply, &why)) == SOCKS_MORE)
        if (!fill(s)) return how;
    if (!s->p.r) open_request(s);
    timer_stop(&s->p.conn->timer);
    prelude_move(&s->p, SOCKS_SERVING);
    if (how == SOCKS_DONE) {
        use(s, used);
        set_target(s, &q);
        if (!s->p.r->host.n) how = SOCKS_BAD, reply = SOCKS_FAILED, why = "a name that is none";
    }
    if (how == SOCKS_DONE) return how;
    s->reply = (uint8_t) reply;
    request_log(s->p.r, L_INFO, 0, "client sent %s", why);
    return how;
}

/* Between steps. A request that has waited goes on, a new one begins. */
static enum socks_result take_request(struct socks *s)
{
    bool waits = s->p.r != NULL;
    enum socks_result how = take_target(s);
    if (how == SOCKS_MORE) return how;
    if (how == SOCKS_BAD) request_go(s->p.r, v_reply(400));
    else if (!s->p.vhost->forwards) request_go(s->p.r, v_reply(405));
    else if (waits) request_resume(s->p.r);
    else request_run(s->p.r);
    return how;
}

static void take(struct socks *s)
{
    conn_set_idle(s->p.conn, false);
    for (;;) {
        enum socks_result how = s->p.state == SOCKS_GREETING ? take_greeting(s) : s->p.state == SOCKS_LOGIN ? take_login(s)
                              : s->p.state == SOCKS_ASKING && !s->p.finishing && !(s->p.r && s->p.r->running) ? take_request(s) : SOCKS_BAD;
        if (how == SOCKS_BAD) return;
        if (how == SOCKS_MORE && (s->p.state == SOCKS_OVER || !fill(s))) return;
    }
}

/* ---- the connection ---- */

static void ready(struct conn *c, unsigned what)
{
    struct socks *s = c->owner;
    NEED(&s->p, SOCKS_MAGIC);
    if (what & CONN_TIMEOUT) {
        if (s->p.state == SOCKS_LINGER) prelude_end(&s->p, false);
        else prelude_timed_out(&s->p);
        return;
    }
    if (what & CONN_WRITE) flush(s);
    if (!(what & CONN_READ) || s->p.finishing) return;
    if (s->p.state == SOCKS_LINGER) drop_rest(s);
    else if (s->p.state == SOCKS_CHECKING || s->p.state == SOCKS_SERVING) {
        if (c->hangup && s->p.r && !s->p.r->closing) prelude_left(&s->p);
    } else take(s);
}

void socks_accepted(struct conn *c)
{
    struct socks *s = prelude_open(&kind, c, ready);
    timer_set(&c->timer, prelude_core(&s->p)->client_header_timeout.ms);
    conn_set_idle(c, true);
    if (c->readable) take(s);
}

/* ---- protocol ---- */

static void body(struct request *r, struct chain *in, enum body_end end_is)
{
    struct socks *s = of_request(r);
    chain_clear(in);
    if (end_is == BODY_MORE) return;
    if (s->p.state == SOCKS_CHECKING && !s->p.broken) say_two(s, 1, SOCKS_FAILED);      /* RFC 1929 2 */
    if (s->p.state == SOCKS_SERVING && !s->p.broken) say_reply(s, reply_of(s));
    prelude_finish(&s->p, s->p.state == SOCKS_TUNNEL ? "tunnel ended" : "refused");
}

static void ended(struct request *r, const char *why)
{
    struct socks *s = of_request(r);
    (void) why;
    if (!s->p.conn->hangup && !s->p.broken && (s->p.state == SOCKS_SERVING || s->p.state == SOCKS_CHECKING)) {
        linger(s);
        s->p.r = NULL;
        return;
    }
    s->p.r = NULL;
    prelude_end(&s->p, false);
}

static struct conn *tunnel(struct request *r, struct chain *early_out)
{
    struct socks *s = of_request(r);
    if (!prelude_may_tunnel(&s->p, SOCKS_SERVING) || !say_reply(s, SOCKS_SUCCEEDED)) return NULL;
    prelude_move(&s->p, SOCKS_TUNNEL);
    if (s->in && s->from < s->to) chain_add_chunk(early_out, s->in, s->in->data + s->from, s->to - s->from);
    chunk_drop(&s->in);
    s->from = s->to = 0;
    timer_stop(&s->p.conn->timer);
    r->out.head_bytes = 10;
    return s->p.conn;
}

static struct verdict target(struct request *r)
{
    struct socks *s = of_request(r);
    if (s->p.finishing) return v_wait();
    if (s->p.state == SOCKS_CHECKING) {
        prelude_move(&s->p, SOCKS_ASKING);
        s->p.conn->about.doing = "reading SOCKS handshake";
        timer_set(&s->p.conn->timer, http_core(r)->client_header_timeout.ms);
        say_two(s, 1, 0);
    }
    if (s->p.state == SOCKS_SERVING) return s->reply ? v_reply(400) : v_next();
    switch (take_target(s)) {
    case SOCKS_MORE: return v_wait();
    case SOCKS_BAD:  return v_reply(400);
    default:         return v_next();
    }
}

static const struct protocol protocol = {
    .name = "SOCKS5", .head = prelude_head, .informational = prelude_informational, .body = body, .room = prelude_room, .want_body = prelude_want_body, .ended = ended,
    .tunnel = tunnel, .swap = prelude_swap, .target = target,
};

static void open_request(struct socks *s)
{
    struct request *r = prelude_request(&s->p, &protocol, SOCKS_VERSION);
    r->line = T("CONNECT SOCKS5");
    r->in_bytes = s->took;
}
