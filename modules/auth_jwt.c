/*
 * auth_jwt: who holds a token (RFC 7519) that one of our keys has signed, or that was encrypted for one of them, may enter. Keys come
 * from files and by subrequests. Claims and header fields are variables: they are there once the token is verified, and before that
 * while keys are looked for, whose names they may choose.
 */
#include "modules/auth_jwt.h"
#include "modules/module.h"
#include "http/credentials.h"
#include "http/steps.h"
#include "http/subrequest.h"
#include "os/metrics.h"
#include "process/cycle.h"

enum { ORDER_AUTH_JWT = 25 };

struct realm { struct template *realm, *token; };
struct requirement { struct templates values; int status; };
struct requirements { struct requirement *v; size_t n, cap; };

/* What a key request brought, while it is kept: a location of that name may be another one in another server. */
struct known { struct known *next; const struct vhost *vhost; struct jwk_set *set; uint64_t until_ms; };
struct key_request { struct template *uri; struct known *known; };
struct key_requests { struct key_request **v; size_t n, cap; };

enum { TYPE_SIGNED, TYPE_ENCRYPTED, TYPE_NESTED };

struct auth_jwt_conf {
    struct realm        realm;
    struct templates    files;
    struct key_requests requests;
    span                leeway, cache;
    int                 type;
    struct requirements require;
};

extern struct module auth_jwt_module;

/* The request's token, while it may be seen. */
struct holder {
    struct jwt             jwt;
    struct jwe             jwe;
    struct text            realm;
    const struct jwk_set **sets;       /* what the key requests brought, where it is not kept */
    size_t                 asked;      /* so many of them are through */
    bool                   waiting;    /* for the next one */
    bool                   broken;     /* keys could not be had */
};

/* ---- claims as text ---- */

static bool put_value(struct build *b, const json_t *j)
{
    if (!j || json_is_null(j)) return false;
    if (json_is_string(j)) {
        build_text(b, text_of(json_string_value(j), json_string_length(j)));
        return true;
    }
    size_t size = json_dumpb(j, NULL, 0, JSON_COMPACT | JSON_ENCODE_ANY);
    struct build all = build_in_pool(b->pool, size + 1, 0);
    all.n = json_dumpb(j, all.p, size, JSON_COMPACT | JSON_ENCODE_ANY);
    build_text(b, build_done(&all));
    return true;
}

/* A list of plain values is joined by commas. */
static bool give_value(struct eval *e, const json_t *j, struct text *out)
{
    struct build b = build_in_pool(e->pool, 64, 0);
    const json_t *one;
    size_t i;
    bool given = true;
    if (json_is_array(j)) {
        json_array_foreach(j, i, one) {
            if (i) build_char(&b, ',');
            put_value(&b, one);
        }
    } else {
        given = put_value(&b, j);
    }
    *out = build_done(&b);
    return given && (out->n || json_is_string(j));
}

static const struct jwt *jwt_of(struct eval *e)
{
    const struct holder *h = *request_context(request_of(e), &auth_jwt_module);
    return h ? &h->jwt : NULL;
}

static bool get_claim(struct eval *e, const struct variable *v, struct text name, struct text *out)
{
    const struct jwt *t = jwt_of(e);
    (void) v;
    return t && give_value(e, json_object_get(t->payload, pool_cstr(e->pool, text_from(name, strlen("jwt_claim_")))), out);
}

static bool get_header(struct eval *e, const struct variable *v, struct text name, struct text *out)
{
    const struct jwt *t = jwt_of(e);
    (void) v;
    return t && give_value(e, json_object_get(t->header, pool_cstr(e->pool, text_from(name, strlen("jwt_header_")))), out);
}

static bool get_payload(struct eval *e, const struct variable *v, struct text name, struct text *out)
{
    const struct jwt *t = jwt_of(e);
    (void) v, (void) name;
    if (t) *out = t->payload_text;
    return t != NULL;
}

/* auth_jwt_claim_set, auth_jwt_header_set: a path of names through objects. */
struct path { bool header; char **names; size_t n; struct variable variable; };

static bool get_path(struct eval *e, const struct variable *v, struct text name, struct text *out)
{
    const struct path *p = v->data;
    const struct jwt *t = jwt_of(e);
    const json_t *j = !t ? NULL : p->header ? t->header : t->payload;
    (void) name;
    for (size_t i = 0; j && i < p->n; i++) j = json_object_get(j, p->names[i]);
    return j && give_value(e, j, out);
}

