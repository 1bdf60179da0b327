/* acme: acme_issuer, acme_certificate and acme_shared_zone; the variables; and where servers come to look whether a name is ours. */
#include "modules/acme.h"
#include "process/core_conf.h"
#include "http/h1_tls.h"
#include "http/http.h"
#include "gateway/resolve.h"
#include "upstream/resolver.h"

enum { ORDER_ACME = -20, ZONE_LEAST = 8 * 4096 };

/* ---- reading ---- */

struct acme_conf *acme_top(const struct conf *cf) { return conf_values(cf->top, &acme_module); }

/* The issuer of that name, which may be described later. */
static struct acme_issuer *issuer_named(struct conf *cf, struct text name)
{
    struct acme_conf *top = conf_own_values(cf, cf->top, &acme_module);
    if (!top->end) top->end = &top->first;
    for (struct acme_issuer *i = top->first; i; i = i->next)
        if (text_eq(i->name, name)) return i;
    struct acme_issuer *i = pool_new(cf->pool, struct acme_issuer);
    i->name = pool_text(cf->pool, name);
    i->end = &i->first;
    *top->end = i;
    top->end = &i->next;
    return i;
}

/* It becomes part of a path. */
static bool is_plain(struct text name)
{
    for (size_t i = 0; i < name.n; i++)
        if (name.p[i] == '/' || (unsigned char) name.p[i] <= ' ') return false;
    return name.n && name.n <= 64 && name.p[0] != '.';
}

static conf_result parse_issuer(struct conf *cf, const struct directive *d, void *field)
{
    (void) d, (void) field;
    if (!is_plain(cf->words[1])) return conf_say(cf, "!invalid name of an acme_issuer: \"%.*s\"", TEXT_ARG(cf->words[1]));
    struct acme_issuer *i = issuer_named(cf, cf->words[1]);
    return i->file ? conf_say(cf, "!duplicate acme_issuer \"%.*s\"", TEXT_ARG(cf->words[1])) : acme_issuer_read(cf, i);
}

static conf_result parse_zone(struct conf *cf, const struct directive *d, void *field)
{
    (void) d, (void) field;
    struct acme_conf *top = conf_own_values(cf, cf->top, &acme_module);
    struct text word = cf->words[1];
    ssize_t colon = text_rfind_char(word, ':');
    if (top->zone_name.n) return conf_duplicate;
    if (!text_starts(word, T("zone=")) || colon <= 5 || !conf_read_bytes(text_from(word, (size_t) colon + 1), &top->zone_size)) return conf_say(cf, "!invalid parameter \"%.*s\"", TEXT_ARG(word));
    if (top->zone_size < ZONE_LEAST) return conf_say(cf, "!acme_shared_zone \"%.*s\" is too small", TEXT_ARG(word));
    top->zone_name = pool_text(cf->pool, text_of(word.p + 5, (size_t) colon - 5));
    return NULL;
}

/* Once each. */
static conf_result add_name(struct conf *cf, struct acme_names *names, struct acme_name n)
{
    for (size_t i = 0; i < names->n; i++)
        if (names->v[i].ip == n.ip && text_eq(names->v[i].text, n.text)) return NULL;
    if (names->n == ACME_NAMES_MOST) return "!a certificate has at most 100 names";
    if (names->n == names->cap) names->v = pool_grow(cf->pool, names->v, names->n, &names->cap, sizeof *names->v);
    names->v[names->n++] = n;
    return NULL;
}

static conf_result parse_certificate(struct conf *cf, const struct directive *d, void *field)
{
    struct acme_conf *c = field;
    struct acme_name name;
    conf_result why = NULL;
    (void) d;
    c->want = (struct acme_want) { .issuer = issuer_named(cf, cf->words[1]), .kind = acme_kind_read(T("ecdsa:256")), .file = cf->file, .line = cf->line };
    for (size_t i = 2; !why && i < cf->count; i++) {
        struct text w = cf->words[i];
        if (text_starts(w, T("key="))) {
            if (!(c->want.kind = acme_kind_read(text_from(w, 4)))) return conf_say(cf, "!unsupported key \"%.*s\": ecdsa:256, ecdsa:384, ecdsa:521, rsa:2048, rsa:3072 or rsa:4096 is expected", TEXT_ARG(w));
            continue;
        }
        const char *wrong = acme_name_read(cf->pool, w, &name);
        why = wrong ? conf_say(cf, "!invalid identifier \"%.*s\": %s", TEXT_ARG(w), wrong) : add_name(cf, &c->want.names, name);
    }
    return why;
}

