/* static: files by root and alias. */
#include "modules/module.h"
#include "http/open_file.h"
#include "wire/uri.h"
#include <errno.h>

enum { ORDER_STATIC = 300 };     /* after index and autoindex */

/* nginx's form: time and size in hex. */
static struct text make_etag(struct request *r, const struct open_file *f)
{
    struct build b = build_in_pool(r->pool, 40, 0);
    build_char(&b, '"');
    build_hex(&b, (uint64_t) f->modified, 1);
    build_char(&b, '-');
    build_hex(&b, (uint64_t) f->size, 1);
    build_char(&b, '"');
    return build_done(&b);
}

static struct verdict refuse(struct request *r, int err, const char *call, const char *path)
{
    int status = 500;
    enum log_level level = L_CRIT;
    switch (err) {
    case ENOENT: case ENOTDIR: case ENAMETOOLONG: level = L_ERR; status = 404; break;
    case EACCES: case ELOOP: case EMLINK: level = L_ERR; status = 403; break;
    }
    if (status != 404 || http_core(r)->log_not_found.on) request_log(r, level, err, "%s \"%s\" failed", call, path);
    return v_reply(status);
}

/* "/folder" → "/folder/" */
static struct verdict redirect(struct request *r)
{
    struct build b = build_in_pool(r->pool, r->uri.n + r->args.n + 16, 0);
    uri_escape(&b, r->uri, URI_ESCAPE_URI);
    build_char(&b, '/');
    if (r->args.n) {
        build_char(&b, '?');
        build_text(&b, r->args);
    }
    r->out.location = build_done(&b);
    return v_reply(301);
}

static struct verdict send_file(struct request *r, struct open_file *f)
{
    struct chain body = CHAIN_EMPTY;
    r->out.status = 200;
    r->out.length = f->size;
    r->out.modified = f->modified;
    if (http_core(r)->etag.on) r->out.etag = make_etag(r, f);
    request_set_type(r);
    r->out.accept_ranges = true;
    if (response_head(r)) {
        if (f->size) chain_add_file(&body, f->file, 0, (size_t) f->size);
        response_body(r, &body, BODY_FINAL);
    }
    chain_file_drop(&f->file);
    return v_over();
}

static struct verdict serve(struct request *r)
{
    struct open_file f;
    if (!(r->method == METHOD_GET || r->method == METHOD_HEAD || r->method == METHOD_POST)) return v_reply(405);
    if (r->uri.p[r->uri.n - 1] == '/') return v_next();
    struct text path = request_map_path(r, 0, NULL);
    if (!path.n) return v_reply(500);
    struct verdict v = open_file(r, path, OPEN_READ, &f);
    if (v.what != V_NEXT) return v;
    if (f.err) return refuse(r, f.err, f.call, path.p);
    if (f.is_folder) return redirect(r);
    if (!f.is_file) {
        request_log(r, L_CRIT, 0, "\"%s\" is not a regular file", path.p);
        return v_reply(404);
    }
    if (r->method != METHOD_POST) return send_file(r, &f);
    chain_file_drop(&f.file);
    return v_reply(405);
}

static const struct hook hooks[] = { { .step = &step_content, .name = "static", .run = serve, .order = ORDER_STATIC }, { .step = NULL } };
static const struct http_part part = { .hooks = hooks };

struct module static_module = { .name = "static", .part = &part, .part_kind = &http_part_kind };
