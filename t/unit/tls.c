/* sessions over socket pairs: both sides in one loop, with certificates made here. */
#include "tls/tls.h"
#include "tls/session.h"
#include "t/unit/tap.h"
#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <sys/mman.h>
#include <sys/wait.h>

static struct log quiet = { NULL, L_STDERR };
static struct pool *pool;

/* ---- certificates ---- */

struct identity { X509 *x; EVP_PKEY *key; struct text pem, key_pem, both; };

static struct text pem_of(BIO *b)
{
    char *p;
    long n = BIO_get_mem_data(b, &p);
    struct text t = pool_printf(pool, "data:%.*s", (int) n, p);
    BIO_free(b);
    return t;
}

static void extend(X509 *x, int nid, const char *value)
{
    X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, NULL, nid, value);
    X509_add_ext(x, e, -1);
    X509_EXTENSION_free(e);
}

static struct identity make_identity(const char *name, const struct identity *issuer, long serial)
{
    struct identity id = { X509_new(), EVP_EC_gen("P-256"), { NULL, 0 }, { NULL, 0 }, { NULL, 0 } };
    X509_NAME *subject = X509_get_subject_name(id.x);
    X509_set_version(id.x, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(id.x), serial);
    X509_gmtime_adj(X509_getm_notBefore(id.x), -3600);
    X509_gmtime_adj(X509_getm_notAfter(id.x), strcmp(name, "expired.test") == 0 ? -60 : 86400);
    X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC, (const unsigned char *) name, -1, -1, 0);
    X509_set_issuer_name(id.x, issuer ? X509_get_subject_name(issuer->x) : subject);
    X509_set_pubkey(id.x, id.key);
    if (issuer) extend(id.x, NID_subject_alt_name, pool_printf(pool, "DNS:%s,IP:127.0.0.1", name).p);
    else extend(id.x, NID_basic_constraints, "critical,CA:TRUE");
    X509_sign(id.x, issuer ? issuer->key : id.key, EVP_sha256());
    BIO *b = BIO_new(BIO_s_mem());
    PEM_write_bio_X509(b, id.x);
    id.pem = pem_of(b);
    b = BIO_new(BIO_s_mem());
    PEM_write_bio_PrivateKey(b, id.key, NULL, NULL, 0, NULL, NULL);
    id.key_pem = pem_of(b);
    return id;
}

static void end_identity(struct identity *id)
{
    X509_free(id->x);
    EVP_PKEY_free(id->key);
}

static struct identity ca, one, two, client_id, expired;

/* ---- a pair ---- */

struct side {
    struct conn      *c;
    unsigned          told;
    bool              ended;
    enum tls_outcome  outcome;
    struct text       said;
    char              room[64];
};
static struct side server, client;

static struct side *side_of(struct conn *c) { return c->owner; }
static void note(struct conn *c, unsigned what) { side_of(c)->told |= what; }

static void over(struct conn *c, enum tls_outcome outcome, struct text said)
{
    struct side *s = side_of(c);
    s->ended = true;
    s->outcome = outcome;
    s->said = text_of(s->room, min_of(said.n, sizeof(s->room)));
    memcpy(s->room, said.p ? said.p : "", s->said.n);
}

static void open_side(struct side *s, int fd)
{
    *s = (struct side) { .c = conn_open(fd, &quiet) };
    s->c->ready = note;
    s->c->owner = s;
}

static void open_pair(int sndbuf)
{
    int fds[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds) != 0) abort();
    for (int i = 0; sndbuf && i < 2; i++) setsockopt(fds[i], SOL_SOCKET, SO_SNDBUF, &sndbuf, sizeof(sndbuf));
    open_side(&server, fds[0]);
    open_side(&client, fds[1]);
    loop_turn(0);
}

static void close_pair(void)
{
    conn_close(&server.c);
    conn_close(&client.c);
    loop_turn(0);
}

#define until(check) ({ unsigned left_ = 2000; while (!(check) && left_--) loop_turn(10); (check); })

static const struct tls_target nobody;
static const struct text nothing;

static bool shake(struct tls_context *sx, struct tls_context *cx, const struct tls_target *to)
{
    tls_accept(server.c, sx, nothing, over);
    tls_connect(client.c, cx, to ? to : &nobody, over);
    until(server.ended && client.ended);
    return server.ended && server.outcome == TLS_READY && client.ended && client.outcome == TLS_READY;
}

