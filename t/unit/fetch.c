/* fetch against servers that answer well, late, wrongly, too much or not at all; all in one loop. */
#include "http/fetch.h"
#include "t/unit/tap.h"
#include <arpa/inet.h>
#include <errno.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <sys/socket.h>
#include <sys/un.h>

static struct pool *pool;
static struct log quiet = { NULL, L_STDERR };

/* ---- the server: what each connection gets for a request ---- */

struct script {
    struct text answer;          /* once a whole request came; empty: nothing */
    size_t      piece;           /* bytes a turn; 0: all at once */
    bool        close;           /* after the answer */
    bool        close_early;     /* as soon as it was accepted */
    bool        close_second;    /* instead of answering a second request */
};
static struct script script;

struct peer { struct conn *c; char said[8192]; size_t n, at; unsigned requests; bool answering; };
static struct peer peers[16];
static unsigned accepted;
static int listening = -1;
static struct tls_context *server_context;

static char last_request[8193];

static size_t request_end(const struct peer *p)
{
    struct text t = text_of(p->said, p->n);
    ssize_t end = text_find(t, T("\r\n\r\n"));
    if (end < 0) return 0;
    ssize_t length = text_find(text_upto(t, (size_t) end), T("Content-Length: "));
    size_t body = length < 0 ? 0 : (size_t) atoi(p->said + length + 16);
    return p->n >= (size_t) end + 4 + body ? (size_t) end + 4 + body : 0;
}

static void answer(struct peer *p)
{
    size_t n = script.answer.n - p->at;
    if (script.piece) n = min_of(n, script.piece);
    struct chain out = CHAIN_EMPTY;
    chain_add_copy(&out, text_of(script.answer.p + p->at, n));
    p->at += n;
    struct io_done sent = conn_send(p->c, &out, 0);
    chain_clear(&out);
    bool over = p->at == script.answer.n;
    if (over) p->answering = false;
    if (sent.how == IO_ERROR || (over && script.close)) conn_close(&p->c);
}

static void peer_ready(struct conn *c, unsigned what)
{
    struct peer *p = c->owner;
    (void) what;
    while (p->c && c->readable) {
        if (p->n == sizeof p->said) p->n = 0;
        struct io_done got = conn_recv(c, p->said + p->n, sizeof p->said - p->n);
        if (got.how == IO_AGAIN) break;
        if (got.how != IO_OK) {
            conn_close(&p->c);
            return;
        }
        p->n += got.n;
    }
    if (!p->answering && request_end(p)) {
        p->requests++;
        if (script.close_second && p->requests == 2) {
            conn_close(&p->c);
            return;
        }
        p->answering = true;
        p->at = 0;
        memset(last_request, 0, sizeof last_request);
        memcpy(last_request, p->said, min_of(p->n, sizeof last_request - 1));
        p->n = 0;
    }
}

static void shaken(struct conn *c, enum tls_outcome outcome, struct text said)
{
    struct peer *p = c->owner;
    (void) said;
    if (outcome != TLS_READY) conn_close(&p->c);
    else conn_wake(c, CONN_READ);
}

static void serve(void)
{
    int fd = accept4(listening, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd >= 0) {
        struct peer *p = &peers[accepted++ % countof(peers)];
        *p = (struct peer) { .c = conn_open(fd, &quiet) };
        p->c->owner = p;
        p->c->ready = peer_ready;
        if (script.close_early) conn_close(&p->c);
        else if (server_context) tls_accept(p->c, server_context, (struct text) { NULL, 0 }, shaken);
    }
    for (size_t i = 0; i < countof(peers); i++) {
        struct peer *p = &peers[i];
        if (p->c && p->answering && script.answer.n) answer(p);
    }
}

static void clear_peers(void)
{
    for (size_t i = 0; i < countof(peers); i++) conn_close(&peers[i].c);
    loop_turn(0);
    accepted = 0;
    memset(peers, 0, sizeof peers);
}

