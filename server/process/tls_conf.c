#include "process/tls_conf.h"
#include "process/core_conf.h"
#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <sys/uio.h>
#include <unistd.h>

enum { PASSWORDS_MOST = 65536, TLS_OBSOLETE = 1 << 8 };

const struct conf_choice tls_conf_protocols[] = {
    { "SSLv2", TLS_OBSOLETE }, { "SSLv3", TLS_OBSOLETE << 1 }, { "TLSv1", TLS_V1 }, { "TLSv1.1", TLS_V1_1 }, { "TLSv1.2", TLS_V1_2 }, { "TLSv1.3", TLS_V1_3 }, { 0 },
};

static void add(struct conf *cf, struct conf_texts *list, struct text t)
{
    if (list->n == list->cap) list->v = pool_grow(cf->pool, list->v, list->n, &list->cap, sizeof *list->v);
    list->v[list->n++] = t;
}

/* ---- files ---- */

struct secret { char *p; size_t n; };

static void wipe(void *arg)
{
    struct secret *s = arg;
    OPENSSL_cleanse(s->p, s->n);
}

/* A copy that is wiped when the configuration ends. */
static struct text keep_secret(struct conf *cf, struct text t)
{
    struct secret *s = pool_new(cf->pool, struct secret);
    *s = (struct secret) { .p = pool_cstr(cf->pool, t), .n = t.n };
    pool_cleanup(cf->pool, wipe, s);
    return text_of(s->p, s->n);
}

static bool is_path(struct text word)
{
    return word.n && !text_starts(word, T("data:")) && !text_starts(word, T("store:")) && !text_starts(word, T("engine:"));
}

/* Relative to the folder of the configuration, where it is a path. */
static struct text full_path(struct conf *cf, struct text word)
{
    if (!word.n) return T("");
    return is_path(word) ? conf_full_path(cf, word, true) : keep_secret(cf, word);
}

static conf_result parse_file(struct conf *cf, const struct directive *d, void *field)
{
    (void) d;
    *(struct text *) field = full_path(cf, cf->words[1]);
    return NULL;
}

static conf_result parse_files(struct conf *cf, const struct directive *d, void *field)
{
    (void) d;
    add(cf, field, full_path(cf, cf->words[1]));
    return NULL;
}

/* ---- with variables ---- */

static conf_result read_word(struct conf *cf, struct tls_word *w)
{
    conf_result why = NULL;
    struct text word = cf->words[1];
    if (text_find_char(word, '$') < 0) {
        w->path = full_path(cf, word);
        return NULL;
    }
    w->path = pool_text(cf->pool, word);
    w->folder = cf->conf_prefix;
    w->with = template_compile(cf, word, &why);
    return why;
}

static conf_result parse_word(struct conf *cf, const struct directive *d, void *field)
{
    (void) d;
    return read_word(cf, field);
}

static conf_result parse_words(struct conf *cf, const struct directive *d, void *field)
{
    struct tls_words *list = field;
    (void) d;
    if (list->n == list->cap) list->v = pool_grow(cf->pool, list->v, list->n, &list->cap, sizeof *list->v);
    list->v[list->n] = (struct tls_word) { .with = NULL };
    return read_word(cf, &list->v[list->n++]);
}

bool tls_conf_varies(const struct tls_words *w)
{
    for (size_t i = 0; i < w->n; i++) if (w->v[i].with) return true;
    return false;
}

struct text tls_conf_render(const struct tls_word *w, struct eval *e)
{
    if (!w->with) return w->path;
    struct text t = template_render(w->with, e);
    return is_path(t) && t.p[0] != '/' ? pool_printf(e->pool, "%.*s%.*s", TEXT_ARG(w->folder), TEXT_ARG(t)) : t;
}

/* ---- passwords ---- */

static conf_result add_passwords(struct conf *cf, struct conf_texts *list, struct text rest, struct text file)
{
    struct text line;
    while (text_split(&rest, '\n', &line)) {
        if (line.n && line.p[line.n - 1] == '\r') line.n--;
        if (line.n) add(cf, list, keep_secret(cf, line));
    }
    return list->n ? NULL : conf_say(cf, "!no passwords in \"%.*s\"", TEXT_ARG(file));
}

/* To its end, which a pipe's writer tells by and by. */
static ssize_t read_whole(int fd, char *room, size_t size)
{
    size_t n = 0;
    ssize_t got = 1;
    while (got > 0 && n < size) {
        got = read(fd, room + n, size - n);
        if (got < 0 && errno == EINTR) got = 1;
        else if (got > 0) n += (size_t) got;
    }
    return got < 0 ? -1 : (ssize_t) n;
}

