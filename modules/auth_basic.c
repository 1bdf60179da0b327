/*
 * auth_basic: user and password of RFC 7617 against a file. Hashes that are slow by design are left to threads, so that nobody
 * else waits; when too many wait for them, clients get 503.
 */
#include "modules/auth_basic.h"
#include "modules/module.h"
#include "event/thread.h"
#include "http/credentials.h"
#include "http/steps.h"
#include "os/metrics.h"
#include "process/cycle.h"
#include "wire/base64.h"
#include <stdatomic.h>

enum { ORDER_AUTH_BASIC = 20, THREADS = 2, QUEUE_MOST = 256 };

struct auth_basic_conf { struct template *realm, *file; };

extern struct module auth_basic_module;

/* A password in a thread. Lives as long as the thread has it, and no less than the request that waits for it. */
struct trial {
    struct thread_job job;
    struct request   *r;           /* NULL: nobody waits any more */
    bool              known;       /* the hash is this user's */
    bool              over, fits;
    _Atomic bool      left;        /* nobody waits, and the work need not begin */
    size_t            password_n, hash_n;
    char              bytes[];     /* password, hash */
};

static void end_trial(struct trial *t)
{
    explicit_bzero(t->bytes, t->password_n);
    free(t);
}

static void work(struct thread_job *j)
{
    struct trial *t = container_of(j, struct trial, job);
    if (atomic_load(&t->left)) return;
    t->fits = password_fits(text_of(t->bytes, t->password_n), text_of(t->bytes + t->password_n, t->hash_n)) && t->known;
}

static void done(struct thread_job *j)
{
    struct trial *t = container_of(j, struct trial, job);
    t->over = true;
    process_release();
    if (t->r) request_resume(t->r);
    else end_trial(t);
}

static void abandon(struct request *r, void *arg)
{
    struct trial *t = arg;
    (void) r;
    t->r = NULL;
    atomic_store(&t->left, true);
    if (t->over) end_trial(t);
}

/* ---- the request ---- */

struct credentials { struct text user, password; };

/* RFC 7617 2. */
static bool read_credentials(struct request *r, struct credentials *out)
{
    struct text t = credentials_of(r);
    if (!text_starts_nocase(t, T("basic "))) return false;
    t = text_trim(text_from(t, strlen("basic ")));
    struct build b = build_in_pool(r->pool, t.n + 1, 0);
    if (!base64_decode(&b, t, false)) return false;
    struct text all = build_done(&b);
    ssize_t colon = text_find_char(all, ':');
    if (colon <= 0) return false;
    *out = (struct credentials) { text_upto(all, (size_t) colon), text_from(all, (size_t) colon + 1) };
    return true;
}

static struct verdict challenge(struct request *r, struct text realm)
{
    struct build b = build_in_pool(r->pool, realm.n + sizeof "Basic realm=\"\"", 0);
    build_lit(&b, "Basic realm=\"");
    for (size_t i = 0; i < realm.n; i++)          /* variables may bring anything */
        if ((unsigned char) realm.p[i] >= ' ' && realm.p[i] != 127) build_char(&b, realm.p[i]);
    build_char(&b, '"');
    metrics_add(METRIC_AUTH_FAILED, 1);
    credentials_challenge(r, build_done(&b));
    return credentials_refused(r);
}

static struct verdict judge(struct request *r, struct text realm, const struct credentials *c, bool known, bool fits, struct text path)
{
    if (known && fits) {
        r->user = c->user;
        metrics_add(METRIC_AUTH_PASSED, 1);
        return v_goto(&step_post_access);
    }
    struct build b = build_in_pool(r->pool, c->user.n * 4, 4096);
    build_escaped(&b, c->user);
    if (known) request_log(r, L_ERR, 0, "user \"%.*s\": password mismatch", TEXT_ARG(build_done(&b)));
    else request_log(r, L_ERR, 0, "user \"%.*s\" was not found in \"%.*s\"", TEXT_ARG(build_done(&b)), TEXT_ARG(path));
    return challenge(r, realm);
}

