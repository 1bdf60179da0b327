/*
 * secure_link: $secure_link tells whether a link was made by somebody who knows a secret, and holds still. Three ways: the old one
 * of nginx (the digest stands in the uri), its newer one by MD5 of any expression, and weir's own by HMAC with SHA-256, where
 * the secret is a key and not a part of the text.
 */
#include "modules/module.h"
#include "os/metrics.h"
#include "wire/base64.h"
#include <openssl/evp.h>
#include <openssl/hmac.h>

enum { MD5_SIZE = 16, HMAC_SIZE = 32 };

struct keyed { struct template *text, *key; };
struct secure_link_conf { struct template *link, *md5; struct keyed hmac; struct text secret; };

extern struct module secure_link_module;

static conf_result parse_hmac(struct conf *cf, const struct directive *d, void *field)
{
    struct keyed *k = field;
    conf_result why;
    (void) d;
    if (!cf->words[2].n) return "!\"secure_link_hmac\" needs a key that is not empty";
    if (!(k->text = template_compile(cf, cf->words[1], &why)) || !(k->key = template_compile(cf, cf->words[2], &why))) return why;
    return NULL;
}

static conf_result check(struct conf *cf, struct conf_block *b, void *values)
{
    const struct secure_link_conf *c = values;
    (void) cf;
    bool own_md5 = conf_is_set(b, &secure_link_module, offsetof(struct secure_link_conf, md5));
    if (c->secret.n && (c->link || c->md5 || c->hmac.text)) return "!\"secure_link_secret\" cannot be mixed with \"secure_link\" and \"secure_link_md5\"";
    if (own_md5 && conf_is_set(b, &secure_link_module, offsetof(struct secure_link_conf, hmac))) return "!\"secure_link_hmac\" cannot be mixed with \"secure_link_md5\"";
    return NULL;
}

/* ---- digests ---- */

static bool digest_md5(struct text a, struct text b, unsigned char out[MD5_SIZE])
{
    EVP_MD_CTX *md = EVP_MD_CTX_new();
    bool made = md && EVP_DigestInit_ex(md, EVP_md5(), NULL) && EVP_DigestUpdate(md, a.p, a.n) && EVP_DigestUpdate(md, b.p, b.n) && EVP_DigestFinal_ex(md, out, NULL);
    EVP_MD_CTX_free(md);
    return made;
}

static bool digest_hmac(struct text key, struct text t, unsigned char out[HMAC_SIZE])
{
    unsigned n = 0;
    return key.n && key.n <= INT32_MAX && HMAC(EVP_sha256(), key.p, (int) key.n, (const unsigned char *) t.p, t.n, out, &n) && n == HMAC_SIZE;
}

/* Is given (base64url) this digest? */
static bool is_digest(struct text given, const unsigned char *digest, size_t size)
{
    char room[HMAC_SIZE + 4];
    struct build b = build_in_room(room, sizeof room);
    return given.n <= 44 && base64_decode(&b, given, true) && build_ok(&b) && text_eq_secret(build_done(&b), text_of((const char *) digest, size));
}

/* ---- the old way: /prefix/digest/link ---- */

static bool get_old(struct request *r, const struct secure_link_conf *c, struct text *out)
{
    struct text rest = r->target, hex;
    unsigned char digest[MD5_SIZE];
    char room[MD5_SIZE * 2];
    struct build b = build_in_room(room, sizeof room);
    if (rest.n < 2) return false;
    rest = text_from(rest, 1);
    ssize_t slash = text_find_char(rest, '/');
    if (slash < 0) return false;
    rest = text_from(rest, (size_t) slash + 1);
    if ((slash = text_find_char(rest, '/')) != MD5_SIZE * 2) return false;
    hex = text_upto(rest, (size_t) slash);
    rest = text_from(rest, (size_t) slash + 1);
    if (!rest.n || !digest_md5(rest, c->secret, digest)) return false;
    build_bytes_hex(&b, text_of((char *) digest, sizeof digest));
    char lower[MD5_SIZE * 2];
    for (size_t i = 0; i < sizeof lower; i++) lower[i] = (char) text_lower((unsigned char) hex.p[i]);
    *out = rest;
    return text_eq_secret(build_done(&b), text_of(lower, sizeof lower));
}

