/* index: which file answers for a folder. */
#include "modules/module.h"
#include "http/open_file.h"
#include <errno.h>

enum { ORDER_INDEX = 100 };      /* before autoindex and static */

struct index_conf { struct templates files; };
extern struct module index_module;

static struct verdict refuse(struct request *r, struct text path, int err)
{
    if (err == EACCES) {
        request_log(r, L_ERR, err, "\"%.*s\" is forbidden", TEXT_ARG(path));
        return v_reply(403);
    }
    if (http_core(r)->log_not_found.on) request_log(r, L_ERR, err, "\"%.*s\" is not found", TEXT_ARG(path));
    return v_reply(404);
}

/* Is the folder itself there? Says why not. */
static struct verdict refuse_folder(struct request *r, char *path)
{
    struct open_file f;
    struct text t = text_c(path);
    ssize_t slash = text_rfind_char(t, '/');
    path[slash > 0 ? slash : 1] = '\0';
    struct verdict v = open_file(r, text_c(path), OPEN_TEST, &f);
    if (v.what != V_NEXT) return v;
    if (!f.err && f.is_folder) return v_next();
    if (!f.err) f.err = ENOTDIR;
    if (f.err == ENOENT || f.err == ENOTDIR || f.err == ENAMETOOLONG || f.err == EACCES) return refuse(r, t, f.err == EACCES ? EACCES : ENOENT);
    request_log(r, L_CRIT, f.err, "%s \"%s\" failed", f.call, path);
    return v_reply(500);
}

static struct verdict go_to(struct request *r, struct text name)
{
    struct build b = build_in_pool(r->pool, r->uri.n + name.n, 0);
    build_text(&b, r->uri);
    build_text(&b, name);
    return request_redirect(r, build_done(&b), r->args);
}

static struct verdict find(struct request *r)
{
    const struct index_conf *conf = request_values(r, &index_module);
    struct open_file f;
    if (r->uri.p[r->uri.n - 1] != '/' || !(r->method == METHOD_GET || r->method == METHOD_HEAD || r->method == METHOD_POST)) return v_next();
    for (size_t i = 0; i < conf->files.n; i++) {
        struct text name = template_render(conf->files.v[i], &r->eval);
        if (name.n && name.p[0] == '/') return request_redirect(r, name, r->args);
        struct text folder = request_map_path(r, name.n, NULL);
        if (!folder.n) return v_reply(500);
        char *path = (char *) (uintptr_t) folder.p;
        memcpy(path + folder.n, name.p, name.n);
        path[folder.n + name.n] = '\0';
        struct verdict v = open_file(r, text_of(path, folder.n + name.n), OPEN_TEST, &f);
        if (v.what != V_NEXT) return v;
        if (!f.err && !f.is_folder) return go_to(r, name);
        if (f.err == ELOOP) return v_reply(403);
        if (f.err == ENOTDIR || f.err == ENAMETOOLONG || f.err == EACCES) return refuse(r, text_of(path, folder.n + name.n), f.err);
        if (f.err && f.err != ENOENT) {
            request_log(r, L_CRIT, f.err, "%s \"%s\" failed", f.call, path);
            return v_reply(500);
        }
        v = refuse_folder(r, path);
        if (v.what != V_NEXT) return v;
    }
    return v_next();
}

static const struct directive rows[] = {
    { .name = "index", .type = &conf_templates, .where = IN_HSL, .offset = FIELD(struct index_conf, files, struct templates), .dflt = "index.html", .syntax = "file ...",
      .help = "The files, in this order, that answer for a uri that ends with a slash." },
    { 0 }
};

static const struct hook hooks[] = { { .step = &step_content, .name = "index", .run = find, .order = ORDER_INDEX }, { .step = NULL } };
static const struct http_part part = { .hooks = hooks };

struct module index_module = { .name = "index", .conf_size = sizeof(struct index_conf), .rows = rows, .part = &part, .part_kind = &http_part_kind };
