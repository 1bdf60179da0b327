#include "http/fetch.h"
#include "upstream/connect.h"
#include "wire/chunked.h"
#include "wire/framing.h"
#include <arpa/inet.h>
#include <errno.h>
#include <stdarg.h>

enum { HEAD_MOST = 16384, BODY_MOST = 1 << 20, TRAILERS_MOST = 4096, INFORMATIONAL_MOST = 16, READS_MOST = 16 };

enum stage { STEP_CONNECT, STEP_SHAKE, STEP_HEAD, STEP_BODY, STEP_OVER };

struct job {
    struct fetch       f;                /* first: what the user sees */
    struct fetch_want  want;             /* texts are in the pool; to, from, fields: not used any more */
    enum stage         step;
    struct addr        to, from;
    struct text        request;          /* head and body, as they go */
    enum method        method;
    struct connect     connect;
    struct conn       *conn;
    uint64_t           keep_until_ms;    /* of conn, when it was kept before; 0: it is new */
    bool               tried_again;      /* on a fresh connection, after a kept one proved dead */
    struct chain       out;
    struct chunk      *head;             /* the answer's head, and what came with it */
    size_t             have, used;
    unsigned           informational;
    bool               in_fields;
    struct h1_parse    parse;
    struct framing     framing;
    uint64_t           left;
    struct chunked     chunked;
    struct build       body;
    struct timer       deadline;
    struct task        begin;
    bool               bad;              /* it cannot be sent */
    struct log         log;              /* what the lower layers would say goes to f.why */
    struct log_target  listener;
};

static struct job *job_of(struct fetch *f)
{
    NEED(f, FETCH_MAGIC);
    return container_of(f, struct job, f);
}

/* ---- the end ---- */

static void end_wire(struct job *j)
{
    connect_cancel(&j->connect);
    task_cancel(&j->begin);
    timer_end(&j->deadline);
    conn_close(&j->conn);
    chain_clear(&j->out);
}

static void end(struct job *j, enum fetch_end how)
{
    if (j->step == STEP_OVER) return;
    j->step = STEP_OVER;
    end_wire(j);
    j->f.body = build_done(&j->body);
    j->f.ended_ms = clock_now.ms;
    if (how == FETCH_DONE) j->f.why[0] = 0;
    j->want.done(&j->f, how);
}

__attribute__((format(printf, 3, 4))) static void fail(struct job *j, enum fetch_end how, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    vsnprintf(j->f.why, sizeof j->f.why, fmt, args);
    va_end(args);
    end(j, how);
}

static void fail_call(struct job *j, enum fetch_end how, const char *call, int error)
{
    const char *words = strerrordesc_np(error);
    fail(j, how, "%s failed (%d: %s)", call, error, words ? words : "Unknown error");
}

static void free_job(void *p)
{
    struct job *j = p;
    struct pool *pool = j->f.pool;
    chunk_drop(&j->head);
    pool_close(&pool);
}

void fetch_close(struct fetch **fetch)
{
    struct fetch *f = *fetch;
    *fetch = NULL;
    if (!f) return;
    struct job *j = job_of(f);
    j->step = STEP_OVER;
    end_wire(j);
    f->magic = 0;
    loop_free_later(free_job, j);      /* our handlers may be on the stack */
}

/* A line of a lower layer: "weir: [error] words\n". */
static void hear(struct log_target *t, enum log_level level, struct text line)
{
    (void) level;
    struct job *j = container_of(t, struct job, listener);
    ssize_t at = text_find(line, T("] "));
    if (at >= 0) line = text_from(line, (size_t) at + 2);
    while (line.n && line.p[line.n - 1] == '\n') line.n--;
    snprintf(j->f.why, sizeof j->f.why, "%.*s", TEXT_ARG(line));
}

/* ---- connections that wait ---- */

static void kept_ready(struct conn *c, unsigned what)
{
    struct fetch_kept *k = c->owner;
    bool said = what & CONN_READ && (c->ops == &conn_plain || !conn_is_quiet(c));      /* TLS may have something to itself */
    if (said || what & CONN_TIMEOUT || c->hangup) fetch_kept_close(k);
}

void fetch_kept_close(struct fetch_kept *k)
{
    conn_close(&k->conn);
}

