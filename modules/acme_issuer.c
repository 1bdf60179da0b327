/* acme_issuer: what an acme_issuer block says. */
#include "modules/acme.h"

/* ---- words ---- */

static conf_result parse_account_key(struct conf *cf, const struct directive *d, void *field)
{
    struct acme_key_word *k = field;
    (void) d;
    k->kind = acme_kind_read(cf->words[1]);
    if (!k->kind && (text_starts(cf->words[1], T("ecdsa:")) || text_starts(cf->words[1], T("rsa:")))) return conf_say(cf, "!unsupported key \"%.*s\": ecdsa:256, ecdsa:384, ecdsa:521, rsa:2048, rsa:3072, rsa:4096 or a file are expected", TEXT_ARG(cf->words[1]));
    if (!k->kind) k->path = conf_full_path(cf, cf->words[1], true);
    return NULL;
}

static bool has_scheme(struct text t)
{
    ssize_t colon = text_find_char(t, ':');
    for (ssize_t i = 0; i < colon; i++)
        if (text_lower((unsigned char) t.p[i]) < 'a' || text_lower((unsigned char) t.p[i]) > 'z') return false;
    return colon > 0;
}

static conf_result parse_contact(struct conf *cf, const struct directive *d, void *field)
{
    struct conf_texts *list = field;
    size_t all = 0;
    (void) d;
    for (size_t i = 1; i < cf->count; i++) {
        struct text w = cf->words[i];
        if (!w.n || text_find_char(w, ' ') >= 0) return conf_say(cf, "!invalid contact \"%.*s\"", TEXT_ARG(w));
        if (list->n == list->cap) list->v = pool_grow(cf->pool, list->v, list->n, &list->cap, sizeof *list->v);
        list->v[list->n++] = has_scheme(w) ? pool_text(cf->pool, w) : pool_printf(cf->pool, "mailto:%.*s", TEXT_ARG(w));
    }
    for (size_t i = 0; i < list->n; i++) all += list->v[i].n + 1;
    return all > ACME_CONTACTS_MOST ? "!too many contacts" : NULL;
}

static conf_result parse_external(struct conf *cf, const struct directive *d, void *field)
{
    struct acme_issuer_conf *c = field;
    (void) d;
    if (c->kid.n) return conf_duplicate;
    c->kid = pool_text(cf->pool, cf->words[1]);
    c->bind_path = text_starts(cf->words[2], T("data:")) ? pool_text(cf->pool, cf->words[2]) : conf_full_path(cf, cf->words[2], true);
    return c->kid.n ? NULL : "!the external account has no name";
}

static conf_result parse_profile(struct conf *cf, const struct directive *d, void *field)
{
    struct acme_issuer_conf *c = field;
    (void) d;
    if (c->profile.n) return conf_duplicate;
    c->profile = pool_text(cf->pool, cf->words[1]);
    c->require_profile.on = cf->count == 3;
    return cf->count == 2 || text_eq(cf->words[2], T("require")) ? NULL : conf_say(cf, "!invalid parameter \"%.*s\"", TEXT_ARG(cf->words[2]));
}

static conf_result parse_path(struct conf *cf, const struct directive *d, void *field)
{
    struct text *path = field;
    (void) d;
    if (text_eq(cf->words[1], T("acme_<issuer>"))) return NULL;      /* the default, which only the issuer knows */
    *path = text_eq(cf->words[1], T("off")) ? T("off") : conf_full_path(cf, cf->words[1], false);
    return cf->words[1].n ? NULL : "!the path is empty";
}

static conf_result parse_trusted(struct conf *cf, const struct directive *d, void *field)
{
    (void) d;
    *(struct text *) field = conf_full_path(cf, cf->words[1], true);
    return NULL;
}

static conf_result parse_terms(struct conf *cf, const struct directive *d, void *field)
{
    (void) cf, (void) d;
    ((flag *) field)->on = true;
    return NULL;
}

static conf_result parse_retry(struct conf *cf, const struct directive *d, void *field)
{
    struct acme_retry *r = field;
    (void) d;
    if (!conf_read_span(cf->words[1], &r->least_ms) || !r->least_ms) return conf_invalid;
    r->most_ms = max_of(r->least_ms, (uint64_t) 6 * 3600 * 1000);
    if (cf->count == 3 && !conf_read_span(cf->words[2], &r->most_ms)) return conf_invalid;
    return r->most_ms < r->least_ms ? "!the second time is shorter than the first" : NULL;
}