/* ---- a request ---- */

static struct verdict refuse(struct request *r, struct text realm, bool has_token, const char *why)
{
    struct build b = build_in_pool(r->pool, realm.n + 48, 0);
    request_log(r, L_ERR, 0, "JWT is refused: %s", why);
    metrics_add(METRIC_AUTH_FAILED, 1);
    build_lit(&b, "Bearer realm=\"");
    for (size_t i = 0; i < realm.n; i++)          /* variables may bring anything */
        if ((unsigned char) realm.p[i] >= ' ' && realm.p[i] != 127) build_char(&b, realm.p[i]);
    build_char(&b, '"');
    if (has_token) build_lit(&b, ",error=\"invalid_token\"");       /* RFC 6750 3.1 */
    credentials_challenge(r, build_done(&b));
    *request_context(r, &auth_jwt_module) = NULL;
    return credentials_refused(r);
}

/* RFC 6750 2.1, or where "token=" says. */
static struct text find_token(struct request *r, const struct auth_jwt_conf *c)
{
    if (c->realm.token) return template_render(c->realm.token, &r->eval);
    struct text t = credentials_of(r);
    return text_starts_nocase(t, T("bearer ")) ? text_trim(text_from(t, strlen("bearer "))) : T("");
}

static struct text path_of(struct request *r, const struct template *file)
{
    struct text path = template_render(file, &r->eval);
    if (!path.n || memchr(path.p, '\0', path.n)) return T("");
    if (path.p[0] == '/') return pool_printf(r->pool, "%.*s", TEXT_ARG(path));
    return pool_printf(r->pool, "%.*s%.*s", TEXT_ARG(cycle_current->conf->conf_prefix), TEXT_ARG(path));
}

/* A file's name may not be led elsewhere by what the token says before it is verified. */
static bool is_plain_path(struct text path) { return path.n && text_find(path, T("/../")) < 0 && !text_ends(path, T("/..")); }

/* ---- keys by subrequests ---- */

static struct known *known_for(const struct key_request *q, const struct request *r)
{
    for (struct known *k = q->known; k; k = k->next)
        if (k->vhost == r->vhost) return k;
    return NULL;
}

static void keep(struct key_request *q, const struct request *r, struct jwk_set *set, uint64_t ms)
{
    struct known *k = known_for(q, r);
    if (!k) {
        k = base_zalloc(1, sizeof *k);
        k->vhost = r->vhost;
        k->next = q->known;
        q->known = k;
    }
    jwk_set_end(&k->set);
    k->set = set;
    k->until_ms = clock_now.ms + ms;
}

static void forget_known(void *arg)
{
    struct key_request *q = arg;
    for (struct known *k = q->known, *next; k; k = next) {
        next = k->next;
        jwk_set_end(&k->set);
        free(k);
    }
}

static void end_set(void *arg)
{
    struct jwk_set *set = arg;
    jwk_set_end(&set);
}

static void fetched(struct request *sub, void *arg)
{
    struct request *r = sub->parent;
    struct holder *h = arg;
    const struct auth_jwt_conf *c = request_values(r, &auth_jwt_module);
    struct key_request *q = c->requests.v[h->asked];
    const char *why = "the answer is not 200";
    unsigned unused = 0;
    struct jwk_set *set = sub->out.status == 200 ? jwk_set_read(subrequest_memory(sub), &why, &unused) : NULL;
    if (unused) request_log(r, L_INFO, 0, "%u keys of \"%.*s\" cannot be used", unused, TEXT_ARG(sub->uri));
    if (!set) {
        request_log(r, L_ERR, 0, "keys of \"%.*s\" cannot be had: %s", TEXT_ARG(sub->uri), why);
        h->broken = true;
    } else if (c->cache.ms && template_is_constant(q->uri)) {
        keep(q, r, set, c->cache.ms);
    } else {
        pool_cleanup(r->pool, end_set, set);
        h->sets[h->asked] = set;
    }
    h->asked++;
    h->waiting = false;
    request_resume(r);
}