static void keep(struct job *j)
{
    struct fetch_kept *k = j->want.kept;
    uint64_t until = j->keep_until_ms ? j->keep_until_ms : j->f.started_ms + j->want.keepalive_ms;
    if (!k || k->conn || until <= clock_now.ms || j->conn->hangup || !chain_empty(&j->out)) return;
    k->conn = j->conn;
    k->until_ms = until;
    j->conn = NULL;
    k->conn->owner = k;
    k->conn->ready = kept_ready;
    k->conn->log = log_main;
    timer_set(&k->conn->timer, until - clock_now.ms);
    conn_set_idle(k->conn, true);
}

static bool take_kept(struct job *j)
{
    struct fetch_kept *k = j->want.kept;
    if (!k || !k->conn) return false;
    if (k->conn->hangup || k->until_ms <= clock_now.ms) {
        fetch_kept_close(k);
        return false;
    }
    j->conn = k->conn;
    k->conn = NULL;
    j->keep_until_ms = k->until_ms;
    j->conn->log = &j->log;
    timer_stop(&j->conn->timer);
    conn_set_idle(j->conn, false);
    return true;
}

/* RFC 9112 9.3 */
static bool may_keep(const struct job *j)
{
    bool persists = j->f.version >= 1001 && j->want.version >= 1001;
    if (j->framing.close) return false;
    for (unsigned i = 0; i < j->f.fields.n; i++) {
        struct text list = j->f.fields.v[i].value, part;
        if (j->f.fields.v[i].id != FIELD_CONNECTION) continue;
        while (text_split(&list, ',', &part)) {
            if (text_eq_nocase(text_trim(part), T("close"))) return false;
            persists |= text_eq_nocase(text_trim(part), T("keep-alive"));
        }
    }
    return persists;
}

/* ---- the answer ---- */

static void complete(struct job *j, size_t unused)
{
    if (!unused && may_keep(j)) keep(j);
    end(j, FETCH_DONE);
}

/* False: it is over. */
static bool add(struct job *j, struct text t)
{
    size_t room = j->want.body_most - j->body.n;
    build_text(&j->body, text_upto(t, min_of(t.n, room)));
    if (t.n <= room) return true;
    j->f.is_cut = true;
    if (j->want.cut) end(j, FETCH_DONE);
    else fail(j, FETCH_LARGE, "the answer's body is larger than %zu bytes", j->want.body_most);
    return false;
}

static void feed_chunked(struct job *j, struct text t)
{
    for (;;) {
        size_t used = 0;
        struct text data;
        enum chunked_result how = chunked_next(&j->chunked, t.p, t.n, &used, &data);
        t = text_from(t, used);
        if (how == CHUNKED_MORE) return;
        if (how == CHUNKED_DATA && !add(j, data)) return;
        if (how == CHUNKED_ROOM) chunked_room(&j->chunked, pool_bytes(j->f.pool, TRAILERS_MOST), TRAILERS_MOST);
        if (how == CHUNKED_END) {
            complete(j, t.n);
            return;
        }
        if (how == CHUNKED_BAD) {
            fail(j, FETCH_BAD, "the answer has %s", fault_row(j->chunked.fault)->words);
            return;
        }
    }
}

static void feed(struct job *j, struct text t)
{
    if (j->framing.kind == FRAMING_CHUNKED) {
        feed_chunked(j, t);
        return;
    }
    if (j->framing.kind == FRAMING_CLOSE) {
        add(j, t);
        return;
    }
    size_t take = (size_t) min_of((uint64_t) t.n, j->left);
    if (!add(j, text_upto(t, take))) return;
    j->left -= take;
    if (!j->left) complete(j, t.n - take);
}

/* The head is whole. False: it is over. */
static bool begin_body(struct job *j)
{
    struct fetch *f = &j->f;
    f->header_ms = clock_now.ms;
    j->framing = framing_response(f->version, j->method, f->status, f->fields.v, f->fields.n);
    if (j->framing.kind == FRAMING_BAD || j->framing.kind == FRAMING_TUNNEL) {
        fail(j, FETCH_BAD, "the answer has %s", j->framing.kind == FRAMING_BAD ? fault_row(j->framing.fault)->words : "an upgrade that was not asked for");
        return false;
    }
    bool too_long = j->framing.kind == FRAMING_LENGTH && (uint64_t) j->framing.length > j->want.body_most && !j->want.cut;
    if (too_long) {
        fail(j, FETCH_LARGE, "the answer's body is larger than %zu bytes", j->want.body_most);
        return false;
    }
    j->step = STEP_BODY;
    j->left = j->framing.kind == FRAMING_LENGTH ? (uint64_t) j->framing.length : 0;
    chunked_begin(&j->chunked);
    struct text rest = text_of(j->head->data + j->used, j->have - j->used);
    if (j->framing.kind == FRAMING_NONE) complete(j, rest.n);
    else if (rest.n) feed(j, rest);
    return j->step == STEP_BODY;
}

