/*
 * keyval: variables whose values stand in a table in shared memory, which may change while the server runs: by "set", or by
 * its state file, which is read again when it changes. The manager writes what was set to that file, and reads it.
 */
#include "modules/module.h"
#include "http/api.h"
#include "os/file.h"
#include "os/metrics.h"
#include "os/shm_table.h"
#include "process/cycle.h"
#include <errno.h>
#include <sys/stat.h>

enum keyval_type { TYPE_STRING, TYPE_IP, TYPE_PREFIX };
enum { KEY_MOST = 1024, VALUE_MOST = 65536, TOLD_EVERY_MS = 3600000, FILE_MOST = 1 << 30 };

/* What an entry says lies in the zone's memory in one piece, so that it changes at once. */
struct fact { uint64_t expires_ms; uint32_t key_n, value_n; char text[]; };
struct entry { _Atomic(struct fact *) fact; uint64_t generation; };

/* What all processes know of a zone. lengths: of prefixes (or of a network's bits, IPv6 from 64 on) that there ever were. */
struct root { _Atomic uint64_t changes, saved; uint64_t generation; struct timespec file_time; off_t file_size; ino_t file_ino; uint8_t lengths[KEY_MOST + 1]; };

struct keyval_zone {
    struct text       name;
    size_t            size;            /* 0: named somewhere, not defined (yet) */
    enum keyval_type  type;
    struct text       state;           /* path, ends with NUL; empty: none */
    uint64_t          timeout_ms;
    const char       *file;
    unsigned          line;
    struct shm_table *table;
    struct root      *root;
};
struct keyval { struct template *key; struct keyval_zone *zone; struct variable variable; };
struct keyval_conf { struct table *zones; };

extern struct module keyval_module;

/* ---- keys ---- */

/* A network as a key: family, bits, address. */
struct net_key { uint8_t family, bits, address[16]; };

static void mask(struct net_key *k, unsigned bits)
{
    unsigned size = k->family == 4 ? 32 : 128;
    k->bits = (uint8_t) bits;
    for (unsigned i = bits; i < size; i++) k->address[i / 8] &= (uint8_t) ~(0x80 >> i % 8);
}

static bool read_net(struct text t, struct net_key *out)
{
    struct cidr c;
    if (!addr_parse_cidr(t, &c)) return false;
    *out = (struct net_key) { .family = c.base.family == AF_INET ? 4 : 6 };
    if (c.base.family == AF_INET) memcpy(out->address, &c.base.in.sin_addr, 4);
    else memcpy(out->address, &c.base.in6.sin6_addr, 16);
    if (c.base.family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&c.base.in6.sin6_addr) && c.bits >= 96) {
        memmove(out->address, out->address + 12, 4);
        memset(out->address + 4, 0, 12);
        out->family = 4;
        c.bits -= 96;
    }
    mask(out, c.bits);
    return true;
}

static unsigned net_length(const struct net_key *k) { return k->family == 4 ? k->bits : 64u + k->bits; }
static struct siphash net_digest(const struct keyval_zone *z, const struct net_key *k) { return shm_table_key(z->table, text_of((const char *) k, sizeof *k)); }

/* Where an entry stands. False: this type has no such keys. */
static bool own_digest(const struct keyval_zone *z, struct text key, struct siphash *out, unsigned *length_out)
{
    struct net_key net;
    *length_out = (unsigned) key.n;
    if (!key.n || key.n > KEY_MOST) return false;
    if (z->type != TYPE_IP) {
        *out = shm_table_key(z->table, key);
        return true;
    }
    if (!read_net(key, &net)) return false;
    *out = net_digest(z, &net);
    *length_out = net_length(&net);
    return true;
}

/* ---- entries; all in the table's lock ---- */

static struct fact *fact_of(const struct entry *e) { return atomic_load_explicit(&e->fact, memory_order_relaxed); }

static bool is_live(const struct entry *e)
{
    const struct fact *f = fact_of(e);
    return f && (!f->expires_ms || f->expires_ms > clock_now.wall_ms);
}

