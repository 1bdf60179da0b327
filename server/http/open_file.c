#include "http/open_file.h"
#include "http/explain.h"
#include "event/thread.h"
#include "http/core_conf.h"
#include "http/open_file_cache.h"
#include "process/core_conf.h"
#include "process/cycle.h"
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- what the configuration says ---- */

struct links_conf { enum walk_links how; struct template *from; };
struct aio_conf { bool on; struct template *pool; const char *file; unsigned line; };

struct open_file_conf {
    struct open_file_cache *cache;       /* NULL: off */
    flag                    errors;
    int64_t                 min_uses;
    span                    valid;
    struct links_conf       links;
    struct aio_conf         aio;
    bytes                   read_ahead;
};
extern struct module open_file_module;

static conf_result parse_cache(struct conf *cf, const struct directive *d, void *field)
{
    struct open_file_cache **cache = field;
    uint64_t max = 0, inactive = 60000;
    bool off = false;
    (void) d;
    for (size_t i = 1; i < cf->count; i++) {
        struct text word = cf->words[i];
        bool fine = false;
        if (text_eq(word, T("off"))) fine = off = true;
        else if (text_starts(word, T("max="))) fine = text_u64(text_from(word, 4), &max) && max && max < INT32_MAX;
        else if (text_starts(word, T("inactive="))) fine = conf_read_span(text_from(word, 9), &inactive);
        if (!fine) return conf_say(cf, "!invalid \"open_file_cache\" parameter \"%.*s\"", TEXT_ARG(word));
    }
    if (off) return NULL;
    if (!max) return conf_say(cf, "must have the \"max\" parameter");
    *cache = pool_new(cf->pool, struct open_file_cache);
    **cache = (struct open_file_cache) { .max = max, .inactive_ms = inactive };
    pool_cleanup(cf->pool, open_file_cache_end, *cache);
    return NULL;
}

static conf_result parse_links(struct conf *cf, const struct directive *d, void *field)
{
    static const struct conf_choice choices[] = { { "off", WALK_ALL }, { "on", WALK_NONE }, { "if_not_owner", WALK_OWNED }, { 0 } };
    struct links_conf *links = field;
    conf_result why = NULL;
    bool said = false;
    for (size_t i = 1; i < cf->count; i++) {
        struct text word = cf->words[i];
        const struct conf_choice *c = choices;
        if (text_starts(word, T("from="))) {
            if (!(links->from = template_compile(cf, text_from(word, 5), &why))) return why;
            continue;
        }
        while (c->name && !text_eq(word, text_c(c->name))) c++;
        if (!c->name) return conf_say(cf, "!invalid parameter \"%.*s\"", TEXT_ARG(word));
        links->how = (enum walk_links) c->value;
        said = true;
    }
    if (!said) return conf_say(cf, "!\"%s\" must have \"off\", \"on\" or \"if_not_owner\" parameter", d->name);
    if (cf->count == 3 && !links->from) return conf_say(cf, "!duplicate parameters \"%.*s %.*s\"", TEXT_ARG(cf->words[1]), TEXT_ARG(cf->words[2]));
    return NULL;
}

static conf_result parse_aio(struct conf *cf, const struct directive *d, void *field)
{
    struct aio_conf *aio = field;
    struct text word = cf->words[1], name = T("default");
    conf_result why = NULL;
    (void) d;
    *aio = (struct aio_conf) { .on = !text_eq(word, T("off")), .file = cf->file, .line = cf->line };
    if (text_starts(word, T("threads="))) name = text_from(word, 8);
    else if (!text_eq(word, T("off")) && !text_eq(word, T("on")) && !text_eq(word, T("threads"))) return conf_invalid;
    if (!name.n) return conf_invalid;
    return (aio->pool = template_compile(cf, name, &why)) ? NULL : why;
}

static const struct core_thread_pool *pool_named(const struct conf *cf, struct text name)
{
    static const struct core_thread_pool usual = { TEXT_INIT("default"), 32, 65536 };
    const struct core_thread_pools *all = &core_conf(cf->top)->thread_pools;
    for (size_t i = 0; i < all->n; i++)
        if (text_eq(all->v[i].name, name)) return &all->v[i];
    return text_eq(name, usual.name) ? &usual : NULL;
}

static conf_result check(struct conf *cf, struct conf_block *b, void *values)
{
    const struct aio_conf *aio = &((struct open_file_conf *) values)->aio;
    (void) b;
    if (!aio->on || !template_is_constant(aio->pool) || pool_named(cf, template_source(aio->pool))) return NULL;
    conf_error_at(cf, aio->file, aio->line, "unknown thread pool \"%s\"", template_source(aio->pool).p);
    return NULL;
}

static const struct conf_type type_cache = { "off | max=N [inactive=time]", sizeof(struct open_file_cache *), 0, 1, 2, parse_cache };
static const struct conf_type type_links = { "off | on | if_not_owner [from=part]", sizeof(struct links_conf), 0, 1, 2, parse_links };
static const struct conf_type type_aio = { "on | off | threads[=pool]", sizeof(struct aio_conf), 0, 1, 1, parse_aio };
static const struct conf_bounds from_1 = { 1, 0 };

