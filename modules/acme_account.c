/* acme_account: what there is at a server, and who we are there (RFC 8555 7.1.1, 7.3). */
#include "modules/acme.h"

enum { DIRECTORY_MS = 3600000 };

/* ---- the directory ---- */

static void forget_directory(struct acme_agent *a)
{
    pool_close(&a->directory_pool);
    a->directory = (struct acme_directory) { .wants_binding = false };
}

static void got_directory(struct acme_agent *a, const struct acme_reply *r)
{
    if (r->refused) {
        acme_agent_refused(a, r);
        return;
    }
    forget_directory(a);
    a->directory_pool = pool_open(0);
    const char *wrong = acme_answer_directory(r->body, a->directory_pool, &a->directory);
    a->directory_ms = clock_now.ms;
    if (!wrong) {
        a->after_directory(a, NULL);
        return;
    }
    forget_directory(a);
    acme_agent_fail(a, ACME_WRONG, 0, "%.*s: %s", TEXT_ARG(a->issuer->url.text), wrong);
}

void acme_directory_need(struct acme_agent *a, acme_done *then)
{
    a->after_directory = then;
    if (a->directory_pool && clock_now.ms - a->directory_ms < DIRECTORY_MS) {
        then(a, NULL);
        return;
    }
    a->doing = "reading the directory";
    acme_call_get(a, a->issuer->url.text, got_directory);
}

/* ---- who we are ---- */

void acme_account_end(struct acme_agent *a)
{
    EVP_PKEY_free(a->key);
    a->key = NULL;
    acme_bytes_end(&a->kid);
    forget_directory(a);
}

static struct text contacts_of(struct acme_agent *a)
{
    struct build b = build_in_pool(a->pool, 256, 0);
    for (size_t i = 0; i < a->issuer->conf->contacts.n; i++) {
        if (i) build_char(&b, ' ');
        build_text(&b, a->issuer->conf->contacts.v[i]);
    }
    return build_done(&b);
}

/* Whose the account's address is: the server's, and the key's. */
static struct text identity_of(struct acme_agent *a)
{
    struct build b = build_in_pool(a->pool, 256, 0);
    return acme_jws_authorization(a->key, a->issuer->url.text, &b) ? build_done(&b) : T("");
}

/* As it is now, for the next manager and the next start. */
static void save(struct acme_agent *a, struct text contacts)
{
    struct acme_account account = { .of = identity_of(a), .kid = acme_bytes_text(a->kid), .contacts = contacts };
    if (!a->key_is_file) account.key = acme_key_write(a->key);
    acme_desk_set_account(a->top->zone, a->issuer->desk, &account);
    acme_store_save_account(a->issuer, &account);
    acme_bytes_end(&account.key);
}

static void add_contacts(struct acme_agent *a, struct build *b)
{
    const struct conf_texts *contacts = &a->issuer->conf->contacts;
    build_lit(b, "\"contact\":[");
    for (size_t i = 0; i < contacts->n; i++) {
        build_c(b, i ? ",\"" : "\"");
        build_json(b, contacts->v[i]);
        build_char(b, '"');
    }
    build_char(b, ']');
}

static void got_account(struct acme_agent *a, const struct acme_reply *r);

/* RFC 8555 7.3, 7.3.4 */
static void create(struct acme_agent *a)
{
    const struct acme_issuer_conf *c = a->issuer->conf;
    struct build b = build_in_pool(a->pool, 1024, 0);
    a->doing = "creating the account";
    if (a->directory.wants_binding && !c->kid.n) {
        acme_agent_fail(a, ACME_WRONG, 0, "the server wants to know of another account with it: \"external_account_key\" is needed");
        return;
    }
    build_char(&b, '{');
    if (c->agrees.on) build_lit(&b, "\"termsOfServiceAgreed\":true,");
    add_contacts(a, &b);
    if (c->kid.n) {
        build_lit(&b, ",\"externalAccountBinding\":");
        if (!acme_jws_bind(a->key, c->kid, acme_bytes_text(a->issuer->binding), a->directory.new_account, &b)) {
            acme_agent_fail(a, ACME_WRONG, 0, "the external account cannot be bound");
            return;
        }
    }
    build_char(&b, '}');
    acme_call_bare(a, a->directory.new_account, build_done(&b), got_account);
}

/* An account that is there but of no use any more. */
static void replace_key(struct acme_agent *a, const char *why)
{
    if (a->key_is_file || a->account_renewed) {
        acme_agent_fail(a, ACME_REFUSED, 0, "the account is of no use (%s)%s", why, a->key_is_file ? ": another account_key is needed" : "");
        return;
    }
    log_at(log_main, L_WARN, NULL, 0, "acme issuer \"%.*s\": the account is of no use (%s): a new one is made", TEXT_ARG(a->issuer->name), why);
    a->account_renewed = true;
    EVP_PKEY_free(a->key);
    a->key = NULL;
    acme_bytes_end(&a->kid);
    acme_desk_set_account(a->top->zone, a->issuer->desk, &(struct acme_account) { .of = T("") });
    acme_account_need(a, a->after_account);
}