static void drop(struct keyval_zone *z, struct entry *e)
{
    struct fact *f = fact_of(e);
    shm_table_drop(z->table, e);
    shm_free(shm_table_zone(z->table), f);
}

/* After a process died in the lock: entries that it had not given a fact go, and facts that no entry has. */
static void mend(struct keyval_zone *z)
{
    void **kept = base_alloc(sizeof *kept * (shm_table_count(z->table) + 1));
    size_t n = 0;
    struct entry *e;
    kept[n++] = z->table;
    for (uint32_t at = 0; (e = shm_table_next(z->table, &at)) != NULL;) {
        if (fact_of(e)) kept[n++] = fact_of(e);
        else shm_table_drop(z->table, e);
    }
    shm_keep_only(shm_table_zone(z->table), kept, n);
    free(kept);
}

static void enter(struct keyval_zone *z)
{
    if (!shm_table_enter(z->table)) mend(z);
}

static struct entry *find_one(const struct keyval_zone *z, struct siphash d)
{
    struct entry *e = shm_table_find(z->table, d);
    return e && is_live(e) ? e : NULL;
}

/* The entry that holds for a key: its own, or the longest network or prefix that it is in. */
static struct entry *find_entry(const struct keyval_zone *z, struct text key)
{
    struct net_key net;
    struct siphash d;
    unsigned length;
    struct entry *e = NULL;
    if (z->type == TYPE_STRING) return own_digest(z, key, &d, &length) ? find_one(z, d) : NULL;
    if (z->type == TYPE_PREFIX) {
        for (size_t n = min_of(key.n, (size_t) KEY_MOST); n > 0 && !e; n--)
            if (z->root->lengths[n]) e = find_one(z, shm_table_key(z->table, text_upto(key, n)));
        return e;
    }
    if (!read_net(key, &net)) return NULL;
    for (int bits = net.bits; bits >= 0 && !e; bits--) {
        mask(&net, (unsigned) bits);
        if (z->root->lengths[net_length(&net)]) e = find_one(z, net_digest(z, &net));
    }
    return e;
}

static struct entry *add_entry(struct keyval_zone *z, struct siphash d)
{
    struct entry *e = shm_table_add(z->table, d), *oldest;
    if (e || (oldest = shm_table_oldest(z->table)) == NULL || is_live(oldest)) return e;
    drop(z, oldest);
    return shm_table_add(z->table, d);
}

/* False: there is no room, or no such key. */
static bool put(struct keyval_zone *z, struct text key, struct text value, uint64_t expires_ms)
{
    struct siphash d;
    unsigned length;
    if (!own_digest(z, key, &d, &length) || value.n > VALUE_MOST) return false;
    struct zone *zone = shm_table_zone(z->table);
    struct fact *f = shm_alloc(zone, sizeof *f + key.n + value.n);
    if (!f) return false;
    *f = (struct fact) { expires_ms, (uint32_t) key.n, (uint32_t) value.n };
    memcpy(f->text, key.p, key.n);
    if (value.n) memcpy(f->text + key.n, value.p, value.n);
    struct entry *e = shm_table_find(z->table, d);
    if (!e && (e = add_entry(z, d)) == NULL) {
        shm_free(zone, f);
        return false;
    }
    e->generation = z->root->generation;
    shm_free(zone, atomic_exchange(&e->fact, f));
    z->root->lengths[length] = 1;
    return true;
}

static uint64_t expiry(const struct keyval_zone *z) { return z->timeout_ms ? clock_now.wall_ms + z->timeout_ms : 0; }

/* ---- the variable ---- */

static bool get(struct eval *e, const struct variable *v, struct text name, struct text *out)
{
    const struct keyval *k = v->data;
    struct text key = template_render(k->key, e);
    (void) name;
    *out = T("");
    if (!key.n) return false;
    enter(k->zone);
    const struct entry *found = find_entry(k->zone, key);
    if (found) *out = pool_text(e->pool, text_of(fact_of(found)->text + fact_of(found)->key_n, fact_of(found)->value_n));
    shm_table_leave(k->zone->table);
    return found != NULL;
}