/* ---- contexts ---- */

static struct tls_context *contexts[2];
static char asked[64];

static struct tls_context *choose(struct conn *c, struct text name)
{
    (void) c;
    snprintf(asked, sizeof(asked), "%.*s", TEXT_ARG(name));
    if (text_eq(name, T("nobody.test"))) return NULL;
    return text_eq(name, T("two.test")) ? contexts[1] : contexts[0];
}

static struct text protocols(struct conn *c) { (void) c; return T("\2h2\10http/1.1"); }

static char   saved[4096];
static size_t saved_n;
static unsigned saved_count;
static void keep_session(struct conn *c, struct text der, uint64_t seconds)
{
    (void) c, (void) seconds;
    saved_count++;
    saved_n = der.n;
    memcpy(saved, der.p, der.n);
}

static const struct tls_hooks hooks = { .server_name = choose, .alpn = protocols };
static const struct tls_hooks client_hooks = { .session = keep_session };

static struct tls_context *server_context(const struct identity *id, struct tls_settings s)
{
    struct tls_pair pair = { id->pem, id->key_pem };
    s.server = true;
    s.pairs = &pair;
    s.pair_count = 1;
    if (!s.hooks) s.hooks = &hooks;
    return tls_context_open(&s, log_main);
}

static struct tls_context *client_context(struct tls_settings s)
{
    s.hooks = &client_hooks;
    return tls_context_open(&s, log_main);
}

/* ---- tests ---- */

static void test_handshake(unsigned version, const char *name)
{
    struct tls_settings sides = { .protocols = version };
    contexts[0] = server_context(&one, sides);
    contexts[1] = server_context(&two, sides);
    sides.verify = TLS_VERIFY_ON;
    sides.trusted = ca.pem;
    struct tls_context *cx = client_context(sides);
    ok(contexts[0] && contexts[1] && cx, "%s: contexts", name);

    struct tls_target to = { .name = T("One.test"), .verify = T("one.test"), .alpn = T("\10http/1.1") };
    open_pair(0);
    ok(shake(contexts[0], cx, &to), "%s: both ready", name);
    is_str(asked, "one.test", "%s: the name, in lower case", name);
    is_str(tls_protocol(server.c), name, "%s: protocol", name);
    is_text(tls_alpn(client.c), "http/1.1", "%s: protocol above", name);
    is_text(tls_name(server.c), "One.test", "%s: name given", name);
    ok(server.c->ready == note && client.c->ready == note, "%s: handlers given back", name);
    is_str(tls_peer_fault(server.c), "NONE", "%s: no client certificate", name);
    ok(tls_peer_fault(client.c) == NULL && !tls_is_resumed(client.c), "%s: a good certificate", name);
    close_pair();

    to.name = to.verify = T("two.test");
    open_pair(0);
    ok(shake(contexts[0], cx, &to) && tls_context_of(server.c) == contexts[1], "%s: another name, another context", name);
    close_pair();

    to.verify = T("one.test");
    open_pair(0);
    ok(!shake(contexts[0], cx, &to) && client.outcome == TLS_FAILED, "%s: misnamed", name);
    close_pair();

    to.verify = T("127.0.0.1");
    open_pair(0);
    ok(shake(contexts[0], cx, &to), "%s: an address", name);
    close_pair();

    to = (struct tls_target) { .name = T("nobody.test") };
    open_pair(0);
    ok(!shake(contexts[0], cx, &to) && client.outcome == TLS_FAILED && server.outcome == TLS_FAILED, "%s: refused by name", name);
    close_pair();

    tls_context_close(&cx);
    cx = client_context((struct tls_settings) { .verify = TLS_VERIFY_ON, .trusted = two.pem });
    open_pair(0);
    ok(!shake(contexts[0], cx, NULL) && client.outcome == TLS_FAILED, "%s: not trusted", name);
    close_pair();
    tls_context_close(&cx);
    tls_context_close(&contexts[0]);
    tls_context_close(&contexts[1]);
}

