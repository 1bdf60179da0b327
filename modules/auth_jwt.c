/*
 * auth_jwt: who holds a token (RFC 7519) that one of our keys has signed may enter. Claims and header fields are variables: they
 * are there once the token is verified, and before that while key files are looked for, whose names they may choose.
 */
#include "modules/auth_jwt.h"
#include "modules/module.h"
#include "http/credentials.h"
#include "http/steps.h"
#include "os/metrics.h"
#include "process/cycle.h"

enum { ORDER_AUTH_JWT = 25 };

struct realm { struct template *realm, *token; };
struct requirement { struct templates values; int status; };
struct requirements { struct requirement *v; size_t n, cap; };

struct auth_jwt_conf {
    struct realm        realm;
    struct templates    files;
    span                leeway, cache;
    int                 type;
    struct requirements require;
};

extern struct module auth_jwt_module;

/* The request's token, while it may be seen. */
struct holder { struct jwt jwt; };

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

/* Tries all files. *broken_out: one could not be read. */
static const char *verify(struct request *r, const struct auth_jwt_conf *c, const struct jwt *t, bool *broken_out)
{
    const char *why = "there is no key for it";
    for (size_t i = 0; i < c->files.n; i++) {
        struct text path = path_of(r, c->files.v[i]);
        bool fixed = template_is_constant(c->files.v[i]);
        const struct jwk_set *keys = fixed || is_plain_path(path) ? jwk_set_of_file(path, c->cache.ms, r->log, r->about) : NULL;
        if (!keys) *broken_out |= fixed;
        else if (!(why = jwt_verify(t, keys))) return NULL;
    }
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

static struct verdict check(struct request *r)
{
    const struct auth_jwt_conf *c = request_values(r, &auth_jwt_module);
    if (!c->realm.realm) return v_next();
    struct text realm = template_render(c->realm.realm, &r->eval);
    if (text_eq(realm, T("off"))) return v_next();
    struct text token = find_token(r, c);
    struct holder *h = pool_new(r->pool, struct holder);
    bool broken = false;
    if (!token.n) return refuse(r, realm, false, "there is none");
    const char *why = jwt_read(r->pool, token, &h->jwt);
    if (why) return refuse(r, realm, true, why);
    *request_context(r, &auth_jwt_module) = h;
    if ((why = verify(r, c, &h->jwt, &broken)) != NULL && (broken || !c->files.n)) {
        if (!c->files.n) request_log(r, L_ERR, 0, "\"auth_jwt\" has no keys: nobody may enter");
        *request_context(r, &auth_jwt_module) = NULL;
        return v_reply(500);
    }
    if (!why) why = jwt_check_times(&h->jwt, clock_now.wall, (int64_t) (c->leeway.ms / 1000));
    return why ? refuse(r, realm, true, why) : require(r, c, realm);
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

static conf_result parse_type(struct conf *cf, const struct directive *d, void *field)
{
    (void) d;
    *(int *) field = 0;
    if (text_eq(cf->words[1], T("signed"))) return NULL;
    if (text_eq(cf->words[1], T("encrypted")) || text_eq(cf->words[1], T("nested"))) return conf_say(cf, "!type \"%.*s\" is not supported: tokens must be signed, and not encrypted", TEXT_ARG(cf->words[1]));
    return conf_invalid;
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
    p->variable = (struct variable) { .name = pool_cstr(cf->pool, text_from(name, 1)), .flags = VAR_CHANGEABLE | VAR_NO_CACHE, .get = get_path, .data = p, .help = "A part of the request's token." };
    return variables_add(cf, EVAL_HTTP, &p->variable);
}

static const struct variable variables[] = {
    { .name = "jwt_claim_", .get = get_claim, .flags = VAR_PREFIX | VAR_NO_CACHE, .help = "The claim of that name of the token that was verified." },
    { .name = "jwt_header_", .get = get_header, .flags = VAR_PREFIX | VAR_NO_CACHE, .help = "The header field of that name of the token that was verified." },
    { .name = "jwt_payload", .get = get_payload, .flags = VAR_NO_CACHE, .help = "The payload of the token that was verified, as JSON." },
    { .name = NULL },
};

enum { WHERE = IN_HSL | IN_LIMIT_EXCEPT };
static const struct conf_type type_realm = { .syntax = "string [token=$variable] | off", .size = sizeof(struct realm), .min = 1, .max = 2, .parse = parse_realm };
static const struct conf_type type_type = { .syntax = "signed | encrypted | nested", .size = sizeof(int), .min = 1, .max = 1, .parse = parse_type };
static const struct conf_type type_require = { .syntax = "$value ... [error=401 | 403]", .size = sizeof(struct requirements), .flags = CONF_MULTI, .min = 1, .max = UINT32_MAX, .parse = parse_require };
static const struct conf_type type_path = { .syntax = "$variable name ...", .flags = CONF_MULTI, .min = 2, .max = 32, .parse = parse_path };

static const struct directive rows[] = {
    D_TYPE(struct auth_jwt_conf, realm, struct realm, &type_realm, "auth_jwt", WHERE, "off", "Asks clients for a signed token, and names the realm it is for; token=: where it stands, if not in Authorization."),
    { .name = "auth_jwt_key_file", .type = &conf_templates, .where = WHERE, .offset = FIELD(struct auth_jwt_conf, files, struct templates), .syntax = "file",
      .help = "A file of keys (a JWK set) that tokens may be signed with; it is read again when it changes." },
    D_TIME(struct auth_jwt_conf, cache, "auth_jwt_key_cache", IN_HSL, "0", "How long keys are used without a look at whether their file has changed."),
    D_TIME(struct auth_jwt_conf, leeway, "auth_jwt_leeway", IN_HSL, "0s", "How much the clock of who made a token may differ from ours."),
    D_TYPE(struct auth_jwt_conf, type, int, &type_type, "auth_jwt_type", WHERE, "signed", "What kind of tokens is taken: signed ones alone."),
    D_TYPE(struct auth_jwt_conf, require, struct requirements, &type_require, "auth_jwt_require", WHERE, NULL, "Values that must not be empty or 0 once a token is verified, else 401 or 403."),
    D_DO(&type_path, "auth_jwt_claim_set", IN_HTTP, NULL, NULL, "Makes a variable of a claim, or of one that stands within others."),
    D_DO(&type_path, "auth_jwt_header_set", IN_HTTP, NULL, NULL, "Makes a variable of a field of the token's header, or of one that stands within others."),
    { .name = NULL },
};

static const struct hook hooks[] = { { .step = &step_access, .name = "auth_jwt", .run = check, .order = ORDER_AUTH_JWT }, { .step = NULL } };
static const struct http_part part = { .variables = variables, .hooks = hooks, .if_given = true };

struct module auth_jwt_module = { .name = "auth_jwt", .conf_size = sizeof(struct auth_jwt_conf), .rows = rows, .part = &part, .part_kind = &http_part_kind };
