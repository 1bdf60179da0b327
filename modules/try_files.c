/* try_files: the first of several files that is there answers, or the last uri. */
#include "modules/module.h"
#include "http/open_file.h"

struct try_file { struct template *path; bool folder; };
/* Those but the last are files; the last is a uri, a named location, or a code. */
/* It holds in its own block only: as in nginx, inner locations do not inherit it. */
struct try_files { const struct conf_block *block; struct try_file *v; size_t n; int code; };
struct try_files_conf { struct try_files list; };
extern struct module try_files_module;

static conf_result parse(struct conf *cf, const struct directive *d, void *field)
{
    struct try_files *list = field;
    struct text last = cf->words[cf->count - 1];
    conf_result why = NULL;
    uint64_t code;
    list->block = cf->block;
    list->n = cf->count - 1;
    list->v = pool_array(cf->pool, struct try_file, list->n);
    if (last.n && last.p[0] == '=') {
        if (!text_u64(text_from(last, 1), &code) || code > 999) return conf_say(cf, "!invalid code \"%s\"", last.p);
        list->code = (int) code;
        list->n--;
    }
    (void) d;
    for (size_t i = 0; i < list->n; i++) {
        struct text path = cf->words[i + 1];
        bool is_file = i + 1 < list->n || list->code;
        if (is_file && path.n && path.p[path.n - 1] == '/') {
            list->v[i].folder = true;
            path.n--;
        }
        if (!(list->v[i].path = template_compile(cf, path, &why))) return why;
    }
    return NULL;
}

/* Root and name as one path; *root_out: length of the root's part. */
static char *full_path(struct request *r, struct text name, size_t *root_out)
{
    struct text was = r->uri, path;
    const struct location *alias = http_core(r)->root.alias_of;
    if (alias && alias->kind != LOCATION_REGEX) {      /* the name of the location is not a part of the file's */
        struct text root = request_root(r), rest = text_starts(name, alias->name) ? text_from(name, alias->name.n) : name;
        *root_out = root.n;
        path = pool_printf(r->pool, "%.*s%.*s", TEXT_ARG(root), TEXT_ARG(rest));
    } else {
        bool add = r->add_uri_to_alias;
        r->uri = name;
        r->add_uri_to_alias = alias != NULL;
        path = request_map_path(r, 0, root_out);
        r->uri = was;
        r->add_uri_to_alias = add;
    }
    return (char *) (uintptr_t) path.p;
}

static void take(struct request *r, struct text path, size_t root)
{
    const struct location *alias = http_core(r)->root.alias_of;
    struct text rest = text_from(path, root);
    if (alias && alias->kind != LOCATION_REGEX) rest = pool_printf(r->pool, "%.*s%.*s", TEXT_ARG(alias->name), TEXT_ARG(rest));
    if (alias && alias->kind == LOCATION_REGEX) r->add_uri_to_alias = true;
    r->uri = rest;
    request_set_exten(r);
}

static struct verdict go_on(struct request *r, struct text uri)
{
    struct text args = T("");
    if (uri.n && uri.p[0] == '@') return request_redirect_named(r, uri);
    ssize_t q = text_find_char(uri, '?');
    if (q >= 0) {
        args = text_from(uri, (size_t) q + 1);
        uri = text_upto(uri, (size_t) q);
    }
    return request_redirect(r, uri, args);
}

static struct verdict try(struct request *r)
{
    const struct try_files *list = &((struct try_files_conf *) request_values(r, &try_files_module))->list;
    size_t files = list->code ? list->n : list->n - 1;
    if (!list->v || list->block != r->location->block) return v_next();
    for (size_t i = 0; i < files; i++) {
        size_t root = 0;
        char *path = full_path(r, template_render(list->v[i].path, &r->eval), &root);
        if (!path || !*path) return v_reply(500);
        struct open_file f;
        struct verdict v = open_file(r, text_c(path), OPEN_TEST, &f);
        if (v.what != V_NEXT) return v;
        if (f.err || f.is_folder != list->v[i].folder) continue;
        take(r, text_c(path), root);
        return v_next();
    }
    if (list->code) return v_reply(list->code);
    return go_on(r, template_render(list->v[files].path, &r->eval));
}

static const struct conf_type type = { "file ... uri | file ... =code", sizeof(struct try_files), 0, 2, UINT32_MAX, parse };

static const struct directive rows[] = {
    D_TYPE(struct try_files_conf, list, struct try_files, &type, "try_files", IN_SERVER | IN_LOCATION, NULL, "The first of these files and folders (with a slash at the end) that is there answers, else the last uri or code."),
    { 0 }
};

static const struct hook hooks[] = { { .step = &step_precontent, .name = "try_files", .run = try }, { .step = NULL } };
static const struct http_part part = { .hooks = hooks, .if_given = true };

struct module try_files_module = { .name = "try_files", .conf_size = sizeof(struct try_files_conf), .rows = rows, .part = &part, .part_kind = &http_part_kind };