static void test_client_certificate(void)
{
    contexts[0] = server_context(&one, (struct tls_settings) { .verify = TLS_VERIFY_OPTIONAL, .client_ca = ca.pem });
    struct tls_pair pair = { client_id.pem, client_id.key_pem };
    struct tls_context *cx = client_context((struct tls_settings) { .pairs = &pair, .pair_count = 1 });
    open_pair(0);
    ok(shake(contexts[0], cx, NULL) && tls_peer_fault(server.c) == NULL, "a client certificate that is good");
    close_pair();
    tls_context_close(&contexts[0]);
    contexts[0] = server_context(&one, (struct tls_settings) { .verify = TLS_VERIFY_OPTIONAL, .client_ca = two.pem });
    open_pair(0);
    ok(shake(contexts[0], cx, NULL) && tls_peer_fault(server.c) && strcmp(tls_peer_fault(server.c), "NONE") != 0, "one that is not: the handshake goes on, the fault is known");
    close_pair();
    tls_context_close(&cx);
    tls_context_close(&contexts[0]);
}

/* Sends out from one side while the other reads at most piece bytes a turn. */
static bool carry(struct side *from, struct side *to, struct chain *out, const char *want, size_t size, size_t piece, size_t most)
{
    char *room = base_alloc(piece);
    size_t got = 0;
    unsigned idle = 0;
    bool good = true;
    while (good && got < size && idle < 100) {
        size_t before = got;
        struct io_done d = conn_send(from->c, out, most);
        good = d.how != IO_ERROR;
        while (good && to->c->readable && got < size) {
            d = conn_recv(to->c, room, piece);
            if (d.how == IO_AGAIN) break;
            good = d.how == IO_OK && got + d.n <= size && memcmp(room, want + got, d.n) == 0;
            got += d.n;
        }
        loop_turn(0);
        idle = got == before ? idle + 1 : 0;
    }
    struct io_done last = conn_send(from->c, out, 0);
    free(room);
    return good && got == size && out->bytes == 0 && last.how == IO_OK;
}

static void test_bytes(unsigned version, size_t record)
{
    enum { SIZE = 300000 };
    static char bytes[SIZE];
    for (size_t i = 0; i < SIZE; i++) bytes[i] = (char) (i * 2654435761u >> 11);
    int fd = memfd_create("unit", MFD_CLOEXEC);
    if (write(fd, bytes, SIZE) != SIZE) abort();
    struct chain_file *f = chain_file_open(fd);
    contexts[0] = server_context(&one, (struct tls_settings) { .protocols = version, .record = record });
    struct tls_context *cx = client_context((struct tls_settings) { .protocols = version });
    static const size_t pieces[] = { 1000, 16384, 100000 }, mosts[] = { 0, 777, 40000 };
    static const int buffers[] = { 0, 4608 };
    for (unsigned i = 0; i < 18; i++) {
        struct chain out = CHAIN_EMPTY;
        size_t piece = pieces[i % 3], most = mosts[i / 3 % 3];
        open_pair(buffers[i / 9]);
        if (!ok(shake(contexts[0], cx, NULL), "ready")) break;
        for (size_t at = 0; at < 100000; at += 250) chain_add_text(&out, text_of(bytes + at, 250));
        chain_add_flush(&out);
        chain_add_file(&out, f, 100000, 150000);
        chain_add_text(&out, text_of(bytes + 250000, 49999));
        chain_add_file(&out, f, SIZE - 1, 1);
        ok(carry(&server, &client, &out, bytes, SIZE, piece, most), "to the client, %zu a read, most %zu, socket buffer %d", piece, most, buffers[i / 9]);
        chain_add_text(&out, text_of(bytes, SIZE));
        ok(carry(&client, &server, &out, bytes, SIZE, piece, most), "and back");
        ok(server.c->sent == SIZE && server.c->received == SIZE && client.c->sent == SIZE && client.c->received == SIZE, "the owners' bytes are counted");
        chain_clear(&out);
        close_pair();
    }
    is_int(f->refs, 1, "the file is let go of");
    chain_file_drop(&f);
    tls_context_close(&cx);
    tls_context_close(&contexts[0]);
}

/* The lengths of the records that lie in the socket, less what TLS 1.3 adds to each (RFC 8446 5.2: a type and a tag); 0 ends them. */
static void record_lengths(struct side *at, size_t *lengths, size_t most)
{
    static unsigned char raw[200000];
    size_t have = 0, n = 0;
    for (ssize_t got; (got = read(at->c->fd, raw + have, sizeof raw - have)) > 0;) have += (size_t) got;
    for (size_t p = 0; p + 5 <= have && n < most - 1; p += 5 + (size_t) (raw[p + 3] << 8 | raw[p + 4])) lengths[n++] = (size_t) (raw[p + 3] << 8 | raw[p + 4]) - 17;
    lengths[n] = 0;
}