/* "set $variable value": an entry for the key as it is; the empty text ends it. */
static void set(struct eval *e, const struct variable *v, struct text value)
{
    const struct keyval *k = v->data;
    struct keyval_zone *z = k->zone;
    struct text key = template_render(k->key, e);
    struct siphash d;
    unsigned length;
    bool fits = true;
    if (!own_digest(z, key, &d, &length)) return;
    enter(z);
    struct entry *old = shm_table_find(z->table, d);
    if (value.n) fits = put(z, key, value, expiry(z));
    else if (old) drop(z, old);
    shm_table_leave(z->table);
    atomic_fetch_add(&z->root->changes, 1);
    if (!fits) metrics_add(METRIC_KEYVAL_FULL, 1);
    if (!fits && shm_table_may_tell(z->table, clock_now.ms, TOLD_EVERY_MS))
        log_at(e->log, L_ERR, e->about, 0, "keyval zone \"%.*s\" is full: a value was not kept", TEXT_ARG(z->name));
}

/* ---- the state file: { "key": "value", "key": { "value": "…", "expire": ms since the epoch } } ---- */

static bool read_one(struct keyval_zone *z, const char *key, const json_t *j)
{
    const json_t *value = json_is_object(j) ? json_object_get(j, "value") : j, *expire = json_is_object(j) ? json_object_get(j, "expire") : NULL;
    if (!json_is_string(value)) return false;
    uint64_t when = json_is_integer(expire) && json_integer_value(expire) > 0 ? (uint64_t) json_integer_value(expire) : expiry(z);
    if (when && when <= clock_now.wall_ms) return true;
    enter(z);
    bool done = put(z, text_c(key), text_of(json_string_value(value), json_string_length(value)), when);
    shm_table_leave(z->table);
    return done;
}

/* Others get their turn: called after each step of a long walk. */
static void breathe(struct keyval_zone *z, uint32_t at)
{
    if (at % 256) return;
    shm_table_leave(z->table);
    enter(z);
}

/* Ends what is not of this generation: it stands in the file no more. */
static void sweep(struct keyval_zone *z)
{
    enter(z);
    struct entry *e;
    for (uint32_t at = 0; (e = shm_table_next(z->table, &at)) != NULL; breathe(z, at))
        if (e->generation != z->root->generation) drop(z, e);
    shm_table_leave(z->table);
}

static void know_file(struct keyval_zone *z, const struct stat *st)
{
    z->root->file_time = st->st_mtim;
    z->root->file_size = st->st_size;
    z->root->file_ino = st->st_ino;
}

static bool is_known(const struct keyval_zone *z, const struct stat *st)
{
    const struct root *r = z->root;
    return r->file_ino == st->st_ino && r->file_size == st->st_size && r->file_time.tv_sec == st->st_mtim.tv_sec && r->file_time.tv_nsec == st->st_mtim.tv_nsec;
}

/* A file that cannot be read or understood changes nothing. */
static void load(struct keyval_zone *z)
{
    struct stat st;
    json_error_t error;
    const char *key;
    json_t *value;
    unsigned bad = 0;
    if (stat(z->state.p, &st) != 0 || is_known(z, &st)) return;
    know_file(z, &st);
    json_t *all = st.st_size <= FILE_MOST ? json_load_file(z->state.p, JSON_REJECT_DUPLICATES, &error) : NULL;
    if (!json_is_object(all)) {
        log_at(log_main, L_ERR, NULL, 0, "keyval state file \"%s\" is not understood, the table stays as it is", z->state.p);
        json_decref(all);
        return;
    }
    z->root->generation++;
    json_object_foreach(all, key, value) bad += !read_one(z, key, value);
    json_decref(all);
    if (bad) log_at(log_main, L_ERR, NULL, 0, "keyval state file \"%s\": %u entries were not taken", z->state.p, bad);
    sweep(z);
    log_at(log_main, L_NOTICE, NULL, 0, "keyval zone \"%.*s\" has %u entries of \"%s\"", TEXT_ARG(z->name), shm_table_count(z->table), z->state.p);
}

