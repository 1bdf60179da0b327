/*
 * geoip2: variables from a MaxMind database, by the client's address or another. The words are those of the well-known third-party module.
 * A database that changes is opened anew where auto_reload says so.
 */
#include "modules/module.h"
#include "http/forwarded.h"
#include "process/cycle.h"
#include <errno.h>
#include <maxminddb.h>
#include <sys/stat.h>

struct database {
    struct database *next;
    const char      *path;
    MMDB_s           mmdb;
    bool             is_open;
    struct stat      stat;
    uint64_t         reload_ms;        /* 0: never */
    uint64_t         check_at_ms;
    time_t           checked, changed;
    /* The last address that was asked for, since several variables ask for one. */
    struct addr      asked;
    bool             found;
    MMDB_entry_s     entry;
};

enum metadata { NOT_METADATA, BUILD_EPOCH, LAST_CHECK, LAST_CHANGE };
struct fact { struct database *db; enum metadata metadata; struct template *source; struct text otherwise; bool has_otherwise; const char **path; struct variable variable; };
struct geoip2_conf { struct database *first; struct forwarded proxies; flag recursive; };

extern struct module geoip2_module;

/* ---- the database ---- */

static bool open_database(struct database *db, const char **why_out)
{
    MMDB_s fresh;
    struct stat st;
    int status = stat(db->path, &st) == 0 ? MMDB_open(db->path, MMDB_MODE_MMAP, &fresh) : MMDB_FILE_OPEN_ERROR;
    *why_out = MMDB_strerror(status);
    if (status != MMDB_SUCCESS) return false;
    if (db->is_open) MMDB_close(&db->mmdb);
    db->mmdb = fresh;
    db->is_open = true;
    db->stat = st;
    db->changed = st.st_mtime;
    db->asked.family = AF_UNSPEC;
    return true;
}

static void close_database(void *arg)
{
    struct database *db = arg;
    if (db->is_open) MMDB_close(&db->mmdb);
    db->is_open = false;
}

/* The entry of an address; NULL: there is none. */
static MMDB_entry_s *look_up(struct database *db, const struct addr *a)
{
    int error = MMDB_SUCCESS;
    if (a->family != AF_INET && a->family != AF_INET6) return NULL;
    struct addr key = *a;
    addr_set_port(&key, 0);
    if (!addr_eq(&key, &db->asked)) {
        struct sockaddr_storage room;
        addr_sockaddr(&key, &room);
        MMDB_lookup_result_s r = MMDB_lookup_sockaddr(&db->mmdb, (struct sockaddr *) &room, &error);
        db->asked = key;
        db->found = error == MMDB_SUCCESS && r.found_entry;
        db->entry = r.entry;
    }
    return db->found ? &db->entry : NULL;
}

static void look_for_changes(struct cycle *c)
{
    const struct geoip2_conf *top = conf_values(c->conf->top, &geoip2_module);
    for (struct database *db = top->first; db; db = db->next) {
        struct stat st;
        const char *why;
        if (!db->reload_ms || clock_now.ms < db->check_at_ms) continue;
        db->check_at_ms = clock_now.ms + db->reload_ms;
        db->checked = clock_now.wall;
        if (stat(db->path, &st) != 0 || (st.st_mtime == db->stat.st_mtime && st.st_ino == db->stat.st_ino && st.st_size == db->stat.st_size)) continue;
        if (!open_database(db, &why)) log_at(log_main, L_ERR, NULL, 0, "geoip2 database \"%s\" has changed and cannot be opened: %s; the old one stays", db->path, why);
        else log_at(log_main, L_INFO, NULL, 0, "geoip2 database \"%s\" was opened anew", db->path);
    }
}

/* ---- variables ---- */

