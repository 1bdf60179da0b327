/* headers: add_header, add_trailer, expires. */
#include "modules/module.h"
#include "wire/date.h"

enum { INHERIT_ON, INHERIT_OFF, INHERIT_MERGE };
enum expires_kind { EXPIRES_OFF, EXPIRES_EPOCH, EXPIRES_MAX, EXPIRES_ACCESS, EXPIRES_MODIFIED, EXPIRES_DAILY };

struct header { struct text name; enum field_id id; struct template *value; bool always; };
struct header_list { struct header *v; size_t n, cap; };
struct expires { enum expires_kind kind; int64_t seconds; struct template *value; };
struct headers_conf {
    struct header_list  headers, trailers;
    int                 headers_inherit, trailers_inherit;
    struct expires      expires;
    struct conf_block  *block;         /* these values were made for */
};

extern struct module headers_module;

/* ---- expires ---- */

/* What a value says; kind is EXPIRES_ACCESS or EXPIRES_MODIFIED before. NULL, or what is wrong with it. */
static const char *read_expires(struct text t, enum expires_kind *kind, int64_t *seconds_out)
{
    static const struct { struct text word; enum expires_kind kind; } words[] = { { TEXT_INIT("epoch"), EXPIRES_EPOCH }, { TEXT_INIT("max"), EXPIRES_MAX }, { TEXT_INIT("off"), EXPIRES_OFF } };
    char sign = 0;
    uint64_t ms;
    for (size_t i = 0; *kind != EXPIRES_MODIFIED && i < countof(words); i++) {
        if (!text_eq(t, words[i].word)) continue;
        *kind = words[i].kind;
        return NULL;
    }
    if (t.n && (t.p[0] == '@' || t.p[0] == '+' || t.p[0] == '-')) {
        sign = t.p[0];
        t = text_from(t, 1);
    }
    if (sign == '@') {
        if (*kind == EXPIRES_MODIFIED) return "daily time cannot be used with \"modified\" parameter";
        *kind = EXPIRES_DAILY;
    }
    if (!conf_read_span(t, &ms) || text_find(t, T("ms")) >= 0) return "invalid value";
    *seconds_out = (int64_t) (ms / 1000);
    if (sign == '@' && *seconds_out > 86400) return "daily time value must be less than 24 hours";
    if (sign == '-') *seconds_out = -*seconds_out;
    return NULL;
}

static conf_result parse_expires(struct conf *cf, const struct directive *d, void *field)
{
    struct expires *e = field;
    conf_result why = NULL;
    (void) d;
    e->kind = EXPIRES_ACCESS;
    if (cf->count == 3) {
        if (!text_eq(cf->words[1], T("modified"))) return "invalid value";
        e->kind = EXPIRES_MODIFIED;
    }
    if (!(e->value = template_compile(cf, cf->words[cf->count - 1], &why))) return why;
    if (!template_is_constant(e->value)) return NULL;
    e->value = NULL;
    return read_expires(cf->words[cf->count - 1], &e->kind, &e->seconds);
}

/* The next time it is so many seconds after midnight. */
static time_t next_daily(int64_t seconds)
{
    time_t now = clock_now.wall;
    struct tm tm;
    if (!localtime_r(&now, &tm)) return -1;
    tm.tm_hour = (int) (seconds / 3600);
    tm.tm_min = (int) (seconds / 60 % 60);
    tm.tm_sec = (int) (seconds % 60);
    time_t next = mktime(&tm);
    if (next > now) return next;
    tm.tm_mday++;
    return mktime(&tm);
}

/* The first field of that id gets this value, the others go; without one it is added. */
static void set_only(struct request *r, enum field_id id, struct text name, struct text value)
{
    struct field *f = fields_find(&r->out.fields, id);
    if (f) name = f->name;
    fields_remove(&r->out.fields, id);
    response_add(r, id, name, value);
}

static void say_expires(struct request *r, struct text expires, struct text control)
{
    set_only(r, FIELD_EXPIRES, T("Expires"), expires);
    set_only(r, FIELD_CACHE_CONTROL, T("Cache-Control"), control);
}

static time_t modified(const struct request *r)
{
    const struct field *f = r->out.modified == -1 ? fields_find(&r->out.fields, FIELD_LAST_MODIFIED) : NULL;
    time_t t;
    return f && date_parse(f->value, &t) ? t : r->out.modified;
}