/* A uri, too, may not be led elsewhere by a token that is not verified. False: it is not asked. */
static bool ask_for_keys(struct request *r, struct holder *h, const struct key_request *q)
{
    struct text uri = template_render(q->uri, &r->eval), args = T("");
    ssize_t mark = text_find_char(uri, '?');
    if (mark >= 0) args = text_from(uri, (size_t) mark + 1), uri = text_upto(uri, (size_t) mark);
    if (!uri.n || uri.p[0] != '/' || !is_plain_path(uri)) {
        request_log(r, L_ERR, 0, "\"auth_jwt_key_request\" leads nowhere");
        return false;
    }
    struct subrequest_want want = { .uri = uri, .args = args, .way = SUBREQUEST_MEMORY, .no_body = true, .done = fetched, .arg = h };
    return subrequest_open(r, &want) != NULL;
}

/* Asks for what is not known, one after the other. True: wait. */
static bool gather_keys(struct request *r, const struct auth_jwt_conf *c, struct holder *h)
{
    if (!h->sets && c->requests.n) h->sets = pool_array(r->pool, const struct jwk_set *, c->requests.n);
    for (; h->asked < c->requests.n; h->asked++) {
        const struct key_request *q = c->requests.v[h->asked];
        const struct known *k = known_for(q, r);
        if (k && k->until_ms > clock_now.ms) continue;
        if ((h->waiting = ask_for_keys(r, h, q))) return true;
        h->broken = true;
    }
    return false;
}

/* ---- with each set of keys ---- */

/* The keys of the files, then those of the requests; NULL where there are none. Good until the next call. */
static const struct jwk_set *set_at(struct request *r, const struct auth_jwt_conf *c, struct holder *h, size_t i)
{
    if (i >= c->files.n) {
        const struct known *k = known_for(c->requests.v[i - c->files.n], r);
        return h->sets[i - c->files.n] ? h->sets[i - c->files.n] : k ? k->set : NULL;
    }
    struct text path = path_of(r, c->files.v[i]);
    bool fixed = template_is_constant(c->files.v[i]);
    const struct jwk_set *keys = fixed || is_plain_path(path) ? jwk_set_of_file(path, c->cache.ms, r->log, r->about) : NULL;
    if (!keys) h->broken |= fixed;
    return keys;
}

static const char *verify(struct request *r, const struct auth_jwt_conf *c, struct holder *h)
{
    const char *why = "there is no key for it";
    for (size_t i = 0; i < c->files.n + c->requests.n; i++) {
        const struct jwk_set *keys = set_at(r, c, h, i);
        if (keys && !(why = jwt_verify(&h->jwt, keys))) break;
    }
    return why;
}

/* What was encrypted is claims, or (nested) a signed token. */
static const char *decrypt(struct request *r, const struct auth_jwt_conf *c, struct holder *h)
{
    const char *why = "there is no key to decrypt it";
    struct text plain = T("");
    for (size_t i = 0; why && i < c->files.n + c->requests.n; i++) {
        const struct jwk_set *keys = set_at(r, c, h, i);
        if (keys) why = jwe_open(r->pool, &h->jwe, keys, &plain);
    }
    if (why) return why;
    why = c->type == TYPE_NESTED ? jwt_read(r->pool, plain, &h->jwt) : jwt_read_claims(r->pool, plain, &h->jwt);
    if (!h->jwt.header) h->jwt.header = h->jwe.header;
    if (c->type == TYPE_NESTED) h->jwt.payload_text = plain;
    return why;
}

static struct verdict require(struct request *r, const struct auth_jwt_conf *c, struct text realm)
{
    for (size_t i = 0; i < c->require.n; i++) {
        const struct requirement *q = &c->require.v[i];
        for (size_t k = 0; k < q->values.n; k++) {
            struct text t = template_render(q->values.v[k], &r->eval);
            if (t.n && !text_eq(t, T("0"))) continue;
            if (q->status == 401) return refuse(r, realm, true, "auth_jwt_require does not hold");
            request_log(r, L_ERR, 0, "JWT is refused: auth_jwt_require does not hold");
            metrics_add(METRIC_AUTH_FAILED, 1);
            *request_context(r, &auth_jwt_module) = NULL;
            return v_reply(q->status);
        }
    }
    metrics_add(METRIC_AUTH_PASSED, 1);
    return v_goto(&step_post_access);
}

static struct verdict decide(struct request *r, const struct auth_jwt_conf *c, struct holder *h)
{
    const char *why = c->type == TYPE_SIGNED ? NULL : decrypt(r, c, h);
    bool any = c->files.n + c->requests.n > 0;
    if (!why && c->type != TYPE_ENCRYPTED) why = verify(r, c, h);
    if (why && (h->broken || !any)) {
        if (!any) request_log(r, L_ERR, 0, "\"auth_jwt\" has no keys: nobody may enter");
        *request_context(r, &auth_jwt_module) = NULL;
        return v_reply(500);
    }
    if (!why) why = jwt_check_times(&h->jwt, clock_now.wall, (int64_t) (c->leeway.ms / 1000));
    return why ? refuse(r, h->realm, true, why) : require(r, c, h->realm);
}