/* ---- the whole configuration ---- */

/* server_name's, as far as they can be proved. */
static bool take_server_names(struct conf *cf, const struct vhost *v, struct acme_want *w)
{
    struct acme_name name;
    for (size_t i = 0; i < v->name_count; i++) {
        struct text t = v->names[i].text;
        if (!t.n || text_eq(t, T("_"))) continue;
        if (t.p[0] == '.') t = text_from(t, 1);
        const char *wrong = v->names[i].regex ? "it is a regular expression" : acme_name_read(cf->pool, t, &name);
        if (wrong) log_at(log_main, L_WARN, NULL, 0, "server name \"%.*s\" is left out of acme_certificate: %s in %s:%u", TEXT_ARG(t), wrong, w->file, w->line);
        else if (add_name(cf, &w->names, name)) break;
    }
    if (!w->names.n) conf_error_at(cf, w->file, w->line, "\"acme_certificate\" has no identifiers, and server_name has none that can be one");
    return w->names.n > 0;
}

/* For files: a name, and what tells it from others that begin with it. */
static struct text make_id(struct conf *cf, const struct acme_want *w)
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    struct build all = build_in_pool(cf->scratch, 256, 0), b = build_in_pool(cf->pool, 128, 0);
    build_fmt(&all, "%s %u", w->kind->group ? w->kind->group : "RSA", w->kind->bits);
    for (size_t i = 0; i < w->names.n; i++) build_fmt(&all, " %.*s", TEXT_ARG(w->names.v[i].text));
    ASSERT(EVP_Digest(all.p, all.n, digest, NULL, EVP_sha256(), NULL) == 1);
    build_text(&b, text_upto(w->names.v[0].text, min_of(w->names.v[0].text.n, (size_t) 100)));
    for (size_t i = 0; i < b.n; i++)
        if (b.p[i] == ':') b.p[i] = '_';
    build_char(&b, '-');
    build_bytes_hex(&b, text_of((char *) digest, 6));
    build_char(&b, 0);
    return text_of(b.p, b.n - 1);
}

/* Servers that want the same share it. */
static struct acme_certificate *certificate_of(struct conf *cf, const struct acme_want *w)
{
    struct text id = make_id(cf, w);
    for (struct acme_certificate *c = w->issuer->first; c; c = c->next)
        if (text_eq(c->id, id)) return c;
    struct acme_certificate *c = pool_new(cf->pool, struct acme_certificate);
    *c = (struct acme_certificate) { .issuer = w->issuer, .names = w->names, .kind = w->kind, .id = id };
    c->issued = (struct tls_issued) { .name = pool_printf(cf->pool, "acme %.*s %.*s", TEXT_ARG(w->issuer->name), TEXT_ARG(id)), .certificate = T("$acme_certificate"), .key = T("$acme_certificate_key") };
    *w->issuer->end = c;
    w->issuer->end = &c->next;
    return c;
}

static conf_result finish(struct conf *cf, void *values)
{
    static const struct resolver_values usual = { .timeout = { 30000 } };
    struct acme_conf *top = values;
    struct http *h = http_of(cf);
    bool fine = true;
    top->resolver = h ? conf_values(h->block, &http_resolver_module) : &usual;
    if (!top->zone_name.n) top->zone_name = T("ngx_acme_shared"), top->zone_size = 256 << 10;
    for (struct acme_issuer *i = top->first; i; i = i->next)
        if (i->file) fine &= acme_issuer_check(cf, i);
    for (size_t i = 0; h && i < h->vhost_count; i++) {
        struct acme_conf *c = conf_values(h->vhosts[i]->block, &acme_module);
        if (!c->want.issuer) continue;
        if (!c->want.issuer->file) {
            conf_error_at(cf, c->want.file, c->want.line, "acme_issuer \"%.*s\" is not there", TEXT_ARG(c->want.issuer->name));
            fine = false;
        } else if (core_conf(cf->top)->key_isolation.on) {
            conf_error_at(cf, c->want.file, c->want.line, "\"acme_certificate\" cannot be used with \"ssl_key_isolation\": its key is where every worker reads it");
            fine = false;
        } else if (!c->want.names.n && !take_server_names(cf, h->vhosts[i], &c->want)) fine = false;
        else c->certificate = certificate_of(cf, &c->want);
    }
    return fine ? NULL : conf_said;
}

/* ---- http-01: RFC 8555 8.3 ---- */

static const char well_known[] = "/.well-known/acme-challenge/";

