/* ssl_open: the contexts of all servers, made by the master while it may read keys. */
#include "modules/ssl.h"
#include "http/h1_tls.h"
#include "http/http.h"
#include "http/steps.h"
#include <openssl/crypto.h>
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

enum { CACHE_LAYOUT = 0x73736c31, TICKETS_LAYOUT = 0x73736c32, TICKETS_ZONE = 8 * 4096 };

/* While contexts are made. made: what a server says, in one text, to its context. */
struct opening { struct cycle *cycle; struct pool *scratch; struct table made; struct ssl_conf *top; size_t certificates; };

/* ---- shared memory ---- */

static bool open_cache(struct cycle *c, struct ssl_zone *z)
{
    struct zone *zone = shm_open_zone(pool_printf(c->pool, "ssl %.*s", TEXT_ARG(z->name)), (size_t) z->size, CACHE_LAYOUT, NULL);
    z->cache = zone ? tls_cache_open(zone) : NULL;
    if (zone && !z->cache) log_at(log_main, L_EMERG, NULL, 0, "session cache \"%.*s\" is too small", TEXT_ARG(z->name));
    return z->cache != NULL;
}

static bool open_zones(struct opening *o)
{
    struct text name;
    void *v;
    for (size_t at = 0; o->top->zones && table_next(o->top->zones, &at, &name, &v);)
        if (!open_cache(o->cycle, v)) return false;
    return true;
}

/* ---- tickets ---- */

static bool read_key(struct opening *o, struct text path, struct text *out)
{
    char *room = pool_alloc(o->scratch, TLS_TICKET_LONG + 1);
    int fd = open(path.p, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, room, TLS_TICKET_LONG + 1);
    int err = errno;
    if (fd >= 0) close(fd);
    *out = text_of(room, n < 0 ? 0 : (size_t) n);
    if (n < 0) log_at(log_main, L_EMERG, NULL, err, "open() \"%.*s\" failed", TEXT_ARG(path));
    else if (n != TLS_TICKET_SHORT && n != TLS_TICKET_LONG) log_at(log_main, L_EMERG, NULL, 0, "\"%.*s\" must be 48 or 80 bytes", TEXT_ARG(path));
    else return true;
    return false;
}

static struct tls_tickets *fixed_tickets(struct opening *o, const struct conf_texts *files)
{
    struct text *keys = pool_array(o->scratch, struct text, files->n);
    bool fine = true;
    for (size_t i = 0; fine && i < files->n; i++) fine = read_key(o, files->v[i], &keys[i]);
    struct tls_tickets *t = fine ? tls_tickets_fixed(o->cycle->pool, keys, files->n) : NULL;
    if (fine && !t) log_at(log_main, L_EMERG, NULL, 0, "too many \"ssl_session_ticket_key\" directives");
    for (size_t i = 0; i < files->n; i++)
        if (keys[i].n) OPENSSL_cleanse((void *) (uintptr_t) keys[i].p, keys[i].n);
    return t;
}

static struct tls_tickets *shared_tickets(struct opening *o)
{
    if (o->top->shared_tickets) return o->top->shared_tickets;
    struct zone *zone = shm_open_zone(T("ssl tickets"), TICKETS_ZONE, TICKETS_LAYOUT, NULL);
    return o->top->shared_tickets = zone ? tls_tickets_shared(zone) : NULL;
}

/* ---- contexts ---- */

static void add_text(struct build *b, struct text t)
{
    build_u64(b, t.n);
    build_char(b, ':');
    build_text(b, t);
}

static void add_texts(struct build *b, const struct conf_texts *list)
{
    build_u64(b, list->n);
    build_char(b, ';');
    for (size_t i = 0; i < list->n; i++) add_text(b, list->v[i]);
}

static void add_words(struct build *b, const struct tls_words *list)
{
    build_u64(b, list->n);
    build_char(b, ';');
    for (size_t i = 0; i < list->n; i++) add_text(b, list->v[i].path);
}

