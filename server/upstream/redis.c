#include "upstream/redis.h"
#include "event/resolve.h"
#include "os/addr.h"
#include "weir_config.h"
#include "wire/uri.h"

enum { PORT = 6379, DB_MOST = 1 << 20 };

/* ---- reading ---- */

static conf_result read_credentials(struct conf *cf, struct text t, struct redis_target *out)
{
    ssize_t colon = text_find_char(t, ':');
    if (colon < 0 || (size_t) colon + 1 == t.n) return "!user and password of a Redis server are written \"user:password@\" or \":password@\"";
    struct text *const to[] = { &out->user, &out->password };
    const struct text from[] = { text_upto(t, (size_t) colon), text_from(t, (size_t) colon + 1) };
    for (size_t i = 0; i < countof(to); i++) {
        struct build b = build_in_pool(cf->pool, from[i].n, 0);
        uri_unescape(&b, from[i]);
        *to[i] = build_done(&b);
    }
    return NULL;
}

static conf_result read_db(struct text t, struct redis_target *out)
{
    uint64_t db = 0;
    if (t.n && (!text_u64(t, &db) || db > DB_MOST)) return "!the database of a Redis server is a number";
    out->db = (unsigned) db;
    return NULL;
}

static conf_result read_unix(struct conf *cf, struct text t, struct redis_target *out)
{
    ssize_t end = text_rfind_char(t, ':');
    bool has_db = end > (ssize_t) strlen("unix:") - 1 && text_starts(text_from(t, (size_t) end), T(":/"));
    out->host = pool_printf(cf->pool, "%.*s", TEXT_ARG((has_db ? text_upto(t, (size_t) end) : t)));       /* with a NUL, for hiredis */
    if (out->host.n <= strlen("unix:")) return "!the address of a Redis server has no path";
    return has_db ? read_db(text_from(t, (size_t) end + 2), out) : NULL;
}

conf_result redis_read_target(struct conf *cf, struct text url, struct redis_target *out)
{
    const char *why;
    struct addr numeric;
    struct text rest = url;
    *out = (struct redis_target) { .port = PORT };
    if (!text_starts(rest, T("redis://"))) return "!a Redis server is written \"redis://host:port/db\" or \"redis://unix:/path:/db\"";
    rest = text_from(rest, strlen("redis://"));
    ssize_t at = text_rfind_char(rest, '@');
    conf_result wrong = at >= 0 ? read_credentials(cf, text_upto(rest, (size_t) at), out) : NULL;
    if (wrong) return wrong;
    rest = text_from(rest, (size_t) (at + 1));
    out->shown = pool_printf(cf->pool, "redis://%.*s", TEXT_ARG(rest));
    if (text_starts(rest, T("unix:"))) return read_unix(cf, rest, out);
    ssize_t slash = text_find_char(rest, '/');
    if (slash >= 0 && (wrong = read_db(text_from(rest, (size_t) slash + 1), out))) return wrong;
    struct text host, name = slash >= 0 ? text_upto(rest, (size_t) slash) : rest;
    uint16_t port;
    if (!addr_split(name, &host, &port, &why)) return conf_say(cf, "!%s in the address of a Redis server", why);
    if (port) out->port = port;
    out->host = pool_text(cf->pool, host);
    if (!resolver_is_built() && !addr_parse(cf->scratch, host, PORT, &numeric)) return "!this weir looks names up only while it reads its configuration: give a Redis server's address in numbers";
    return NULL;
}

#ifdef HAVE_HIREDIS

#include "base/cell.h"
#include <hiredis/async.h>
#include <openssl/evp.h>
#include <sys/epoll.h>
#include <sys/random.h>

bool redis_is_built(void) { return true; }

enum state { RESTING, LOOKING, BEGINNING, UP };
enum { SHA = 40, STEADY_MS = 1000, QUICK_MS = 1 };

struct redis {
    unsigned           magic;
    struct redis_want  want;
    enum state         state;
    redisAsyncContext *ac;
    struct watch       watch;
    uint32_t           watched;          /* events */
    bool               reads, writes;    /* what hiredis waits for */
    bool               blocked;          /* the socket takes no more: writing waits for it, and not for the end of the turn */
    struct task        flush;
    struct timer       timer;            /* of the state: the pause, the time for beginning, silence */
    struct lookup      lookup;
    unsigned           pending;          /* questions */
    uint64_t           heard_ms;         /* when an answer came last, or the first of those waiting was asked */
    uint64_t           up_ms, pause_ms;
    bool               told, told_up, closing;
    char               sha[SHA + 1], why[160];
};