static struct verdict ask_thread(struct request *r, struct text password, struct text hash, bool known)
{
    struct trial *t = base_zalloc(1, sizeof *t + password.n + hash.n);
    *t = (struct trial) { .job = { .work = work, .done = done }, .r = r, .known = known, .password_n = password.n, .hash_n = hash.n };
    memcpy(t->bytes, password.p, password.n);
    memcpy(t->bytes + password.n, hash.p, hash.n);
    if (!thread_post(thread_pool_get(T(" passwords"), THREADS, QUEUE_MOST), &t->job)) {
        end_trial(t);
        request_log(r, L_ERR, 0, "too many passwords wait to be checked");
        return v_reply(503);
    }
    process_hold();                    /* a worker that leaves waits for its threads */
    request_at_close(r, abandon, t);
    *request_context(r, &auth_basic_module) = t;
    return v_wait();
}

static struct text path_of(struct request *r, const struct template *file)
{
    struct text path = template_render(file, &r->eval), prefix = cycle_current->conf->conf_prefix;
    if (path.n && memchr(path.p, '\0', path.n)) path = T("");
    if (path.n && path.p[0] == '/') return pool_printf(r->pool, "%.*s", TEXT_ARG(path));
    return pool_printf(r->pool, "%.*s%.*s", TEXT_ARG(prefix), TEXT_ARG(path));
}

static struct verdict check(struct request *r)
{
    const struct auth_basic_conf *conf = request_values(r, &auth_basic_module);
    const struct users *users;
    struct credentials c;
    struct text hash;
    struct text realm = template_render(conf->realm, &r->eval);
    if (text_eq(realm, T("off"))) return v_next();
    if (!conf->file) {
        request_log(r, L_ERR, 0, "\"auth_basic\" has no \"auth_basic_user_file\": nobody may enter");
        return v_reply(403);
    }
    if (!read_credentials(r, &c)) {
        request_log(r, L_INFO, 0, "no user/password was provided for basic authentication");
        return challenge(r, realm);
    }
    struct text path = path_of(r, conf->file);
    struct trial *t = *request_context(r, &auth_basic_module);
    if (t && !t->over) return v_wait();
    if (t) {
        bool known = t->known, fits = t->fits;
        *request_context(r, &auth_basic_module) = NULL;
        request_at_close_cancel(r, abandon, t);
        end_trial(t);
        return judge(r, realm, &c, known, fits, path);
    }
    enum users_result found = users_get(path, r->log, r->about, &users);
    if (found != USERS_FINE) return v_reply(found == USERS_MISSING ? 403 : 500);
    bool known = users_find(users, c.user, &hash);
    if (password_is_slow(hash)) return ask_thread(r, c.password, hash, known);
    return judge(r, realm, &c, known, password_fits(c.password, hash), path);
}

static const struct directive rows[] = {
    D_TEMPLATE(struct auth_basic_conf, realm, "auth_basic", IN_HSL | IN_LIMIT_EXCEPT, "off", "Asks clients for a user and password, and names the realm they are for; off: does not ask."),
    D_TEMPLATE(struct auth_basic_conf, file, "auth_basic_user_file", IN_HSL | IN_LIMIT_EXCEPT, NULL, "The file of users and their passwords' hashes, a line each: user:hash."),
    { .name = NULL },
};

static const struct hook hooks[] = { { .step = &step_access, .name = "auth_basic", .run = check, .order = ORDER_AUTH_BASIC }, { .step = NULL } };
static const struct http_part part = { .hooks = hooks, .if_given = true };

struct module auth_basic_module = { .name = "auth_basic", .conf_size = sizeof(struct auth_basic_conf), .rows = rows, .part = &part, .part_kind = &http_part_kind };
