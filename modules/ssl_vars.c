/* ssl_vars: a client's TLS session, as variables. */
#include "modules/module.h"
#include "tls/tls.h"
#include "wire/uri.h"
#include <openssl/bio.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <time.h>

static struct conn *conn_of(struct eval *e) { return request_of(e)->conn; }

/* What a row's data points to: how to tell one thing of a session. False: it has none. */
typedef bool tell_fn(struct eval *e, SSL *ssl, struct text *out);
struct teller { tell_fn *tell; };

static bool get_session(struct eval *e, const struct variable *v, struct text name, struct text *out)
{
    const struct teller *t = v->data;
    (void) name;
    return tls_is_on(conn_of(e)) && t->tell(e, tls_raw(conn_of(e)), out) && out->n;
}

/* ---- what was agreed on ---- */

static bool tell_protocol(struct eval *e, SSL *ssl, struct text *out) { (void) ssl; *out = text_c(tls_protocol(conn_of(e))); return true; }
static bool tell_cipher(struct eval *e, SSL *ssl, struct text *out) { (void) ssl; *out = text_c(tls_cipher(conn_of(e))); return true; }
static bool tell_name(struct eval *e, SSL *ssl, struct text *out) { (void) ssl; *out = pool_text(e->pool, tls_name(conn_of(e))); return true; }
static bool tell_alpn(struct eval *e, SSL *ssl, struct text *out) { (void) ssl; *out = tls_alpn(conn_of(e)); return true; }
static bool tell_reused(struct eval *e, SSL *ssl, struct text *out) { (void) e; *out = SSL_session_reused(ssl) ? T("r") : T("."); return true; }

static bool tell_session_id(struct eval *e, SSL *ssl, struct text *out)
{
    const SSL_SESSION *session = SSL_get0_session(ssl);
    unsigned n = 0;
    const unsigned char *id = session ? SSL_SESSION_get_id(session, &n) : NULL;
    struct build b = build_in_pool(e->pool, 2 * n, 0);
    if (n) build_bytes_hex(&b, text_of((const char *) id, n));
    *out = build_done(&b);
    return true;
}

static bool tell_early_data(struct eval *e, SSL *ssl, struct text *out) { (void) ssl; *out = T("1"); return tls_is_early(conn_of(e)); }
static bool tell_sigalg(struct eval *e, SSL *ssl, struct text *out) { (void) ssl; *out = text_c(tls_sigalg(conn_of(e))); return true; }
static bool tell_peer_sigalg(struct eval *e, SSL *ssl, struct text *out) { (void) ssl; *out = text_c(tls_peer_sigalg(conn_of(e))); return true; }
/* Encrypted hellos are taken by no OpenSSL that weir is built with. */
static bool tell_nothing(struct eval *e, SSL *ssl, struct text *out) { (void) e, (void) ssl, (void) out; return false; }

static bool tell_sigalgs(struct eval *e, SSL *ssl, struct text *out)
{
    struct build b = build_in_pool(e->pool, 256, 0);
    unsigned char sign, hash;
    int n = SSL_get_sigalgs(ssl, -1, NULL, NULL, NULL, NULL, NULL);
    for (int i = 0; i < n && SSL_get_sigalgs(ssl, i, NULL, NULL, NULL, &sign, &hash); i++) {
        const char *name = tls_sigalg_name((unsigned) hash << 8 | sign);
        if (b.n) build_char(&b, ':');
        if (name) build_c(&b, name);
        else build_fmt(&b, "0x%02x%02x", hash, sign);
    }
    *out = build_done(&b);
    return true;
}

/* ---- fingerprints ---- */

static bool tell_ja3(struct eval *e, SSL *ssl, struct text *out) { (void) ssl; *out = tls_ja3(conn_of(e)); return true; }
static bool tell_ja4(struct eval *e, SSL *ssl, struct text *out) { (void) ssl; *out = tls_ja4(conn_of(e)); return true; }

