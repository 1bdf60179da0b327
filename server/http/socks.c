#include "http/socks.h"
#include "base/cell.h"
#include "http/core_conf.h"
#include "http/reqbody.h"
#include "http/response.h"
#include "http/steps.h"
#include "os/metrics.h"
#include "process/cycle.h"
#include "wire/base64.h"
#include "wire/socks.h"
#include "wire/uri.h"
#include <errno.h>

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
    unsigned           magic;
    uint8_t            state;             /* enum socks_state */
    uint8_t            reply;             /* enum socks_reply, where the client's words were wrong */
    bool               broken : 1,        /* nothing more is said to the client */
                       finishing : 1;     /* the request is to be closed by the task */
    struct conn       *conn;
    struct request    *r;
    struct vhost_addr *at;
    struct vhost      *vhost;
    struct chunk      *in;                /* NULL: nothing is read */
    uint32_t           from, to, took;    /* bytes that are not done with; those that are */
    struct chain       out;
    struct task        task;
    const char        *why;
};

static const uint8_t legal[] = {
    [SOCKS_GREETING] = 1 << SOCKS_LOGIN | 1 << SOCKS_ASKING | 1 << SOCKS_LINGER,
    [SOCKS_LOGIN]    = 1 << SOCKS_CHECKING | 1 << SOCKS_LINGER,
    [SOCKS_CHECKING] = 1 << SOCKS_ASKING | 1 << SOCKS_LINGER,
    [SOCKS_ASKING]   = 1 << SOCKS_SERVING,
    [SOCKS_SERVING]  = 1 << SOCKS_LINGER | 1 << SOCKS_TUNNEL,
};

static int count_of(uint8_t state) { return state <= SOCKS_ASKING ? METRIC_CONNECTIONS_READING : METRIC_CONNECTIONS_WRITING; }

static void set_state(struct socks *s, enum socks_state to)
{
    ASSERT(to == SOCKS_OVER || (s->state < countof(legal) && legal[s->state] & 1 << to));
    metrics_add(count_of(s->state), -1);
    if (to != SOCKS_OVER) metrics_add(count_of(to), 1);
    s->state = to;
}

/* ---- the end ---- */

static struct cells cells = CELLS(struct socks);

static void free_socks(void *p) { cell_give(&cells, p); }

static void end(struct socks *s)
{
    ASSERT(!s->r);
    if (s->state == SOCKS_OVER) return;
    set_state(s, SOCKS_OVER);
    chunk_drop(&s->in);
    chain_clear(&s->out);
    task_cancel(&s->task);
    conn_close(&s->conn);
    s->magic = 0;
    loop_free_later(free_socks, s);
}

static void run_task(struct task *t)
{
    struct socks *s = container_of(t, struct socks, task);
    struct request *r = s->r;
    if (r) request_close(&r, s->why);
}

static void finish(struct socks *s, const char *why)
{
    if (s->finishing || !s->r) return;
    s->finishing = true;
    s->why = why;
    task_post(&s->task);
}

static void abandon(struct socks *s, int status, const char *why)
{
    s->broken = true;
    if (s->r && !s->r->out.head_sent) s->r->out.status = status;
    if (s->r) finish(s, why);
    else end(s);
}

static const struct http_core_conf *core_of(const struct socks *s) { return s->r ? http_core(s->r) : conf_values(s->vhost->block, &http_core_module); }

static void linger(struct socks *s)
{
    uint64_t ms = core_of(s)->lingering_timeout.ms;
    set_state(s, SOCKS_LINGER);
    s->conn->about.doing = "closing SOCKS connection";
    conn_shutdown(s->conn);
    timer_set(&s->conn->timer, ms);
    if (s->conn->readable) conn_wake(s->conn, CONN_READ);
}

static void drop_rest(struct socks *s)
{
    enum { AT_ONCE = 16 };
    char room[4096];
    for (unsigned i = 0; i < AT_ONCE && s->conn->readable; i++) {
        struct io_done d = conn_recv(s->conn, room, sizeof room);
        if (d.how == IO_EOF || d.how == IO_ERROR) {
            end(s);
            return;
        }
    }
    if (s->conn->readable) conn_wake(s->conn, CONN_READ);
}

/* ---- words to the client ---- */

static bool flush(struct socks *s)
{
    if (!s->out.bytes || !s->conn->writable) return !s->out.bytes;
    return conn_send(s->conn, &s->out, 0).how == IO_OK;
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
    switch (request_status(s->r)) {
    case 401: case 403: case 405: case 407: case 429: return SOCKS_NOT_ALLOWED;
    case 502: case 504: return SOCKS_NO_HOST;
    default: return SOCKS_FAILED;
    }
}

