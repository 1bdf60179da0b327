/*
 * acme_order: from names to a certificate (RFC 8555 7.4):
 *
 *   order, or the one that a manager before us left > each authorization: a challenge is put where workers find it > all are told to
 *   look > wait until all are valid > wait until the order is ready > a key and a request > wait > the chain, perhaps another one
 */
#include "modules/acme.h"
#include "tls/pair.h"
#include "wire/base64.h"
#include <arpa/inet.h>

enum { POLL_MS = 1000, POLL_MOST_MS = 10000, POLL_LONGEST_S = 60 };

static const char *const types[] = { [ACME_HTTP_01] = "http-01", [ACME_TLS_ALPN_01] = "tls-alpn-01" };

static void new_order(struct acme_agent *a);
static void look(struct acme_agent *a, const struct acme_reply *none);
static void go_on(struct acme_agent *a);

void acme_order_end(struct acme_agent *a)
{
    EVP_PKEY_free(a->new_key);
    a->new_key = NULL;
    acme_bytes_end(&a->chain);
    for (size_t i = 0; !a->leaving && a->tokens && i < a->order.count; i++)
        if (a->tokens[i].n) acme_challenge_drop(a->top, a->tokens[i]);
    a->tokens = NULL;
    a->alternate_count = 0;
}

/* Nobody comes back to it. */
static void drop(struct acme_agent *a)
{
    acme_shelf_set_order(a->top->zone, a->certificate->shelf, T(""), T(""));
}

/* An order that the server wants no more of is dropped; one that it has no time for waits. */
static bool refused(struct acme_agent *a, const struct acme_reply *r)
{
    if (!r->refused) return false;
    if (r->status < 500 && r->status != 429) drop(a);
    acme_agent_refused(a, r);
    return true;
}

static void fail_answer(struct acme_agent *a, const char *wrong)
{
    drop(a);
    acme_agent_fail(a, ACME_WRONG, 0, "%s", wrong);
}

/* As the server says, or more slowly each time. */
static void poll_again(struct acme_agent *a, const struct acme_reply *r, acme_done *then)
{
    uint64_t ms = (uint64_t) POLL_MS << min_of(a->polls, (size_t) 4);
    ms = min_of(ms, (uint64_t) POLL_MOST_MS);
    a->polls++;
    if (r->retry_s > 0) ms = (uint64_t) min_of(r->retry_s, (int64_t) POLL_LONGEST_S) * 1000;
    acme_agent_wait(a, ms, then);
}

/* ---- the order ---- */

static bool take_order(struct acme_agent *a, const struct acme_reply *r)
{
    size_t had = a->order.count;
    const char *wrong = acme_answer_order(r->body, a->pool, &a->order);
    if (wrong) fail_answer(a, wrong);
    else if (a->order.status == ACME_INVALID) {
        drop(a);
        acme_agent_fail(a, ACME_REFUSED, r->retry_s, "the order is invalid: %s: %s", a->order.problem.type[0] ? a->order.problem.type : "no reason given", a->order.problem.detail);
    } else if (a->tokens && had != a->order.count) fail_answer(a, "the order's authorizations have changed");
    else return true;
    return false;
}

/* The new order's address; and the key, where it was made before. */
static void keep(struct acme_agent *a)
{
    struct acme_bytes key = { NULL, 0 };
    if (a->new_key) key = acme_key_write(a->new_key);
    acme_shelf_set_order(a->top->zone, a->certificate->shelf, a->order_url, acme_bytes_text(key));
    acme_bytes_end(&key);
}