static void send_text(struct side *from, size_t n)
{
    static char bytes[60000];
    struct chain out = CHAIN_EMPTY;
    chain_add_text(&out, text_of(bytes, n));
    for (unsigned i = 0; i < 100 && out.bytes; i++) conn_send(from->c, &out, 0);
    chain_clear(&out);
}

static void test_ramp(void)
{
    size_t got[32];
    contexts[0] = server_context(&one, (struct tls_settings) { .ramp = { .low = 100, .high = 1000, .records = 2, .pause_ms = 500 } });
    struct tls_context *cx = client_context((struct tls_settings) { .protocols = 0 });
    clock_fake(1000, 1000);
    open_pair(0);
    ok(shake(contexts[0], cx, NULL), "ready");
    record_lengths(&client, got, countof(got));
    send_text(&server, 40000);
    record_lengths(&client, got, countof(got));
    static const size_t want[] = { 100, 100, 1000, 1000, 16384, 16384, 5032, 0 };
    ok(memcmp(got, want, sizeof want) == 0, "records begin small and grow: %zu %zu %zu %zu %zu", got[0], got[1], got[2], got[3], got[4]);
    clock_fake(1500, 1500);
    send_text(&server, 2000);
    record_lengths(&client, got, countof(got));
    ok(got[0] == 2000 && got[1] == 0, "no pause yet: %zu", got[0]);
    clock_fake(2001, 2001);
    send_text(&server, 2000);
    record_lengths(&client, got, countof(got));
    ok(got[0] == 100 && got[1] == 100 && got[2] == 1000 && got[3] == 800, "after a pause they begin small again: %zu", got[0]);
    close_pair();
    clock_real();
    tls_context_close(&cx);
    tls_context_close(&contexts[0]);
}

/* What stays in the session's own buffers is told by readable. */
static void test_reading(void)
{
    contexts[0] = server_context(&one, (struct tls_settings) { .protocols = 0 });
    struct tls_context *cx = client_context((struct tls_settings) { .protocols = 0 });
    struct chain out = CHAIN_EMPTY;
    char room[16];
    open_pair(0);
    ok(shake(contexts[0], cx, NULL), "ready");
    chain_add_text(&out, T("0123456789"));
    conn_send(client.c, &out, 4);
    conn_send(client.c, &out, 0);
    server.told = 0;
    loop_turn(0);
    ok(server.told == CONN_READ && !conn_is_quiet(server.c), "told");
    struct io_done d = conn_recv(server.c, room, 3);
    ok(d.how == IO_OK && d.n == 3 && server.c->readable, "3 of a record of 4");
    d = conn_recv(server.c, room, 16);
    ok(d.how == IO_OK && d.n == 7 && memcmp(room, "3456789", 7) == 0, "the rest, over records");
    ok(!server.c->readable && conn_is_quiet(server.c), "drained, without another look");
    ok(conn_recv(client.c, room, 16).how == IO_AGAIN && !client.c->readable && conn_is_quiet(client.c), "tickets are not bytes");
    chain_add_text(&out, T("bye"));
    conn_send(client.c, &out, 0);
    conn_shutdown(client.c);
    loop_turn(0);
    d = conn_recv(server.c, room, 16);
    ok(d.how == IO_OK && d.n == 3 && server.c->readable, "the last bytes");
    d = conn_recv(server.c, room, 16);
    ok(d.how == IO_EOF && !tls_is_truncated(server.c), "the end, told");
    chain_add_text(&out, T("x"));
    ok(conn_send(client.c, &out, 0).how == IO_ERROR, "nothing after our end");
    chain_clear(&out);
    close_pair();

    open_pair(0);
    ok(shake(contexts[0], cx, NULL), "ready");
    shutdown(client.c->fd, SHUT_RDWR);
    loop_turn(0);
    ok(conn_recv(server.c, room, 16).how == IO_EOF && tls_is_truncated(server.c), "an end that was not told");
    close_pair();

    open_pair(0);
    ok(shake(contexts[0], cx, NULL), "ready");
    ok(write(client.c->fd, "\27\3\3\0\50aaaaaaaaaabbbbbbbbbbccccccccccdddddddddd", 45) == 45, "a record that nobody sealed");
    loop_turn(0);
    ok(conn_recv(server.c, room, 16).how == IO_ERROR && server.c->error == EPROTO, "is an error");
    ok(conn_recv(server.c, room, 16).how == IO_ERROR, "and stays one");
    close_pair();
    tls_context_close(&cx);
    tls_context_close(&contexts[0]);
}

