/* io: a conn's bytes through its session: the ops of conn_tls. */
#include "tls/session.h"
#include <errno.h>
#include <sys/uio.h>
#include <unistd.h>

static char scratch[TLS_RECORD];      /* pieces of a chain that make one record */

static struct tls *session_of(struct conn *c)
{
    struct tls *t = c->layer;
    NEED(t, TLS_MAGIC);
    return t;
}

void tls_settle(struct conn *c)
{
    struct tls *t = c->layer;
    c->readable = c->wire || t->eof || t->given || t->early || SSL_has_pending(t->ssl);
}

/* ---- failing ---- */

static struct io_done failed(struct conn *c, struct tls *t, const char *call)
{
    t->broken = true;
    c->error = t->error ? t->error : EPROTO;
    if (t->error) ERR_clear_error();
    else tls_log(c->log, t->context->server ? L_INFO : L_ERR, &c->about, 0, "%s() failed", call);
    return (struct io_done) { IO_ERROR, 0 };
}

/* ---- in ---- */

static struct io_done not_read(struct conn *c, struct tls *t)
{
    switch (SSL_get_error(t->ssl, 0)) {
    case SSL_ERROR_WANT_READ:
        c->readable = c->wire;
        return (struct io_done) { IO_AGAIN, 0 };
    case SSL_ERROR_WANT_WRITE:      /* an answer of TLS's own was refused: tls_flush wakes the reader */
        c->readable = 0;
        return (struct io_done) { IO_AGAIN, 0 };
    case SSL_ERROR_ZERO_RETURN:
        c->readable = 1;
        return (struct io_done) { IO_EOF, 0 };
    default:
        return failed(c, t, "SSL_read");
    }
}

/* 0-RTT data, while there is some; then what any session has. */
static int read_some(struct tls *t, char *room, size_t size, size_t *n)
{
    if (likely(!t->early_open)) return SSL_read_ex(t->ssl, room, size, n);
    if (t->early) {
        *n = min_of(size, (size_t) t->early_n);
        memcpy(room, t->early->data + t->early_at, *n);
        t->early_at += (unsigned) *n;
        t->early_n -= (unsigned) *n;
        if (t->early_n == 0) chunk_drop(&t->early);
        return 1;
    }
    int got = SSL_read_early_data(t->ssl, room, size, n);
    if (got == SSL_READ_EARLY_DATA_SUCCESS) return 1;
    if (got == SSL_READ_EARLY_DATA_ERROR) return 0;
    t->early_open = false;
    ERR_clear_error();
    return SSL_read_ex(t->ssl, room, size, n);
}

static struct io_done read_records(struct conn *c, char *room, size_t size)
{
    struct tls *t = session_of(c);
    struct io_done d = { IO_OK, 0 };
    if (t->broken) {
        if (!c->error) c->error = EPROTO;
        return (struct io_done) { IO_ERROR, 0 };
    }
    tls_wire_begin(c);
    do {
        size_t n = 0;
        ERR_clear_error();
        if (read_some(t, room + d.n, size - d.n, &n)) {
            d.n += n;
            tls_settle(c);
        } else {
            struct io_done end = not_read(c, t);
            if (d.n == 0) d = end;
            else if (end.how != IO_AGAIN) c->readable = 1;      /* it is told by the next call */
            break;
        }
    } while (d.n < size && SSL_has_pending(t->ssl));
    /* tickets that came along with bytes leave the read buffer behind, 16 kB on an idle connection */
    if (!t->context->server && !c->readable) SSL_free_buffers(t->ssl);
    if (tls_wire_flush(c, t) == IO_ERROR && d.how == IO_AGAIN) return failed(c, t, "SSL_read");
    return d;
}

static struct io_done recv_tls(struct conn *c, char *room, size_t size)
{
    uint64_t received = c->received, sent = c->sent;
    struct io_done d = read_records(c, room, size);
    c->received = received + d.n;
    c->sent = sent;
    return d;
}

/* ---- out ---- */

struct place { const struct link *link; size_t at; };       /* in a chain */

static bool read_file(const struct link *l, size_t at, char *room, size_t n)
{
    while (n) {
        ssize_t got = pread(l->file->fd, room, n, l->from + (off_t) at);
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) return false;
        room += got;
        at += (size_t) got;
        n -= (size_t) got;
    }
    return true;
}

static void skip(struct place *p, size_t n)
{
    while (p->link && p->link->n - p->at <= n) {
        n -= p->link->n - p->at;
        *p = (struct place) { p->link->next, 0 };
    }
    p->at += n;
}

/* The next n bytes in one piece: where they lie, or in scratch. NULL: a file could not be read. */
static const char *piece(struct place *p, size_t n)
{
    skip(p, 0);
    if (!p->link->file && p->link->n - p->at >= n) return p->link->p + p->at;
    struct place at = *p;
    for (size_t done = 0, part; done < n; done += part) {
        skip(&at, 0);
        part = min_of(at.link->n - at.at, n - done);
        if (!at.link->file) memcpy(scratch + done, at.link->p + at.at, part);
        else if (!read_file(at.link, at.at, scratch + done, part)) return NULL;
        at.at += part;
    }
    return scratch;
}

/* RFC 8446 2.3: until the client has finished, what we say is an answer to 0-RTT data. */
static int write_some(const struct tls *t, const char *bytes, size_t size, size_t *n)
{
    bool early = t->early_open || unlikely(SSL_in_init(t->ssl));
    return early ? SSL_write_early_data(t->ssl, bytes, size, n) : SSL_write_ex(t->ssl, bytes, size, n);
}

