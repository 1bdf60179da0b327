/*
 * wire: a BIO between OpenSSL and a conn's socket. It reads only where the socket may have something, and gathers what is
 * written in one buffer of the process, which tls_wire_flush empties before anyone else's turn.
 */
#include "tls/session.h"
#include <errno.h>

enum { WIRE_SIZE = 4 * (TLS_RECORD + TLS_OVERHEAD) };

static char         wire[WIRE_SIZE];
static size_t       wire_n;
static struct conn *wire_of;
static BIO_METHOD  *method;

size_t tls_wire_room(void)
{
    return sizeof(wire) - wire_n;
}

void tls_wire_begin(struct conn *c)
{
    ASSERT(wire_n == 0);
    wire_of = c;
}

/* ---- out ---- */

static enum io send_bytes(struct conn *c, struct tls *t, const char *p, size_t n, size_t *sent_out)
{
    struct link l = { .p = p, .n = n };
    struct chain out = { &l, &l, n };
    struct io_done d = conn_plain.send(c, &out, n);
    *sent_out = d.n;
    if (d.how == IO_ERROR) {
        t->error = c->error;
        t->broken = true;
        return IO_ERROR;
    }
    return d.n == n ? IO_OK : IO_AGAIN;
}

static enum io send_unsent(struct conn *c, struct tls *t)
{
    size_t sent;
    enum io how = send_bytes(c, t, t->unsent->data + t->unsent_at, t->unsent_n, &sent);
    t->unsent_at += (unsigned) sent;
    t->unsent_n -= (unsigned) sent;
    if (how == IO_OK) chunk_drop(&t->unsent);
    return how;
}

enum io tls_wire_flush(struct conn *c, struct tls *t)
{
    size_t n = wire_n, sent = 0;
    wire_n = 0;
    wire_of = NULL;
    if (t->unsent) {
        ASSERT(n == 0);
        return send_unsent(c, t);
    }
    if (n == 0) return IO_OK;
    enum io how = send_bytes(c, t, wire, n, &sent);
    if (how == IO_AGAIN) {
        t->unsent = chunk_open(n - sent);
        t->unsent_at = 0;
        t->unsent_n = (unsigned) (n - sent);
        memcpy(t->unsent->data, wire + sent, n - sent);
    }
    return how;
}

/* Takes all that fits; a session that holds refused bytes takes none. */
static int write_wire(BIO *b, const char *p, size_t n, size_t *n_out)
{
    struct conn *c = BIO_get_data(b);
    struct tls *t = c->layer;
    BIO_clear_retry_flags(b);
    ASSERT(wire_of == c);
    if (!t->unsent && n > tls_wire_room()) {        /* a long chain of certificates */
        if (tls_wire_flush(c, t) == IO_ERROR) {
            errno = t->error;
            return 0;
        }
        wire_of = c;
    }
    if (t->unsent) {
        BIO_set_retry_write(b);
        return 0;
    }
    n = min_of(n, tls_wire_room());
    memcpy(wire + wire_n, p, n);
    wire_n += n;
    *n_out = n;
    return 1;
}

/* ---- in ---- */

static size_t read_given(struct tls *t, char *p, size_t size)
{
    unsigned n = (unsigned) min_of((size_t) t->given_n, size);
    memcpy(p, t->given->data + t->given_at, n);
    t->given_at += n;
    t->given_n -= n;
    if (t->given_n == 0) chunk_drop(&t->given);
    return n;
}

static int read_wire(BIO *b, char *p, size_t size, size_t *n_out)
{
    struct conn *c = BIO_get_data(b);
    struct tls *t = c->layer;
    BIO_clear_retry_flags(b);
    if (t->given) {
        *n_out = read_given(t, p, size);
        return 1;
    }
    if (!c->wire) {
        BIO_set_retry_read(b);
        return 0;
    }
    struct io_done d = conn_plain.recv(c, p, size);
    switch (d.how) {
    case IO_OK:
        *n_out = d.n;
        return 1;
    case IO_AGAIN:
        BIO_set_retry_read(b);
        return 0;
    case IO_EOF:
        t->eof = true;
        return 0;
    case IO_ERROR:
        break;
    }
    t->error = c->error;
    t->broken = true;
    errno = c->error;
    return 0;
}

/* ---- the rest of a BIO ---- */

static long control(BIO *b, int command, long number, void *pointer)
{
    (void) number, (void) pointer;
    struct conn *c = BIO_get_data(b);
    struct tls *t = c->layer;
    switch (command) {
    case BIO_CTRL_FLUSH: case BIO_CTRL_DUP: return 1;
    case BIO_CTRL_EOF: return t->eof;
    default: return 0;
    }
}

BIO *tls_wire_bio(struct conn *c)
{
    if (!method) {
        method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "conn");
        ASSERT(method && BIO_meth_set_write_ex(method, write_wire) && BIO_meth_set_read_ex(method, read_wire) && BIO_meth_set_ctrl(method, control));
    }
    BIO *b = BIO_new(method);
    if (!b) return NULL;
    BIO_set_data(b, c);
    BIO_set_init(b, 1);
    return b;
}