/* Before any redirection. What is no token of ours goes its usual way: it may be a backend's. */
static struct verdict answer(struct request *r)
{
    if (likely(!text_starts(r->uri, text_c(well_known))) || r->main != r || (r->method != METHOD_GET && r->method != METHOD_HEAD)) return v_next();
    struct acme_conf *top = conf_values(r->vhost->http->block->parent, &acme_module);
    struct text found = acme_challenge_answer(top, text_from(r->uri, sizeof well_known - 1), r->pool);
    if (!found.n) return v_next();
    request_log(r, L_INFO, 0, "ACME challenge answered");
    return response_text(r, 200, T("application/octet-stream"), found, true);
}

/* ---- variables ---- */

static void wipe(void *arg)
{
    struct text *t = arg;
    OPENSSL_cleanse((char *) (uintptr_t) t->p, t->n);
}

/* data: key, or chain. */
static bool get(struct eval *e, const struct variable *v, struct text name, struct text *out)
{
    const struct acme_conf *c = conf_values(request_of(e)->vhost->block, &acme_module);
    struct acme_bytes b = { NULL, 0 };
    bool key = v->data != NULL;
    (void) name;
    if (!c->certificate || !acme_shelf_get(c->certificate->shelf, key ? NULL : &b, key ? &b : NULL, NULL)) return false;
    struct text *t = pool_new(e->pool, struct text);
    *out = *t = pool_printf(e->pool, "data:%.*s", TEXT_ARG(acme_bytes_text(b)));
    if (key) pool_cleanup(e->pool, wipe, t);
    acme_bytes_end(&b);
    return true;
}

static const struct variable variables[] = {
    { .name = "acme_certificate", .flags = VAR_NO_CACHE, .get = get, .help = "The certificate that acme_certificate got, for ssl_certificate; before there is one a handshake shows one that the server signed itself." },
    { .name = "acme_certificate_key", .flags = VAR_NO_CACHE, .get = get, .data = "", .help = "The key of $acme_certificate, for ssl_certificate_key." },
    { .name = NULL },
};

static const struct hook hooks[] = { { .step = &step_post_read, .name = "acme", .run = answer, .order = ORDER_ACME }, { .step = NULL } };
static const struct http_part part = { .variables = variables, .hooks = hooks, .if_given = true };

static const struct conf_type type_issuer = { .syntax = "name { ... }", .flags = CONF_BLOCK | CONF_MULTI, .min = 1, .max = 1, .parse = parse_issuer };
static const struct conf_type type_zone = { .syntax = "zone=name:size", .min = 1, .max = 1, .parse = parse_zone };
static const struct conf_type type_certificate = { .syntax = "issuer [identifier ...] [key=alg[:size]]", .min = 1, .max = ACME_NAMES_MOST + 2, .parse = parse_certificate };
static const struct directive rows[] = {
    D_DO(&type_issuer, "acme_issuer", IN_HTTP, NULL, NULL, "An ACME server (RFC 8555) that certificates are got from."),
    D_DO(&type_zone, "acme_shared_zone", IN_HTTP, NULL, "zone=ngx_acme_shared:256k", "Shared memory for accounts, certificates and challenges of all issuers; ngx_acme_shared with 256k by default."),
    D_DO(&type_certificate, "acme_certificate", IN_SERVER, NULL, NULL, "Gets a certificate for these names, or those of server_name, and renews it in time; $acme_certificate and $acme_certificate_key stand for it."),
    { .name = NULL },
};

/* ---- processes ---- */

/* Workers answer for what stands in shared memory; what proves who we are is not theirs. */
static void start_worker(struct cycle *c, unsigned slot)
{
    (void) slot;
    for (struct acme_issuer *i = acme_top(c->conf)->first; i && process_kind == PROCESS_WORKER; i = i->next) {
        acme_bytes_end(&i->binding);
        acme_bytes_end(&i->account_pem);
    }
}

static void each_second(struct cycle *c)
{
    if (process_kind != PROCESS_WORKER) acme_agents_second(c);
}

static void quit(struct cycle *c)
{
    if (process_kind != PROCESS_WORKER) acme_agents_quit(c);
}

static const struct process_part process = { .open = acme_open, .worker_start = start_worker, .worker_quit = quit, .manager_start = acme_agents_start, .second = each_second };
static const struct module processes = { .name = "http_acme_process", .part = &process, .part_kind = &process_part_kind };
struct module acme_module = { .name = "http_acme", .conf_size = sizeof(struct acme_conf), .rows = rows, .finish = finish, .part = &part, .part_kind = &http_part_kind, .extra = &processes };