static void put_bytes(int fd, struct text t) { if (write(fd, t.p, t.n) != (ssize_t) t.n) abort(); }

static void test_hostile(void)
{
    contexts[0] = server_context(&one, (struct tls_settings) { .protocols = 0 });
    struct tls_context *cx = client_context((struct tls_settings) { .protocols = 0 });
    open_pair(0);
    tls_accept(server.c, contexts[0], nothing, over);
    put_bytes(client.c->fd, T("GET / HTTP/1.1\r\n\r\n"));
    ok(until(server.ended) && server.outcome == TLS_PLAIN, "speaks plainly");
    is_text(server.said, "GET / HTTP/1.1\r\n\r\n", "what it said");
    ok(server.c->ops == &conn_plain && server.c->layer == NULL && server.c->ready == note, "the conn is plain again");
    close_pair();

    /* bytes that came along with a PROXY header */
    open_pair(0);
    tls_accept(server.c, contexts[0], T("GET / HTTP"), over);
    ok(server.ended && server.outcome == TLS_PLAIN, "speaks plainly, at once");
    is_text(server.said, "GET / HTTP", "in bytes that the owner had read");
    close_pair();

    open_pair(0);
    char first[100];
    tls_connect(client.c, cx, &nobody, over);
    ssize_t first_n = read(server.c->fd, first, sizeof(first));
    tls_accept(server.c, contexts[0], text_of(first, (size_t) first_n), over);
    ok(until(server.ended && client.ended) && server.outcome == TLS_READY, "the first %d bytes were read by the owner", (int) first_n);
    close_pair();

    open_pair(0);
    tls_accept(server.c, contexts[0], nothing, over);
    put_bytes(client.c->fd, T("\26\3\1\0\5garbage"));
    ok(until(server.ended) && server.outcome == TLS_FAILED, "garbage");
    close_pair();

    open_pair(0);
    tls_accept(server.c, contexts[0], nothing, over);
    put_bytes(client.c->fd, T("\26\3\1"));
    loop_turn(0);
    ok(!server.ended, "a part of a header: waits");
    timer_set(&server.c->timer, 1);
    ok(until(server.told & CONN_TIMEOUT), "the owner's time is told");
    close_pair();

    open_pair(0);
    tls_accept(server.c, contexts[0], nothing, over);
    conn_close(&client.c);
    ok(until(server.ended) && server.outcome == TLS_FAILED, "closed before it said a thing");
    close_pair();

    /* all of the handshake, byte by byte, through a third party */
    int a[2], b[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, a) != 0 || socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, b) != 0) abort();
    open_side(&server, a[0]);
    open_side(&client, b[0]);
    tls_accept(server.c, contexts[0], nothing, over);
    tls_connect(client.c, cx, &nobody, over);
    char byte;
    for (unsigned i = 0; i < 20000 && !(server.ended && client.ended); i++) {
        if (read(b[1], &byte, 1) == 1) put_bytes(a[1], text_of(&byte, 1));
        if (read(a[1], &byte, 1) == 1) put_bytes(b[1], text_of(&byte, 1));
        loop_turn(0);
    }
    ok(server.ended && server.outcome == TLS_READY && client.ended && client.outcome == TLS_READY, "byte by byte");
    close_pair();
    close(a[1]);
    close(b[1]);
    tls_context_close(&cx);
    tls_context_close(&contexts[0]);
}

/* One connection, long enough for tickets to come; true when it was resumed. */
static bool again(struct tls_context *sx, struct tls_context *cx)
{
    char room[16];
    struct chain out = CHAIN_EMPTY;
    struct tls_target to = { .name = T("one.test"), .session = text_of(saved, saved_n) };
    open_pair(0);
    bool ready = shake(sx, cx, &to);
    if (ready) {
        chain_add_text(&out, T("x"));
        conn_send(server.c, &out, 0);
        until(client.c->readable);
        conn_recv(client.c, room, sizeof(room));
    }
    bool resumed = ready && tls_is_resumed(server.c) && tls_is_resumed(client.c);
    close_pair();
    return resumed;
}

