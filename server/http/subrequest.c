#include "http/subrequest.h"
#include "http/core_conf.h"
#include "http/postpone.h"
#include "http/proxied.h"
#include "http/reqbody.h"
#include "http/steps.h"

#define SUBREQUEST_MAGIC 0x53554231u

/* HELD_MOST: of a response whose turn has not come. DRAIN_MOST: of one that nobody wants, so that its connection can be kept.
 * BACKGROUND_MOST: of those without a client, in one worker. */
enum { POOL_FIRST = 2048, COUNT_MOST = 65535 - 1000, HELD_MOST = 65536, DRAIN_MOST = 65536, BACKGROUND_MOST = 4096 };

struct subrequest {
    unsigned             magic;
    enum subrequest_way  way;
    struct request      *r, *parent;
    struct subrequest   *next, *prev;         /* its siblings */
    struct subrequest   *next_due, **at_due;  /* in the work list: the one behind, and what points here */
    struct part         *place;               /* inline: in the parent's response */
    struct subrequest_want want;
    struct log_about     about;
    struct chain         held;                /* inline: its turn has not come; memory: all of it */
    bool                 due, begun,
                         given,               /* its source gave something */
                         ended,               /* the response is complete, or broken */
                         enough,              /* what is still to come is not waited for */
                         broken,              /* to memory: what there is does not count */
                         fatal,               /* there is no answer at all: that ends the main request */
                         told,
                         passed;              /* its turn has come and gone */
};

static unsigned in_background;

static struct subrequest *sub_of(const struct request *r)
{
    struct subrequest *s = r->main == r ? NULL : r->stream;
    NEED(s, SUBREQUEST_MAGIC);
    return s;
}

/* ---- the work list: what is due later in this turn ---- */

static struct subrequest *due_first, **due_end = &due_first;
static void run_due(struct task *t);
static struct task due_task = { .run = run_due };

static void put_due(struct subrequest *s)
{
    if (s->due) return;
    s->due = true;
    s->next_due = NULL;
    s->at_due = due_end;
    *due_end = s;
    due_end = &s->next_due;
    task_post(&due_task);
}

static void take_off(struct subrequest *s)
{
    if (!s->due) return;
    *s->at_due = s->next_due;
    if (s->next_due) s->next_due->at_due = s->at_due;
    else due_end = s->at_due;
    s->due = false;
}

/* All requests from the main one down to s have their turn. */
static bool flows(const struct subrequest *s)
{
    for (;; s = sub_of(s->parent)) {
        if (s->way != SUBREQUEST_INLINE || !postpone_is_first(s->parent, s)) return false;
        if (s->parent->main == s->parent) return true;
    }
}

static void tell(struct subrequest *s)
{
    if (s->told) return;
    s->told = true;
    if (s->want.done) s->want.done(s->r, s->want.arg);
}

/* There is no answer, as the configuration wants it: not for the client either. */
static void end_main(struct request *m)
{
    struct chain none = CHAIN_EMPTY;
    if (m->closing) return;
    m->out.ended = true;
    m->proto->body(m, &none, BODY_BROKEN);
}

static void finish(struct subrequest *s)
{
    struct request *parent = s->parent, *r = s->r;
    bool background = s->way == SUBREQUEST_BACKGROUND;
    if (s->fatal && !background) {
        end_main(r->main);
        return;
    }
    tell(s);
    if (r->closing || (s->way == SUBREQUEST_INLINE && !s->passed && !flows(s))) return;
    if (!s->ended && !s->enough) return;
    request_close(&r, "done");
    if (background || parent->closing) return;
    if (s->way == SUBREQUEST_INLINE) postpone_advance(parent);
    if (!parent->closing) response_more(parent);
}

static void run_one(struct subrequest *s)
{
    if (s->r->closing) return;
    if (!s->begun) {
        s->begun = true;
        steps_run(s->r, s->want.named.n ? request_redirect_named(s->r, s->want.named) : v_goto(&step_server_rewrite));
    } else if (s->ended || s->enough || s->way == SUBREQUEST_STATUS) {
        finish(s);
    } else {
        response_more(s->r);
    }
}