static conf_result parse_passwords(struct conf *cf, const struct directive *d, void *field)
{
    char room[PASSWORDS_MOST];
    struct text path = full_path(cf, cf->words[1]);
    (void) d;
    int fd = open(path.p, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read_whole(fd, room, sizeof room);
    int err = errno;
    if (fd >= 0) close(fd);
    if (n < 0) return conf_say(cf, "!open() \"%.*s\" failed (%d: %s)", TEXT_ARG(path), err, strerror(err));
    conf_result why = n == sizeof room ? conf_say(cf, "!\"%.*s\" is too long", TEXT_ARG(path)) : add_passwords(cf, field, text_of(room, (size_t) n), path);
    OPENSSL_cleanse(room, sizeof room);
    return why;
}

/* ---- commands ---- */

static conf_result parse_command(struct conf *cf, const struct directive *d, void *field)
{
    struct tls_commands *list = field;
    (void) d;
    if (list->n == list->cap) list->v = pool_grow(cf->pool, list->v, list->n, &list->cap, sizeof *list->v);
    list->v[list->n++] = (struct tls_command) { pool_text(cf->pool, cf->words[1]), pool_text(cf->pool, cf->words[2]) };
    return NULL;
}

/* ---- …_certificate_cache ---- */

static void close_cache(void *arg)
{
    struct tls_conf_cache *k = arg;
    tls_pair_cache_close(&k->cache);
}

static bool read_cache_word(struct text word, struct tls_conf_cache *k)
{
    uint64_t n;
    if (text_starts(word, T("max="))) {
        if (!text_u64(text_from(word, 4), &n) || n == 0 || n > INT32_MAX) return false;
        k->max = (unsigned) n;
        return true;
    }
    if (text_starts(word, T("inactive="))) return conf_read_span(text_from(word, 9), &k->inactive_ms);
    return text_starts(word, T("valid=")) && conf_read_span(text_from(word, 6), &k->valid_ms);
}

static conf_result parse_cache(struct conf *cf, const struct directive *d, void *field)
{
    struct tls_conf_cache *k = field;
    *k = (struct tls_conf_cache) { .inactive_ms = 10000, .valid_ms = 60000 };
    if (text_eq(cf->words[1], T("off"))) return cf->count == 2 ? NULL : conf_say(cf, "!invalid parameter \"%.*s\"", TEXT_ARG(cf->words[2]));
    for (size_t i = 1; i < cf->count; i++)
        if (!read_cache_word(cf->words[i], k)) return conf_say(cf, "!invalid parameter \"%.*s\"", TEXT_ARG(cf->words[i]));
    if (!k->max) return conf_say(cf, "!\"%s\" must have the \"max\" parameter", d->name);
    struct tls_conf_cache *kept = pool_new(cf->pool, struct tls_conf_cache);
    k->on = true;
    k->cache = tls_pair_cache_open(k->max, k->inactive_ms, k->valid_ms);
    *kept = *k;
    pool_cleanup(cf->pool, close_cache, kept);
    return NULL;
}

/* ---- …_key_log ---- */

static conf_result parse_log(struct conf *cf, const struct directive *d, void *field)
{
    (void) d;
    struct log_file **f = field;
    *f = text_eq(cf->words[1], T("off")) ? NULL : cycle_log_file(cf, conf_full_path(cf, cf->words[1], false));
    return NULL;
}

/* One call, so that lines of several workers do not mix. */
void tls_conf_write_key(void *log_file, struct text line)
{
    const struct log_file *f = log_file;
    struct iovec v[] = { { (char *) (uintptr_t) line.p, line.n }, { (char[]) { '\n' }, 1 } };
    if (f->fd >= 0) (void) !writev(f->fd, v, 2);
}

const struct conf_type tls_conf_file = { .syntax = "file", .size = sizeof(struct text), .min = 1, .max = 1, .parse = parse_file };
const struct conf_type tls_conf_files = { .syntax = "file", .size = sizeof(struct conf_texts), .flags = CONF_MULTI, .min = 1, .max = 1, .parse = parse_files };
const struct conf_type tls_conf_word = { .syntax = "file", .size = sizeof(struct tls_word), .min = 1, .max = 1, .parse = parse_word };
const struct conf_type tls_conf_words = { .syntax = "file", .size = sizeof(struct tls_words), .flags = CONF_MULTI, .min = 1, .max = 1, .parse = parse_words };
const struct conf_type tls_conf_passwords = { .syntax = "file", .size = sizeof(struct conf_texts), .min = 1, .max = 1, .parse = parse_passwords };
const struct conf_type tls_conf_commands = { .syntax = "name value", .size = sizeof(struct tls_commands), .flags = CONF_MULTI, .min = 2, .max = 2, .parse = parse_command };
const struct conf_type tls_conf_cache = { .syntax = "off | max=N [inactive=time] [valid=time]", .size = sizeof(struct tls_conf_cache), .min = 1, .max = 3, .parse = parse_cache };
const struct conf_type tls_conf_log = { .syntax = "path", .size = sizeof(struct log_file *), .min = 1, .max = 1, .parse = parse_log };

const char *tls_conf_exposes(const struct conf *cf, const struct tls_word *key)
{
    if (!core_conf(cf->top)->key_isolation.on) return NULL;
    if (key->with) return "names a key with variables, which a worker would read: with \"ssl_key_isolation\" it must be the name of a file";
    return text_starts(key->path, T("data:")) ? "holds a key, as all processes would: with \"ssl_key_isolation\" it must be the name of a file" : NULL;
}