static void test_resumption(unsigned version, bool tickets)
{
    bool reused;
    const char *name = version == TLS_V1_3 ? "TLSv1.3" : "TLSv1.2";
    struct zone *z = shm_open_zone(pool_printf(pool, "unit-%u-%d", version, tickets), 256 * 1024, 1, &reused);
    struct tls_settings s = { .protocols = version, .no_tickets = !tickets, .caching = TLS_CACHE_SHARED, .cache = tls_cache_open(z), .tickets = tls_tickets_shared(z) };
    struct tls_context *cx = client_context((struct tls_settings) { .protocols = version });
    ok(s.cache && s.tickets && tls_cache_open(z) == s.cache && tls_tickets_shared(z) == s.tickets, "in a zone");
    contexts[0] = server_context(&one, s);
    saved_n = saved_count = 0;
    ok(!again(contexts[0], cx) && saved_count > 0, "%s, tickets %d: first", name, tickets);
    ok(again(contexts[0], cx), "%s, tickets %d: resumed", name, tickets);
    tls_context_close(&contexts[0]);
    contexts[0] = server_context(&one, s);
    ok(again(contexts[0], cx), "%s, tickets %d: resumed by another generation's context", name, tickets);
    ok(again(contexts[0], cx), "%s, tickets %d: and again", name, tickets);
    struct tls_cache_figures f = tls_cache_figures(s.cache);
    ok(tickets ? f.found == 0 : f.found >= 3, "%s, tickets %d: the cache found %u", name, tickets, (unsigned) f.found);
    if (tickets) {
        char before[4096];
        size_t before_n = saved_n;
        memcpy(before, saved, saved_n);
        ok(!tls_tickets_rotate(s.tickets, 3600000), "too early for a new key");
        ok(tls_tickets_rotate(s.tickets, 0) && again(contexts[0], cx), "%s: the key before the newest opens", name);
        memcpy(saved, before, before_n);
        saved_n = before_n;
        ok(tls_tickets_rotate(s.tickets, 0) && !again(contexts[0], cx), "%s: older ones do not", name);
    }
    tls_context_close(&contexts[0]);
    s.id = T("another");
    contexts[0] = server_context(&one, s);
    ok(!again(contexts[0], cx), "%s, tickets %d: not for another id", name, tickets);
    tls_context_close(&contexts[0]);
    tls_context_close(&cx);
}

static void test_fixed_tickets(void)
{
    char keys[2][80];
    for (unsigned i = 0; i < 2; i++) memset(keys[i], 'a' + (int) i, 80);
    struct text first[] = { { keys[0], 80 } }, both[] = { { keys[1], 48 }, { keys[0], 80 } }, bad = { keys[0], 47 };
    struct tls_settings s = { .protocols = TLS_V1_2, .tickets = tls_tickets_fixed(pool, first, 1) };
    struct tls_context *cx = client_context((struct tls_settings) { .protocols = TLS_V1_2 });
    ok(!tls_tickets_fixed(pool, &bad, 1), "a key of 47 bytes is none");
    contexts[0] = server_context(&one, s);
    saved_n = 0;
    again(contexts[0], cx);
    ok(again(contexts[0], cx), "keys from files");
    tls_context_close(&contexts[0]);
    s.tickets = tls_tickets_fixed(pool, both, 2);
    contexts[0] = server_context(&one, s);
    ok(again(contexts[0], cx), "the second key opens");
    saved_n = 0;
    again(contexts[0], cx);
    ok(saved_n && again(contexts[0], cx), "a short key seals and opens");
    tls_context_close(&contexts[0]);
    tls_context_close(&cx);
}

