/* index: which file answers for a folder. */
#include "modules/module.h"
#include <errno.h>
#include <sys/stat.h>

enum { ORDER_INDEX = 100 };      /* before autoindex and static */

struct index_conf { struct templates files; };
extern struct module index_module;

/* Is the folder itself there? Says why not. */
static struct verdict refuse_folder(struct request *r, char *path)
{
    struct stat st;
    struct text t = text_c(path);
    ssize_t slash = text_rfind_char(t, '/');
    path[slash > 0 ? slash : 1] = '\0';
    if (stat(path, &st) == 0 && S_ISDIR(st.st_mode)) return v_next();
    int err = errno == 0 ? ENOTDIR : errno;
    if (err == ENOENT || err == ENOTDIR || err == ENAMETOOLONG) {
        if (http_core(r)->log_not_found.on) request_log(r, L_ERR, ENOENT, "\"%.*s\" is not found", TEXT_ARG(t));
        return v_reply(404);
    }
    if (err == EACCES) {
        request_log(r, L_ERR, err, "\"%.*s\" is forbidden", TEXT_ARG(t));
        return v_reply(403);
    }
    request_log(r, L_CRIT, err, "stat() \"%s\" failed", path);
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
    struct stat st;
    if (r->uri.p[r->uri.n - 1] != '/' || !(r->method == METHOD_GET || r->method == METHOD_HEAD || r->method == METHOD_POST)) return v_next();
    for (size_t i = 0; i < conf->files.n; i++) {
        struct text name = template_render(conf->files.v[i], &r->eval);
        if (name.n && name.p[0] == '/') return request_redirect(r, name, r->args);
        struct text folder = request_map_path(r, name.n, NULL);
        if (!folder.n) return v_reply(500);
        char *path = (char *) (uintptr_t) folder.p;
        memcpy(path + folder.n, name.p, name.n);
        path[folder.n + name.n] = '\0';
        errno = 0;
        if (stat(path, &st) == 0 && !S_ISDIR(st.st_mode)) return go_to(r, name);
        if (errno && errno != ENOENT && errno != ENOTDIR && errno != EACCES) {
            request_log(r, L_CRIT, errno, "stat() \"%s\" failed", path);
            return v_reply(500);
        }
        struct verdict v = refuse_folder(r, path);
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