static void run_due(struct task *t)
{
    (void) t;
    while (due_first) {
        struct subrequest *s = due_first;
        take_off(s);
        run_one(s);
    }
}

/* ---- what it asks of its connection ---- */

static void head(struct request *r)
{
    struct subrequest *s = sub_of(r);
    if (s->way < SUBREQUEST_STATUS) return;
    s->enough = r->out.length < 0 || r->out.length > DRAIN_MOST;
    put_due(s);
}

static void informational(struct request *r, int status, const struct fields *f)
{
    (void) r, (void) status, (void) f;
}

static void to_parent(struct subrequest *s, struct chain *in)
{
    chain_own(in);      /* the parent may hold it longer than our pool lasts */
    if (flows(s)) postpone_pass(s->parent, in);
    else chain_move(&s->held, in);
}

static void to_memory(struct subrequest *s, struct chain *in)
{
    uint64_t most = http_core(s->r)->subrequest_output_buffer_size.bytes;
    if (!s->broken && s->held.bytes + in->bytes > most) {
        request_log(s->r, L_ERR, 0, "too big subrequest response: %llu", (unsigned long long) (s->held.bytes + in->bytes));
        s->broken = s->fatal = s->enough = true;
        put_due(s);
    }
    if (s->broken) chain_clear(in);
    else chain_move(&s->held, in);
}

static void body(struct request *r, struct chain *in, enum body_end end)
{
    struct subrequest *s = sub_of(r);
    if (s->ended || s->way >= SUBREQUEST_STATUS) chain_clear(in);
    else if (s->way == SUBREQUEST_INLINE) to_parent(s, in);
    else to_memory(s, in);
    if (end == BODY_MORE) return;
    s->ended = true;
    s->fatal |= !r->out.head_sent;
    s->broken |= end == BODY_BROKEN;
    put_due(s);
}

static size_t room(struct request *r)
{
    const struct subrequest *s = sub_of(r);
    if (s->way != SUBREQUEST_INLINE) return HELD_MOST;
    if (flows(s)) return postpone_room(s->parent);
    return s->held.bytes < HELD_MOST ? HELD_MOST - s->held.bytes : 0;
}

static void want_body(struct request *r) { (void) r; }

static void ended(struct request *r, const char *why)
{
    struct subrequest *s = sub_of(r), **list = &s->parent->subs;
    (void) why;
    take_off(s);
    chain_clear(&s->held);
    if (s->place) postpone_forget(s->place);
    if (s->next) s->next->prev = s->prev;
    if (s->prev) s->prev->next = s->next;
    else *list = s->next;
    r->main->sub_count--;
    if (s->way != SUBREQUEST_BACKGROUND) return;
    in_background--;
    if (s->parent->closing && !*list) loop_free_later(request_free, s->parent);
}

static const struct protocol protocol = {
    .name = "subrequest", .head = head, .informational = informational, .body = body, .room = room, .want_body = want_body, .ended = ended,
};

/* ---- the beginning ---- */

static void describe(struct build *b, void *arg)
{
    request_describe(b, ((struct subrequest *) arg)->r);
}

/* The parent's body, when it was read whole; one that is still to come is the parent's alone. */
static void share_body(struct request *r, const struct request *parent)
{
    const struct reqbody *b = parent->body;
    if (!b || !b->whole || !b->complete || b->broken) return;
    r->body = pool_new(r->pool, struct reqbody);
    *r->body = (struct reqbody) { .length = b->length, .complete = true, .whole = true, .file_name = b->file_name, .way = REQBODY_WHOLE };
    chain_share(&r->body->chain, &b->chain);
    r->in_length = parent->in_length;
    r->in_chunked = parent->in_chunked;
}

