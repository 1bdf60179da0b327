/* acme: what is signed, what is asked for, and what servers may answer. */
#include "modules/acme.h"
#include "t/unit/tap.h"
#include "wire/base64.h"
#include <openssl/core_names.h>
#include <openssl/ecdsa.h>
#include <openssl/pem.h>
#include <openssl/param_build.h>
#include <openssl/x509v3.h>

static struct pool *pool;

static struct text decode(struct text t)
{
    struct build b = build_in_pool(pool, t.n + 1, 0);
    return base64_decode(&b, t, true) ? build_done(&b) : T("?");
}

static json_t *object(struct text t) { return json_loadb(t.p, t.n, 0, NULL); }
static struct text member(const json_t *j, const char *name) { return text_c(json_string_value(json_object_get(j, name))); }

/* ---- RFC 7638 3.1 ---- */

static void test_thumbprint(void)
{
    struct text n = decode(T("0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-"
                             "65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw"));
    BIGNUM *modulus = BN_bin2bn((const unsigned char *) n.p, (int) n.n, NULL);
    OSSL_PARAM_BLD *parts = OSSL_PARAM_BLD_new();
    OSSL_PARAM_BLD_push_BN(parts, OSSL_PKEY_PARAM_RSA_N, modulus);
    OSSL_PARAM_BLD_push_uint(parts, OSSL_PKEY_PARAM_RSA_E, 65537);
    OSSL_PARAM *params = OSSL_PARAM_BLD_to_param(parts);
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, "RSA", NULL);
    EVP_PKEY *key = NULL;
    EVP_PKEY_fromdata_init(ctx);
    EVP_PKEY_fromdata(ctx, &key, EVP_PKEY_PUBLIC_KEY, params);
    struct build b = build_in_pool(pool, 0, 0);
    ok(acme_jws_authorization(key, T("token"), &b), "an authorization");
    is_text(build_done(&b), "token.NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs", "with the RFC's thumbprint");
    EVP_PKEY_free(key);
    EVP_PKEY_CTX_free(ctx);
    OSSL_PARAM_free(params);
    OSSL_PARAM_BLD_free(parts);
    BN_free(modulus);
}

/* ---- signatures, verified by OpenSSL ---- */

static bool verify(EVP_PKEY *key, const char *digest, struct text input, struct text raw, size_t coordinate)
{
    unsigned char der[256], *p = der;
    struct text signature = raw;
    if (coordinate) {
        ECDSA_SIG *s = ECDSA_SIG_new();
        ECDSA_SIG_set0(s, BN_bin2bn((const unsigned char *) raw.p, (int) coordinate, NULL), BN_bin2bn((const unsigned char *) raw.p + coordinate, (int) coordinate, NULL));
        int n = i2d_ECDSA_SIG(s, &p);
        signature = text_of((char *) der, (size_t) n);
        ECDSA_SIG_free(s);
    }
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    bool good = EVP_DigestVerifyInit_ex(ctx, NULL, digest, NULL, NULL, key, NULL) == 1
        && EVP_DigestVerify(ctx, (const unsigned char *) signature.p, signature.n, (const unsigned char *) input.p, input.n) == 1;
    EVP_MD_CTX_free(ctx);
    return good;
}

static void test_signature(EVP_PKEY *key, const char *alg, const char *digest, size_t coordinate)
{
    struct build b = build_in_pool(pool, 0, 0);
    is_str(acme_jws_alg(key), alg, "%s: its algorithm", alg);
    ok(acme_jws_sign(key, T(""), T("nonce1"), T("https://ca.test/a?\"b"), T("{\"x\":1}"), &b), "%s: signed", alg);
    json_t *j = object(build_done(&b)), *header = object(decode(member(j, "protected")));
    ok(j && header, "%s: JSON", alg);
    is_text(decode(member(j, "payload")), "{\"x\":1}", "%s: the payload", alg);
    is_str(json_string_value(json_object_get(header, "alg")), alg, "%s: alg", alg);
    is_text(member(header, "url"), "https://ca.test/a?\"b", "%s: url", alg);
    is_text(member(header, "nonce"), "nonce1", "%s: nonce", alg);
    ok(json_object_get(header, "jwk") && !json_object_get(header, "kid"), "%s: the key itself", alg);
    struct text input = pool_printf(pool, "%s.%s", json_string_value(json_object_get(j, "protected")), json_string_value(json_object_get(j, "payload")));
    ok(verify(key, digest, input, decode(member(j, "signature")), coordinate), "%s: the signature is good", alg);
    json_decref(j);
    json_decref(header);
    b = build_in_pool(pool, 0, 0);
    ok(acme_jws_sign(key, T("https://ca.test/me"), T("n"), T("https://ca.test/"), T(""), &b), "%s: POST-as-GET", alg);
    j = object(build_done(&b));
    header = object(decode(member(j, "protected")));
    is_text(member(j, "payload"), "", "%s: an empty payload", alg);
    is_text(member(header, "kid"), "https://ca.test/me", "%s: by its account", alg);
    ok(!json_object_get(header, "jwk"), "%s: without the key", alg);
    json_decref(j);
    json_decref(header);
}