typedef struct open_file_conf own;
static const struct directive rows[] = {
    D_TYPE(own, cache, struct open_file_cache *, &type_cache, "open_file_cache", IN_HSL, "off", "How many files a worker keeps open, or remembers what is known of them, and after how long without a use it forgets them."),
    D_FLAG(own, errors, "open_file_cache_errors", IN_HSL, "off", "Whether it is remembered too that a file could not be opened."),
    { .name = "open_file_cache_min_uses", .type = &conf_num, .where = IN_HSL, .offset = FIELD(own, min_uses, int64_t), .dflt = "1", .help = "How often a file must have been asked for to be kept open.", .data = &from_1 },
    D_TIME(own, valid, "open_file_cache_valid", IN_HSL, "60s", "After how long a file that is remembered is looked at anew."),
    D_TYPE(own, links, struct links_conf, &type_links, "disable_symlinks", IN_HSL, "off", "Whether files behind symbolic links are refused, all or those whose link has another owner than the target; links in the part named by from= are followed."),
    D_TYPE(own, aio, struct aio_conf, &type_aio, "aio", IN_HSL, "off", "Whether files are opened, and what is not in memory of them is read, in a thread of this pool, so that a slow disk stops nobody else; on: in the default pool."),
    D_SIZE(own, read_ahead, "read_ahead", IN_HSL, "0", "Other than 0: the kernel is told that files will be read from the beginning to the end."),
    { 0 }
};

struct module open_file_module = { .name = "open_file", .conf_size = sizeof(struct open_file_conf), .rows = rows, .check = check };

/* ---- what holds for a request ---- */

struct open_links open_file_links(struct request *r, struct text path)
{
    const struct links_conf *conf = &((struct open_file_conf *) request_values(r, &open_file_module))->links;
    struct open_links links = { conf->how, 0 };
    if (links.how == WALK_ALL || !conf->from) return links;
    struct text from = template_render(conf->from, &r->eval);
    if (!from.n || !text_starts(path, from)) return links;
    if (from.n == path.n) links.how = WALK_ALL;
    else if (path.p[from.n] == '/') links.trusted = from.n;
    else if (path.p[from.n - 1] == '/') links.trusted = from.n - 1;
    return links;
}

struct thread_pool *open_file_threads(struct request *r)
{
    const struct aio_conf *aio = &((struct open_file_conf *) request_values(r, &open_file_module))->aio;
    if (!aio->on) return NULL;
    struct text name = template_render(aio->pool, &r->eval);
    const struct core_thread_pool *p = pool_named(cycle_current->conf, name);
    if (p) return thread_pool_get(p->name, p->threads, p->max_queue);
    request_log(r, L_ERR, 0, "thread pool \"%.*s\" not found", TEXT_ARG(name));
    return NULL;
}

/* ---- opening; may run in a thread ---- */

struct opening {
    struct thread_job job;
    const char       *path;
    struct open_links links;
    enum open_want    want;
    bool              ahead;
    int               fd, err;
    const char       *call;
    struct stat       st;
};

static void fill_in(struct opening *o, const char *call)
{
    o->err = errno;
    o->call = call;
    if (o->fd >= 0) close(o->fd);
    o->fd = -1;
}

static void open_it(struct opening *o)
{
    bool walks = o->links.how != WALK_ALL;
    o->fd = -1;
    if (o->want == OPEN_TEST && !walks) {
        if (stat(o->path, &o->st) < 0) fill_in(o, "stat()");
        return;
    }
    o->fd = walk_open(o->path, o->links.trusted, o->links.how, o->want == OPEN_TEST ? O_PATH : O_RDONLY | O_NONBLOCK | O_NOCTTY, 0);
    if (o->fd < 0) fill_in(o, walks ? "openat()" : "open()");
    else if (fstat(o->fd, &o->st) < 0) fill_in(o, "fstat()");
    if (o->fd < 0 || (o->want == OPEN_READ && S_ISREG(o->st.st_mode))) {
        if (o->ahead && o->fd >= 0) posix_fadvise(o->fd, 0, 0, POSIX_FADV_SEQUENTIAL);
        return;
    }
    close(o->fd);
    o->fd = -1;
}

static void tell(struct opening *o, struct open_file *out)
{
    *out = (struct open_file) { .err = o->err, .call = o->call };
    if (o->err) return;
    out->is_file = S_ISREG(o->st.st_mode);
    out->is_folder = S_ISDIR(o->st.st_mode);
    out->is_executable = (o->st.st_mode & S_IXUSR) != 0;
    out->size = o->st.st_size;
    out->modified = o->st.st_mtime;
    if (o->fd >= 0) out->file = chain_file_open(o->fd);
    o->fd = -1;
}

/* ---- in a thread ---- */

/* What threads were asked for this request; a job outlives the request, if need be. */
struct asked {
    struct opening  o;               /* first: o.job is the job */
    struct request *r;               /* NULL: it is gone */
    struct asked   *next;
    size_t          n;
    bool            through, told, given;    /* given: the file was, it has to be opened anew */
    char            path[];
};