static void begin_head(struct job *j)
{
    h1_begin(&j->parse, H1_RESPONSE);
    j->in_fields = false;
    j->f.fields.n = 0;
}

static bool bad_head(struct job *j)
{
    fail(j, FETCH_BAD, "the answer has %s", fault_row(j->parse.fault)->words);
    return false;
}

static bool parse_status(struct job *j, struct text t)
{
    struct h1_status_line line;
    enum h1_result how = h1_status_line(&j->parse, t.p, t.n, &line);
    if (how == H1_BAD) return bad_head(j);
    if (how != H1_DONE) return true;
    j->f.status = line.status;
    j->f.version = line.version;
    j->f.reason = line.reason;
    j->in_fields = true;
    return true;
}

/* False: it is over. */
static bool parse_head(struct job *j)
{
    while (j->step == STEP_HEAD) {
        struct text t = text_of(j->head->data + j->used, j->have - j->used);
        struct field f;
        enum h1_result how;
        if (!j->in_fields && !parse_status(j, t)) return false;
        if (!j->in_fields) return true;
        while ((how = h1_field(&j->parse, t.p, t.n, &f)) == H1_FIELD) fields_add(&j->f.fields, j->f.pool, f.id, f.name, f.value);
        if (how == H1_BAD) return bad_head(j);
        if (how == H1_MORE) return true;
        j->used += j->parse.at;
        if (j->f.status >= 200 || j->f.status == 101) return begin_body(j);
        if (++j->informational > INFORMATIONAL_MOST) {
            fail(j, FETCH_BAD, "too many interim answers");
            return false;
        }
        begin_head(j);
    }
    return true;
}

/* ---- the connection ---- */

static void start_connect(struct job *j);

/* A kept connection that ended before it said a word was closed meanwhile (RFC 9112 9.3.1): a request that may be sent twice is. */
static bool was_stale(const struct job *j)
{
    return j->keep_until_ms && !j->tried_again && j->step == STEP_HEAD && !j->have && method_row(j->method)->idempotent;
}

static void lost(struct job *j, enum io how, const char *call)
{
    if (was_stale(j)) {
        conn_close(&j->conn);
        chain_clear(&j->out);
        j->tried_again = true;
        j->keep_until_ms = 0;
        start_connect(j);
        return;
    }
    bool at_close = how == IO_EOF && j->step == STEP_BODY && j->framing.kind == FRAMING_CLOSE;
    if (at_close && !(tls_is_on(j->conn) && tls_is_truncated(j->conn))) end(j, FETCH_DONE);       /* RFC 9112 9.8 */
    else if (how == IO_EOF) fail(j, FETCH_BROKEN, "the connection was closed before the answer was complete");
    else fail_call(j, FETCH_BROKEN, call, j->conn->error);
}

/* A conn has one timer: the write's while something is to be sent, then the read's. */
static void wait_more(struct job *j)
{
    uint64_t ms = chain_empty(&j->out) ? j->want.read_ms : j->want.send_ms;
    if (ms) timer_set(&j->conn->timer, ms);
    else timer_stop(&j->conn->timer);
}

/* One read. False: nothing more for now, or it is over. */
static bool take_in(struct job *j)
{
    char room[CHUNK_USUAL];
    bool in_head = j->step == STEP_HEAD;
    struct io_done got = in_head ? conn_recv(j->conn, j->head->data + j->have, j->want.head_most - j->have) : conn_recv(j->conn, room, sizeof room);
    if (got.how == IO_AGAIN) return false;
    if (got.how != IO_OK) {
        lost(j, got.how, "recv()");
        return false;
    }
    if (!in_head) {
        feed(j, text_of(room, got.n));
        return j->step == STEP_BODY;
    }
    j->have += got.n;
    if (!parse_head(j)) return false;
    if (j->step == STEP_HEAD && j->have == j->want.head_most) {
        fail(j, FETCH_LARGE, "the answer's head is larger than %zu bytes", j->want.head_most);
        return false;
    }
    return true;
}

static void time_out(struct job *j)
{
    static const char *const doing[] = { "connecting", "shaking hands", "waiting for the answer's head", "reading the answer's body", "" };
    bool sending = j->step == STEP_HEAD && !chain_empty(&j->out);
    fail(j, FETCH_TIMEOUT, "timed out while %s", sending ? "sending the request" : doing[j->step]);
}