static bool give(struct eval *e, const MMDB_entry_data_s *d, struct text *out)
{
    switch (d->type) {
    case MMDB_DATA_TYPE_UTF8_STRING: *out = pool_text(e->pool, text_of(d->utf8_string, d->data_size)); return true;
    case MMDB_DATA_TYPE_BYTES: *out = pool_text(e->pool, text_of((const char *) d->bytes, d->data_size)); return true;
    case MMDB_DATA_TYPE_FLOAT: *out = pool_printf(e->pool, "%.5f", (double) d->float_value); return true;
    case MMDB_DATA_TYPE_DOUBLE: *out = pool_printf(e->pool, "%.5f", d->double_value); return true;
    case MMDB_DATA_TYPE_UINT16: *out = pool_printf(e->pool, "%u", (unsigned) d->uint16); return true;
    case MMDB_DATA_TYPE_UINT32: *out = pool_printf(e->pool, "%u", (unsigned) d->uint32); return true;
    case MMDB_DATA_TYPE_INT32: *out = pool_printf(e->pool, "%d", (int) d->int32); return true;
    case MMDB_DATA_TYPE_UINT64: *out = pool_printf(e->pool, "%llu", (unsigned long long) d->uint64); return true;
    case MMDB_DATA_TYPE_BOOLEAN: *out = d->boolean ? T("1") : T("0"); return true;
    default: return false;
    }
}

static bool get_metadata(struct eval *e, const struct fact *f, struct text *out)
{
    const struct database *db = f->db;
    uint64_t v = f->metadata == BUILD_EPOCH ? db->mmdb.metadata.build_epoch : (uint64_t) (f->metadata == LAST_CHECK ? db->checked : db->changed);
    *out = pool_printf(e->pool, "%llu", (unsigned long long) v);
    return true;
}

/* Who asks; or whom a trusted proxy tells to ask. */
static struct addr client_of(struct request *r)
{
    const struct geoip2_conf *c = request_values(r, &geoip2_module);
    return c->proxies.n ? forwarded_address(&c->proxies, c->recursive.on, r, *r->peer) : *r->peer;
}

static bool get_fact(struct eval *e, const struct fact *f, struct text *out)
{
    MMDB_entry_data_s data;
    struct addr a;
    struct text source = f->source ? template_render(f->source, e) : T("");
    if (f->source && !addr_parse(e->pool, source, 0, &a)) return false;
    if (!f->source) a = client_of(request_of(e));
    MMDB_entry_s *entry = look_up(f->db, &a);
    return entry && MMDB_aget_value(entry, &data, f->path) == MMDB_SUCCESS && data.has_data && give(e, &data, out);
}

static bool get(struct eval *e, const struct variable *v, struct text name, struct text *out)
{
    const struct fact *f = v->data;
    (void) name;
    if (f->metadata != NOT_METADATA) return get_metadata(e, f, out);
    if (get_fact(e, f, out)) return true;
    *out = f->otherwise;
    return f->has_otherwise;
}

/* ---- reading ---- */

static conf_result read_metadata(struct conf *cf, struct fact *f)
{
    static const struct { const char *name; enum metadata which; } known[] = { { "build_epoch", BUILD_EPOCH }, { "last_check", LAST_CHECK }, { "last_change", LAST_CHANGE } };
    for (size_t i = 0; cf->count == 3 && i < countof(known); i++)
        if (text_eq(cf->words[2], text_c(known[i].name))) f->metadata = known[i].which;
    return f->metadata ? NULL : conf_say(cf, "!unknown metadata in \"geoip2\"");
}