static void end_asked(struct asked *a)
{
    if (a->o.fd >= 0) close(a->o.fd);
    free(a);
}

static void request_is_gone(struct request *r, void *arg)
{
    struct asked *a = arg;
    (void) r;
    a->r = NULL;
    if (a->through) end_asked(a);
}

static void work(struct thread_job *j)
{
    open_it((struct opening *) j);
}

static void opened(struct thread_job *j)
{
    struct asked *a = (struct asked *) j;
    a->through = true;
    if (a->r) request_resume(a->r);
    else end_asked(a);
}

static struct asked *find_asked(struct request *r, struct text path, enum open_want want)
{
    struct asked *a = *request_context(r, &open_file_module);
    while (a && (a->o.want != want || a->given || !text_eq(text_of(a->path, a->n), path))) a = a->next;
    return a;
}

static bool ask(struct request *r, struct text path, const struct opening *o, struct thread_pool *pool)
{
    struct asked *a = base_zalloc(1, sizeof *a + path.n + 1);
    struct asked **first = (struct asked **) request_context(r, &open_file_module);
    memcpy(a->path, path.p, a->n = path.n);
    a->o = *o;
    a->o.path = a->path;
    a->o.fd = -1;
    a->o.job = (struct thread_job) { .work = work, .done = opened };
    if (!thread_post(pool, &a->o.job)) {
        free(a);
        return false;
    }
    a->r = r;
    a->next = *first;
    *first = a;
    request_at_close(r, request_is_gone, a);
    return true;
}

/* ---- what handlers call ---- */

static void remember(struct open_file_conf *conf, struct text path, struct open_links links, const struct open_file *found)
{
    if (!conf->cache) return;
    if (found->err && !conf->errors.on) open_file_cache_forget(conf->cache, path, links);
    else open_file_cache_put(conf->cache, path, links, found, (uint64_t) conf->min_uses);
}

static struct verdict explained(struct request *r, const struct opening *o, struct text path, struct open_file *out)
{
    struct opening now = *o;
    open_it(&now);
    tell(&now, out);
    explain_file(r, path, !out->err, out->is_folder);
    return v_next();
}

void open_file_look(struct request *r, struct text path, struct open_file *out)
{
    struct open_file_conf *conf = request_values(r, &open_file_module);
    struct opening o = { .path = path.p, .links = open_file_links(r, path), .want = OPEN_TEST };
    NEED(r, REQUEST_MAGIC);
    if (conf->cache && open_file_cache_get(conf->cache, path, o.links, OPEN_TEST, conf->valid.ms, out)) return;
    open_it(&o);
    tell(&o, out);
    remember(conf, path, o.links, out);
}

struct verdict open_file(struct request *r, struct text path, enum open_want want, struct open_file *out)
{
    struct open_file_conf *conf = request_values(r, &open_file_module);
    struct opening o = { .path = path.p, .links = open_file_links(r, path), .want = want, .ahead = conf->read_ahead.bytes };
    struct asked *a = conf->aio.on ? find_asked(r, path, want) : NULL;
    NEED(r, REQUEST_MAGIC);
    if (unlikely(explain_on != NULL)) return explained(r, &o, path, out);
    if (a && !a->through) return v_wait();
    if (a) {
        tell(&a->o, out);
        if (!a->told) remember(conf, path, o.links, out);
        a->told = true;
        a->given = out->file != NULL;
        return v_next();
    }
    if (conf->cache && open_file_cache_get(conf->cache, path, o.links, want, conf->valid.ms, out)) return v_next();
    struct thread_pool *pool = open_file_threads(r);
    if (pool && ask(r, path, &o, pool)) return v_wait();
    open_it(&o);
    tell(&o, out);
    remember(conf, path, o.links, out);
    return v_next();
}

struct verdict open_folder_refuse(struct request *r, int err, const char *call, const char *path)
{
    int status = 500;
    switch (err) {
    case ENOENT: case ENOTDIR: case ENAMETOOLONG: status = 404; break;
    case EACCES: case ELOOP: status = 403; break;
    }
    request_log(r, status == 500 ? L_CRIT : L_ERR, err, "%s \"%s\" failed", call, path);
    return v_reply(status);
}

struct verdict open_folder(struct request *r, DIR **out, const char **path_out)
{
    struct text path = request_map_path(r, 0, NULL);
    if (!path.n) return v_reply(500);
    if (path.n > 1) ((char *) (uintptr_t) path.p)[--path.n] = '\0';
    struct open_links links = open_file_links(r, path);
    int fd = walk_open(path.p, links.trusted, links.how, O_RDONLY | O_DIRECTORY | O_NONBLOCK, 0);
    *path_out = path.p;
    *out = fd < 0 ? NULL : fdopendir(fd);
    if (*out) return v_next();
    int err = errno;
    if (fd >= 0) close(fd);
    return open_folder_refuse(r, err, links.how == WALK_ALL ? "opendir()" : "openat()", path.p);
}