/* True: all went, or what is left waits. */
static bool send_out(struct job *j)
{
    if (chain_empty(&j->out)) return true;
    struct io_done sent = conn_send(j->conn, &j->out, 0);
    if (sent.how != IO_ERROR) return true;
    chain_clear(&j->out);
    if (j->conn->readable || j->conn->hangup) {      /* it may have answered before it closed */
        j->conn->readable = 1;
        return true;
    }
    lost(j, IO_ERROR, "send()");
    return false;
}

static void ready(struct conn *c, unsigned what)
{
    struct job *j = c->owner;
    if (what & CONN_TIMEOUT) {
        time_out(j);
        return;
    }
    if (j->step == STEP_SHAKE) return;
    struct conn *mine = j->conn;
    if (what & CONN_WRITE && !send_out(j)) return;
    for (unsigned reads = 0; j->conn == mine && mine->readable; reads++) {
        if (reads == READS_MOST) {
            conn_wake(mine, CONN_READ);
            break;
        }
        if (!take_in(j)) break;
    }
    if (j->conn == mine && j->step != STEP_OVER) wait_more(j);
}

static void ask(struct job *j)
{
    struct conn *c = j->conn;
    j->step = STEP_HEAD;
    c->owner = j;
    c->ready = ready;
    begin_head(j);
    chain_add_text(&j->out, j->request);
    conn_set_nodelay(c, true);
    if (!send_out(j) || j->conn != c) return;
    wait_more(j);
    if (c->readable) conn_wake(c, CONN_READ);
}

static void shaken(struct conn *c, enum tls_outcome outcome, struct text said)
{
    struct job *j = c->owner;
    (void) said;
    if (outcome == TLS_READY) ask(j);
    else if (j->f.why[0]) end(j, FETCH_UNREACHED);
    else fail(j, FETCH_UNREACHED, "SSL handshake failed");
}

static bool is_address(struct text name)
{
    char room[64];
    struct in6_addr a;
    if (name.n >= sizeof room) return false;
    memcpy(room, name.p, name.n);
    room[name.n] = 0;
    return inet_pton(AF_INET, room, &a) == 1 || inet_pton(AF_INET6, room, &a) == 1;
}

static void shake(struct job *j)
{
    const struct fetch_want *w = &j->want;
    struct tls_target to = { .verify = w->tls_name };
    if (!w->no_sni && !is_address(w->tls_name)) to.name = w->tls_name;
    j->step = STEP_SHAKE;
    j->conn->owner = j;
    j->conn->ready = ready;
    if (w->connect_ms) timer_set(&j->conn->timer, w->connect_ms);
    tls_connect(j->conn, w->tls, &to, shaken);
}

static void connected(struct connect *c, enum connect_end how, int error)
{
    struct job *j = container_of(c, struct job, connect);
    if (how == CONNECT_TIMEOUT) {
        time_out(j);
        return;
    }
    if (how == CONNECT_FAILED) {
        fail_call(j, FETCH_UNREACHED, "connect()", error);
        return;
    }
    j->conn = c->conn;
    j->conn->about.number = 0;
    if (j->want.tls) shake(j);
    else ask(j);
}

static void start_connect(struct job *j)
{
    struct connect_want w = {
        .to = &j->to, .from = j->from.family == AF_UNSPEC ? NULL : &j->from, .timeout_ms = j->want.connect_ms, .log = &j->log,
    };
    j->step = STEP_CONNECT;
    connect_start(&j->connect, &w);
}

/* ---- the beginning ---- */

static bool is_clean(struct text t, bool spaces)
{
    for (size_t i = 0; i < t.n; i++) {
        unsigned char c = (unsigned char) t.p[i];
        if (c == 0x7f || (c < 0x20 && !(spaces && c == '\t')) || (c == ' ' && !spaces)) return false;
    }
    return true;
}

static bool is_sendable(const struct fetch_want *w)
{
    if (!is_clean(w->method, false) || !is_clean(w->target, false) || !is_clean(w->host, false)) return false;
    for (size_t i = 0; i < w->field_count; i++) {
        struct text name = w->fields[i].name;
        if (!name.n || !is_clean(name, false) || text_find_char(name, ':') >= 0 || !is_clean(w->fields[i].value, true)) return false;
    }
    return true;
}