static conf_result read_variable(struct conf *cf, struct database *db)
{
    conf_result why = NULL;
    struct fact *f = pool_new(cf->pool, struct fact);
    size_t n = 0;
    if (cf->words[0].n < 2) return conf_say(cf, "!invalid variable name \"%.*s\"", TEXT_ARG(cf->words[0]));
    *f = (struct fact) { .db = db, .path = pool_array(cf->pool, const char *, cf->count + 1) };
    if (cf->count > 1 && text_eq(cf->words[1], T("metadata"))) why = read_metadata(cf, f);
    for (size_t i = 1; !why && !f->metadata && i < cf->count; i++) {
        struct text word = cf->words[i];
        if (!n && text_starts(word, T("default="))) {
            f->otherwise = pool_text(cf->pool, text_from(word, strlen("default=")));
            f->has_otherwise = true;
        } else if (!n && text_starts(word, T("source="))) {
            f->source = template_compile(cf, text_from(word, strlen("source=")), &why);
        } else {
            f->path[n++] = pool_cstr(cf->pool, word);
        }
    }
    if (!why && !n && !f->metadata) why = conf_say(cf, "!\"%.*s\" of \"geoip2\" needs a path", TEXT_ARG(cf->words[0]));
    if (why) return why;
    f->variable = (struct variable) { .name = pool_cstr(cf->pool, text_from(cf->words[0], 1)), .get = get, .data = f, .flags = VAR_CHANGEABLE, .help = "A variable that geoip2 gives its value." };
    return variables_add(cf, EVAL_HTTP, &f->variable);
}

static conf_result read_entry(struct conf *cf, void *arg)
{
    struct database *db = arg;
    if (cf->words[0].n && cf->words[0].p[0] == '$') return read_variable(cf, db);
    if (cf->count == 2 && text_eq(cf->words[0], T("auto_reload")) && conf_read_span(cf->words[1], &db->reload_ms)) return NULL;
    return conf_say(cf, "!invalid setting \"%.*s\" in \"geoip2\"", TEXT_ARG(cf->words[0]));
}

static conf_result parse(struct conf *cf, const struct directive *d, void *field)
{
    const char *why;
    struct geoip2_conf *top = conf_own_values(cf, cf->top, &geoip2_module);
    struct database *db = pool_new(cf->pool, struct database);
    (void) d, (void) field;
    db->path = conf_full_path(cf, cf->words[1], true).p;
    if (!open_database(db, &why)) return conf_say(cf, "!geoip2 database \"%s\" cannot be opened: %s", db->path, why);
    db->checked = clock_now.wall;
    pool_cleanup(cf->pool, close_database, db);
    db->next = top->first;
    top->first = db;
    return conf_entries(cf, read_entry, db);
}

static conf_result parse_proxy(struct conf *cf, const struct directive *d, void *field)
{
    (void) d;
    return forwarded_trust(cf, field, cf->words[1]);
}

static const struct conf_type type_proxy = { .syntax = "CIDR", .size = sizeof(struct forwarded), .flags = CONF_MULTI, .min = 1, .max = 1, .parse = parse_proxy };
static const struct conf_type type = { .syntax = "file { ... }", .flags = CONF_MULTI | CONF_BLOCK, .min = 1, .max = 1, .parse = parse };
static const struct directive rows[] = {
    { .name = "geoip2", .type = &type, .where = IN_HTTP, .help = "Makes variables of what a MaxMind database says of an address: $name [default=value] [source=$variable] path ...; and auto_reload.", .since = "weir" },
    { .name = "geoip2_proxy", .type = &type_proxy, .where = IN_HTTP, .offset = FIELD(struct geoip2_conf, proxies, struct forwarded), .since = "weir",
      .help = "Proxies that are trusted to tell by X-Forwarded-For whom a request is from, for variables of geoip2 without source." },
    { .name = "geoip2_proxy_recursive", .type = &conf_flag, .where = IN_HTTP, .offset = FIELD(struct geoip2_conf, recursive, flag), .dflt = "off", .since = "weir",
      .help = "Whether trusted proxies named in X-Forwarded-For are passed over too, up to the last address that is not trusted." },
    { .name = NULL },
};

static const struct process_part process = { .second = look_for_changes };
struct module geoip2_module = { .name = "geoip2", .conf_size = sizeof(struct geoip2_conf), .rows = rows, .part = &process, .part_kind = &process_part_kind };
