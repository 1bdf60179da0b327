#include "http/temp.h"
#include "os/file.h"
#include "process/core_conf.h"
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

/* Of the configuration read last: folders are made right after it is whole. */
static struct folder { struct folder *next; struct text path; } *folders;

enum { LEVELS_MOST = 9 };

static conf_result parse(struct conf *cf, const struct directive *d, void *field)
{
    struct temp_path *t = field;
    t->path = conf_full_path(cf, cf->words[1], false);
    while (t->path.n > 1 && t->path.p[t->path.n - 1] == '/') t->path.n--;
    t->path = pool_printf(cf->pool, "%.*s", TEXT_ARG(t->path));
    for (size_t i = 2, depth = 0; i < cf->count; i++) {
        uint64_t level;
        if (!text_u64(cf->words[i], &level) || level < 1 || (depth += level) > LEVELS_MOST)
            return conf_say(cf, "!invalid value \"%s\" in \"%s\" directive", cf->words[i].p, d->name);
        t->level[i - 2] = (uint8_t) level;
    }
    for (struct folder *f = folders; f; f = f->next)
        if (text_eq(f->path, t->path)) return NULL;
    struct folder *f = pool_new(cf->pool, struct folder);
    *f = (struct folder) { .next = folders, .path = t->path };
    folders = f;
    return NULL;
}

const struct conf_type temp_path_type = { "path [level1 [level2 [level3]]]", sizeof(struct temp_path), 0, 1, 4, parse };

void temp_forget(void)
{
    folders = NULL;
}

bool temp_folders_make(struct cycle *c)
{
    const struct core_conf *core = core_conf(c->conf->top);
    for (struct folder *f = folders; f; f = f->next) {
        const char *call = "mkdir()";
        if (file_own_folder(f->path.p, core->user.is_set ? core->user.uid : (uid_t) -1, &call) == 0) continue;
        log_at(c->log, L_EMERG, NULL, errno, "%s \"%s\" failed", call, f->path.p);
        return false;
    }
    return true;
}

/* "/path/7/45/0000000457": levels take digits from the end of the number. */
static char *name_of(const struct temp_path *t, uint64_t number, struct pool *p, struct text *name_out)
{
    char digits[24];
    size_t n = (size_t) snprintf(digits, sizeof digits, "%010llu", (unsigned long long) number);
    struct build b = build_in_pool(p, t->path.n + sizeof digits + 12, 0);
    build_text(&b, t->path);
    size_t at = n;
    for (size_t i = 0; i < countof(t->level) && t->level[i]; i++) {
        at -= t->level[i];
        build_char(&b, '/');
        build_text(&b, text_of(digits + at, t->level[i]));
    }
    build_char(&b, '/');
    build_text(&b, text_of(digits, n));
    build_char(&b, '\0');
    *name_out = text_of(b.p, b.n - 1);
    return b.p;
}

/* The folders of the levels, below t->path. */
static void make_levels(const struct temp_path *t, char *name)
{
    for (char *s = name + t->path.n + 1; (s = strchr(s, '/')); s++) {
        *s = '\0';
        mkdir(name, 0700);
        *s = '/';
    }
}

static int open_new(const char *name)
{
    return open(name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
}

struct chain_file *temp_open(const struct temp_path *t, bool keep, struct pool *p, const struct log *log, const struct log_about *about, struct text *name_out)
{
    static uint64_t number;
    char *name = NULL;
    int fd = -1;
    if (!number) number = clock_now.wall_ms * 7 + (uint64_t) getpid() * 65537 % 9999991;
    for (unsigned tries = 0; fd < 0 && tries < 100; tries++) {
        name = name_of(t, ++number % 10000000000u, p, name_out);
        fd = open_new(name);
        if (fd < 0 && errno == ENOENT && t->level[0]) {
            make_levels(t, name);
            fd = open_new(name);
        }
        if (fd < 0 && errno != EEXIST) break;
    }
    if (fd < 0) {
        log_at(log, L_CRIT, about, errno, "open() \"%s\" failed", name);
        return NULL;
    }
    if (!keep) unlink(name);
    return chain_file_open(fd);
}

enum { WRITE_IOVS = 64 };

static bool write_iovs(int fd, struct iovec *v, int n, off_t at)
{
    while (n) {
        ssize_t wrote = pwritev(fd, v, n, at);
        if (wrote < 0 && errno == EINTR) continue;
        if (wrote < 0) return false;
        at += wrote;
        while (n && (size_t) wrote >= v->iov_len) wrote -= (ssize_t) v++->iov_len, n--;
        if (n) *v = (struct iovec) { (char *) v->iov_base + wrote, v->iov_len - (size_t) wrote };
    }
    return true;
}

bool temp_write(struct chain_file *f, off_t at, struct chain *in, struct chain *out, const struct log *log, const struct log_about *about)
{
    while (in->first) {
        struct iovec v[WRITE_IOVS];
        size_t total = 0;
        int n = 0;
        for (struct link *l = in->first; l && !l->file && n < WRITE_IOVS; l = l->next) {
            if (!l->n) continue;
            v[n++] = (struct iovec) { (void *) (uintptr_t) l->p, l->n };
            total += l->n;
        }
        if (!n) {      /* a file range stays where it is; an empty link goes */
            if (in->first->file) chain_move_bytes(out, in, in->first->n);
            else chain_clear(in);
            continue;
        }
        if (!write_iovs(f->fd, v, n, at)) {
            log_at(log, L_CRIT, about, errno, "pwritev() to a temporary file failed");
            return false;
        }
        chain_add_file(out, f, at, total);
        at += (off_t) total;
        chain_skip(in, total);
    }
    return true;
}