/* All that a context is made of. */
static struct text describe(struct opening *o, const struct vhost *v)
{
    const struct ssl_conf *s = conf_values(v->block, &ssl_module);
    struct build b = build_in_pool(o->scratch, 512, 0);
    const struct text texts[] = { s->key_log ? s->key_log->path : T(""), s->ciphers, s->curves, s->dhparam, s->client_ca, s->trusted, s->crl, s->staple_file, s->staple_responder, s->ocsp_responder, s->cache.zone ? s->cache.zone->name : T("") };
    const uint64_t numbers[] = {
        s->protocols, s->prefer_server.on, s->tickets.on, s->buffer_size.bytes, (uint64_t) s->cache.how, s->cache.builtin, s->timeout.ms, (uint64_t) s->verify, (uint64_t) s->depth, s->early.on, s->compress.on, s->watch.on, s->stapling.on, s->staple_verify.on, s->key_log != NULL,
        s->ramp.on, s->ramp_low.bytes, s->ramp_high.bytes, (uint64_t) s->ramp_records, s->ramp_pause.ms,
        (uint64_t) s->ocsp, s->stapling.on ? (uintptr_t) resolver_of(conf_values(v->block, &http_resolver_module)) : 0,
    };
    if (v->issued) add_text(&b, v->issued->name);
    add_words(&b, &s->certificates);
    add_words(&b, &s->keys);
    add_texts(&b, &s->passwords);
    add_texts(&b, &s->ticket_keys);
    for (size_t i = 0; i < s->commands.n; i++) {
        add_text(&b, s->commands.v[i].name);
        add_text(&b, s->commands.v[i].value);
    }
    build_char(&b, '|');
    for (size_t i = 0; i < countof(texts); i++) add_text(&b, texts[i]);
    for (size_t i = 0; i < countof(numbers); i++) {
        build_u64(&b, numbers[i]);
        build_char(&b, ',');
    }
    return build_done(&b);
}

/* A description holds passwords, and keys given as data. */
static void wipe_descriptions(struct opening *o)
{
    struct text said;
    void *x;
    for (size_t at = 0; table_next(&o->made, &at, &said, &x);) OPENSSL_cleanse((char *) (uintptr_t) said.p, said.n);
}

/* Contexts have it now. */
static void wipe_issued(struct tls_issued *p)
{
    if (!p || !p->pair.key.n) return;
    OPENSSL_cleanse((char *) (uintptr_t) p->pair.key.p, p->pair.key.n);
    p->pair = (struct tls_pair) { T(""), T("") };
}

static void close_context(void *p)
{
    struct tls_context *x = p;
    tls_context_close(&x);
}

static struct tls_ramp ramp_of(const struct ssl_conf *s)
{
    return (struct tls_ramp) {
        .low = s->ramp_low.bytes, .high = s->ramp_high.bytes, .records = s->ramp.on ? (unsigned) s->ramp_records : 0, .pause_ms = s->ramp_pause.ms,
    };
}

/* Where its pairs lie now. True: that is known with a handshake only. */
static bool list_pairs(const struct vhost *v, struct tls_pair *pairs, struct text *names)
{
    const struct ssl_conf *s = conf_values(v->block, &ssl_module);
    bool late = false;
    for (size_t i = 0; i < s->certificates.n; i++) {
        bool issued = ssl_certs_issued(v, i);
        pairs[i] = issued ? v->issued->pair : (struct tls_pair) { s->certificates.v[i].path, s->keys.v[i].path };
        if (issued) names[i] = v->issued->name;
        late |= !issued && (s->certificates.v[i].with || s->keys.v[i].with);
    }
    return late;
}