static struct verdict check(struct request *r)
{
    const struct auth_jwt_conf *c = request_values(r, &auth_jwt_module);
    struct holder *h = *request_context(r, &auth_jwt_module);
    if (!c->realm.realm) return v_next();
    if (!h) {
        struct text realm = template_render(c->realm.realm, &r->eval);
        if (text_eq(realm, T("off"))) return v_next();
        struct text token = find_token(r, c);
        h = pool_new(r->pool, struct holder);
        h->realm = realm;
        if (!token.n) return refuse(r, realm, false, "there is none");
        const char *why = c->type == TYPE_SIGNED ? jwt_read(r->pool, token, &h->jwt) : jwe_read(r->pool, token, &h->jwe);
        if (why) return refuse(r, realm, true, why);
        if (c->type != TYPE_SIGNED) h->jwt.header = h->jwe.header;
        *request_context(r, &auth_jwt_module) = h;
    }
    if (h->waiting || gather_keys(r, c, h)) return v_wait();
    return decide(r, c, h);
}

/* ---- reading ---- */

static conf_result parse_realm(struct conf *cf, const struct directive *d, void *field)
{
    struct realm *realm = field;
    conf_result why = NULL;
    (void) d;
    if (!(realm->realm = template_compile(cf, cf->words[1], &why)) || cf->count == 2) return why;
    if (!text_starts(cf->words[2], T("token=")) || cf->words[2].n == strlen("token=")) return conf_say(cf, "!invalid parameter \"%.*s\"", TEXT_ARG(cf->words[2]));
    realm->token = template_compile(cf, text_from(cf->words[2], strlen("token=")), &why);
    return why;
}

static conf_result parse_request(struct conf *cf, const struct directive *d, void *field)
{
    struct key_requests *all = field;
    conf_result why = NULL;
    struct key_request *q = pool_new(cf->pool, struct key_request);
    (void) d;
    if (!(q->uri = template_compile(cf, cf->words[1], &why))) return why;
    if (template_is_constant(q->uri) && (!cf->words[1].n || cf->words[1].p[0] != '/')) return conf_invalid;
    pool_cleanup(cf->pool, forget_known, q);
    if (all->n == all->cap) all->v = pool_grow(cf->pool, all->v, all->n, &all->cap, sizeof *all->v);
    all->v[all->n++] = q;
    return NULL;
}

static conf_result parse_require(struct conf *cf, const struct directive *d, void *field)
{
    struct requirements *all = field;
    struct requirement q = { .status = 401 };
    conf_result why = NULL;
    (void) d;
    for (size_t i = 1; i < cf->count && !why; i++) {
        struct text word = cf->words[i];
        if (text_eq(word, T("error=401"))) q.status = 401;
        else if (text_eq(word, T("error=403"))) q.status = 403;
        else if (text_starts(word, T("error="))) return conf_say(cf, "!invalid parameter \"%.*s\"", TEXT_ARG(word));
        else {
            if (q.values.n == q.values.cap) q.values.v = pool_grow(cf->pool, q.values.v, q.values.n, &q.values.cap, sizeof *q.values.v);
            q.values.v[q.values.n++] = template_compile(cf, word, &why);
        }
    }
    if (!why && !q.values.n) return "!\"auth_jwt_require\" needs a value";
    if (all->n == all->cap) all->v = pool_grow(cf->pool, all->v, all->n, &all->cap, sizeof *all->v);
    all->v[all->n++] = q;
    return why;
}

static conf_result parse_path(struct conf *cf, const struct directive *d, void *field)
{
    struct text name = cf->words[1];
    (void) field;
    if (name.n < 2 || name.p[0] != '$') return conf_say(cf, "!invalid variable name \"%.*s\"", TEXT_ARG(name));
    struct path *p = pool_new(cf->pool, struct path);
    *p = (struct path) { .header = text_eq(text_c(d->name), T("auth_jwt_header_set")), .names = pool_array(cf->pool, char *, cf->count), .n = cf->count - 2 };
    for (size_t i = 0; i < p->n; i++) p->names[i] = pool_cstr(cf->pool, cf->words[i + 2]);
    p->variable = (struct variable) { .name = pool_cstr(cf->pool, text_from(name, 1)), .flags = VAR_CHANGEABLE | VAR_NO_CACHE | VAR_SETTLED, .get = get_path, .data = p, .help = "A part of the request's token." };
    return variables_add(cf, EVAL_HTTP, &p->variable);
}