static const struct conf_choice challenges[] = {
    { "http-01", ACME_HTTP_01 }, { "http", ACME_HTTP_01 }, { "tls-alpn-01", ACME_TLS_ALPN_01 }, { "tls-alpn", ACME_TLS_ALPN_01 }, { 0 },
};
static const struct conf_type type_account_key = { .syntax = "alg[:size] | file", .size = sizeof(struct acme_key_word), .min = 1, .max = 1, .parse = parse_account_key };
static const struct conf_type type_contact = { .syntax = "URL", .size = sizeof(struct conf_texts), .flags = CONF_MULTI, .min = 1, .max = 16, .parse = parse_contact };
static const struct conf_type type_external = { .syntax = "kid file", .min = 2, .max = 2, .parse = parse_external };
static const struct conf_type type_profile = { .syntax = "name [require]", .min = 1, .max = 2, .parse = parse_profile };
static const struct conf_type type_path = { .syntax = "path | off", .size = sizeof(struct text), .min = 1, .max = 1, .parse = parse_path };
static const struct conf_type type_trusted = { .syntax = "file", .size = sizeof(struct text), .min = 1, .max = 1, .parse = parse_trusted };
static const struct conf_type type_terms = { .syntax = "", .size = sizeof(flag), .min = 0, .max = 0, .parse = parse_terms };
static const struct conf_type type_retry = { .syntax = "time [time]", .size = sizeof(struct acme_retry), .min = 1, .max = 2, .parse = parse_retry };

#define ROW(f, Ty, ty, nm, df, hp) D_TYPE(struct acme_issuer_conf, f, Ty, ty, nm, IN_ACME, df, hp)
static const struct directive rows[] = {
    D_TEXT(struct acme_issuer_conf, uri, "uri", IN_ACME, NULL, "The https address of the server's directory."),
    ROW(account_key, struct acme_key_word, &type_account_key, "account_key", NULL, "The key of the account: of which type it is made (ecdsa:256 by default), or a file that has it."),
    D_ENUM(struct acme_issuer_conf, challenge, "challenge", IN_ACME, "http-01", challenges, "How names are proved to be ours: by an answer of any plain server on port 80 (http-01), or in the TLS handshakes on port 443 (tls-alpn-01)."),
    D_FLAG(struct acme_issuer_conf, common_name, "common_name_in_csr", IN_ACME, "off", "Whether requests for certificates have the first name as the subject's common name."),
    ROW(contacts, struct conf_texts, &type_contact, "contact", NULL, "Where the server may write to about the account; without a scheme it is a mail address."),
    D_DO(&type_external, "external_account_key", IN_ACME, NULL, NULL, "The account elsewhere that ours is bound to: its name, and a file with its key in base64url, or \"data:\" and the key."),
    D_TEXT(struct acme_issuer_conf, preferred_chain, "preferred_chain", IN_ACME, NULL, "The common name of who issued the topmost certificate of the chain that is wanted, where the server offers several."),
    D_DO(&type_profile, "profile", IN_ACME, NULL, NULL, "The kind of certificates that is asked for; with \"require\" none is got where the server has no such profile."),
    ROW(trusted, struct text, &type_trusted, "ssl_trusted_certificate", NULL, "A file of authorities that may sign the server's own certificate; without it those that the system trusts."),
    D_FLAG(struct acme_issuer_conf, verify, "ssl_verify", IN_ACME, "on", "Whether the server must show a good certificate."),
    ROW(state_path, struct text, &type_path, "state_path", "acme_<issuer>", "The folder where account, keys and certificates are kept, so that a restart asks for nothing; by default acme_ and the issuer's name, under the prefix."),
    ROW(agrees, flag, &type_terms, "accept_terms_of_service", NULL, "Agrees to the server's terms of service."),
    { .name = "retry_interval", .type = &type_retry, .where = IN_ACME, .offset = FIELD(struct acme_issuer_conf, retry, struct acme_retry), .dflt = "1m 6h", .since = "weir",
      .help = "How long after a failure it is tried again, doubled each time up to the second time; a sixth of it where the server was not reached. Never sooner than the server says." },
    { .name = NULL },
};

struct module acme_issuer_module = { .name = "http_acme_issuer", .conf_size = sizeof(struct acme_issuer_conf), .rows = rows };

/* ---- the whole ---- */

conf_result acme_issuer_read(struct conf *cf, struct acme_issuer *i)
{
    i->file = cf->file;
    i->line = cf->line;
    return conf_enter(cf, IN_ACME, i, &i->block);
}

bool acme_issuer_check(struct conf *cf, struct acme_issuer *i)
{
    const struct acme_issuer_conf *c = i->conf = conf_values(i->block, &acme_issuer_module);
    bool good = c->uri.n && acme_url_read(c->uri, cf->pool, &i->url);
    if (!c->uri.n) conf_error_at(cf, i->file, i->line, "\"uri\" is missing in acme_issuer \"%.*s\"", TEXT_ARG(i->name));
    else if (!good) conf_error_at(cf, i->file, i->line, "\"uri\" of acme_issuer \"%.*s\" is no https address: \"%.*s\"", TEXT_ARG(i->name), TEXT_ARG(c->uri));
    if (!c->state_path.n) i->folder = conf_full_path(cf, pool_printf(cf->pool, "acme_%.*s", TEXT_ARG(i->name)), false);
    else if (!text_eq(c->state_path, T("off"))) i->folder = c->state_path;
    return good;
}