static void set_expires(struct request *r, const struct expires *e)
{
    enum expires_kind kind = e->kind;
    int64_t seconds = e->seconds, age;
    time_t now = clock_now.wall;
    if (e->value && read_expires(template_render(e->value, &r->eval), &kind, &seconds)) return;
    switch (kind) {
    case EXPIRES_OFF: return;
    case EXPIRES_EPOCH: say_expires(r, T("Thu, 01 Jan 1970 00:00:01 GMT"), T("no-cache")); return;
    case EXPIRES_MAX: say_expires(r, T("Thu, 31 Dec 2037 23:55:55 GMT"), T("max-age=315360000")); return;
    default: break;
    }
    if (kind == EXPIRES_DAILY) seconds = next_daily(seconds);
    else if (!seconds) seconds = now;
    else if (kind == EXPIRES_MODIFIED && modified(r) != -1) seconds += modified(r);
    else seconds += now;
    age = seconds - now;
    char *room = pool_bytes(r->pool, DATE_LENGTH);
    bool stale = age < 0 || (!e->value && e->kind != EXPIRES_DAILY && e->seconds < 0);
    say_expires(r, date_format(room, (time_t) seconds), stale ? T("no-cache") : pool_printf(r->pool, "max-age=%lld", (long long) age));
}

/* ---- added fields ---- */

static bool is_safe(int status)
{
    switch (status) {
    case 200: case 201: case 204: case 206: case 301: case 302: case 303: case 304: case 307: case 308: return true;
    default: return false;
    }
}

/* Values in force: "off" keeps out what a block further out says. */
static const struct header_list *list_of(const struct headers_conf *c, const struct header_list *list, int inherit, const struct conf_block *here)
{
    static const struct header_list none;
    return inherit == INHERIT_OFF && c->block != here ? &none : list;
}

static const struct header_list *headers_of(const struct headers_conf *c, const struct conf_block *here) { return list_of(c, &c->headers, c->headers_inherit, here); }
static const struct header_list *trailers_of(const struct headers_conf *c, const struct conf_block *here) { return list_of(c, &c->trailers, c->trailers_inherit, here); }

static void add_modified(struct request *r, struct text value)
{
    response_clear_modified(r);
    if (!value.n) return;
    if (!date_parse(value, &r->out.modified)) r->out.modified = -1;
    r->out.has_modified = true;
    response_add(r, FIELD_LAST_MODIFIED, T("Last-Modified"), value);
}

static void add_header(struct request *r, const struct header *h)
{
    struct text value = template_render(h->value, &r->eval);
    if (h->id == FIELD_LAST_MODIFIED) {
        add_modified(r, value);
    } else if (h->id == FIELD_ETAG) {
        response_clear_etag(r);
        r->out.etag = value;
    } else if (value.n) {
        response_add(r, h->id, h->name, value);
    }
}

static bool any_applies(const struct header_list *list, bool safe)
{
    for (size_t i = 0; i < list->n; i++)
        if (safe || list->v[i].always) return true;
    return false;
}

static bool head(struct request *r, struct filter_at *at)
{
    const struct headers_conf *c = request_values(r, &headers_module);
    const struct header_list *headers, *trailers;
    bool safe = is_safe(r->out.status);
    (void) at;
    if (r->main != r) return false;
    if (safe && c->expires.kind != EXPIRES_OFF) set_expires(r, &c->expires);
    headers = headers_of(c, r->location->block);
    for (size_t i = 0; i < headers->n; i++)
        if (safe || headers->v[i].always) add_header(r, &headers->v[i]);
    trailers = trailers_of(c, r->location->block);
    r->out.expect_trailers = any_applies(trailers, safe);
    return r->out.expect_trailers;
}

static void body(struct request *r, struct filter_at *at, struct chain *in, enum body_end end)
{
    const struct headers_conf *c = request_values(r, &headers_module);
    const struct header_list *list = trailers_of(c, r->location->block);
    bool safe = is_safe(r->out.status);
    for (size_t i = 0; end == BODY_FINAL && i < list->n; i++) {
        if (!safe && !list->v[i].always) continue;
        struct text value = template_render(list->v[i].value, &r->eval);
        if (value.n) fields_add(&r->out.trailers, r->pool, list->v[i].id, list->v[i].name, value);
    }
    filter_pass(r, at, in, end);
}

