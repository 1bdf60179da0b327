/* static: files by root and alias. */
#include "modules/module.h"
#include "http/file_answer.h"
#include "wire/uri.h"

enum { ORDER_STATIC = 300 };     /* after index and autoindex */

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

static struct verdict serve(struct request *r)
{
    struct open_file f;
    if (!(r->method == METHOD_GET || r->method == METHOD_HEAD || r->method == METHOD_POST)) return v_reply(405);
    if (r->uri.p[r->uri.n - 1] == '/') return v_next();
    struct text path = request_map_path(r, 0, NULL);
    if (!path.n) return v_reply(500);
    struct verdict v = open_file(r, path, OPEN_READ, &f);
    if (v.what != V_NEXT) return v;
    if (f.err) return file_refuse(r, &f, path);
    if (f.is_folder) return redirect(r);
    if (!f.is_file) {
        request_log(r, L_CRIT, 0, "\"%s\" is not a regular file", path.p);
        return v_reply(404);
    }
    if (r->method != METHOD_POST) return file_answer(r, &f, true);
    chain_file_drop(&f.file);
    return v_reply(405);
}

static const struct hook hooks[] = { { .step = &step_content, .name = "static", .run = serve, .order = ORDER_STATIC }, { .step = NULL } };
static const struct http_part part = { .hooks = hooks };

struct module static_module = { .name = "static", .part = &part, .part_kind = &http_part_kind };