static void put_entry(struct build *b, const struct fact *f)
{
    build_c(b, b->n > 1 ? ",\n\"" : "\n\"");
    build_json(b, text_of(f->text, f->key_n));
    build_lit(b, "\": ");
    if (f->expires_ms) build_lit(b, "{ \"value\": ");
    build_char(b, '"');
    build_json(b, text_of(f->text + f->key_n, f->value_n));
    build_char(b, '"');
    if (!f->expires_ms) return;
    build_lit(b, ", \"expire\": ");
    build_u64(b, f->expires_ms);
    build_lit(b, " }");
}

static void save(struct keyval_zone *z)
{
    struct stat st;
    uint64_t changes = atomic_load(&z->root->changes);
    if (changes == atomic_load(&z->root->saved)) return;
    struct pool *scratch = pool_open(0);
    struct build b = build_in_pool(scratch, 4096, 0);
    struct entry *e;
    build_char(&b, '{');
    enter(z);
    for (uint32_t at = 0; (e = shm_table_next(z->table, &at)) != NULL; breathe(z, at))
        if (is_live(e)) put_entry(&b, fact_of(e));
    shm_table_leave(z->table);
    build_lit(&b, "\n}\n");
    atomic_store(&z->root->saved, changes);
    if (!build_ok(&b) || file_replace(z->state.p, build_done(&b), 0600) != 0) log_at(log_main, L_ERR, NULL, errno, "keyval state file \"%s\" cannot be written", z->state.p);
    else if (stat(z->state.p, &st) == 0) know_file(z, &st);
    pool_close(&scratch);
}

/* ---- the zones ---- */

static bool open_zone(struct cycle *c, struct keyval_zone *z)
{
    enum { SHARE = 4 };     /* of the size the table has a quarter, keys and values the rest */
    struct text name = pool_printf(c->pool, "keyval %.*s", TEXT_ARG(z->name));
    bool reused;
    if (!(z->table = shm_table_open(name, z->size / SHARE, sizeof(struct entry), 1 + z->type, &reused))) return false;
    if (!(z->root = shm_object(shm_table_zone(z->table), T("keyval"), sizeof *z->root, NULL))) {
        log_at(log_main, L_EMERG, NULL, 0, "keyval zone \"%.*s\" is too small", TEXT_ARG(z->name));
        return false;
    }
    if (!reused && z->state.n && !c->testing) load(z);
    return true;
}

static bool open_zones(struct cycle *c)
{
    const struct keyval_conf *top = conf_values(c->conf->top, &keyval_module);
    struct text name;
    void *v;
    for (size_t at = 0; top->zones && table_next(top->zones, &at, &name, &v);)
        if (!open_zone(c, v)) return false;
    return true;
}

static void look_at_files(struct cycle *c)
{
    const struct keyval_conf *top = conf_values(c->conf->top, &keyval_module);
    struct text name;
    void *v;
    if (process_kind != PROCESS_MANAGER && process_kind != PROCESS_SINGLE) return;
    for (size_t at = 0; top->zones && table_next(top->zones, &at, &name, &v);) {
        struct keyval_zone *z = v;
        if (!z->state.n) continue;
        load(z);
        save(z);
    }
}

/* ---- reading ---- */

static struct keyval_zone *zone_named(struct conf *cf, struct text name)
{
    struct keyval_conf *top = conf_own_values(cf, cf->top, &keyval_module);
    if (!top->zones) {
        top->zones = pool_new(cf->pool, struct table);
        table_init(top->zones, cf->pool, false);
    }
    struct keyval_zone *z = table_get(top->zones, name);
    if (z) return z;
    z = pool_new(cf->pool, struct keyval_zone);
    *z = (struct keyval_zone) { .name = pool_text(cf->pool, name), .file = cf->file, .line = cf->line };
    table_add(top->zones, z->name, z);
    return z;
}

static conf_result read_size(struct conf *cf, struct text word, struct keyval_zone **out)
{
    struct text value = text_from(word, strlen("zone="));
    ssize_t colon = text_find_char(value, ':');
    uint64_t size;
    if (colon <= 0 || colon > 45 || !conf_read_bytes(text_from(value, (size_t) colon + 1), &size) || size > (uint64_t) 1 << 36) return conf_say(cf, "!invalid zone size \"%.*s\"", TEXT_ARG(word));
    if (size < 8 * 4096) return conf_say(cf, "!zone \"%.*s\" is too small", TEXT_ARG(word));
    *out = zone_named(cf, text_upto(value, (size_t) colon));
    if ((*out)->size) return conf_say(cf, "!duplicate zone \"%.*s\"", TEXT_ARG((*out)->name));
    (*out)->size = size;
    return NULL;
}