static void test_signatures(void)
{
    static const struct { const char *kind, *alg, *digest; size_t coordinate; } all[] = {
        { "ecdsa:256", "ES256", "SHA256", 32 }, { "ecdsa:384", "ES384", "SHA384", 48 }, { "ecdsa:521", "ES512", "SHA512", 66 }, { "rsa:2048", "RS256", "SHA256", 0 },
    };
    for (size_t i = 0; i < countof(all); i++) {
        EVP_PKEY *key = acme_key_make(acme_kind_read(text_c(all[i].kind)));
        struct acme_bytes pem = acme_key_write(key);
        EVP_PKEY *again = acme_key_read(acme_bytes_text(pem));
        ok(again && EVP_PKEY_eq(key, again) == 1, "%s: written and read", all[i].kind);
        test_signature(again, all[i].alg, all[i].digest, all[i].coordinate);
        acme_bytes_end(&pem);
        EVP_PKEY_free(again);
        EVP_PKEY_free(key);
    }
    EVP_PKEY *ed = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519"), *odd = EVP_PKEY_Q_keygen(NULL, NULL, "X25519");
    test_signature(ed, "EdDSA", NULL, 0);
    ok(acme_jws_alg(odd) == NULL, "a key that does not sign");
    struct build b = build_in_pool(pool, 0, 0);
    ok(!acme_jws_sign(odd, T("k"), T("n"), T("u"), T(""), &b), "and is not made to");
    b = build_in_pool(pool, 0, 0);
    ok(acme_jws_bind(ed, T("kid-1"), T("secret"), T("https://ca.test/new"), &b), "bound to another account");
    json_t *j = object(build_done(&b)), *header = object(decode(member(j, "protected"))), *payload = object(decode(member(j, "payload")));
    is_text(member(header, "alg"), "HS256", "HS256");
    is_text(member(header, "kid"), "kid-1", "its kid");
    ok(!json_object_get(header, "nonce"), "no nonce");
    is_text(member(payload, "crv"), "Ed25519", "our key");
    json_decref(j);
    json_decref(header);
    json_decref(payload);
    EVP_PKEY_free(ed);
    EVP_PKEY_free(odd);
}

/* ---- certificates ---- */