static const struct variable variables[] = {
    { .name = "jwt_claim_", .get = get_claim, .flags = VAR_PREFIX | VAR_NO_CACHE | VAR_SETTLED, .help = "The claim of that name of the token that was verified." },
    { .name = "jwt_header_", .get = get_header, .flags = VAR_PREFIX | VAR_NO_CACHE | VAR_SETTLED, .help = "The header field of that name of the token that was verified." },
    { .name = "jwt_payload", .get = get_payload, .flags = VAR_NO_CACHE | VAR_SETTLED, .help = "The payload of the token that was verified, as JSON." },
    { .name = NULL },
};

enum { WHERE = IN_HSL | IN_LIMIT_EXCEPT };
static const struct conf_type type_realm = { .syntax = "string [token=$variable] | off", .size = sizeof(struct realm), .min = 1, .max = 2, .parse = parse_realm };
static const struct conf_type type_request = { .syntax = "uri", .size = sizeof(struct key_requests), .flags = CONF_MULTI, .min = 1, .max = 1, .parse = parse_request };
static const struct conf_choice types[] = { { "signed", TYPE_SIGNED }, { "encrypted", TYPE_ENCRYPTED }, { "nested", TYPE_NESTED }, { NULL, 0 } };
static const struct conf_type type_require = { .syntax = "$value ... [error=401 | 403]", .size = sizeof(struct requirements), .flags = CONF_MULTI, .min = 1, .max = UINT32_MAX, .parse = parse_require };
static const struct conf_type type_path = { .syntax = "$variable name ...", .flags = CONF_MULTI, .min = 2, .max = 32, .parse = parse_path };

static const struct directive rows[] = {
    D_TYPE(struct auth_jwt_conf, realm, struct realm, &type_realm, "auth_jwt", WHERE, "off", "Asks clients for a signed token, and names the realm it is for; token=: where it stands, if not in Authorization."),
    { .name = "auth_jwt_key_file", .type = &conf_templates, .where = WHERE, .offset = FIELD(struct auth_jwt_conf, files, struct templates), .syntax = "file",
      .help = "A file of keys (a JWK set) that tokens may be signed with; it is read again when it changes." },
    D_TYPE(struct auth_jwt_conf, requests, struct key_requests, &type_request, "auth_jwt_key_request", WHERE, NULL, "A uri that answers a subrequest with keys (a JWK set), of at most subrequest_output_buffer_size bytes."),
    D_TIME(struct auth_jwt_conf, cache, "auth_jwt_key_cache", IN_HSL, "0", "How long keys are used before their file is looked at or their request is made again; of a request whose uri has variables they are not kept."),
    D_TIME(struct auth_jwt_conf, leeway, "auth_jwt_leeway", IN_HSL, "0s", "How much the clock of who made a token may differ from ours."),
    D_ENUM(struct auth_jwt_conf, type, "auth_jwt_type", WHERE, "signed", types, "What kind of tokens is taken: signed, encrypted for one of the keys, or signed and then encrypted (nested)."),
    D_TYPE(struct auth_jwt_conf, require, struct requirements, &type_require, "auth_jwt_require", WHERE, NULL, "Values that must not be empty or 0 once a token is verified, else 401 or 403."),
    D_DO(&type_path, "auth_jwt_claim_set", IN_HTTP, NULL, NULL, "Makes a variable of a claim, or of one that stands within others."),
    D_DO(&type_path, "auth_jwt_header_set", IN_HTTP, NULL, NULL, "Makes a variable of a field of the token's header, or of one that stands within others."),
    { .name = NULL },
};

static const struct hook hooks[] = { { .step = &step_access, .name = "auth_jwt", .run = check, .order = ORDER_AUTH_JWT }, { .step = NULL } };
static const struct http_part part = { .variables = variables, .hooks = hooks, .if_given = true };

struct module auth_jwt_module = { .name = "auth_jwt", .conf_size = sizeof(struct auth_jwt_conf), .rows = rows, .part = &part, .part_kind = &http_part_kind };