static void got_new_order(struct acme_agent *a, const struct acme_reply *r)
{
    struct acme_url url;
    struct acme_plan p = acme_shelf_plan(a->certificate->shelf);
    if (acme_account_lost(a, r, acme_order_begin)) return;
    /* RFC 9773 5: what is to be replaced was so already, or is not known: not a reason to have none */
    if (r->refused && !p.alone && acme_shelf_version(a->certificate->shelf) && (r->status == 409 || strcmp(r->problem.type, "alreadyReplaced") == 0 || strcmp(r->problem.type, "malformed") == 0)) {
        p.alone = true;
        acme_shelf_set_plan(a->certificate->shelf, p);
        new_order(a);
        return;
    }
    if (refused(a, r)) return;
    if (!acme_url_read(r->location, a->pool, &url)) {
        acme_agent_fail(a, ACME_WRONG, 0, "the order has no good address");
        return;
    }
    a->order_url = url.text;
    keep(a);
    if (take_order(a, r)) go_on(a);
}

static void put_names(struct build *b, const struct acme_names *names)
{
    build_lit(b, "{\"identifiers\":[");
    for (size_t i = 0; i < names->n; i++) {
        build_fmt(b, "%s{\"type\":\"%s\",\"value\":\"", i ? "," : "", names->v[i].ip ? "ip" : "dns");
        build_json(b, names->v[i].text);
        build_lit(b, "\"}");
    }
    build_char(b, ']');
}

/* Of the certificate in force; empty: there is none, or the server does not care. */
static struct text replaced(struct acme_agent *a)
{
    struct acme_bytes chain;
    struct acme_facts f;
    struct acme_plan p = acme_shelf_plan(a->certificate->shelf);
    if (!a->directory.renewal_info.n || p.alone || !acme_shelf_is_of(a->certificate->shelf, a->issuer->url.text) || !acme_shelf_get(a->certificate->shelf, &chain, NULL, NULL)) return T("");
    const char *wrong = acme_chain_read(acme_bytes_text(chain), NULL, NULL, 0, &f);
    acme_bytes_end(&chain);
    return wrong ? T("") : pool_text(a->pool, text_c(f.id));
}

static void new_order(struct acme_agent *a)
{
    const struct acme_issuer_conf *c = a->issuer->conf;
    struct build b = build_in_pool(a->pool, 1024, 0);
    struct text old = replaced(a);
    bool profile = c->profile.n && acme_answer_has_profile(&a->directory, c->profile);
    a->doing = "ordering it";
    if (c->profile.n && !profile && c->require_profile.on) {
        acme_agent_fail(a, ACME_WRONG, 0, "the server has no profile \"%.*s\"", TEXT_ARG(c->profile));
        return;
    }
    if (c->profile.n && !profile) log_at(log_main, L_WARN, NULL, 0, "acme issuer \"%.*s\": the server has no profile \"%.*s\": its usual one is taken", TEXT_ARG(a->issuer->name), TEXT_ARG(c->profile));
    put_names(&b, &a->certificate->names);
    if (profile) {
        build_lit(&b, ",\"profile\":\"");
        build_json(&b, c->profile);
        build_char(&b, '"');
    }
    if (old.n) build_fmt(&b, ",\"replaces\":\"%.*s\"", TEXT_ARG(old));
    build_char(&b, '}');
    acme_call_post(a, a->directory.new_order, build_done(&b), got_new_order);
}

/* The order that was under way; one that the server has forgotten is made anew. */
static void got_old_order(struct acme_agent *a, const struct acme_reply *r)
{
    const char *wrong = r->refused ? NULL : acme_answer_order(r->body, a->pool, &a->order);
    if (acme_account_lost(a, r, acme_order_begin)) return;
    bool of_use = !r->refused && !wrong && a->order.status != ACME_INVALID && (a->new_key || (a->order.status != ACME_VALID && a->order.status != ACME_PROCESSING));
    if (of_use) {
        log_at(log_main, L_NOTICE, NULL, 0, "certificate \"%.*s\": the order under way is gone on with", TEXT_ARG(a->certificate->id));
        go_on(a);
        return;
    }
    drop(a);
    EVP_PKEY_free(a->new_key);
    a->new_key = NULL;
    a->order = (struct acme_order) { .count = 0 };
    new_order(a);
}