/* The most that the next record has. */
static size_t record_room(struct tls *t)
{
    const struct tls_ramp *ramp = &t->context->ramp;
    size_t most = t->context->record;
    if (likely(!ramp->records)) return most;
    if (clock_now.ms - t->wrote_ms > ramp->pause_ms) t->ramped = 0;
    t->wrote_ms = clock_now.ms;
    if (t->ramped >= 2 * ramp->records) return most;
    return min_of(most, t->ramped++ < ramp->records ? ramp->low : ramp->high);
}

/* Makes records of the chain from *n on until the wire's buffer is full. */
static enum io encrypt(struct conn *c, struct tls *t, const struct chain *out, size_t most, size_t *n)
{
    struct place p = { out->first, 0 };
    size_t all = min_of(most, out->bytes);
    skip(&p, *n);
    while (*n < all && tls_wire_room() >= TLS_RECORD + TLS_OVERHEAD) {
        size_t size = min_of(all - *n, record_room(t)), written = 0;
        const char *bytes = piece(&p, size);
        if (!bytes) {
            log_at(c->log, L_ERR, &c->about, errno, "a file was truncated while it was sent");
            c->error = t->error = EIO;
            return IO_ERROR;
        }
        ERR_clear_error();
        if (!write_some(t, bytes, size, &written)) return SSL_get_error(t->ssl, 0) == SSL_ERROR_WANT_READ ? IO_AGAIN : IO_ERROR;
        ASSERT(written <= size);
        *n += written;
        skip(&p, written);
    }
    return IO_OK;
}

/* While records are kept back, the last byte that they were made of stays in the owner's chain, so that it comes again. */
static struct io_done send_records(struct conn *c, const struct chain *out, size_t most)
{
    struct tls *t = session_of(c);
    size_t n = 0;
    if (t->broken || t->closed) {
        c->error = t->error ? t->error : EPIPE;
        return (struct io_done) { IO_ERROR, 0 };
    }
    if (!c->writable) return (struct io_done) { IO_AGAIN, 0 };
    enum io how = t->unsent ? tls_wire_flush(c, t) : IO_OK;
    if (how != IO_OK) return (struct io_done) { how, 0 };

    if (t->held) n = 1;
    t->held = false;
    tls_wire_begin(c);
    enum io made = encrypt(c, t, out, most, &n);
    how = tls_wire_flush(c, t);
    if (made == IO_ERROR || how == IO_ERROR) return failed(c, t, "SSL_write");
    if (how == IO_AGAIN && n) {
        t->held = true;
        n--;
    }
    return (struct io_done) { how == IO_OK ? made : how, n };
}

/* What is counted are the owner's bytes. */
static struct io_done send_tls(struct conn *c, const struct chain *out, size_t most)
{
    uint64_t before = c->sent;
    struct io_done d = send_records(c, out, most);
    c->sent = before + d.n;
    return d;
}

static void flush_tls(struct conn *c)
{
    struct tls *t = session_of(c);
    uint64_t before = c->sent;
    if (!t->ready || !t->unsent) return;
    enum io how = tls_wire_flush(c, t);
    c->sent = before;
    if (how != IO_OK || t->held) return;
    if (SSL_want_write(t->ssl)) conn_wake(c, CONN_READ);
}

/* ---- the end ---- */

static void say_goodbye(struct conn *c, struct tls *t)
{
    uint64_t sent = c->sent;
    if (t->closed || t->broken || !t->ready || t->unsent) return;
    t->closed = true;
    tls_wire_begin(c);
    ERR_clear_error();
    SSL_shutdown(t->ssl);
    ERR_clear_error();
    tls_wire_flush(c, t);
    c->sent = sent;
}

static void shutdown_tls(struct conn *c)
{
    say_goodbye(c, session_of(c));
    conn_plain.shutdown(c);
}

/* SSL_peek takes in what is TLS's own (tickets, key updates) on the way. */
static bool is_quiet_tls(struct conn *c)
{
    struct tls *t = session_of(c);
    char byte;
    size_t n;
    if (t->broken || t->eof) return false;
    if (t->early_open) return true;      /* what comes now is still read as a part of the handshake */
    c->wire = 1;
    tls_wire_begin(c);
    ERR_clear_error();
    bool quiet = !SSL_peek_ex(t->ssl, &byte, 1, &n) && SSL_get_error(t->ssl, 0) == SSL_ERROR_WANT_READ;
    ERR_clear_error();
    tls_settle(c);
    return tls_wire_flush(c, t) != IO_ERROR && quiet;
}

static void free_session(void *p)
{
    struct tls *t = p;
    SSL_free(t->ssl);
    t->magic = 0;
    free(t);
}

static void end_tls(struct conn *c)
{
    struct tls *t = session_of(c);
    if (t->guest) t->guest->end(t->guest);
    if (!t->ready) tls_handshake_abandon(c, t);
    say_goodbye(c, t);
    if (t->ssl && (!t->ready || t->broken)) SSL_set_quiet_shutdown(t->ssl, 1);
    if (t->ready) SSL_set_shutdown(t->ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);    /* the session stays good */
    if (t->ssl) SSL_set_app_data(t->ssl, NULL);
    chunk_drop(&t->unsent);
    chunk_drop(&t->given);
    chunk_drop(&t->early);
    free(t->verify);
    free(t->prints);
    t->verify = NULL;
    c->layer = NULL;
    loop_free_later(free_session, t);
}

const struct conn_ops conn_tls = {
    .name = "tls", .recv = recv_tls, .send = send_tls, .shutdown = shutdown_tls, .is_quiet = is_quiet_tls, .flush = flush_tls, .end = end_tls,
};