static void test_full_cache(void)
{
    bool reused;
    struct zone *z = shm_open_zone(T("unit-full"), 64 * 1024, 1, &reused);
    struct tls_settings s = { .protocols = TLS_V1_2, .no_tickets = true, .caching = TLS_CACHE_SHARED, .cache = tls_cache_open(z) };
    struct tls_context *cx = client_context((struct tls_settings) { .protocols = TLS_V1_2 });
    contexts[0] = server_context(&one, s);
    for (unsigned i = 0; i < 300; i++) {
        saved_n = 0;
        again(contexts[0], cx);
    }
    struct tls_cache_figures f = tls_cache_figures(s.cache);
    ok(f.stored == 300 && f.evicted > 0 && f.now == 300 - f.evicted, "full: the oldest went, %u are kept", f.now);
    ok(again(contexts[0], cx), "the newest is found");
    pid_t child = fork();
    if (child == 0) {
        shm_lock(tls_cache_lock(s.cache));
        _exit(0);
    }
    waitpid(child, NULL, 0);
    ok(again(contexts[0], cx), "a holder of the lock died: mended");
    is_int(tls_cache_figures(s.cache).now, f.now, "nothing is lost");
    clock_fake(clock_now.ms + 400000, clock_now.wall_ms + 400000);
    ok(!again(contexts[0], cx), "not after its time");
    clock_real();
    clock_update();
    tls_context_close(&contexts[0]);
    tls_context_close(&cx);
}

static void count_line(struct log_target *t, enum log_level level, struct text line)
{
    (void) level;
    diag("%.*s", (int) line.n - 1, line.p);
    ++*(unsigned *) t->arg;
}

static void test_bad_settings(void)
{
    unsigned lines = 0;
    struct log_target target = { .level = L_EMERG, .write = count_line, .arg = &lines };
    struct log log = { NULL, L_STDERR };
    log_add_target(&log, &target);
    struct tls_pair good = { one.pem, one.key_pem };
    struct tls_pair bad[] = {
        { T("/nowhere/certificate"), one.key_pem }, { T("data:nonsense"), one.key_pem },
        { one.pem, T("/nowhere/key") }, { one.pem, two.key_pem },
    };
    struct tls_command command = { T("NoSuchThing"), T("on") };
    struct tls_settings wrong[] = {
        { .pairs = &bad[0], .pair_count = 1 }, { .pairs = &bad[1], .pair_count = 1 }, { .pairs = &bad[2], .pair_count = 1 },
        { .pairs = &bad[3], .pair_count = 1 }, { .ciphers = T("nonsense") }, { .curves = T("nonsense") }, { .dhparam = T("/nowhere/dh") },
        { .trusted = T("/nowhere/ca") }, { .client_ca = T("data:") }, { .crl = T("/nowhere/crl") }, { .commands = &command, .command_count = 1 },
    };
    for (unsigned i = 0; i < countof(wrong); i++) {
        lines = 0;
        wrong[i].server = true;
        if (!wrong[i].pairs) { wrong[i].pairs = &good; wrong[i].pair_count = 1; }
        struct tls_context *x = tls_context_open(&wrong[i], &log);
        ok(!x && lines == 1, "wrong settings %u: one line", i);
        tls_context_close(&x);
    }
}

static void to_file(const char *path, struct text data)
{
    FILE *f = fopen(path, "w");
    ASSERT(f);
    fwrite(data.p + 5, 1, data.n - 5, f);
    fclose(f);
}

static long serial_shown(struct tls_context *sx, struct tls_context *cx)
{
    open_pair(0);
    long serial = shake(sx, cx, NULL) ? ASN1_INTEGER_get(X509_get0_serialNumber(SSL_get0_peer_certificate(tls_raw(client.c)))) : -1;
    close_pair();
    return serial;
}