void acme_order_begin(struct acme_agent *a, const struct acme_reply *none)
{
    (void) none;
    struct acme_bytes url = { NULL, 0 }, key = { NULL, 0 };
    if (!acme_shelf_order(a->certificate->shelf, &url, &key)) {
        new_order(a);
        return;
    }
    struct acme_url read;
    bool good = acme_url_read(acme_bytes_text(url), a->pool, &read);
    if (good) a->order_url = read.text;
    if (key.n && !a->new_key) a->new_key = acme_key_read(acme_bytes_text(key));
    acme_bytes_end(&url);
    acme_bytes_end(&key);
    a->doing = "looking at its order";
    if (good) acme_call_post(a, a->order_url, T(""), got_old_order);
    else new_order(a);
}

/* ---- authorizations: RFC 8555 7.5 ---- */

/* What a client that checks by TLS-ALPN-01 asks for: a name, or an address turned round (RFC 8738 6). */
static struct text asked_name(struct pool *pool, const struct acme_name *n)
{
    unsigned char a[16];
    struct build b = build_in_pool(pool, 80, 0);
    if (!n->ip) return n->text;
    char *text = pool_cstr(pool, n->text);
    if (inet_pton(AF_INET, text, a) == 1) return pool_printf(pool, "%u.%u.%u.%u.in-addr.arpa", a[3], a[2], a[1], a[0]);
    ASSERT(inet_pton(AF_INET6, text, a) == 1);
    for (size_t i = 16; i-- > 0;) build_fmt(&b, "%x.%x.", a[i] & 15, a[i] >> 4);
    build_lit(&b, "ip6.arpa");
    return build_done(&b);
}

static bool put_challenge(struct acme_agent *a, const struct acme_authorization *z)
{
    static const struct acme_kind *kind;
    unsigned char digest[EVP_MAX_MD_SIZE];
    struct build b = build_in_pool(a->pool, 512, 0), chain = build_in_pool(a->pool, 2048, 0);
    struct acme_challenge c = { .kind = (enum acme_challenge_kind) a->issuer->conf->challenge, .name = asked_name(a->pool, &z->name), .token = z->token };
    if (!acme_jws_authorization(a->key, z->token, &b)) return false;
    c.authorization = build_done(&b);
    if (c.kind == ACME_HTTP_01) return acme_challenge_put(a->top, &c);
    if (!kind) kind = acme_kind_read(T("ecdsa:256"));
    struct acme_names one = { .v = (struct acme_name[]) { z->name }, .n = 1 };
    EVP_PKEY *key = acme_key_make(kind);
    bool good = key && EVP_Digest(b.p, b.n, digest, NULL, EVP_sha256(), NULL) == 1 && acme_key_certificate(key, &one, digest, &chain);
    if (good) {
        struct acme_bytes pem = acme_key_write(key);
        c.chain = build_done(&chain);
        c.key = acme_bytes_text(pem);
        good = acme_challenge_put(a->top, &c);
        acme_bytes_end(&pem);
    }
    EVP_PKEY_free(key);
    return good;
}

static bool is_wanted(const struct acme_names *names, const struct acme_name *n)
{
    for (size_t i = 0; i < names->n; i++)
        if (names->v[i].ip == n->ip && text_eq(names->v[i].text, n->text)) return true;
    return false;
}

/* False: the job is over. */
static bool take_authorization(struct acme_agent *a, const struct acme_reply *r, struct acme_authorization *z)
{
    if (refused(a, r)) return false;
    const char *type = types[a->issuer->conf->challenge], *wrong = acme_answer_authorization(r->body, text_c(type), a->pool, z);
    if (!wrong && (z->wildcard || !is_wanted(&a->certificate->names, &z->name))) wrong = "an authorization is for another name than was asked for";
    if (wrong) fail_answer(a, wrong);
    else if (z->status != ACME_PENDING && z->status != ACME_VALID) {
        drop(a);
        acme_agent_fail(a, ACME_REFUSED, r->retry_s, "\"%.*s\" was not proved to be ours: %s: %s", TEXT_ARG(z->name.text), z->problem.type[0] ? z->problem.type : "no reason given", z->problem.detail);
    } else if (z->status == ACME_PENDING && !z->url.n) {
        drop(a);
        acme_agent_fail(a, ACME_WRONG, 0, "the server offers no challenge \"%s\" for \"%.*s\"", type, TEXT_ARG(z->name.text));
    } else return true;
    return false;
}