#define until(check) ({ unsigned left_ = 5000; while (!(check) && left_--) { serve(); loop_turn(1); } (check); })

/* ---- the client ---- */

static struct addr here;
static enum fetch_end ended;
static unsigned told;
static struct fetch *given;

static void note(struct fetch *f, enum fetch_end how)
{
    ended = how;
    given = f;
    told++;
}

static struct fetch_want usual(void)
{
    return (struct fetch_want) { .to = &here, .deadline_ms = 2000, .done = note };
}

static struct fetch *run(const struct fetch_want *w)
{
    unsigned before = told;
    struct fetch *f = fetch_start(w);
    if (told != before) ok(false, "done is not called from within fetch_start");
    until(told != before);
    return f;
}

static struct fetch *ask(struct fetch_want w, struct script s)
{
    clear_peers();
    script = s;
    return run(&w);
}

static void listen_here(void)
{
    listening = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    struct sockaddr_in sa = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t n = sizeof sa;
    if (bind(listening, (struct sockaddr *) &sa, n) != 0 || listen(listening, 16) != 0 || getsockname(listening, (struct sockaddr *) &sa, &n) != 0) abort();
    here.in = sa;
}

/* ---- good answers ---- */

static const struct { const char *name, *answer, *body; unsigned status; bool close; } good[] = {
    { "a length", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-A: b\r\n\r\nhello", "hello", 200, false },
    { "no body", "HTTP/1.1 204 No Content\r\n\r\n", "", 204, false },
    { "chunks", "HTTP/1.1 404 Not Found\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n4;x=y\r\ndefg\r\n0\r\nX-T: 1\r\n\r\n", "abcdefg", 404, false },
    { "until close", "HTTP/1.0 200 OK\r\n\r\nall that comes", "all that comes", 200, true },
    { "interim answers", "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 500 No\r\nContent-Length: 2\r\n\r\nno", "no", 500, false },
};

static void test_good(size_t piece)
{
    for (size_t i = 0; i < countof(good); i++) {
        struct fetch *f = ask(usual(), (struct script) { .answer = text_c(good[i].answer), .piece = piece, .close = good[i].close });
        is_int(ended, FETCH_DONE, "%s, by %zu: an answer", good[i].name, piece);
        is_int(f->status, good[i].status, "%s: status", good[i].name);
        is_same(f->body, text_c(good[i].body), "%s: body", good[i].name);
        is_int(fields_find(&f->fields, FIELD_LINK) != NULL, 0, "%s: no field of interim answers", good[i].name);
        fetch_close(&f);
        ok(f == NULL, "%s: closed", good[i].name);
    }
}

static void test_request(void)
{
    static const struct field fields[] = { { TEXT_INIT("Content-Type"), TEXT_INIT("application/jose+json"), 0, false, false }, { TEXT_INIT("X-B"), TEXT_INIT("c d"), 0, false, false } };
    struct fetch_want w = usual();
    w.method = T("POST");
    w.target = T("/a?b=c");
    w.host = T("acme.test");
    w.fields = fields;
    w.field_count = 2;
    w.body = T("{}");
    struct fetch *f = ask(w, (struct script) { .answer = T("HTTP/1.1 201 Created\r\nLocation: /x\r\nContent-Length: 0\r\n\r\n") });
    is_int(f->status, 201, "created");
    is_str(last_request, "POST /a?b=c HTTP/1.1\r\nHost: acme.test\r\nConnection: close\r\nContent-Type: application/jose+json\r\nX-B: c d\r\nContent-Length: 2\r\n\r\n{}",
           "the request as it went");
    is_same(fields_find(&f->fields, FIELD_LOCATION)->value, T("/x"), "a field of the answer");
    fetch_close(&f);

    static const struct field own[] = { { TEXT_INIT("Host"), TEXT_INIT("h"), 0, false, false }, { TEXT_INIT("Connection"), TEXT_INIT("x"), 0, false, false } };
    w = usual();
    w.version = 1000;
    w.fields = own;
    w.field_count = 2;
    f = ask(w, (struct script) { .answer = T("HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n") });
    is_str(last_request, "GET / HTTP/1.0\r\nHost: h\r\nConnection: x\r\n\r\n", "fields in place of ours, HTTP/1.0");
    fetch_close(&f);

    w = usual();
    w.method = T("HEAD");
    f = ask(w, (struct script) { .answer = T("HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n") });
    ok(ended == FETCH_DONE && f->status == 200 && !f->body.n, "HEAD has no body");
    fetch_close(&f);

    size_t big = 4 << 20;
    char *room = base_alloc(big);
    memset(room, 'x', big);
    w = usual();
    w.method = T("PUT");
    w.body = text_of(room, big);
    clear_peers();
    script = (struct script) { .answer = T("HTTP/1.1 413 No\r\nContent-Length: 0\r\n\r\n"), .close = true };
    unsigned before = told;
    f = fetch_start(&w);
    until(accepted && peers[0].n);
    peers[0].answering = true;       /* before the request is whole */
    until(told != before);
    ok(ended == FETCH_DONE && f->status == 413, "an answer before the request was sent in full: %s", f->why);
    fetch_close(&f);
    free(room);
}

/* ---- bad answers ---- */

static const struct { const char *name, *answer; bool close; enum fetch_end end; const char *why; } wrong[] = {
    { "garbage", "SSH-2.0-OpenSSH_9.2\r\n", false, FETCH_BAD, "the answer has invalid status line" },
    { "a bad field", "HTTP/1.1 200 OK\r\nX A: b\r\n\r\n", false, FETCH_BAD, NULL },
    { "two lengths", "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab", false, FETCH_BAD, "the answer has duplicate \"Content-Length\" header" },
    { "bad chunks", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n", false, FETCH_BAD, "the answer has invalid chunk size" },
    { "an upgrade", "HTTP/1.1 101 Switching\r\nUpgrade: x\r\n\r\n", false, FETCH_BAD, "the answer has an upgrade that was not asked for" },
    { "closed in the head", "HTTP/1.1 200 OK\r\nConte", true, FETCH_BROKEN, "the connection was closed before the answer was complete" },
    { "closed in a length", "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc", true, FETCH_BROKEN, "the connection was closed before the answer was complete" },
    { "closed in chunks", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n", true, FETCH_BROKEN, NULL },
    { "interim for ever", "HTTP/1.1 100 A\r\n\r\nHTTP/1.1 100 A\r\n\r\nHTTP/1.1 100 A\r\n\r\nHTTP/1.1 100 A\r\n\r\nHTTP/1.1 100 A\r\n\r\nHTTP/1.1 100 A\r\n\r\n"
                          "HTTP/1.1 100 A\r\n\r\nHTTP/1.1 100 A\r\n\r\nHTTP/1.1 100 A\r\n\r\nHTTP/1.1 100 A\r\n\r\nHTTP/1.1 100 A\r\n\r\nHTTP/1.1 100 A\r\n\r\n"
                          "HTTP/1.1 100 A\r\n\r\nHTTP/1.1 100 A\r\n\r\nHTTP/1.1 100 A\r\n\r\nHTTP/1.1 100 A\r\n\r\nHTTP/1.1 100 A\r\n\r\nHTTP/1.1 100 A\r\n\r\n", false, FETCH_BAD, "too many interim answers" },
};

static void test_wrong(size_t piece)
{
    for (size_t i = 0; i < countof(wrong); i++) {
        struct fetch *f = ask(usual(), (struct script) { .answer = text_c(wrong[i].answer), .piece = piece, .close = wrong[i].close });
        is_int(ended, wrong[i].end, "%s, by %zu", wrong[i].name, piece);
        if (wrong[i].why) is_str(f->why, wrong[i].why, "%s: the words", wrong[i].name);
        fetch_close(&f);
    }
}

static void test_large(void)
{
    struct fetch_want w = usual();
    w.body_most = 8;
    struct fetch *f = ask(w, (struct script) { .answer = T("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n123456789") });
    ok(ended == FETCH_LARGE, "a body above its limit");
    is_str(f->why, "the answer's body is larger than 8 bytes", "the words");
    fetch_close(&f);
    f = ask(w, (struct script) { .answer = T("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n6\r\n123456\r\n6\r\n789012\r\n0\r\n\r\n"), .piece = 7 });
    is_int(ended, FETCH_LARGE, "chunks above the limit");
    fetch_close(&f);
    f = ask(w, (struct script) { .answer = T("HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\n12345678") });
    ok(ended == FETCH_DONE && f->body.n == 8 && !f->is_cut, "a body at its limit");
    fetch_close(&f);
    w.cut = true;
    f = ask(w, (struct script) { .answer = T("HTTP/1.1 200 OK\r\n\r\n123456789012345678901234567890") });
    ok(ended == FETCH_DONE && f->is_cut, "the beginning of a longer one is enough");
    is_text(f->body, "12345678", "so much of it");
    fetch_close(&f);
    w = usual();
    w.head_most = 64;
    f = ask(w, (struct script) { .answer = T("HTTP/1.1 200 OK\r\nX-Long: 0123456789012345678901234567890123456789012345678901234567890123456789\r\n\r\n") });
    is_int(ended, FETCH_LARGE, "a head above its limit");
    fetch_close(&f);
}

static void test_slow(void)
{
    struct fetch_want w = usual();
    w.deadline_ms = 60;
    struct fetch *f = ask(w, (struct script) { .answer = { NULL, 0 } });
    is_int(ended, FETCH_TIMEOUT, "no answer: the deadline");
    is_str(f->why, "timed out while waiting for the answer's head", "the words");
    fetch_close(&f);
    w = usual();
    w.read_ms = 40;
    f = ask(w, (struct script) { .answer = { NULL, 0 } });
    is_int(ended, FETCH_TIMEOUT, "no answer: the time between reads");
    fetch_close(&f);
    w = usual();
    w.deadline_ms = 80;
    f = ask(w, (struct script) { .answer = T("HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n01234567890123456789012345678901234567890123456789012345678901234567890123456789"
                                             "01234567890123456789012345678901234567890123456789012345678901234567890123456789"), .piece = 1 });
    is_int(ended, FETCH_TIMEOUT, "drop by drop: the deadline");
    is_str(f->why, "timed out while reading the answer's body", "the words");
    fetch_close(&f);
}

static void test_unreached(void)
{
    struct fetch *f = ask(usual(), (struct script) { .close_early = true });
    is_int(ended, FETCH_BROKEN, "closed at once: %s", f->why);
    fetch_close(&f);
    struct addr nobody = here;
    int fd = socket(AF_INET, SOCK_STREAM, 0);      /* a port that nobody listens on */
    nobody.in.sin_port = 0;
    socklen_t n = sizeof nobody.in;
    if (bind(fd, &nobody.sa, n) != 0 || getsockname(fd, &nobody.sa, &n) != 0) abort();
    struct fetch_want w = usual();
    w.to = &nobody;
    f = ask(w, (struct script) { 0 });
    is_int(ended, FETCH_UNREACHED, "refused");
    is_str(f->why, "connect() failed (111: Connection refused)", "the words");
    fetch_close(&f);
    close(fd);
    struct addr path = { .un = { AF_UNIX, "/nowhere/at/all" } };
    w.to = &path;
    f = ask(w, (struct script) { 0 });
    is_int(ended, FETCH_UNREACHED, "no such socket: %s", f->why);
    fetch_close(&f);
    w = usual();
    w.target = T("/a\r\nX: y");
    f = ask(w, (struct script) { .answer = text_c(good[0].answer) });
    ok(ended == FETCH_BAD && accepted == 0, "what cannot be sent is not: %s", f->why);
    fetch_close(&f);
}

/* ---- ends and keeps ---- */

static void close_it(struct fetch *f, enum fetch_end how)
{
    note(f, how);
    fetch_close(&f);
}

static void test_close(void)
{
    struct fetch_want w = usual();
    script = (struct script) { .answer = text_c(good[2].answer), .piece = 9 };
    for (unsigned turns = 0; turns < 24; turns++) {
        clear_peers();
        unsigned before = told;
        struct fetch *f = fetch_start(&w);
        for (unsigned i = 0; i < turns && told == before; i++) {
            serve();
            loop_turn(1);
        }
        before = told;
        fetch_close(&f);
        for (unsigned i = 0; i < 3; i++) loop_turn(0);
        if (told != before) ok(false, "done after fetch_close");
    }
    clear_peers();
    is_int(conn_figures.open, 0, "given up at any turn: no connection is left");
    w.done = close_it;
    ask(w, (struct script) { .answer = text_c(good[0].answer) });
    is_int(ended, FETCH_DONE, "closed from within done");
    fetch_close(&(struct fetch *) { NULL });
}

static void test_kept(void)
{
    struct fetch_kept kept = { NULL, 0 };
    struct fetch_want w = usual();
    w.kept = &kept;
    w.keepalive_ms = 60000;
    struct fetch *f = ask(w, (struct script) { .answer = text_c(good[0].answer) });
    ok(kept.conn != NULL, "kept");
    fetch_close(&f);
    ok(text_find(text_c(last_request), T("Connection: keep-alive")) > 0, "and said so");
    f = run(&w);
    ok(ended == FETCH_DONE && accepted == 1 && kept.conn, "used again");
    fetch_close(&f);
    conn_close(&peers[0].c);
    until(kept.conn == NULL);
    ok(kept.conn == NULL, "closed by the peer: it goes");
    f = run(&w);
    ok(ended == FETCH_DONE && accepted == 2, "a new one");
    fetch_close(&f);
    script.close_second = true;
    f = run(&w);
    ok(ended == FETCH_DONE && accepted == 3, "closed when it was asked again: asked once more on a new one");
    fetch_close(&f);
    w.method = T("POST");
    f = run(&w);
    ok(ended == FETCH_BROKEN && accepted == 3 && !kept.conn, "but not what may be done only once");
    fetch_close(&f);

    w.method = T("GET");
    static const char *const last[] = { "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 1\r\n\r\na", "HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\na",
                                        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nab" };
    for (size_t i = 0; i < countof(last); i++) {
        f = ask(w, (struct script) { .answer = text_c(last[i]) });
        ok(ended == FETCH_DONE && !kept.conn, "not kept, case %zu", i);
        fetch_close(&f);
    }
    w.keepalive_ms = 30;
    f = ask(w, (struct script) { .answer = text_c(good[0].answer) });
    ok(kept.conn != NULL, "kept for a while");
    fetch_close(&f);
    until(!kept.conn);
    ok(kept.conn == NULL, "and no longer");
    clear_peers();
    is_int(conn_figures.open, 0, "no connection is left");
}

/* ---- TLS ---- */

static struct text pem_of(BIO *b)
{
    char *p;
    long n = BIO_get_mem_data(b, &p);
    struct text t = pool_printf(pool, "data:%.*s", (int) n, p);
    BIO_free(b);
    return t;
}

/* A certificate for name that signs itself. */
static struct tls_pair make_pair(const char *name)
{
    X509 *x = X509_new();
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509_set_version(x, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(x), 1);
    X509_gmtime_adj(X509_getm_notBefore(x), -3600);
    X509_gmtime_adj(X509_getm_notAfter(x), 86400);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(x), "CN", MBSTRING_ASC, (const unsigned char *) name, -1, -1, 0);
    X509_set_issuer_name(x, X509_get_subject_name(x));
    X509_set_pubkey(x, key);
    X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, pool_printf(pool, "DNS:%s,IP:127.0.0.1", name).p);
    X509_add_ext(x, e, -1);
    X509_EXTENSION_free(e);
    X509_sign(x, key, EVP_sha256());
    BIO *b = BIO_new(BIO_s_mem()), *k = BIO_new(BIO_s_mem());
    PEM_write_bio_X509(b, x);
    PEM_write_bio_PrivateKey(k, key, NULL, NULL, 0, NULL, NULL);
    X509_free(x);
    EVP_PKEY_free(key);
    return (struct tls_pair) { pem_of(b), pem_of(k) };
}

static void ask_tls(const struct fetch_trust *t, const char *name, enum fetch_end want, const char *why)
{
    struct tls_context *x = fetch_context(t, &quiet);
    struct fetch_want w = usual();
    w.tls = x;
    w.tls_name = text_c(name);
    struct fetch *f = ask(w, (struct script) { .answer = text_c(good[2].answer), .piece = 11 });
    is_int(ended, want, "TLS with %s", name);
    if (why) ok(strstr(f->why, why) != NULL, "the words: %s", f->why);
    else is_int(f->status, 404, "TLS with %s: an answer", name);
    fetch_close(&f);
    clear_peers();
    tls_context_close(&x);
}

static void test_tls(void)
{
    struct tls_pair good_pair = make_pair("one.test"), other = make_pair("two.test");
    struct tls_settings s = { .server = true, .pairs = &good_pair, .pair_count = 1 };
    server_context = tls_context_open(&s, &quiet);
    struct fetch_trust t = { .ca = good_pair.certificate };
    ask_tls(&t, "one.test", FETCH_DONE, NULL);
    ask_tls(&t, "127.0.0.1", FETCH_DONE, NULL);
    ask_tls(&t, "two.test", FETCH_UNREACHED, "upstream SSL certificate does not match \"two.test\"");
    ask_tls(&(struct fetch_trust) { .ca = other.certificate }, "one.test", FETCH_UNREACHED, "certificate verify error");
    ask_tls(&(struct fetch_trust) { .anybody = false }, "one.test", FETCH_UNREACHED, "certificate verify error");
    ask_tls(&(struct fetch_trust) { .anybody = true }, "three.test", FETCH_DONE, NULL);
    tls_context_close(&server_context);
    s = (struct tls_settings) { .server = true, .pairs = &good_pair, .pair_count = 1, .verify = TLS_VERIFY_ON, .client_ca = other.certificate };
    server_context = tls_context_open(&s, &quiet);
    t.certificate = other.certificate;
    t.key = other.key;
    ask_tls(&t, "one.test", FETCH_DONE, NULL);
    tls_context_close(&server_context);
    struct fetch_want w = usual();
    struct tls_context *x = fetch_context(&t, &quiet);
    w.tls = x;
    struct fetch *f = ask(w, (struct script) { .answer = text_c(good[0].answer) });
    w.deadline_ms = 50;
    ok(ended == FETCH_TIMEOUT || ended == FETCH_UNREACHED, "who does not speak TLS: %s", f->why);
    fetch_close(&f);
    clear_peers();
    tls_context_close(&x);
    is_int(conn_figures.open, 0, "no connection is left");
}

int main(void)
{
    pool = pool_open(0);
    log_main = &quiet;
    if (!loop_open(64)) return 1;
    listen_here();
    test_good(0);
    test_good(1);
    test_request();
    test_wrong(0);
    test_wrong(1);
    test_large();
    test_slow();
    test_unreached();
    test_close();
    test_kept();
    test_tls();
    clear_peers();
    close(listening);
    loop_close();
    pool_close(&pool);
    return done();
}