static bool tell_ja3_hash(struct eval *e, SSL *ssl, struct text *out)
{
    struct text whole = tls_ja3(conn_of(e));
    unsigned char sum[EVP_MAX_MD_SIZE];
    unsigned n;
    (void) ssl;
    if (!whole.n || EVP_Digest(whole.p, whole.n, sum, &n, EVP_md5(), NULL) != 1) return false;
    struct build b = build_in_pool(e->pool, 2 * n, 0);
    build_bytes_hex(&b, text_of((const char *) sum, n));
    *out = build_done(&b);
    return true;
}

static void add_group(struct build *b, int nid)
{
    const char *name = nid & TLSEXT_nid_unknown ? NULL : OBJ_nid2sn(nid);
    if (b->n) build_char(b, ':');
    if (name) build_c(b, name);
    else build_fmt(b, "0x%04x", (unsigned) nid & 0xffff);
}

static bool tell_curve(struct eval *e, SSL *ssl, struct text *out)
{
    struct build b = build_in_pool(e->pool, 32, 0);
    int nid = (int) SSL_get_negotiated_group(ssl);
    if (nid > 0) add_group(&b, nid);
    *out = build_done(&b);
    return true;
}

static bool tell_curves(struct eval *e, SSL *ssl, struct text *out)
{
    struct build b = build_in_pool(e->pool, 128, 0);
    int n = (int) SSL_get1_groups(ssl, NULL);
    if (n <= 0) return false;
    int *nids = pool_array(e->pool, int, (size_t) n);
    n = (int) SSL_get1_groups(ssl, nids);
    for (int i = 0; i < n; i++) add_group(&b, nids[i]);
    *out = build_done(&b);
    return true;
}

/* What the client can do: names, and numbers where OpenSSL knows no name. */
static bool tell_ciphers(struct eval *e, SSL *ssl, struct text *out)
{
    struct build b = build_in_pool(e->pool, 512, 0);
    unsigned char *list;
    size_t size = SSL_get0_raw_cipherlist(ssl, NULL), n = SSL_get0_raw_cipherlist(ssl, &list);
    for (size_t i = 0; size && i + size <= n; i += size) {
        const SSL_CIPHER *cipher = SSL_CIPHER_find(ssl, list + i);
        if (b.n) build_char(&b, ':');
        if (cipher) {
            build_c(&b, SSL_CIPHER_get_name(cipher));
            continue;
        }
        build_lit(&b, "0x");
        build_bytes_hex(&b, text_of((const char *) list + i, size));
    }
    *out = build_done(&b);
    return true;
}

/* ---- the client's certificate ---- */

/* What a memory BIO holds, copied; the BIO ends. */
static struct text take(struct pool *p, BIO *b)
{
    char *at;
    long n = BIO_get_mem_data(b, &at);
    struct text t = pool_text(p, text_of(at, n > 0 ? (size_t) n : 0));
    BIO_free(b);
    return t;
}

static BIO *room(void)
{
    BIO *b = BIO_new(BIO_s_mem());
    ASSERT(b != NULL);
    return b;
}

static bool tell_raw_cert(struct eval *e, SSL *ssl, struct text *out)
{
    X509 *x = SSL_get0_peer_certificate(ssl);
    if (!x) return false;
    BIO *b = room();
    PEM_write_bio_X509(b, x);
    *out = take(e->pool, b);
    return true;
}

/* As the value of a header line: further lines begin with a tab. */
static bool tell_cert(struct eval *e, SSL *ssl, struct text *out)
{
    struct text raw, line;
    if (!tell_raw_cert(e, ssl, &raw) || !raw.n) return false;
    struct build b = build_in_pool(e->pool, raw.n + 64, 0);
    raw.n--;
    while (text_split(&raw, '\n', &line)) {
        if (b.n) build_lit(&b, "\n\t");
        build_text(&b, line);
    }
    *out = build_done(&b);
    return true;
}

static bool tell_escaped_cert(struct eval *e, SSL *ssl, struct text *out)
{
    struct text raw;
    if (!tell_raw_cert(e, ssl, &raw)) return false;
    struct build b = build_in_pool(e->pool, raw.n * 2, 0);
    uri_escape(&b, raw, URI_ESCAPE_COMPONENT);
    *out = build_done(&b);
    return true;
}