static conf_result parse_zone(struct conf *cf, const struct directive *d, void *field)
{
    static const char *const types[] = { [TYPE_STRING] = "type=string", [TYPE_IP] = "type=ip", [TYPE_PREFIX] = "type=prefix" };
    struct keyval_zone *z = NULL;
    (void) d, (void) field;
    if (!text_starts(cf->words[1], T("zone="))) return conf_say(cf, "!\"keyval_zone\" must have \"zone\" parameter");
    conf_result why = read_size(cf, cf->words[1], &z);
    for (size_t i = 2; i < cf->count && !why; i++) {
        struct text word = cf->words[i], value = text_from(word, (size_t) (text_find_char(word, '=') + 1));
        bool known = false;
        for (size_t k = 0; k < countof(types); k++)
            if (text_eq(word, text_c(types[k]))) z->type = (enum keyval_type) k, known = true;
        if (known) continue;
        if (text_starts(word, T("state=")) && value.n) z->state = conf_full_path(cf, value, false);
        else if (text_starts(word, T("timeout="))) known = conf_read_span(value, &z->timeout_ms) && z->timeout_ms;
        else if (text_eq(word, T("sync"))) conf_warn(cf, "\"sync\" has no effect: this zone is this machine's");
        else return conf_say(cf, "!invalid parameter \"%.*s\"", TEXT_ARG(word));
        if (text_starts(word, T("timeout=")) && !known) return conf_say(cf, "!invalid timeout \"%.*s\"", TEXT_ARG(word));
    }
    return why;
}

static conf_result parse_keyval(struct conf *cf, const struct directive *d, void *field)
{
    struct text name = cf->words[2], zone = cf->words[3];
    conf_result why;
    (void) d, (void) field;
    if (name.n < 2 || name.p[0] != '$') return conf_say(cf, "!invalid variable name \"%.*s\"", TEXT_ARG(name));
    if (!text_starts(zone, T("zone=")) || zone.n == strlen("zone=")) return conf_say(cf, "!invalid parameter \"%.*s\"", TEXT_ARG(zone));
    struct keyval *k = pool_new(cf->pool, struct keyval);
    if (!(k->key = template_compile(cf, cf->words[1], &why))) return why;
    k->zone = zone_named(cf, text_from(zone, strlen("zone=")));
    k->variable = (struct variable) { .name = pool_cstr(cf->pool, text_from(name, 1)), .flags = VAR_CHANGEABLE | VAR_NO_CACHE, .get = get, .set = set, .data = k,
                                      .help = "A variable that a keyval table gives its value." };
    return variables_add(cf, variables_kind(variables_here(cf)), &k->variable);
}

static conf_result finish(struct conf *cf, void *values)
{
    const struct keyval_conf *top = values;
    struct text name;
    void *v;
    for (size_t at = 0; top->zones && table_next(top->zones, &at, &name, &v);) {
        const struct keyval_zone *z = v;
        if (!z->size) conf_error_at(cf, z->file, z->line, "zero size shared memory zone \"%.*s\"", TEXT_ARG(name));
    }
    return NULL;
}

static const struct conf_type type_keyval = { .syntax = "key $variable zone=name", .flags = CONF_MULTI, .min = 3, .max = 3, .parse = parse_keyval };
static const struct conf_type type_zone = { .syntax = "zone=name:size [state=file] [timeout=time] [type=string|ip|prefix] [sync]", .flags = CONF_MULTI, .min = 1, .max = 5, .parse = parse_zone };

static const struct directive rows[] = {
    D_DO(&type_keyval, "keyval", IN_HTTP | IN_STREAM, NULL, NULL, "Makes a variable whose value is found in a table by a key; \"set\" changes the table."),
    D_DO(&type_zone, "keyval_zone", IN_HTTP | IN_STREAM, NULL, NULL, "A table of keys and values in shared memory, kept in a file that may be edited while the server runs."),
    { .name = NULL },
};