static void check_next(struct acme_agent *a);

static void told(struct acme_agent *a, const struct acme_reply *r)
{
    if (refused(a, r)) return;
    a->at++;
    check_next(a);
}

static void got_authorization(struct acme_agent *a, const struct acme_reply *r)
{
    struct acme_authorization z;
    if (!take_authorization(a, r, &z)) return;
    if (z.status == ACME_PENDING) {
        if (!put_challenge(a, &z)) {
            acme_agent_fail(a, ACME_WRONG, 0, "the challenge for \"%.*s\" cannot be made", TEXT_ARG(z.name.text));
            return;
        }
        a->tokens[a->at] = z.token;
    }
    if (z.status == ACME_PENDING && z.challenge == ACME_PENDING) {
        a->doing = "answering a challenge";
        acme_call_post(a, z.url, T("{}"), told);      /* RFC 8555 7.5.1 */
        return;
    }
    a->at++;
    check_next(a);
}

static void check_valid(struct acme_agent *a, const struct acme_reply *none);

/* All are told to look before the first is waited for. */
static void check_next(struct acme_agent *a)
{
    a->doing = "reading an authorization";
    if (a->at < a->order.count) {
        acme_call_post(a, a->order.authorizations[a->at], T(""), got_authorization);
        return;
    }
    a->at = a->polls = 0;
    acme_agent_wait(a, POLL_MS, check_valid);
}

static void got_valid(struct acme_agent *a, const struct acme_reply *r)
{
    struct acme_authorization z;
    if (!take_authorization(a, r, &z)) return;
    if (z.status == ACME_PENDING) {
        poll_again(a, r, check_valid);
        return;
    }
    a->at++;
    check_valid(a, NULL);
}

static void check_valid(struct acme_agent *a, const struct acme_reply *none)
{
    (void) none;
    a->doing = "waiting for its names to be proved";
    while (a->at < a->order.count && !a->tokens[a->at].n) a->at++;      /* it was valid before */
    if (a->at < a->order.count) {
        acme_call_post(a, a->order.authorizations[a->at], T(""), got_valid);
        return;
    }
    a->polls = 0;
    look(a, NULL);
}

/* ---- the end of the order ---- */

/* RFC 8555 7.4. orderNotReady: after all. */
static void got_finalized(struct acme_agent *a, const struct acme_reply *r)
{
    if (strcmp(r->problem.type, "orderNotReady") == 0) {
        poll_again(a, r, look);
        return;
    }
    if (refused(a, r) || !take_order(a, r)) return;
    if (a->order.status == ACME_VALID) go_on(a);
    else poll_again(a, r, look);
}

static void finalize(struct acme_agent *a)
{
    struct build der = build_in_pool(a->pool, 2048, 0), b = build_in_pool(a->pool, 4096, 0);
    a->doing = "asking for it";
    keep(a);
    if (!acme_key_request(a->new_key, &a->certificate->names, a->issuer->conf->common_name.on, &der)) {
        tls_log(log_main, L_ERR, NULL, 0, "certificate \"%.*s\": its request cannot be made", TEXT_ARG(a->certificate->id));
        acme_agent_fail(a, ACME_WRONG, 0, "the request cannot be made");
        return;
    }
    build_lit(&b, "{\"csr\":\"");
    base64_encode(&b, build_done(&der), true);
    build_lit(&b, "\"}");
    acme_call_post(a, a->order.finalize, build_done(&b), got_finalized);
}

static void made_key(struct acme_agent *a, EVP_PKEY *key)
{
    a->new_key = key;
    finalize(a);
}

static void got_order(struct acme_agent *a, const struct acme_reply *r)
{
    if (refused(a, r) || !take_order(a, r)) return;
    if (a->order.status == ACME_PENDING || a->order.status == ACME_PROCESSING) poll_again(a, r, look);
    else go_on(a);
}