static void got_account(struct acme_agent *a, const struct acme_reply *r)
{
    enum acme_status status = ACME_VALID;
    struct acme_url url;
    if (r->refused && strcmp(r->problem.type, "unauthorized") == 0) replace_key(a, r->problem.detail);
    else if (r->refused && a->directory.terms.n && !a->issuer->conf->agrees.on)
        acme_agent_fail(a, ACME_REFUSED, r->retry_s, "%s: %s (its terms of service are at %.*s; \"accept_terms_of_service\" agrees to them)", r->problem.type, r->problem.detail, TEXT_ARG(a->directory.terms));
    else if (r->refused) acme_agent_refused(a, r);
    else if (!acme_url_read(r->location, a->pool, &url)) acme_agent_fail(a, ACME_WRONG, 0, "the account has no good address");
    else if (acme_answer_account(r->body, &status) == NULL && status != ACME_VALID) replace_key(a, "it is deactivated or revoked");
    else {
        acme_bytes_end(&a->kid);
        a->kid = acme_bytes_copy(url.text);
        save(a, contacts_of(a));
        log_at(log_main, L_NOTICE, NULL, 0, "acme issuer \"%.*s\": %s account %.*s", TEXT_ARG(a->issuer->name), r->status == 201 ? "new" : "known", TEXT_ARG(url.text));
        a->after_account(a, NULL);
    }
}

/* RFC 8555 7.3.2. That others are told of it is no reason to have no certificate. */
static void got_contacts(struct acme_agent *a, const struct acme_reply *r)
{
    if (acme_account_lost(a, r, a->after_account)) return;
    if (r->refused) log_at(log_main, L_WARN, NULL, 0, "acme issuer \"%.*s\": the contacts were refused: %s: %s", TEXT_ARG(a->issuer->name), r->problem.type, r->problem.detail);
    save(a, contacts_of(a));
    a->after_account(a, NULL);
}

static void have_key(struct acme_agent *a, struct text known_contacts)
{
    struct build b = build_in_pool(a->pool, 512, 0);
    if (!a->kid.n) {
        create(a);
        return;
    }
    if (text_eq(known_contacts, contacts_of(a))) {
        a->after_account(a, NULL);
        return;
    }
    a->doing = "telling the contacts";
    build_char(&b, '{');
    add_contacts(a, &b);
    build_char(&b, '}');
    acme_call_post(a, acme_bytes_text(a->kid), build_done(&b), got_contacts);
}

static void made_key(struct acme_agent *a, EVP_PKEY *key)
{
    a->key = key;
    save(a, T(""));
    have_key(a, T(""));
}

static void have_directory(struct acme_agent *a, const struct acme_reply *none)
{
    (void) none;
    static const struct acme_kind *usual;
    if (a->key) {
        have_key(a, a->kid.n ? contacts_of(a) : T(""));
        return;
    }
    const struct acme_issuer *i = a->issuer;
    struct acme_account known = acme_desk_account(i->desk, a->pool);
    if (!usual) usual = acme_kind_read(T("ecdsa:256"));
    a->key_is_file = i->account_pem.n > 0;
    struct text pem = acme_bytes_text(a->key_is_file ? i->account_pem : known.key);
    a->key = pem.n ? acme_key_read(pem) : NULL;
    acme_bytes_end(&known.key);
    /* an account of another server, or another key, under the same name is none */
    if (a->key && known.kid.n && text_eq(known.of, identity_of(a))) a->kid = acme_bytes_copy(known.kid);
    a->doing = "making the account's key";
    if (a->key) have_key(a, known.contacts);
    else acme_agent_make_key(a, i->conf->account_key.kind ? i->conf->account_key.kind : usual, made_key);
}

void acme_account_need(struct acme_agent *a, acme_done *then)
{
    a->after_account = then;
    acme_directory_need(a, have_directory);
}

/* RFC 8555 7.3.1, 7.3.6 */
bool acme_account_lost(struct acme_agent *a, const struct acme_reply *r, acme_done *again)
{
    bool unknown = strcmp(r->problem.type, "accountDoesNotExist") == 0, unwanted = strcmp(r->problem.type, "unauthorized") == 0;
    if (!r->refused || (!unknown && !unwanted)) return false;
    a->after_account = again;
    if (unwanted) {
        replace_key(a, r->problem.detail);
        return true;
    }
    if (a->account_renewed) return false;
    log_at(log_main, L_WARN, NULL, 0, "acme issuer \"%.*s\": the server does not know the account %.*s: a new one is made", TEXT_ARG(a->issuer->name), TEXT_ARG(acme_bytes_text(a->kid)));
    a->account_renewed = true;
    acme_bytes_end(&a->kid);
    save(a, T(""));
    acme_account_need(a, again);
    return true;
}