static void put_field(struct build *b, struct text name, struct text value)
{
    build_text(b, name);
    build_lit(b, ": ");
    build_text(b, value);
    build_lit(b, "\r\n");
}

static bool has_field(const struct fetch_want *w, struct text name)
{
    for (size_t i = 0; i < w->field_count; i++)
        if (text_eq_nocase(w->fields[i].name, name)) return true;
    return false;
}

static struct text make_request(struct job *j, const struct fetch_want *w)
{
    struct build b = build_in_pool(j->f.pool, 512 + w->body.n, 0);
    build_text(&b, w->method.n ? w->method : T("GET"));
    build_char(&b, ' ');
    build_text(&b, w->target.n ? w->target : T("/"));
    build_text(&b, j->want.version >= 1001 ? T(" HTTP/1.1\r\n") : T(" HTTP/1.0\r\n"));
    if (!has_field(w, T("Host"))) put_field(&b, T("Host"), w->host.n ? w->host : w->to->family == AF_UNIX ? T("localhost") : addr_text(j->f.pool, w->to, false));
    if (!has_field(w, T("Connection"))) put_field(&b, T("Connection"), w->kept ? T("keep-alive") : T("close"));
    for (size_t i = 0; i < w->field_count; i++)
        if (w->fields[i].value.n && field_lookup(w->fields[i].name) != FIELD_CONTENT_LENGTH) put_field(&b, w->fields[i].name, w->fields[i].value);
    if (w->body.n || j->method == METHOD_POST || j->method == METHOD_PUT) {
        build_lit(&b, "Content-Length: ");
        build_u64(&b, w->body.n);
        build_lit(&b, "\r\n");
    }
    build_lit(&b, "\r\n");
    build_text(&b, w->body);
    return build_done(&b);
}

/* Nothing is told from within fetch_start. */
static void begin(struct task *t)
{
    struct job *j = container_of(t, struct job, begin);
    if (j->bad) fail(j, FETCH_BAD, "the request would have a control character");
    else if (take_kept(j)) ask(j);
    else start_connect(j);
}

static void fire_deadline(struct timer *t)
{
    time_out(container_of(t, struct job, deadline));
}

static struct job *make_job(const struct fetch_want *w)
{
    struct pool *pool = pool_open(0);
    struct job *j = pool_new(pool, struct job);
    j->f = (struct fetch) { .magic = FETCH_MAGIC, .arg = w->arg, .pool = pool, .started_ms = clock_now.ms };
    j->want = *w;
    j->want.tls_name = pool_text(pool, w->tls_name);
    j->want.version = w->version ? w->version : 1001;
    j->want.head_most = w->head_most ? w->head_most : HEAD_MOST;
    j->want.body_most = w->body_most ? w->body_most : BODY_MOST;
    j->to = *w->to;
    if (w->to->family == AF_UNIX) j->to.un.path = pool_cstr(pool, text_c(w->to->un.path));
    for (int i = 0; w->from && i < 2; i++)
        if (w->from[i].family == w->to->family) j->from = w->from[i];
    j->method = w->method.n ? method_lookup(w->method) : METHOD_GET;
    j->head = chunk_open(j->want.head_most);
    j->body = build_in_pool(pool, 0, j->want.body_most);
    j->listener = (struct log_target) { .level = L_ERR, .write = hear, .plain = true, .fd = -1 };
    j->log = (struct log) { &j->listener, L_ERR };
    j->connect.done = connected;
    j->begin.run = begin;
    j->deadline.fire = fire_deadline;
    return j;
}

struct fetch *fetch_start(const struct fetch_want *w)
{
    ASSERT(w->done && w->to && w->to->family != AF_UNSPEC);
    struct job *j = make_job(w);
    j->bad = !is_sendable(w);
    if (!j->bad) j->request = make_request(j, w);
    if (w->deadline_ms) timer_set(&j->deadline, w->deadline_ms);
    task_post(&j->begin);
    return &j->f;
}

/* ---- whom to trust ---- */

struct tls_context *fetch_context(const struct fetch_trust *t, const struct log *log)
{
    struct tls_pair own = { t->certificate, t->key };
    struct tls_settings s = {
        .verify = t->anybody ? TLS_VERIFY_OFF : TLS_VERIFY_ON, .trusted = t->ca, .system_trusted = !t->anybody, .crl = t->crl,
        .pairs = &own, .pair_count = text_empty(t->certificate) ? 0 : 1,
    };
    return tls_context_open(&s, log);
}
