/* random_index: any of a folder's files answers for it. */
#include "http/open_file.h"
#include "modules/module.h"
#include <errno.h>
#include <limits.h>
#include <sys/random.h>
#include <sys/stat.h>

enum { ORDER_RANDOM_INDEX = 50 };     /* before index */

struct random_index_conf { flag on; };
extern struct module random_index_module;

static bool is_file(DIR *dir, const struct dirent *d)
{
    struct stat st;
    if (d->d_type != DT_UNKNOWN && d->d_type != DT_LNK) return d->d_type == DT_REG;
    return fstatat(dirfd(dir), d->d_name, &st, 0) == 0 && S_ISREG(st.st_mode);
}

/* One of the files, each as likely as any other; empty: there is none. */
static struct text choose(struct request *r, DIR *dir)
{
    char chosen[NAME_MAX + 1] = "";
    const struct dirent *d;
    for (uint64_t seen = 0; (d = readdir(dir));) {
        uint64_t any = 0;
        if (d->d_name[0] == '.' || !is_file(dir, d)) continue;
        if (getrandom(&any, sizeof any, GRND_NONBLOCK) < 0) any = clock_now.wall_ms;
        if (any % ++seen == 0) memcpy(chosen, d->d_name, strlen(d->d_name) + 1);
    }
    return pool_text(r->pool, text_c(chosen));
}

static struct verdict answer(struct request *r)
{
    const struct random_index_conf *conf = request_values(r, &random_index_module);
    const char *path;
    DIR *dir = NULL;
    if (!conf->on.on || r->uri.p[r->uri.n - 1] != '/' || !(r->method == METHOD_GET || r->method == METHOD_HEAD || r->method == METHOD_POST)) return v_next();
    struct verdict v = open_folder(r, &dir, &path);
    if (!dir) return v;
    struct text name = choose(r, dir);
    closedir(dir);
    if (!name.n) return v_next();
    return request_redirect(r, pool_printf(r->pool, "%.*s%.*s", TEXT_ARG(r->uri), TEXT_ARG(name)), r->args);
}

static const struct directive rows[] = {
    D_FLAG(struct random_index_conf, on, "random_index", IN_LOCATION, "off", "Whether any one of a folder's files is served where the folder is asked for."),
    { 0 }
};

static const struct hook hooks[] = { { .step = &step_content, .name = "random_index", .run = answer, .order = ORDER_RANDOM_INDEX }, { .step = NULL } };
static const struct http_part part = { .hooks = hooks, .if_given = true };

struct module random_index_module = { .name = "random_index", .conf_size = sizeof(struct random_index_conf), .rows = rows, .part = &part, .part_kind = &http_part_kind };