static void test_certificates(void)
{
    struct acme_name list[3];
    struct acme_names names = { list, 3, 3 };
    struct acme_facts f;
    unsigned char digest[32] = { 1, 2, 3 };
    ok(!acme_name_read(pool, T("A.Test."), &list[0]) && text_eq(list[0].text, T("a.test")), "a name, in lower case, without the last dot");
    ok(!acme_name_read(pool, T("127.0.0.1"), &list[1]) && list[1].ip, "an address");
    ok(!acme_name_read(pool, T("[2001:DB8:0::1]"), &list[2]) && text_eq(list[2].text, T("2001:db8::1")), "a longer one, as it is usually written");
    EVP_PKEY *key = acme_key_make(acme_kind_read(T("ecdsa"))), *other = acme_key_make(acme_kind_read(T("ecdsa")));
    struct build b = build_in_pool(pool, 0, 0), pem = build_in_pool(pool, 0, 0);
    ok(acme_key_request(key, &names, true, &b), "a request");
    const unsigned char *p = (const unsigned char *) b.p;
    X509_REQ *r = d2i_X509_REQ(NULL, &p, (long) b.n);
    ok(r && X509_REQ_verify(r, key) == 1, "signed by the key");
    STACK_OF(X509_EXTENSION) *extensions = X509_REQ_get_extensions(r);
    GENERAL_NAMES *asked = X509V3_get_d2i(extensions, NID_subject_alt_name, NULL, NULL);
    is_int(sk_GENERAL_NAME_num(asked), 3, "for all names");
    sk_GENERAL_NAME_pop_free(asked, GENERAL_NAME_free);
    sk_X509_EXTENSION_pop_free(extensions, X509_EXTENSION_free);
    X509_REQ_free(r);
    ok(acme_key_certificate(key, &names, digest, &pem), "a certificate for a challenge");
    BIO *in = BIO_new_mem_buf(pem.p, (int) pem.n);
    X509 *x = PEM_read_bio_X509(in, NULL, NULL, NULL);
    ASN1_OBJECT *oid = OBJ_txt2obj("1.3.6.1.5.5.7.1.31", 1);
    X509_EXTENSION *e = X509_get_ext(x, X509_get_ext_by_OBJ(x, oid, -1));
    ok(e && X509_EXTENSION_get_critical(e), "its extension is critical");
    ok(e && ASN1_STRING_length(X509_EXTENSION_get_data(e)) == 34 && memcmp(ASN1_STRING_get0_data(X509_EXTENSION_get_data(e)), "\4\40\1\2\3", 5) == 0, "and has the digest");
    ASN1_OBJECT_free(oid);
    X509_free(x);
    BIO_free(in);
    struct text chain = build_done(&pem);
    int64_t now = time(NULL);
    is_str(acme_chain_read(chain, key, &names, now, &f), NULL, "read as a chain");
    ok(f.from_s < now && f.to_s > now, "its time");
    is_str(acme_chain_read(chain, other, &names, now, &f), "its key is not the one that was asked for", "another key");
    is_str(acme_chain_read(chain, key, &names, now + 10 * 86400, &f), "it is expired", "expired");
    list[0].text = T("other.test");
    is_str(acme_chain_read(chain, key, &names, now, &f), "it does not bear all names that were asked for", "another name");
    is_str(acme_chain_read(T("junk"), key, &names, now, &f), "it is no chain of certificates in PEM", "junk");
    is_str(acme_chain_read(text_upto(chain, chain.n / 2), key, &names, now, &f), "it is no chain of certificates in PEM", "half of it");
    is_str(acme_chain_read(pool_printf(pool, "%.*s-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", TEXT_ARG(chain)), key, NULL, now, &f), "it is no chain of certificates in PEM", "junk behind it");
    ok(acme_chain_ends_at(chain, T("weir: no certificate yet")) && !acme_chain_ends_at(chain, T("weir")), "who issued the last");
    EVP_PKEY_free(key);
    EVP_PKEY_free(other);
}

/* ---- answers ---- */