static void copy_question(struct request *r, const struct request *parent)
{
    r->internal = true;
    r->valid_target = false;
    r->expect_tested = true;
    r->peer = parent->peer;
    r->proxied = parent->proxied;
    r->subrequests = (uint8_t) (parent->subrequests - 1);
    r->line = parent->line;
    r->version = parent->version;
    r->target = parent->target;
    r->host = parent->host;
    r->host_port = parent->host_port;
    r->in = parent->in;
    r->in.cap = r->in.n;
    r->in_trailers = parent->in_trailers;
    memcpy(r->in_at, parent->in_at, sizeof r->in_at);
    r->user = parent->user;
    r->number = parent->number;
}

static struct request *make_request(struct subrequest *s, struct pool *pool, struct request *parent)
{
    const struct subrequest_want *w = &s->want;
    struct request *r = request_open_within(parent, pool, &protocol, s);
    copy_question(r, parent);
    r->method = w->same_method ? parent->method : METHOD_GET;
    r->method_name = method_row(METHOD_GET)->name;
    if (w->same_method) r->method_name = parent->method_name;
    if (!w->no_body) share_body(r, parent);
    r->uri = w->uri;
    r->args = w->args;
    r->has_args = w->args.n > 0;
    request_set_exten(r);
    r->head_only = w->way >= SUBREQUEST_STATUS;
    s->about = (struct log_about) { .number = parent->about->number, .describe = describe, .arg = s };
    r->about = &s->about;
    r->eval.about = r->about;
    return r;
}

static bool may_open(struct request *parent, const struct subrequest_want *w)
{
    if (!parent->subrequests) {
        request_log(parent, L_ERR, 0, "subrequests cycle while processing \"%.*s\"", TEXT_ARG(w->uri));
        return false;
    }
    if (parent->main->sub_count >= COUNT_MOST) {
        request_log(parent, L_CRIT, 0, "too many subrequests while processing \"%.*s\"", TEXT_ARG(w->uri));
        return false;
    }
    if (parent->main != parent && sub_of(parent)->way == SUBREQUEST_MEMORY) {
        request_log(parent, L_ERR, 0, "nested in-memory subrequest \"%.*s\"", TEXT_ARG(w->uri));
        return false;
    }
    if (w->way == SUBREQUEST_BACKGROUND && in_background >= BACKGROUND_MOST) {
        request_log(parent, L_ERR, 0, "%u subrequests are in the background already, \"%.*s\" is left out", in_background, TEXT_ARG(w->uri));
        return false;
    }
    return true;
}

struct request *subrequest_open(struct request *parent, const struct subrequest_want *w)
{
    NEED(parent, REQUEST_MAGIC);
    if ((parent->closing && w->way != SUBREQUEST_BACKGROUND) || !may_open(parent, w)) return NULL;
    struct pool *pool = pool_open(POOL_FIRST);
    struct subrequest *s = pool_new(pool, struct subrequest);
    s->magic = SUBREQUEST_MAGIC;
    s->way = w->way;
    s->want = *w;
    s->parent = parent;
    s->r = make_request(s, pool, parent);
    s->next = parent->subs;
    if (s->next) s->next->prev = s;
    parent->subs = s;
    parent->main->sub_count++;
    if (w->way == SUBREQUEST_BACKGROUND) in_background++;
    if (w->way == SUBREQUEST_INLINE) s->place = postpone_add(parent, s);
    put_due(s);
    return s->r;
}

/* ---- its response ---- */

bool subrequest_is_over(const struct request *sub) { return sub_of(sub)->ended; }

struct text subrequest_memory(const struct request *sub)
{
    const struct subrequest *s = sub_of(sub);
    if (s->broken || !s->held.bytes) return T("");
    char *p = pool_bytes(sub->pool, s->held.bytes);
    return text_of(p, chain_copy_out(&s->held, p, s->held.bytes));
}

bool subrequest_needs_bytes(const struct request *r)
{
    for (const struct subrequest *s = sub_of(r); ; s = sub_of(s->parent)) {
        if (s->way != SUBREQUEST_INLINE) return s->way == SUBREQUEST_MEMORY;
        if (postpone_needs_bytes(s->parent)) return true;
        if (s->parent->main == s->parent) return false;
    }
}