static bool print_name(struct eval *e, const X509_NAME *name, struct text *out)
{
    BIO *b = room();
    X509_NAME_print_ex(b, name, 0, XN_FLAG_RFC2253);
    *out = take(e->pool, b);
    return true;
}

static bool print_legacy(struct eval *e, const X509_NAME *name, struct text *out)
{
    char *line = X509_NAME_oneline(name, NULL, 0);
    if (!line) return false;
    *out = pool_text(e->pool, text_c(line));
    OPENSSL_free(line);
    return true;
}

static bool tell_s_dn(struct eval *e, SSL *ssl, struct text *out)
{
    X509 *x = SSL_get0_peer_certificate(ssl);
    return x && print_name(e, X509_get_subject_name(x), out);
}

static bool tell_i_dn(struct eval *e, SSL *ssl, struct text *out)
{
    X509 *x = SSL_get0_peer_certificate(ssl);
    return x && print_name(e, X509_get_issuer_name(x), out);
}

static bool tell_s_dn_legacy(struct eval *e, SSL *ssl, struct text *out)
{
    X509 *x = SSL_get0_peer_certificate(ssl);
    return x && print_legacy(e, X509_get_subject_name(x), out);
}

static bool tell_i_dn_legacy(struct eval *e, SSL *ssl, struct text *out)
{
    X509 *x = SSL_get0_peer_certificate(ssl);
    return x && print_legacy(e, X509_get_issuer_name(x), out);
}

static bool tell_serial(struct eval *e, SSL *ssl, struct text *out)
{
    X509 *x = SSL_get0_peer_certificate(ssl);
    if (!x) return false;
    BIO *b = room();
    i2a_ASN1_INTEGER(b, X509_get0_serialNumber(x));
    *out = take(e->pool, b);
    return true;
}

static bool tell_fingerprint(struct eval *e, SSL *ssl, struct text *out)
{
    X509 *x = SSL_get0_peer_certificate(ssl);
    unsigned char sum[EVP_MAX_MD_SIZE];
    unsigned n;
    if (!x || !X509_digest(x, EVP_sha1(), sum, &n)) return false;
    struct build b = build_in_pool(e->pool, 2 * n, 0);
    build_bytes_hex(&b, text_of((const char *) sum, n));
    *out = build_done(&b);
    return true;
}

static bool tell_verify(struct eval *e, SSL *ssl, struct text *out)
{
    const char *fault = tls_peer_fault(conn_of(e));
    if (!SSL_get0_peer_certificate(ssl)) *out = T("NONE");
    else *out = fault ? pool_printf(e->pool, "FAILED:%s", fault) : T("SUCCESS");
    return true;
}

static bool print_time(struct eval *e, const ASN1_TIME *t, struct text *out)
{
    BIO *b = room();
    ASN1_TIME_print(b, t);
    *out = take(e->pool, b);
    return true;
}

static bool tell_v_start(struct eval *e, SSL *ssl, struct text *out)
{
    X509 *x = SSL_get0_peer_certificate(ssl);
    return x && print_time(e, X509_get0_notBefore(x), out);
}

static bool tell_v_end(struct eval *e, SSL *ssl, struct text *out)
{
    X509 *x = SSL_get0_peer_certificate(ssl);
    return x && print_time(e, X509_get0_notAfter(x), out);
}

static bool tell_v_remain(struct eval *e, SSL *ssl, struct text *out)
{
    X509 *x = SSL_get0_peer_certificate(ssl);
    struct tm tm;
    if (!x || !ASN1_TIME_to_tm(X509_get0_notAfter(x), &tm)) return false;
    time_t end = timegm(&tm), now = (time_t) (clock_now.wall_ms / 1000);
    *out = end < now + 86400 ? T("0") : pool_printf(e->pool, "%lld", (long long) ((end - now) / 86400));
    return true;
}