/* ---- reading ---- */

static void lost(struct socks *s, struct io_done d)
{
    struct conn *c = s->conn;
    log_at(c->log, L_INFO, &c->about, d.how == IO_ERROR ? c->error : 0, "client prematurely closed connection");
    abandon(s, 400, "client closed");
}

/* False: nothing came, or the connection was ended. */
static bool fill(struct socks *s)
{
    if (!s->conn->readable) return false;
    if (!s->in) s->in = chunk_open(CHUNK_SMALL);
    if (s->to == s->in->size) {
        memmove(s->in->data, s->in->data + s->from, s->to - s->from);
        s->to -= s->from;
        s->from = 0;
    }
    ASSERT(s->to < s->in->size);       /* no message is that long */
    struct io_done d = conn_recv(s->conn, s->in->data + s->to, s->in->size - s->to);
    if (d.how == IO_OK) s->to += (uint32_t) d.n;
    else if (d.how != IO_AGAIN) lost(s, d);
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
    log_at(s->conn->log, L_INFO, &s->conn->about, 0, "client sent %s", why);
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
    set_state(s, g.password ? SOCKS_LOGIN : SOCKS_ASKING);
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
    struct request *r = s->r;
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
    set_state(s, SOCKS_CHECKING);
    timer_stop(&s->conn->timer);
    if (!fine) request_log(r, L_INFO, 0, "client sent a user with a colon");
    if (fine && s->vhost->forwards) request_run(r);
    else request_go(r, v_reply(fine ? 405 : 407));
    return SOCKS_DONE;
}

static void set_target(struct socks *s, const struct socks_request *q)
{
    struct request *r = s->r;
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
    if (!s->r) open_request(s);
    timer_stop(&s->conn->timer);
    set_state(s, SOCKS_SERVING);
    if (how == SOCKS_DONE) {
        use(s, used);
        set_target(s, &q);
        if (!s->r->host.n) how = SOCKS_BAD, reply = SOCKS_FAILED, why = "a name that is none";
    }
    if (how == SOCKS_DONE) return how;
    s->reply = (uint8_t) reply;
    request_log(s->r, L_INFO, 0, "client sent %s", why);
    return how;
}

/* Between steps. A request that has waited goes on, a new one begins. */
static enum socks_result take_request(struct socks *s)
{
    bool waits = s->r != NULL;
    enum socks_result how = take_target(s);
    if (how == SOCKS_MORE) return how;
    if (how == SOCKS_BAD) request_go(s->r, v_reply(400));
    else if (!s->vhost->forwards) request_go(s->r, v_reply(405));
    else if (waits) request_resume(s->r);
    else request_run(s->r);
    return how;
}

static void give_up(struct socks *s)
{
    log_at(s->r->log, L_INFO, s->r->about, 0, "client prematurely closed connection");
    abandon(s, 499, "client closed");
}

static void take(struct socks *s)
{
    conn_set_idle(s->conn, false);
    for (;;) {
        enum socks_result how = s->state == SOCKS_GREETING ? take_greeting(s) : s->state == SOCKS_LOGIN ? take_login(s)
                              : s->state == SOCKS_ASKING && !s->finishing && !(s->r && s->r->running) ? take_request(s) : SOCKS_BAD;
        if (how == SOCKS_BAD) return;
        if (how == SOCKS_MORE && (s->state == SOCKS_OVER || !fill(s))) return;
    }
}

/* ---- the connection ---- */

static void timed_out(struct socks *s)
{
    if (s->state != SOCKS_LINGER && !s->conn->timedout) log_at(s->conn->log, L_INFO, &s->conn->about, ETIMEDOUT, "client timed out");
    abandon(s, s->conn->place == CONN_CUT ? 499 : 408, "timeout");
}

static void ready(struct conn *c, unsigned what)
{
    struct socks *s = c->owner;
    NEED(s, SOCKS_MAGIC);
    if (what & CONN_TIMEOUT) {
        timed_out(s);
        return;
    }
    if (what & CONN_WRITE) flush(s);
    if (!(what & CONN_READ) || s->finishing) return;
    if (s->state == SOCKS_LINGER) drop_rest(s);
    else if (s->state == SOCKS_CHECKING || s->state == SOCKS_SERVING) {
        if (c->hangup && s->r && !s->r->closing) give_up(s);
    } else take(s);
}