bool subrequest_replaces(struct request *r)
{
    struct subrequest *s = sub_of(r);
    struct chain out = CHAIN_EMPTY;
    if (!s->want.instead || s->given || r->out.head_sent) return false;
    response_clear(r);
    r->err_status = 0;
    r->out.status = 200;
    r->out.type = s->parent->out.type;
    if (!response_head(r)) return true;
    chain_share(&out, s->want.instead);
    response_body(r, &out, BODY_FINAL);
    return true;
}

void subrequest_heads(struct request *r)
{
    struct response *o = &r->out;
    const struct subrequest *s = sub_of(r);
    if (!s->want.instead || (o->status != 204 && o->status != 304)) return;
    o->status = 200;
    o->type = s->parent->out.type;
    o->length = -1;
}

void subrequest_gives(struct request *r, struct chain *in, enum body_end end)
{
    struct subrequest *s = sub_of(r);
    if (in->bytes) s->given = true;
    if (end == BODY_FINAL && !s->given && s->want.instead) chain_share(in, s->want.instead);
}

bool subrequest_flow(struct subrequest *s)
{
    NEED(s, SUBREQUEST_MAGIC);
    if (!flows(s)) return false;
    if (s->held.first) postpone_pass(s->parent, &s->held);
    if (!s->ended && s->r->postpone) postpone_advance(s->r);
    put_due(s);
    return s->passed = s->ended;
}

void subrequest_more(struct subrequest *s)
{
    NEED(s, SUBREQUEST_MAGIC);
    if (s->begun && !s->ended) response_more(s->r);
}

/* ---- the end of a request ---- */

/* Values that this request found stay with the main one: they may point to what ends now. */
static void keep_values(struct request *r)
{
    struct pool *pool = r->main->pool;
    size_t n = r->vhost->http->value_count;
    for (size_t i = 0; i < n; i++) {
        struct value *v = &r->eval.values[i];
        if (v->state != VALUE_FOUND || !v->n || pool_has(pool, v->p)) continue;
        v->p = pool_text(pool, value_text(*v)).p;
    }
}

static void move_to(struct request *r, struct conn *c, const struct proxied *proxied)
{
    if (r->peer == &r->conn->peer) r->peer = &c->peer;
    if (r->about == &r->conn->about) r->about = &c->about;
    r->eval.about = r->about;
    r->conn = c;
    r->proxied = proxied;
    for (struct subrequest *s = r->subs; s; s = s->next) move_to(s->r, c, proxied);
}

/* What is in the background goes on without the client's connection: what is known of it is kept. */
static void leave_connection(struct request *r)
{
    struct conn *c = pool_new(r->pool, struct conn);
    struct proxied *proxied = NULL;
    eval_get_name(&r->eval, T("scheme"));
    eval_get_name(&r->eval, T("https"));
    conn_local(r->conn);
    *c = (struct conn) { .magic = CONN_MAGIC, .fd = -1, .ops = &conn_plain, .log = r->log, .about.number = r->conn->about.number, .peer = r->conn->peer,
                         .local = r->conn->local, .listener = r->conn->listener, .started_ms = r->conn->started_ms, .sent = r->conn->sent, .received = r->conn->received };
    if (r->proxied) {
        proxied = pool_new(r->pool, struct proxied);
        *proxied = *r->proxied;
        proxied->tlvs = pool_text(r->pool, r->proxied->tlvs);
    }
    move_to(r, c, proxied);
}

void subrequest_end_all(struct request *r)
{
    for (struct subrequest *s = r->subs, *next; s; s = next) {
        struct request *sub = s->r;
        next = s->next;
        if (s->way != SUBREQUEST_BACKGROUND) request_close(&sub, "its parent ended");
    }
    if (r->main != r) keep_values(r);
}

bool subrequest_stay(struct request *r)
{
    if (!r->subs) return false;
    leave_connection(r);
    return true;
}