/* A pair is put into shared memory by one process and taken by others; what is wrong with it changes nothing. */
static void test_swaps(void)
{
    unsigned lines = 0;
    struct log_target target = { .level = L_ERR, .write = count_line, .arg = &lines };
    struct log log = { NULL, L_STDERR };
    log_add_target(&log, &target);
    struct zone *z = shm_open_zone(T("swaps"), 16 * 4096, 1, NULL);
    struct tls_swaps *k = tls_swaps_open(z);
    char path[64], key_path[64];
    snprintf(path, sizeof(path), "/tmp/weir-unit-%d.pem", (int) getpid());
    snprintf(key_path, sizeof(key_path), "/tmp/weir-unit-%d.key", (int) getpid());
    to_file(path, one.pem);
    to_file(key_path, one.key_pem);
    struct tls_pair file = { text_c(path), text_c(key_path) };
    struct tls_settings s = { .server = true, .pairs = &file, .pair_count = 1, .swaps = k };
    struct tls_context *sx = tls_context_open(&s, &quiet), *cx = client_context((struct tls_settings) { 0 });
    struct tls_keyring none = { 0 };
    is_int(serial_shown(sx, cx), 2, "swap: the first certificate");
    is_int(tls_swaps_take(k, &log), 0, "swap: nothing new");

    pid_t pid = fork();
    if (pid == 0) _exit(tls_swaps_put(k, file.certificate, &(struct tls_pair) { two.pem, two.key_pem }, &none, &log) ? 0 : 1);
    int status;
    waitpid(pid, &status, 0);
    ok(status == 0, "swap: another process puts another");
    is_int(serial_shown(sx, cx), 2, "swap: not before it is taken");
    is_int(tls_swaps_take(k, &log), 1, "swap: taken");
    is_int(serial_shown(sx, cx), 3, "swap: shown");
    is_int(tls_swaps_take(k, &log), 0, "swap: taken once");

    struct tls_pair wrong[] = { { one.pem, two.key_pem }, { T("/nowhere/c"), one.key_pem }, { one.pem, T("/nowhere/k") }, { T("data:x"), one.key_pem }, { expired.pem, expired.key_pem } };
    for (unsigned i = 0; i < countof(wrong); i++) {
        lines = 0;
        ok(!tls_swaps_put(k, file.certificate, &wrong[i], &none, &log) && lines == 1, "swap: wrong pair %u: one line", i);
        is_int(tls_swaps_take(k, &log), 0, "swap: wrong pair %u: nothing to take", i);
    }
    is_int(serial_shown(sx, cx), 3, "swap: the good one stayed");

    struct tls_context *later = tls_context_open(&s, &quiet);
    is_int(tls_swaps_take(k, &log), 0, "swap: a context made later has what its files say");
    bool all = true;
    for (unsigned i = 0; i < 200; i++) all &= tls_swaps_put(k, file.certificate, &(struct tls_pair) { one.pem, one.key_pem }, &none, &log);
    ok(all, "swap: two hundred times in little memory");
    is_int(tls_swaps_take(k, &log), 2, "swap: both take it");
    is_int(serial_shown(later, cx), 2, "swap: and show it");
    tls_context_close(&later);
    tls_context_close(&sx);
    tls_context_close(&cx);
    unlink(path);
    unlink(key_path);
}

static void test_encrypted_key(void)
{
    struct text passwords[] = { TEXT_INIT("wrong"), TEXT_INIT("right") };
    BIO *b = BIO_new(BIO_s_mem());
    PEM_write_bio_PrivateKey(b, one.key, EVP_aes_256_cbc(), (const unsigned char *) "right", 5, NULL, NULL);
    struct tls_pair pair = { one.pem, pem_of(b) };
    struct tls_settings s = { .server = true, .pairs = &pair, .pair_count = 1, .ring = { .passwords = passwords, .password_count = 2 } };
    struct tls_context *x = tls_context_open(&s, &quiet);
    ok(x != NULL, "an encrypted key, by the second password");
    tls_context_close(&x);
    s.ring.password_count = 1;
    x = tls_context_open(&s, &quiet);
    ok(x == NULL, "not by the first");
}

int main(void)
{
    pool = pool_open(0);
    if (!loop_open(64)) return 1;
    ca = make_identity("unit CA", NULL, 1);
    one = make_identity("one.test", &ca, 2);
    two = make_identity("two.test", &ca, 3);
    client_id = make_identity("someone", &ca, 4);
    expired = make_identity("expired.test", &ca, 5);
    test_handshake(TLS_V1_3, "TLSv1.3");
    test_handshake(TLS_V1_2, "TLSv1.2");
    test_client_certificate();
    test_bytes(TLS_V1_3, 0);
    test_bytes(TLS_V1_2, 1300);
    test_reading();
    test_ramp();
    test_hostile();
    test_resumption(TLS_V1_3, true);
    test_resumption(TLS_V1_3, false);
    test_resumption(TLS_V1_2, true);
    test_resumption(TLS_V1_2, false);
    test_fixed_tickets();
    test_full_cache();
    test_bad_settings();
    test_encrypted_key();
    test_swaps();
    is_int(conn_figures.open, 0, "none left open");
    ok(!log_had(L_ALERT), "no [alert]");
    end_identity(&ca);
    end_identity(&one);
    end_identity(&two);
    end_identity(&client_id);
    end_identity(&expired);
    loop_close();
    pool_close(&pool);
    return done();
}
