/* gzip_static: files that were compressed beforehand, "name.gz", "name.br" and "name.zst" beside "name". */
#include "http/coding.h"
#include "http/file_answer.h"
#include "modules/module.h"
#include <errno.h>

enum { ORDER_GZIP_STATIC = 290 };     /* before static */
enum { STATIC_OFF, STATIC_ON, STATIC_ALWAYS };

/* In the order of preference where the client has none. */
enum { BROTLI, ZSTD, GZIP, CODINGS };
static const struct { struct text name, suffix; } codings[CODINGS] = {
    [BROTLI] = { TEXT_INIT("br"), TEXT_INIT(".br") }, [ZSTD] = { TEXT_INIT("zstd"), TEXT_INIT(".zst") }, [GZIP] = { TEXT_INIT("gzip"), TEXT_INIT(".gz") },
};

struct gzip_static_conf { int use[CODINGS]; };
extern struct module gzip_static_module;

struct candidate { int coding, weight; bool accepted; };

/* What may be looked for, what the client likes best first. */
static size_t choose(struct request *r, const struct gzip_static_conf *conf, struct candidate v[CODINGS])
{
    size_t n = 0;
    for (int i = 0; i < CODINGS; i++) {
        if (conf->use[i] == STATIC_OFF) continue;
        struct candidate c = { i, coding_weight(r, codings[i].name), conf->use[i] == STATIC_ALWAYS };
        c.accepted |= c.weight > 0;
        if (!c.accepted && !coding_varies(r)) continue;
        size_t at = n++;
        for (; at && v[at - 1].weight < c.weight; at--) v[at] = v[at - 1];
        v[at] = c;
    }
    return n;
}

/* v_next: it does not answer. */
static struct verdict try(struct request *r, const struct candidate *c, bool always)
{
    struct open_file f;
    struct text suffix = codings[c->coding].suffix, path = request_map_path(r, suffix.n, NULL);
    if (!path.n) return v_reply(500);
    memcpy((char *) (uintptr_t) path.p + path.n, suffix.p, suffix.n + 1);
    path.n += suffix.n;
    struct verdict v = open_file(r, path, c->accepted ? OPEN_READ : OPEN_TEST, &f);
    if (v.what != V_NEXT) return v;
    if (f.err && f.err != ENOENT && f.err != ENOTDIR && f.err != ENAMETOOLONG) return file_refuse(r, &f, path), v_next();
    if (f.err) return v_next();
    if (!always) coding_vary(r);
    if (f.is_folder || !c->accepted) return v_next();
    if (!f.is_file) {
        request_log(r, L_CRIT, 0, "\"%.*s\" is not a regular file", TEXT_ARG(path));
        return v_reply(404);
    }
    response_add(r, FIELD_CONTENT_ENCODING, T("Content-Encoding"), codings[c->coding].name);
    return file_answer(r, &f, false);
}

static struct verdict answer(struct request *r)
{
    const struct gzip_static_conf *conf = request_values(r, &gzip_static_module);
    struct candidate v[CODINGS];
    if (r->uri.p[r->uri.n - 1] == '/' || (r->method != METHOD_GET && r->method != METHOD_HEAD)) return v_next();
    size_t n = choose(r, conf, v);
    for (size_t i = 0; i < n; i++) {
        struct verdict did = try(r, &v[i], conf->use[v[i].coding] == STATIC_ALWAYS);
        if (did.what != V_NEXT) return did;
    }
    return v_next();
}

static const struct conf_choice choices[] = { { "off", STATIC_OFF }, { "on", STATIC_ON }, { "always", STATIC_ALWAYS }, { 0 } };
#define ROW(coding, nm, df_since, hp) \
    { .name = nm, .type = &conf_enum, .where = IN_HSL, .offset = FIELD(struct gzip_static_conf, use[coding], int), .dflt = "off", .help = hp, .data = choices, .since = df_since }

static const struct directive rows[] = {
    ROW(GZIP, "gzip_static", NULL, "Whether \"name.gz\" is sent instead of \"name\": to those who accept gzip, or always."),
    ROW(BROTLI, "brotli_static", "weir", "Whether \"name.br\" is sent instead of \"name\": to those who accept br, or always."),
    ROW(ZSTD, "zstd_static", "weir", "Whether \"name.zst\" is sent instead of \"name\": to those who accept zstd, or always."),
    { 0 }
};

static const struct hook hooks[] = { { .step = &step_content, .name = "gzip_static", .run = answer, .order = ORDER_GZIP_STATIC }, { .step = NULL } };
static const struct http_part part = { .hooks = hooks, .if_given = true };

struct module gzip_static_module = { .name = "gzip_static", .conf_size = sizeof(struct gzip_static_conf), .rows = rows, .part = &part, .part_kind = &http_part_kind };