struct question {
    struct redis *server;
    void        (*told)(void *arg, const int64_t *answer);
    void         *arg;
    size_t        count;
    size_t        n[REDIS_ARGS_MOST];
    char          bytes[REDIS_ARG_BYTES];
};

static struct cells cells = CELLS(struct question);

static void begin(struct redis *s);

/* ---- the loop's side of hiredis ---- */

static void look(struct redis *s)
{
    uint32_t events = (s->reads ? EPOLLIN : 0u) | (s->writes && s->blocked ? EPOLLOUT : 0u);
    if (events == s->watched) return;
    if (s->watched) watch_remove(&s->watch);
    s->watched = events && watch_add(&s->watch, events) ? events : 0;      /* one that cannot be watched is found silent */
}

static void flush(struct task *t)
{
    struct redis *s = container_of(t, struct redis, flush);
    if (!s->ac) return;
    redisAsyncHandleWrite(s->ac);
    if (!s->ac) return;
    s->blocked = s->writes;
    look(s);
}

/* A handler of hiredis may end the connection. */
static void ready(struct watch *w, uint32_t events)
{
    struct redis *s = container_of(w, struct redis, watch);
    bool broken = events & (EPOLLERR | EPOLLHUP);
    if (s->ac && (events & EPOLLOUT || (broken && !s->reads))) {
        redisAsyncHandleWrite(s->ac);
        if (s->ac && !s->writes) s->blocked = false;
    }
    if (s->ac && s->reads && (broken || events & EPOLLIN)) redisAsyncHandleRead(s->ac);
    if (s->ac) look(s);
}

static void add_read(void *arg)
{
    struct redis *s = arg;
    s->reads = true;
    look(s);
}

static void del_read(void *arg)
{
    struct redis *s = arg;
    s->reads = false;
    look(s);
}

static void add_write(void *arg)
{
    struct redis *s = arg;
    s->writes = true;
    if (s->blocked) look(s);
    else task_post(&s->flush);
}

static void del_write(void *arg)
{
    struct redis *s = arg;
    s->writes = false;
    look(s);
}

/* ---- down ---- */

static void say_why(struct redis *s, const char *why)
{
    if (!s->why[0]) snprintf(s->why, sizeof s->why, "%s", why);
}

static void tell_turn(struct redis *s, bool up)
{
    if (s->told && s->told_up == up) return;
    s->told = true;
    s->told_up = up;
    s->want.turned(s->want.arg, up, up ? NULL : s->why);
}

/* A quarter more or less, so that a fleet does not come back at once. */
static uint64_t pause_of(struct redis *s)
{
    uint64_t any = 0;
    if (getrandom(&any, sizeof any, GRND_NONBLOCK) < 0) any = clock_now.wall_ms;
    uint64_t ms = s->pause_ms - s->pause_ms / 4 + any % (s->pause_ms / 2);
    s->pause_ms = min_of(s->pause_ms * 2, (uint64_t) REDIS_PAUSE_MOST_MS);
    return ms;
}

/* After the connection: pauses, but for one that was idle. */
static void lost(struct redis *s)
{
    bool idle = s->state == UP && !s->pending && !s->why[0] && clock_now.ms - s->up_ms >= STEADY_MS;
    s->state = RESTING;
    task_cancel(&s->flush);
    if (s->closing) return;
    if (!idle) {
        say_why(s, "it closed the connection");
        tell_turn(s, false);
    }
    timer_set(&s->timer, idle ? QUICK_MS : pause_of(s));
}

/* hiredis frees its context: by an error, or since we said so. */
static void cleanup(void *arg)
{
    struct redis *s = arg;
    if (s->ac->err && s->ac->err != REDIS_ERR_EOF) say_why(s, s->ac->errstr);
    if (s->watched) watch_remove(&s->watch);
    s->watched = 0;
    s->ac = NULL;
    lost(s);
}

static void drop(struct redis *s, const char *why)
{
    say_why(s, why);
    redisAsyncContext *ac = s->ac;
    if (ac) redisAsyncFree(ac);          /* from within a callback hiredis does it when that returns */
}

/* ---- beginning ---- */