static void describe(struct build *b, void *arg)
{
    struct socks *s = arg;
    if (s->magic != SOCKS_MAGIC || !s->conn) return;
    if (s->r) {
        request_describe(b, s->r);
        return;
    }
    build_lit(b, ", client: ");
    addr_print(b, &s->conn->peer, true);
    build_lit(b, ", server: ");
    addr_print(b, &s->at->addr, false);
}

void socks_accepted(struct conn *c)
{
    struct socks *s = cell_take(&cells);
    s->magic = SOCKS_MAGIC;
    metrics_add(count_of(SOCKS_GREETING), 1);
    s->conn = c;
    c->owner = s;
    c->ready = ready;
    s->at = vhost_addr_of(c);
    s->vhost = s->at->fallback;
    s->task.run = run_task;
    c->log = s->vhost->self->log;
    c->about.describe = describe;
    c->about.arg = s;
    c->about.doing = "reading SOCKS handshake";
    timer_set(&c->timer, core_of(s)->client_header_timeout.ms);
    conn_set_idle(c, true);
    if (c->readable) take(s);
}

/* ---- protocol ---- */

static void head(struct request *r) { (void) r; }      /* all that is said of it: body, tunnel */

static void informational(struct request *r, int status, const struct fields *f) { (void) r, (void) status, (void) f; }

static void body(struct request *r, struct chain *in, enum body_end end_is)
{
    struct socks *s = r->stream;
    NEED(s, SOCKS_MAGIC);
    chain_clear(in);
    if (end_is == BODY_MORE) return;
    if (s->state == SOCKS_CHECKING && !s->broken) say_two(s, 1, SOCKS_FAILED);      /* RFC 1929 2 */
    if (s->state == SOCKS_SERVING && !s->broken) say_reply(s, reply_of(s));
    finish(s, s->state == SOCKS_TUNNEL ? "tunnel ended" : "refused");
}

static size_t room(struct request *r) { (void) r; return CHUNK_LARGE; }

static void want_body(struct request *r) { (void) r; }

static void ended(struct request *r, const char *why)
{
    struct socks *s = r->stream;
    (void) why;
    NEED(s, SOCKS_MAGIC);
    if (!s->conn->hangup && !s->broken && (s->state == SOCKS_SERVING || s->state == SOCKS_CHECKING)) {
        linger(s);
        s->r = NULL;
        return;
    }
    s->r = NULL;
    end(s);
}

static struct conn *tunnel(struct request *r, struct chain *early_out)
{
    struct socks *s = r->stream;
    NEED(s, SOCKS_MAGIC);
    if (s->state != SOCKS_SERVING || s->broken || s->finishing || !say_reply(s, SOCKS_SUCCEEDED)) return NULL;
    set_state(s, SOCKS_TUNNEL);
    if (s->in && s->from < s->to) chain_add_chunk(early_out, s->in, s->in->data + s->from, s->to - s->from);
    chunk_drop(&s->in);
    s->from = s->to = 0;
    timer_stop(&s->conn->timer);
    r->out.head_bytes = 10;
    return s->conn;
}

static void swap(void *stream, struct request *r)
{
    struct socks *s = stream;
    NEED(s, SOCKS_MAGIC);
    ASSERT(s->state == SOCKS_TUNNEL);
    s->r = r;
}

static struct verdict target(struct request *r)
{
    struct socks *s = r->stream;
    NEED(s, SOCKS_MAGIC);
    if (s->finishing) return v_wait();
    if (s->state == SOCKS_CHECKING) {
        set_state(s, SOCKS_ASKING);
        s->conn->about.doing = "reading SOCKS handshake";
        timer_set(&s->conn->timer, http_core(r)->client_header_timeout.ms);
        say_two(s, 1, 0);
    }
    if (s->state == SOCKS_SERVING) return s->reply ? v_reply(400) : v_next();
    switch (take_target(s)) {
    case SOCKS_MORE: return v_wait();
    case SOCKS_BAD:  return v_reply(400);
    default:         return v_next();
    }
}

static const struct protocol protocol = {
    .name = "SOCKS5", .head = head, .informational = informational, .body = body, .room = room, .want_body = want_body, .ended = ended,
    .tunnel = tunnel, .swap = swap, .target = target,
};

static void open_request(struct socks *s)
{
    struct request *r = s->r = request_open(s->conn, &protocol, s, s->vhost);
    metrics_add(METRIC_REQUESTS, 1);
    s->conn->about.doing = NULL;
    r->method = METHOD_CONNECT;
    r->method_name = T("CONNECT");
    r->form = REQUEST_AUTHORITY;
    r->version = SOCKS_VERSION;
    r->line = T("CONNECT SOCKS5");
    r->uri = T("/");
    r->number = 1;
    r->in_bytes = s->took;
}