static void test_names(void)
{
    static const char *const bad[] = { "", "*.a.test", "a..test", ".a.test", "-a.test", "a-.test", "a b", "a/b", "a_b.test", "\xc3\xa4.test", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.test" };
    struct acme_name n;
    struct acme_url u;
    for (size_t i = 0; i < countof(bad); i++) ok(acme_name_read(pool, text_c(bad[i]), &n) != NULL, "no name: \"%s\"", bad[i]);
    ok(acme_url_read(T("https://CA.test:8443/a/b?c"), pool, &u) && u.port == 8443 && text_eq(u.host, T("ca.test")) && text_eq(u.target, T("/a/b?c")), "an address");
    ok(acme_url_read(T("https://[::1]"), pool, &u) && u.port == 443 && text_eq(u.host, T("::1")) && text_eq(u.target, T("/")), "the shortest");
    static const char *const no[] = { "http://a/", "https://", "https://a\r\n/", "https://u@a/", "https://a/#b", "https://a/ b", "ftp://a/", "https://a:99999/" };
    for (size_t i = 0; i < countof(no); i++) ok(!acme_url_read(text_c(no[i]), pool, &u), "no address: %zu", i);
}

static void test_answers(void)
{
    struct acme_directory d;
    struct acme_order o;
    struct acme_authorization z;
    struct acme_problem p;
    struct acme_window w;
    int64_t at;
    is_str(acme_answer_directory(T("{\"newNonce\":\"https://a/n\",\"newAccount\":\"https://a/a\",\"newOrder\":\"https://a/o\",\"renewalInfo\":\"https://a/r\",\"x\":[1],"
        "\"meta\":{\"termsOfService\":\"https://a/\\n terms\",\"externalAccountRequired\":true,\"profiles\":{\"short\":\"…\"}}}"), pool, &d), NULL, "a directory");
    is_text(d.new_order, "https://a/o", "newOrder");
    is_text(d.terms, "https://a/? terms", "terms, fit for a log");
    ok(d.wants_binding && acme_answer_has_profile(&d, T("short")) && !acme_answer_has_profile(&d, T("long")), "what it wants and has");
    ok(acme_answer_directory(T("{\"newNonce\":\"https://a/n\",\"newAccount\":\"https://a/a\"}"), pool, &d), "one without newOrder");
    ok(acme_answer_directory(T("{\"newNonce\":\"http://a/n\",\"newAccount\":\"https://a/a\",\"newOrder\":\"https://a/o\"}"), pool, &d), "one without TLS");
    ok(acme_answer_directory(T("[]"), pool, &d) && acme_answer_directory(T("<html>"), pool, &d) && acme_answer_directory(T(""), pool, &d), "none at all");
    is_str(acme_answer_order(T("{\"status\":\"pending\",\"authorizations\":[\"https://a/1\",\"https://a/2\"],\"finalize\":\"https://a/f\"}"), pool, &o), NULL, "an order");
    ok(o.status == ACME_PENDING && o.count == 2 && !o.certificate.n, "pending");
    ok(acme_answer_order(T("{\"status\":\"valid\",\"authorizations\":[\"https://a/1\"],\"finalize\":\"https://a/f\"}"), pool, &o), "valid without a certificate");
    ok(acme_answer_order(T("{\"status\":\"odd\",\"authorizations\":[\"https://a/1\"],\"finalize\":\"https://a/f\"}"), pool, &o), "of an odd status");
    ok(acme_answer_order(T("{\"status\":\"pending\",\"authorizations\":[],\"finalize\":\"https://a/f\"}"), pool, &o), "without authorizations");
    ok(acme_answer_order(T("{\"status\":\"pending\",\"authorizations\":[7],\"finalize\":\"https://a/f\"}"), pool, &o), "with odd ones");
    is_str(acme_answer_order(T("{\"status\":\"invalid\",\"error\":{\"type\":\"urn:ietf:params:acme:error:caa\",\"detail\":\"no\"}}"), pool, &o), NULL, "an invalid order");
    is_str(o.problem.type, "caa", "why");
    static const char authorization[] = "{\"status\":\"pending\",\"identifier\":{\"type\":\"dns\",\"value\":\"a.test\"},\"challenges\":[{\"type\":\"http-01\",\"status\":\"pending\",\"url\":\"https://a/c\",\"token\":\"%s\"},{\"type\":\"dns-01\"}]}";
    is_str(acme_answer_authorization(pool_printf(pool, authorization, "abc_-9"), T("http-01"), pool, &z), NULL, "an authorization");
    ok(z.status == ACME_PENDING && text_eq(z.token, T("abc_-9")) && text_eq(z.url, T("https://a/c")) && text_eq(z.name.text, T("a.test")), "its challenge");
    is_str(acme_answer_authorization(pool_printf(pool, authorization, "abc"), T("tls-alpn-01"), pool, &z), NULL, "one that does not offer the challenge");
    ok(!z.url.n, "has none");
    ok(acme_answer_authorization(pool_printf(pool, authorization, "../x"), T("http-01"), pool, &z), "a token that is a path");
    ok(acme_answer_authorization(pool_printf(pool, authorization, ""), T("http-01"), pool, &z), "no token");
    ok(acme_answer_problem(T("{\"type\":\"urn:ietf:params:acme:error:malformed\",\"detail\":\"a\\u0007b\\nc\",\"subproblems\":[{\"detail\":\"d\"}]}"), &p), "a problem");
    is_str(p.detail, "a?b?c; d", "on one line");
    ok(!acme_answer_problem(T("{}"), &p) && !acme_answer_problem(T("busy"), &p), "none");
    ok(acme_answer_time(T("2021-01-03T00:00:00Z"), &at) && at == 1609632000, "a time");
    ok(acme_answer_time(T("2021-01-03t01:30:00.123+01:30"), &at) && at == 1609632000, "with a zone and a part of a second");
    static const char *const times[] = { "", "2021-01-03", "2021-13-03T00:00:00Z", "2021-01-03T00:00:00", "2021-01-03T00:00:00Zx", "2021-01-03T00:00:00+24:00", "0000-01-03T00:00:00Z" };
    for (size_t i = 0; i < countof(times); i++) ok(!acme_answer_time(text_c(times[i]), &at), "no time: \"%s\"", times[i]);
    is_str(acme_answer_window(T("{\"suggestedWindow\":{\"start\":\"2021-01-03T00:00:00Z\",\"end\":\"2021-01-07T00:00:00Z\"},\"explanationURL\":\"https://a/why\"}"), &w), NULL, "a window");
    ok(w.from_s == 1609632000 && w.to_s == 1609632000 + 4 * 86400, "from and to");
    ok(acme_answer_window(T("{\"suggestedWindow\":{\"start\":\"2021-01-03T00:00:00Z\",\"end\":\"2021-01-03T00:00:00Z\"}}"), &w), "that ends when it begins");
}

int main(void)
{
    pool = pool_open(0);
    test_thumbprint();
    test_signatures();
    test_certificates();
    test_names();
    test_answers();
    pool_close(&pool);
    return done();
}