static void begun(redisAsyncContext *ac, void *reply, void *arg)
{
    struct redis *s = ac->ev.data;
    const redisReply *r = reply;
    if (!r) return;
    if (r->type == REDIS_REPLY_ERROR) drop(s, r->str);
    if (!arg || r->type == REDIS_REPLY_ERROR || s->state != BEGINNING) return;
    s->state = UP;
    s->pause_ms = REDIS_PAUSE_LEAST_MS;
    s->up_ms = s->heard_ms = clock_now.ms;
    timer_stop(&s->timer);
    tell_turn(s, true);
}

static int command(struct redis *s, redisCallbackFn *fn, void *arg, size_t count, const struct text *words)
{
    const char *v[REDIS_ARGS_MOST + 3];
    size_t n[REDIS_ARGS_MOST + 3];
    ASSERT(count <= countof(v));
    for (size_t i = 0; i < count; i++) {
        v[i] = words[i].p ? words[i].p : "";
        n[i] = words[i].n;
    }
    return redisAsyncCommandArgv(s->ac, fn, arg, (int) count, v, n);
}

static void send_beginning(struct redis *s)
{
    const struct redis_target *t = s->want.target;
    char db[16];
    struct text words[REDIS_ARGS_MOST + 3] = { T("EVAL"), s->want.script, T("1") };
    if (t->password.n && t->user.n) command(s, begun, NULL, 3, (struct text []) { T("AUTH"), t->user, t->password });
    else if (t->password.n) command(s, begun, NULL, 2, (struct text []) { T("AUTH"), t->password });
    snprintf(db, sizeof db, "%u", t->db);
    command(s, begun, NULL, 2, (struct text []) { T("SELECT"), text_c(db) });
    ASSERT(s->want.probe_count <= REDIS_ARGS_MOST);
    memcpy(words + 3, s->want.probe, s->want.probe_count * sizeof *words);
    command(s, begun, s, 3 + s->want.probe_count, words);
}

/* Something has to be set before the first event tells of the connection. */
static void connected(const redisAsyncContext *ac, int status) { (void) ac, (void) status; }

static void connect_to(struct redis *s, const struct addr *a)
{
    char host[ADDR_TEXT_MAX];
    struct build b = build_in_room(host, sizeof host - 1);
    if (a) addr_print(&b, a, true);
    host[b.n] = '\0';
    if (a && a->family == AF_INET6 && host[0] == '[') {
        host[b.n - 1] = '\0';
        memmove(host, host + 1, b.n - 1);
    }
    redisAsyncContext *ac = a ? redisAsyncConnect(host, s->want.target->port) : redisAsyncConnectUnix(s->want.target->host.p + strlen("unix:"));
    if (!ac || ac->err) {
        say_why(s, ac ? ac->errstr : "no memory");
        if (ac) redisAsyncFree(ac);
        lost(s);
        return;
    }
    s->ac = ac;
    s->state = BEGINNING;
    s->reads = s->writes = false;
    s->blocked = true;                   /* the first event for writing is that it is connected */
    s->watch.fd = ac->c.fd;
    ac->ev.data = s;
    ac->ev.addRead = add_read;
    ac->ev.delRead = del_read;
    ac->ev.addWrite = add_write;
    ac->ev.delWrite = del_write;
    ac->ev.cleanup = cleanup;
    redisAsyncSetConnectCallback(ac, connected);
    send_beginning(s);
}

static void looked_up(struct lookup *l)
{
    struct redis *s = container_of(l, struct redis, lookup);
    if (l->how == LOOKUP_FOUND) {
        connect_to(s, &l->addrs[0]);
        return;
    }
    say_why(s, lookup_why(l->how));
    timer_stop(&s->timer);
    lost(s);
}

static void begin(struct redis *s)
{
    s->why[0] = '\0';
    s->state = LOOKING;
    timer_set(&s->timer, REDIS_BEGIN_MS);
    if (text_starts(s->want.target->host, T("unix:"))) {
        connect_to(s, NULL);
        return;
    }
    s->lookup.done = looked_up;
    lookup_start(resolver_system(), &s->lookup, LOOKUP_HOST, s->want.target->host, s->want.target->port, REDIS_BEGIN_MS);
}

static void fire(struct timer *t)
{
    struct redis *s = container_of(t, struct redis, timer);
    uint64_t silent = clock_now.ms - s->heard_ms;
    if (s->state == RESTING) begin(s);
    else if (s->state == BEGINNING) drop(s, "it does not answer");
    else if (s->state == UP && s->pending && silent >= REDIS_SILENT_MS) drop(s, "it does not answer any more");
    else if (s->state == UP && s->pending) timer_set(t, REDIS_SILENT_MS - silent);
}

/* ---- questions ---- */