/* ---- in the API ---- */

static json_t *value_json(const struct fact *f) { return api_text(text_of(f->text + f->key_n, f->value_n)); }

static json_t *zone_json(struct keyval_zone *z)
{
    json_t *j = json_object();
    struct entry *e;
    enter(z);
    for (uint32_t at = 0; (e = shm_table_next(z->table, &at)) != NULL; breathe(z, at))
        if (is_live(e)) json_object_setn_new(j, fact_of(e)->text, fact_of(e)->key_n, value_json(fact_of(e)));
    shm_table_leave(z->table);
    return j;
}

static json_t *zones_json(const struct keyval_conf *top)
{
    json_t *j = json_object();
    struct text name;
    void *v;
    for (size_t at = 0; top->zones && table_next(top->zones, &at, &name, &v);) json_object_setn_new(j, name.p, name.n, zone_json(v));
    return j;
}

/* The live entry of this very key. In the lock. */
static struct entry *find_own(const struct keyval_zone *z, struct text key)
{
    struct siphash d;
    unsigned length;
    return own_digest(z, key, &d, &length) ? find_one(z, d) : NULL;
}

static int show_zone(struct api_call *c, struct keyval_zone *z)
{
    struct text key;
    if (!api_argument(c, T("key"), &key)) {
        c->answer = zone_json(z);
        return 200;
    }
    enter(z);
    const struct entry *e = find_own(z, key);
    if (e) json_object_setn_new(c->answer = json_object(), key.p, key.n, value_json(fact_of(e)));
    shm_table_leave(z->table);
    return e ? 200 : api_refuse(c, 404, "KeyvalKeyNotFound", "keyval key not found");
}

static int end_all(struct keyval_zone *z)
{
    struct entry *e;
    enter(z);
    for (uint32_t at = 0; (e = shm_table_next(z->table, &at)) != NULL; breathe(z, at)) drop(z, e);
    shm_table_leave(z->table);
    atomic_fetch_add(&z->root->changes, 1);
    return 204;
}

/* What a POST or PATCH says: { "key": "value" }, { "key": { "value": "...", "expire": ms } }, { "key": null } */
struct wish { struct text key; const json_t *value; bool ends, has_expire; uint64_t expire_ms; };

static int bad_wish(struct api_call *c, const char *why) { return api_refuse(c, 400, "KeyvalFormatError", "%s", why); }

/* 0: it is understood; else the answer's status. */
static int read_wish(struct api_call *c, const struct keyval_zone *z, const char *key, const json_t *said, struct wish *out)
{
    const json_t *expire = NULL;
    struct siphash d;
    unsigned length;
    *out = (struct wish) { .key = text_c(key), .value = said, .ends = json_is_null(said) };
    if (json_is_object(said)) {
        out->value = json_object_get(said, "value");
        expire = json_object_get(said, "expire");
    }
    out->has_expire = expire != NULL;
    if (expire && !z->timeout_ms) return bad_wish(c, "keyval timeout is not enabled");
    if (expire && (!json_is_integer(expire) || json_integer_value(expire) <= 0)) return bad_wish(c, "invalid expire");
    if (expire) out->expire_ms = clock_now.wall_ms + (uint64_t) json_integer_value(expire);
    if (!own_digest(z, out->key, &d, &length)) return bad_wish(c, "invalid key");
    if (!out->ends && !(out->value ? json_is_string(out->value) : out->has_expire)) return bad_wish(c, "invalid value");
    return c->method == METHOD_POST && (out->ends || !out->value) ? bad_wish(c, "invalid value") : 0;
}

/* In the lock. True: it is done. */
static bool fulfil(struct keyval_zone *z, const struct wish *w, struct entry *old, struct pool *pool)
{
    if (w->ends) {
        if (old) drop(z, old);
        return true;
    }
    struct text value = w->value ? text_of(json_string_value(w->value), json_string_length(w->value)) : pool_text(pool, text_of(fact_of(old)->text + fact_of(old)->key_n, fact_of(old)->value_n));
    return put(z, w->key, value, w->has_expire ? w->expire_ms : old ? fact_of(old)->expires_ms : expiry(z));
}