/* ---- directives ---- */

static conf_result parse_header(struct conf *cf, const struct directive *d, void *field)
{
    struct header_list *list = field;
    conf_result why = NULL;
    (void) d;
    if (cf->count == 4 && !text_eq(cf->words[3], T("always"))) return conf_say(cf, "!invalid parameter \"%s\"", cf->words[3].p);
    if (list->n == list->cap) list->v = pool_grow(cf->pool, list->v, list->n, &list->cap, sizeof *list->v);
    struct header *h = &list->v[list->n];
    *h = (struct header) { pool_text(cf->pool, cf->words[1]), field_lookup(cf->words[1]), template_compile(cf, cf->words[2], &why), cf->count == 4 };
    if (!h->value) return why;
    list->n++;
    return NULL;
}

static const struct conf_type type_header = { "name value [always]", sizeof(struct header_list), CONF_MULTI, 2, 3, parse_header };
static const struct conf_type type_expires = { "[modified] time | epoch | max | off", sizeof(struct expires), 0, 1, 2, parse_expires };

/* This block's own, and (merge) those of the block around it after them; without own ones those of the block around, unless off. */
static void inherit_list(struct conf *cf, struct header_list *list, const struct header_list *outer, int inherit, bool own)
{
    static const struct header_list none;
    if (!own) {
        *list = inherit == INHERIT_OFF ? none : *outer;
        return;
    }
    if (inherit != INHERIT_MERGE) return;
    struct header *all = pool_array(cf->pool, struct header, list->n + outer->n);
    memcpy(all, list->v, list->n * sizeof *all);
    if (outer->n) memcpy(all + list->n, outer->v, outer->n * sizeof *all);
    list->v = all;
    list->cap = list->n += outer->n;
}

static conf_result check(struct conf *cf, struct conf_block *b, void *values)
{
    struct headers_conf *c = values;
    c->block = b;
    if (!b->parent) return NULL;
    const struct headers_conf *outer = conf_values(b->parent, &headers_module);
    inherit_list(cf, &c->headers, headers_of(outer, b->parent), c->headers_inherit, conf_is_set(b, &headers_module, offsetof(struct headers_conf, headers)));
    inherit_list(cf, &c->trailers, trailers_of(outer, b->parent), c->trailers_inherit, conf_is_set(b, &headers_module, offsetof(struct headers_conf, trailers)));
    return NULL;
}

static const struct conf_choice inherits[] = { { "on", INHERIT_ON }, { "off", INHERIT_OFF }, { "merge", INHERIT_MERGE }, { 0 } };

static const struct directive rows[] = {
    D_TYPE(struct headers_conf, headers, struct header_list, &type_header, "add_header", IN_HSL | IN_IF, NULL, "Adds a field to the head of responses, of 200, 201, 204, 206, 301, 302, 303, 304, 307 and 308 only unless \"always\" is said."),
    D_ENUM(struct headers_conf, headers_inherit, "add_header_inherit", IN_HSL | IN_IF, "on", inherits, "Whether add_header of the block around holds here where there is none (on), never (off), or besides those given here (merge)."),
    D_TYPE(struct headers_conf, trailers, struct header_list, &type_header, "add_trailer", IN_HSL | IN_IF, NULL, "Adds a field to the trailers of responses, with values as they are when the body ends; the statuses are add_header's."),
    D_ENUM(struct headers_conf, trailers_inherit, "add_trailer_inherit", IN_HSL | IN_IF, "on", inherits, "Whether add_trailer of the block around holds here where there is none (on), never (off), or besides those given here (merge)."),
    D_TYPE(struct headers_conf, expires, struct expires, &type_expires, "expires", IN_HSL | IN_IF, "off", "Sets Expires and Cache-Control: so long after the access or (modified) the last change, at a time of day (@15h30m), long ago (epoch) or in ten years (max)."),
    { 0 }
};

static const struct filter headers_filter = { .name = "headers", .head = head, .body = body };
static const struct filter *const filters[] = { &headers_filter, NULL };
static const struct http_part part = { .filters = filters, .if_given = true };

struct module headers_module = { .name = "headers", .conf_size = sizeof(struct headers_conf), .rows = rows, .check = check, .part = &part, .part_kind = &http_part_kind };