static void answered(redisAsyncContext *ac, void *reply, void *arg);

static bool put_question(struct question *q, bool by_text)
{
    struct redis *s = q->server;
    struct text words[REDIS_ARGS_MOST + 3] = { by_text ? T("EVAL") : T("EVALSHA"), by_text ? s->want.script : text_of(s->sha, SHA), T("1") };
    const char *at = q->bytes;
    for (size_t i = 0; i < q->count; at += q->n[i++]) words[3 + i] = text_of(at, q->n[i]);
    return s->ac && command(s, answered, q, 3 + q->count, words) == REDIS_OK;
}

static void tell(struct question *q, const int64_t *answer)
{
    q->server->pending--;
    q->told(q->arg, answer);
    cell_give(&cells, q);
}

static bool is_answer(const redisReply *r)
{
    return r->type == REDIS_REPLY_ARRAY && r->elements == 2 && r->element[0]->type == REDIS_REPLY_INTEGER && r->element[1]->type == REDIS_REPLY_INTEGER;
}

static void answered(redisAsyncContext *ac, void *reply, void *arg)
{
    struct question *q = arg;
    struct redis *s = q->server;
    const redisReply *r = reply;
    (void) ac;
    s->heard_ms = clock_now.ms;
    if (r && r->type == REDIS_REPLY_ERROR && !strncmp(r->str, "NOSCRIPT", strlen("NOSCRIPT")) && put_question(q, true)) return;
    if (!r || !is_answer(r)) {
        tell(q, NULL);
        if (r) drop(s, r->type == REDIS_REPLY_ERROR ? r->str : "its answer is not what was asked for");
        return;
    }
    const int64_t v[2] = { r->element[0]->integer, r->element[1]->integer };
    tell(q, v);
}

bool redis_ask(struct redis *s, const struct text *args, size_t count, void (*told)(void *arg, const int64_t *answer), void *arg)
{
    NEED(s, REDIS_MAGIC);
    size_t all = 0;
    for (size_t i = 0; i < count; i++) all += args[i].n;
    if (s->state != UP || !s->ac || s->pending >= REDIS_PENDING_MOST || all > REDIS_ARG_BYTES) return false;
    struct question *q = cell_take(&cells);
    q->server = s;
    q->told = told;
    q->arg = arg;
    q->count = count;
    ASSERT(count <= REDIS_ARGS_MOST);
    for (size_t i = 0, at = 0; i < count; at += args[i++].n) {
        memcpy(q->bytes + at, args[i].p, args[i].n);
        q->n[i] = args[i].n;
    }
    if (!put_question(q, false)) {
        cell_give(&cells, q);
        return false;
    }
    if (!s->pending++) s->heard_ms = clock_now.ms;
    if (!timer_is_set(&s->timer)) timer_set(&s->timer, REDIS_SILENT_MS);
    return true;
}

/* ---- begin and end ---- */

struct redis *redis_open(const struct redis_want *w)
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned n = 0;
    struct redis *s = base_zalloc(1, sizeof *s);
    *s = (struct redis) { .magic = REDIS_MAGIC, .want = *w, .pause_ms = REDIS_PAUSE_LEAST_MS };
    s->timer.fire = fire;
    s->flush.run = flush;
    s->watch.ready = ready;
    struct build b = build_in_room(s->sha, SHA);
    ASSERT(EVP_Digest(w->script.p, w->script.n, digest, &n, EVP_sha1(), NULL) == 1 && n * 2 == SHA);
    build_bytes_hex(&b, text_of((const char *) digest, n));
    begin(s);
    return s;
}

void redis_close(struct redis **server)
{
    struct redis *s = *server;
    *server = NULL;
    if (!s) return;
    NEED(s, REDIS_MAGIC);
    s->closing = true;
    lookup_cancel(&s->lookup);
    if (s->ac) redisAsyncFree(s->ac);
    timer_end(&s->timer);
    task_cancel(&s->flush);
    ASSERT(!s->pending);
    s->magic = 0;
    free(s);
}

#else

bool redis_is_built(void) { return false; }
void redis_close(struct redis **s) { *s = NULL; }

struct redis *redis_open(const struct redis_want *w)
{
    (void) w;
    ASSERT(!"built without libhiredis");
    return NULL;
}

bool redis_ask(struct redis *s, const struct text *args, size_t count, void (*told)(void *arg, const int64_t *answer), void *arg)
{
    (void) s, (void) args, (void) count, (void) told, (void) arg;
    return false;
}

#endif