/* ---- by expression: "digest" or "digest,expires" ---- */

/* False: there is a time of expiry, and it is none. */
static bool split_link(struct text link, struct text *digest_out, struct text *expires_out, uint64_t *time_out)
{
    ssize_t comma = text_find_char(link, ',');
    *digest_out = link;
    *expires_out = T("");
    *time_out = 0;
    if (comma < 0) return true;
    *digest_out = text_upto(link, (size_t) comma);
    *expires_out = text_from(link, (size_t) comma + 1);
    return text_u64(*expires_out, time_out) && *time_out && *time_out <= INT64_MAX;
}

static bool get_new(struct eval *e, const struct secure_link_conf *c, struct text *out)
{
    struct text digest, expires;
    uint64_t when;
    unsigned char right[HMAC_SIZE];
    if (!split_link(template_render(c->link, e), &digest, &expires, &when)) return false;
    size_t size = c->hmac.text ? HMAC_SIZE : MD5_SIZE;
    bool made = c->hmac.text ? digest_hmac(template_render(c->hmac.key, e), template_render(c->hmac.text, e), right) : digest_md5(template_render(c->md5, e), T(""), right);
    if (!made || !is_digest(digest, right, size)) return false;
    *out = when && when < (uint64_t) clock_now.wall ? T("0") : T("1");
    return true;
}

static bool get_link(struct eval *e, const struct variable *v, struct text name, struct text *out)
{
    const struct secure_link_conf *c = request_values(request_of(e), &secure_link_module);
    (void) v, (void) name;
    if (!c->secret.n && (!c->link || (!c->md5 && !c->hmac.text))) return false;
    bool right = c->secret.n ? get_old(request_of(e), c, out) : get_new(e, c, out);
    if (!right || text_eq(*out, T("0"))) metrics_add(METRIC_SECURE_LINK_REFUSED, 1);
    return right;
}

static bool get_expires(struct eval *e, const struct variable *v, struct text name, struct text *out)
{
    const struct secure_link_conf *c = request_values(request_of(e), &secure_link_module);
    struct text digest;
    uint64_t when;
    (void) v, (void) name;
    return c->link && !c->secret.n && split_link(template_render(c->link, e), &digest, out, &when) && out->n;
}

static const struct variable variables[] = {
    { .name = "secure_link", .get = get_link, .help = "\"1\" where the link is right, \"0\" where it was and has expired, else empty; with secure_link_secret the link itself." },
    { .name = "secure_link_expires", .get = get_expires, .help = "When the link expires, as it says." },
    { .name = NULL },
};

static const struct conf_type type_hmac = { .syntax = "expression key", .size = sizeof(struct keyed), .min = 2, .max = 2, .parse = parse_hmac };
static const struct directive rows[] = {
    D_TEMPLATE(struct secure_link_conf, link, "secure_link", IN_HSL, NULL, "Where a link's digest stands, and after a comma when the link expires."),
    D_TEMPLATE(struct secure_link_conf, md5, "secure_link_md5", IN_HSL, NULL, "What the digest is the MD5 of; a secret must be a part of it."),
    { .name = "secure_link_hmac", .type = &type_hmac, .where = IN_HSL, .offset = FIELD(struct secure_link_conf, hmac, struct keyed), .since = "weir",
      .help = "What the digest is the HMAC of, by SHA-256, and the secret key; the digest is written in base64url." },
    D_TEXT(struct secure_link_conf, secret, "secure_link_secret", IN_LOCATION, NULL, "The secret of links of the form /prefix/md5/link, where md5 is that of the link and the secret."),
    { .name = NULL },
};
static const struct http_part part = { .variables = variables };

struct module secure_link_module = { .name = "secure_link", .conf_size = sizeof(struct secure_link_conf), .rows = rows, .check = check, .part = &part, .part_kind = &http_part_kind };