static int tell_full(struct api_call *c) { return api_refuse(c, 507, "KeyvalFull", "keyval zone is full"); }

static void forget_all(struct keyval_zone *z)
{
    struct entry *e;
    for (uint32_t at = 0; (e = shm_table_next(z->table, &at)) != NULL;) drop(z, e);
}

static bool has_any(const struct keyval_zone *z)
{
    const struct entry *e;
    for (uint32_t at = 0; (e = shm_table_next(z->table, &at)) != NULL;)
        if (is_live(e)) return true;
    return false;
}

/* Several at once, into an empty zone: all of them, or none. */
static int fill_zone(struct api_call *c, struct keyval_zone *z)
{
    const char *key;
    json_t *said;
    size_t n = 0;
    bool fits = true;
    struct wish *all = pool_array(c->r->pool, struct wish, json_object_size(c->body));
    json_object_foreach(c->body, key, said) {
        int status = read_wish(c, z, key, said, &all[n++]);
        if (status) return status;
    }
    enter(z);
    bool empty = !has_any(z);
    for (size_t i = 0; empty && fits && i < n; i++) fits = fulfil(z, &all[i], NULL, c->r->pool);
    if (!fits) forget_all(z);
    shm_table_leave(z->table);
    if (!empty) return bad_wish(c, "only one key can be added");
    if (!fits) return tell_full(c);
    atomic_fetch_add(&z->root->changes, 1);
    return 201;
}

static int change_zone(struct api_call *c, struct keyval_zone *z)
{
    struct wish w;
    void *one = json_object_iter(c->body);
    bool adds = c->method == METHOD_POST, fits = true;
    if (!one) return bad_wish(c, "key required");
    if (json_object_size(c->body) > 1) return adds ? fill_zone(c, z) : bad_wish(c, "only one key can be changed");
    int status = read_wish(c, z, json_object_iter_key(one), json_object_iter_value(one), &w);
    if (status) return status;
    enter(z);
    struct entry *old = find_own(z, w.key);
    bool meant = adds == !old;
    if (meant) fits = fulfil(z, &w, old, c->r->pool);
    shm_table_leave(z->table);
    if (!meant) return adds ? api_refuse(c, 409, "KeyvalKeyExists", "key \"%.*s\" already exists", TEXT_ARG(w.key)) : api_refuse(c, 404, "KeyvalKeyNotFound", "keyval key not found");
    if (!fits) return tell_full(c);
    atomic_fetch_add(&z->root->changes, 1);
    return adds ? 201 : 204;
}

static int serve(struct api_call *c)
{
    const struct keyval_conf *top = conf_values(cycle_current->conf->top, &keyval_module);
    if (!c->depth && c->method != METHOD_GET) return api_refuse(c, 405, "MethodDisabled", "method disabled");
    if (!c->depth) {
        c->answer = zones_json(top);
        return 200;
    }
    struct keyval_zone *z = top->zones && c->depth == 1 ? table_get(top->zones, c->rest[0]) : NULL;
    if (!z) return c->depth == 1 ? api_refuse(c, 404, "KeyvalNotFound", "keyval not found") : api_refuse(c, 404, "PathNotFound", "path not found");
    if (c->method == METHOD_GET) return show_zone(c, z);
    return c->method == METHOD_DELETE ? end_all(z) : change_zone(c, z);
}

static const struct api_part api[] = { { "http", "keyvals", 1, 1u << METHOD_POST | 1u << METHOD_PATCH | 1u << METHOD_DELETE, false, serve }, { 0 } };
static const struct module api_module = { .name = "keyval_api", .part = api, .part_kind = &api_part_kind };

static const struct process_part process = { .open = open_zones, .second = look_at_files };
struct module keyval_module = { .name = "keyval", .conf_size = sizeof(struct keyval_conf), .rows = rows, .finish = finish, .part = &process, .part_kind = &process_part_kind, .extra = &api_module };