static struct tls_context *make_context(struct opening *o, struct vhost *v)
{
    const struct ssl_conf *s = conf_values(v->block, &ssl_module);
    struct tls_pair *pairs = pool_array(o->scratch, struct tls_pair, s->certificates.n + 1);
    struct text *names = pool_array(o->scratch, struct text, s->certificates.n + 1);
    bool late = list_pairs(v, pairs, names);
    struct tls_swaps *swaps = ssl_certs_swaps(o->top, v);
    if (v->issued && swaps) v->issued->swaps = swaps;
    struct tls_tickets *tickets = s->ticket_keys.n ? fixed_tickets(o, &s->ticket_keys) : shared_tickets(o);
    if (!tickets) return NULL;
    bool verifies = s->verify != TLS_VERIFY_OFF;
    struct tls_settings settings = {
        .server = true, .pairs = pairs, .names = names, .pair_count = late ? 0 : s->certificates.n, .late = late, .ring = { .passwords = s->passwords.v, .password_count = s->passwords.n },
        .swaps = swaps, .commands = s->commands.v, .command_count = s->commands.n, .protocols = s->protocols, .ciphers = s->ciphers, .prefer_server = s->prefer_server.on,
        .curves = s->curves, .dhparam = s->dhparam, .verify = (enum tls_verify) s->verify, .depth = (unsigned) min_of(s->depth, (int64_t) INT32_MAX), .limit_depth = verifies,
        .client_ca = s->client_ca, .trusted = s->trusted, .crl = s->crl, .caching = s->cache.how, .cache = s->cache.zone ? s->cache.zone->cache : NULL,
        .builtin = s->cache.builtin, .no_tickets = !s->tickets.on, .tickets = tickets, .session_ms = s->timeout.ms, .record = s->buffer_size.bytes,
        .early = s->early.on, .compress = s->compress.on, .key_line = s->key_log ? tls_conf_write_key : NULL, .key_arg = s->key_log,
        .ramp = ramp_of(s), .id = T("HTTP"), .hooks = &h1_tls_hooks,
    };
    struct tls_context *x = tls_context_open(&settings, log_main);
    if (x) pool_cleanup(o->cycle->pool, close_context, x);
    return x && ssl_staple_open(o->cycle, o->top, v, o->certificates, x) ? x : NULL;
}

/* Those with variables; read by the worker. */
static bool show_pairs(struct request *r, struct conn *c)
{
    const struct ssl_conf *s = request_values(r, &ssl_module);
    struct tls_keyring ring = { s->passwords.v, s->passwords.n, s->pairs.cache };
    for (size_t i = 0; i < s->certificates.n; i++) {
        struct tls_pair pair = { tls_conf_render(&s->certificates.v[i], &r->eval), tls_conf_render(&s->keys.v[i], &r->eval) };
        if (!tls_present(c, &pair, &ring)) return false;
    }
    return true;
}

static bool open_server(struct opening *o, struct vhost *v)
{
    const struct ssl_conf *s = conf_values(v->block, &ssl_module);
    v->verify = (enum tls_verify) s->verify;
    v->rejects = s->reject.on;
    v->tls_pair = show_pairs;
    v->tls_check = s->ocsp == SSL_OCSP_OFF || s->verify == TLS_VERIFY_OFF ? NULL : ssl_ocsp_check;
    if (!s->certificates.n && !s->reject.on) return true;
    struct text said = describe(o, v);
    v->tls = table_get(&o->made, said);
    if (v->tls) return true;
    v->tls = make_context(o, v);
    if (v->tls) table_add(&o->made, said, v->tls);
    o->top->longest_ms = o->top->longest_ms > s->timeout.ms ? o->top->longest_ms : s->timeout.ms;
    return v->tls != NULL;
}

bool ssl_open(struct cycle *c)
{
    struct http *h = http_of(c->conf);
    struct opening o = { .cycle = c, .scratch = pool_open(0), .top = conf_values(c->conf->top, &ssl_module) };
    table_init(&o.made, o.scratch, false);
    size_t keys = 0;
    for (size_t i = 0; h && i < h->vhost_count; i++) keys += ((const struct ssl_conf *) conf_values(h->vhosts[i]->block, &ssl_module))->keys.n;
    o.certificates = keys;
    if (keys) tls_protect_keys(keys);
    bool fine = open_zones(&o) && ssl_ocsp_open(c, o.top) && (!h || ssl_certs_open(c, o.top, h));
    for (size_t i = 0; fine && h && i < h->vhost_count; i++) fine = open_server(&o, h->vhosts[i]);
    for (size_t i = 0; h && i < h->vhost_count; i++) wipe_issued(h->vhosts[i]->issued);
    wipe_descriptions(&o);
    pool_close(&o.scratch);
    return fine;
}