#define V(nm, hp) { .name = "ssl_" #nm, .get = get_session, .data = &(const struct teller) { tell_##nm }, .help = hp }
#define C(nm, hp) { .name = "ssl_client_" #nm, .get = get_session, .data = &(const struct teller) { tell_##nm }, .help = hp }

static const struct variable variables[] = {
    V(protocol, "The version of TLS that is spoken."),
    V(cipher, "The cipher that is used."),
    V(ciphers, "The ciphers that the client offered."),
    V(curve, "The curve that keys were agreed on with."),
    V(curves, "The curves that the client offered."),
    { .name = "ssl_server_name", .get = get_session, .data = &(const struct teller) { tell_name }, .help = "The server name that the client asked TLS for." },
    { .name = "ssl_alpn_protocol", .get = get_session, .data = &(const struct teller) { tell_alpn }, .help = "The protocol above TLS that was agreed on." },
    V(session_id, "The id of the session, in hex."),
    { .name = "ssl_session_reused", .get = get_session, .data = &(const struct teller) { tell_reused }, .help = "\"r\" when the session is one of before, else \".\"." },
    { .name = "ssl_early_data", .flags = VAR_NO_CACHE, .get = get_session, .data = &(const struct teller) { tell_early_data }, .help = "\"1\" when the request came as early data of TLS 1.3 and the handshake is not complete yet: it may be a replay." },
    V(sigalg, "The signature scheme that the handshake was signed with."),
    V(sigalgs, "The signature schemes that the client offered."),
    { .name = "ssl_client_sigalg", .get = get_session, .data = &(const struct teller) { tell_peer_sigalg }, .help = "The signature scheme that the client signed with, when it showed a certificate." },
    { .name = "ssl_ech_status", .get = get_session, .data = &(const struct teller) { tell_nothing }, .help = "What came of an encrypted client hello; none, where OpenSSL does not know them." },
    { .name = "ssl_ech_outer_server_name", .get = get_session, .data = &(const struct teller) { tell_nothing }, .help = "The server name outside of an encrypted client hello; none, where OpenSSL does not know them." },
    V(ja3, "The client's hello as JA3 writes it: version, ciphers, extensions, groups and point formats, without GREASE."),
    V(ja3_hash, "The JA3 fingerprint of the client's hello: the MD5 sum of $ssl_ja3."),
    V(ja4, "The JA4 fingerprint of the client's hello."),
    C(cert, "The client's certificate in PEM, each line but the first after a tab."),
    C(raw_cert, "The client's certificate in PEM."),
    C(escaped_cert, "The client's certificate in PEM, escaped as in a uri."),
    C(s_dn, "The subject of the client's certificate, as RFC 2253 writes it."),
    C(i_dn, "The issuer of the client's certificate, as RFC 2253 writes it."),
    C(s_dn_legacy, "The subject of the client's certificate, in one line as OpenSSL once wrote it."),
    C(i_dn_legacy, "The issuer of the client's certificate, in one line as OpenSSL once wrote it."),
    C(serial, "The serial number of the client's certificate."),
    C(fingerprint, "The SHA-1 sum of the client's certificate."),
    C(verify, "Whether the client's certificate is good: SUCCESS, FAILED with the reason, or NONE where there is none."),
    C(v_start, "When the client's certificate begins to be good."),
    C(v_end, "When the client's certificate ends to be good."),
    C(v_remain, "How many days the client's certificate is still good."),
    { .name = NULL },
};

/* They cost something in each handshake. */
static conf_result finish(struct conf *cf, void *values)
{
    static const struct text names[] = { TEXT_INIT("ssl_ja3"), TEXT_INIT("ssl_ja3_hash"), TEXT_INIT("ssl_ja4") };
    (void) values;
    for (size_t i = 0; i < countof(names); i++)
        if (variables_are_used(variables_of(cf, EVAL_HTTP), names[i])) tls_want_fingerprints();
    return NULL;
}

static const struct http_part part = { .variables = variables };

struct module ssl_vars_module = { .name = "http_ssl_variables", .finish = finish, .part = &part, .part_kind = &http_part_kind };
