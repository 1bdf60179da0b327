#include "http/prelude.h"
#include "os/metrics.h"
#include <errno.h>

/* ---- states ---- */

static void count(const struct prelude *p, unsigned state, int64_t n)
{
    if (state != p->kind->over) metrics_add(state <= p->kind->reading ? METRIC_CONNECTIONS_READING : METRIC_CONNECTIONS_WRITING, n);
}

static void change(struct prelude *p, unsigned to)
{
    count(p, p->state, -1);
    count(p, to, 1);
    p->state = (uint8_t) to;
}

void prelude_move(struct prelude *p, unsigned to)
{
    NEED(p, p->kind->magic);
    ASSERT(p->state < p->kind->over && to < p->kind->over && p->kind->legal[p->state] & 1u << to);
    change(p, to);
}

/* ---- the end ---- */

static void give(void *arg)
{
    struct prelude *p = arg;
    cell_give(p->kind->cells, p);
}

void prelude_end(struct prelude *p, bool keep_conn)
{
    ASSERT(!p->r);
    if (p->state == p->kind->over) return;
    change(p, p->kind->over);
    if (p->kind->drop) p->kind->drop(p);
    task_cancel(&p->task);
    if (!keep_conn) conn_close(&p->conn);
    p->magic = 0;
    loop_free_later(give, p);
}

static void run_task(struct task *t)
{
    struct prelude *p = container_of(t, struct prelude, task);
    struct request *r = p->r;
    if (r) request_close(&r, p->why);
}

void prelude_finish(struct prelude *p, const char *why)
{
    if (p->finishing || !p->r) return;
    p->finishing = true;
    p->why = why;
    task_post(&p->task);
}

void prelude_abandon(struct prelude *p, int status, const char *why)
{
    p->broken = true;
    if (p->r && !p->r->out.head_sent) p->r->out.status = status;
    if (p->r) prelude_finish(p, why);
    else prelude_end(p, false);
}

/* ---- what happens to it ---- */

const struct http_core_conf *prelude_core(const struct prelude *p) { return p->r ? http_core(p->r) : conf_values(p->vhost->block, &http_core_module); }

void prelude_lost(struct prelude *p, struct io_done d)
{
    struct conn *c = p->conn;
    log_at(c->log, L_INFO, &c->about, d.how == IO_ERROR ? c->error : 0, "client prematurely closed connection");
    prelude_abandon(p, 400, "client closed");
}

void prelude_left(struct prelude *p)
{
    log_at(p->r->log, L_INFO, p->r->about, 0, "client prematurely closed connection");
    prelude_abandon(p, 499, "client closed");
}

void prelude_timed_out(struct prelude *p)
{
    if (!p->conn->timedout) log_at(p->conn->log, L_INFO, &p->conn->about, ETIMEDOUT, "client timed out");
    prelude_abandon(p, p->conn->place == CONN_CUT ? 499 : 408, "timeout");
}

static void describe(struct build *b, void *arg)
{
    struct prelude *p = arg;
    if (!p->magic || !p->conn) return;
    if (p->r) {
        request_describe(b, p->r);
        return;
    }
    build_lit(b, ", client: ");
    addr_print(b, &p->conn->peer, true);
    build_lit(b, ", server: ");
    addr_print(b, &p->at->addr, false);
}

void *prelude_open(const struct prelude_kind *k, struct conn *c, void (*ready)(struct conn *c, unsigned what))
{
    struct prelude *p = cell_take(k->cells);
    p->magic = k->magic;
    p->kind = k;
    p->conn = c;
    p->task.run = run_task;
    p->at = vhost_addr_of(c);
    p->vhost = p->at->fallback;
    count(p, p->state, 1);
    c->owner = p;
    c->ready = ready;
    c->log = p->vhost->self->log;
    c->about.describe = describe;
    c->about.arg = p;
    c->about.doing = k->doing;
    return p;
}

struct request *prelude_request(struct prelude *p, const struct protocol *proto, unsigned version)
{
    struct request *r = p->r = request_open(p->conn, proto, p, p->vhost);
    metrics_add(METRIC_REQUESTS, 1);
    p->conn->about.doing = NULL;
    r->method = METHOD_CONNECT;
    r->method_name = T("CONNECT");
    r->form = REQUEST_AUTHORITY;
    r->version = version;
    r->uri = T("/");
    r->number = 1;
    return r;
}

/* ---- for struct protocol ---- */

void prelude_head(struct request *r) { (void) r; }      /* all that is said of it: body, tunnel */

void prelude_informational(struct request *r, int status, const struct fields *f) { (void) r, (void) status, (void) f; }

size_t prelude_room(struct request *r) { (void) r; return CHUNK_LARGE; }

void prelude_want_body(struct request *r) { (void) r; }

void prelude_swap(void *stream, struct request *r)
{
    struct prelude *p = stream;
    NEED(p, p->kind->magic);
    ASSERT(p->state == p->kind->tunnel);
    p->r = r;
}

bool prelude_may_tunnel(const struct prelude *p, unsigned serving) { return p->state == serving && !p->broken && !p->finishing; }