static void look(struct acme_agent *a, const struct acme_reply *none)
{
    (void) none;
    a->doing = "waiting for its order";
    acme_call_post(a, a->order_url, T(""), got_order);
}

/* ---- the chain: RFC 8555 7.4.2 ---- */

static void take_chain(struct acme_agent *a, struct text chain)
{
    struct acme_facts f;
    const char *wrong = acme_chain_read(chain, a->new_key, &a->certificate->names, clock_now.wall, &f);
    if (!wrong) acme_agent_take(a, chain, &f);
    else {
        drop(a);
        acme_agent_fail(a, ACME_WRONG, 0, "the certificate that came is not taken: %s", wrong);
    }
}

static bool is_chain(const struct acme_reply *r)
{
    const struct field *type = fields_find_name(r->fields, T("Content-Type"));
    return type && text_starts_nocase(type->value, T("application/pem-certificate-chain"));
}

/* Link: <address>;rel="alternate" (RFC 8288) */
static void read_links(struct acme_agent *a, const struct fields *fields)
{
    for (unsigned i = 0; i < fields->n && a->alternate_count < countof(a->alternates); i++) {
        struct text v = fields->v[i].value;
        struct acme_url url;
        ssize_t end = text_find_char(v, '>');
        if (!text_eq_nocase(fields->v[i].name, T("Link")) || end < 2 || v.p[0] != '<' || (text_find(v, T("rel=\"alternate\"")) < 0 && text_find(v, T("rel=alternate")) < 0)) continue;
        if (acme_url_read(text_of(v.p + 1, (size_t) end - 1), a->pool, &url)) a->alternates[a->alternate_count++] = url.text;
    }
}

static void next_alternate(struct acme_agent *a);

static void got_alternate(struct acme_agent *a, const struct acme_reply *r)
{
    struct acme_facts f;
    bool good = !r->refused && is_chain(r) && acme_chain_ends_at(r->body, a->issuer->conf->preferred_chain)
        && !acme_chain_read(r->body, a->new_key, &a->certificate->names, clock_now.wall, &f);
    if (good) take_chain(a, r->body);
    else next_alternate(a);
}

static void next_alternate(struct acme_agent *a)
{
    a->doing = "looking for the preferred chain";
    if (a->at < a->alternate_count) {
        acme_call_post(a, a->alternates[a->at++], T(""), got_alternate);
        return;
    }
    log_at(log_main, L_WARN, NULL, 0, "certificate \"%.*s\": no chain ends at \"%.*s\": the server's first is taken", TEXT_ARG(a->certificate->id), TEXT_ARG(a->issuer->conf->preferred_chain));
    struct text chain = pool_text(a->pool, acme_bytes_text(a->chain));
    take_chain(a, chain);
}

static void got_chain(struct acme_agent *a, const struct acme_reply *r)
{
    struct text wanted = a->issuer->conf->preferred_chain;
    if (refused(a, r)) return;
    if (!is_chain(r)) fail_answer(a, "the certificate came as another type than application/pem-certificate-chain");
    else if (!wanted.n || acme_chain_ends_at(r->body, wanted)) take_chain(a, r->body);
    else {
        a->chain = acme_bytes_copy(r->body);
        a->at = 0;
        read_links(a, r->fields);
        next_alternate(a);
    }
}

static void go_on(struct acme_agent *a)
{
    a->polls = 0;
    switch (a->order.status) {
    case ACME_PENDING:
        a->at = 0;
        a->tokens = pool_array(a->pool, struct text, a->order.count);
        check_next(a);
        break;
    case ACME_READY:
        a->doing = "making its key";
        if (a->new_key) finalize(a);
        else acme_agent_make_key(a, a->certificate->kind, made_key);
        break;
    case ACME_VALID:
        a->doing = "fetching it";
        acme_call_post(a, a->order.certificate, T(""), got_chain);
        break;
    default:
        poll_again(a, &(struct acme_reply) { .status = 0 }, look);
    }
}
