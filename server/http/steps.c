#include "http/steps.h"
#include "http/core_conf.h"
#include "http/explain.h"
#include "http/reqbody.h"
#include "wire/uri.h"

/* ---- the steps ---- */

/* The hooks of the step in hand, from where it waited. */
static struct verdict run_hooks(struct request *r)
{
    const struct hook_list *list = &r->vhost->http->hooks[r->step->index];
    for (; r->hook < list->n; r->hook++) {
        if (unlikely(explain_on != NULL) && explain_skips(r, list->v[r->hook])) continue;
        struct verdict v = list->v[r->hook]->run(r);
        if (v.what != V_NEXT) return v;
    }
    return v_next();
}

/* "/name" where "/name/" is a gateway's. */
static struct verdict redirect_to_folder(struct request *r, const struct location *l)
{
    struct build b = build_in_pool(r->pool, l->name.n + r->args.n + 16, 0);
    uri_escape(&b, l->name, URI_ESCAPE_URI);
    if (r->args.n) {
        build_char(&b, '?');
        build_text(&b, r->args);
    }
    r->out.location = build_done(&b);
    return v_reply(301);
}

static struct verdict find_location(struct request *r)
{
    bool redirect;
    r->eval.failed = false;
    struct location *l = locations_find(r->vhost->locations, r->uri, &r->eval, &redirect);
    r->uri_changed = false;
    if (unlikely(r->eval.failed)) return v_reply(500);     /* a regex gave up: no location rather than the wrong one */
    if (unlikely(explain_on != NULL)) explain_location(r, l, redirect);
    request_enter(r, l ? l : r->vhost->self);
    if (l && l->internal && !r->internal) return v_reply(404);
    const struct http_core_conf *core = http_core(r);
    if (r->in_length > 0 && core->client_max_body_size.bytes && (uint64_t) r->in_length > core->client_max_body_size.bytes && !r->body) {
        request_log(r, L_ERR, 0, "client intended to send too large body: %lld bytes", (long long) r->in_length);
        reqbody_refuse(r);
        return v_reply(413);
    }
    if (redirect) return redirect_to_folder(r, l);
    return v_next();
}

static struct verdict post_rewrite(struct request *r)
{
    if (!r->uri_changed) return v_next();
    r->uri_changed = false;
    if (r->uri_changes == 0 || --r->uri_changes == 0) {
        request_log(r, L_ERR, 0, "rewrite or internal redirection cycle while processing \"%.*s\"", TEXT_ARG(r->uri));
        return v_reply(500);
    }
    return v_goto(&step_find_location);
}

struct held_back { struct timer timer; struct request *r; int status; };

static void fire_refusal(struct timer *t)
{
    struct held_back *h = container_of(t, struct held_back, timer);
    request_go(h->r, v_reply(h->status));
}

static void stop_refusal(struct request *r, void *arg)
{
    (void) r;
    timer_end(&((struct held_back *) arg)->timer);
}

/* auth_delay: a 401 comes later. */
static struct verdict refuse(struct request *r, int status)
{
    uint64_t ms = http_core(r)->auth_delay.ms;
    if ((status != 401 && status != 407) || !ms) return v_reply(status);
    request_log(r, L_INFO, 0, "delaying unauthorized request");
    struct held_back *h = pool_new(r->pool, struct held_back);
    *h = (struct held_back) { .timer.fire = fire_refusal, .r = r, .status = status };
    request_at_close(r, stop_refusal, h);
    timer_set(&h->timer, ms);
    return v_wait();
}

/* A hook that says v_goto(&step_post_access) lets the request through for its part; v_next has nothing to say. */
static struct verdict access_hooks(struct request *r)
{
    const struct hook_list *list = &r->vhost->http->hooks[STEP_ACCESS];
    bool any = http_core(r)->satisfy == SATISFY_ANY;
    if (r->main != r) return v_next();
    for (; r->hook < list->n; r->hook++) {
        struct verdict v = list->v[r->hook]->run(r);
        if (v.what == V_NEXT) continue;
        if (v.what == V_GOTO && v.to == &step_post_access) {
            if (!any) continue;
            r->access_status = 0;
            fields_remove(&r->out.fields, FIELD_WWW_AUTHENTICATE);
            fields_remove(&r->out.fields, FIELD_PROXY_AUTHENTICATE);
            return v_next();
        }
        if (!any && v.what == V_REPLY) return refuse(r, v.status);
        if (!any || v.what != V_REPLY || (v.status != 401 && v.status != 403 && v.status != 407)) return v;
        if (r->access_status != 401 && r->access_status != 407) r->access_status = v.status;
    }
    return v_next();
}

static struct verdict post_access(struct request *r)
{
    int status = r->access_status;
    r->access_status = 0;
    if (!status) return v_next();
    if (status == 403) request_log(r, L_ERR, 0, "access forbidden by rule");
    return refuse(r, status);
}

static struct verdict content(struct request *r)
{
    if (unlikely(explain_on != NULL)) return explain_content(r);
    if (r->location->content) return r->location->content(r);
    struct verdict v = run_hooks(r);
    if (v.what != V_NEXT) return v;
    if (r->uri.n && r->uri.p[r->uri.n - 1] == '/') {
        struct text path = request_map_path(r, 0, NULL);
        if (path.n) request_log(r, L_ERR, 0, "directory index of \"%.*s\" is forbidden", TEXT_ARG(path));
        return v_reply(403);
    }
    request_log(r, L_ERR, 0, "no handler found");
    return v_reply(404);
}

const struct step step_log           = { "log",           run_hooks,     NULL,                STEP_LOG };
const struct step step_content       = { "content",       content,       NULL,                STEP_CONTENT };
const struct step step_precontent    = { "precontent",    run_hooks,     &step_content,       STEP_PRECONTENT };
const struct step step_post_access   = { "post_access",   post_access,   &step_precontent,    STEP_POST_ACCESS };
const struct step step_access        = { "access",        access_hooks,  &step_post_access,   STEP_ACCESS };
const struct step step_preaccess     = { "preaccess",     run_hooks,     &step_access,        STEP_PREACCESS };
const struct step step_post_rewrite  = { "post_rewrite",  post_rewrite,  &step_preaccess,     STEP_POST_REWRITE };
const struct step step_rewrite       = { "rewrite",       run_hooks,     &step_post_rewrite,  STEP_REWRITE };
const struct step step_find_location = { "find_location", find_location, &step_rewrite,       STEP_FIND_LOCATION };
const struct step step_server_rewrite = { "server_rewrite", run_hooks,   &step_find_location, STEP_SERVER_REWRITE };
const struct step step_post_read     = { "post_read",     run_hooks,     &step_server_rewrite, STEP_POST_READ };

/* ---- the one loop ---- */

static struct request *in_hand;

static void put_context(char *room, size_t size)
{
    struct build b = build_in_room(room, size - 1);
    if (!in_hand) return;
    build_fmt(&b, "in step \"%s\" of \"%.*s\"", in_hand->step ? in_hand->step->name : "none", TEXT_ARG(in_hand->line));
    room[b.n] = '\0';
}

/* The step after this one; those that nobody has hooks in are passed by. */
static const struct step *next_of(const struct request *r)
{
    const struct step *s = r->step->next;
    const struct hook_list *hooks = r->vhost->http->hooks;
    while (s && s->run == run_hooks && !hooks[s->index].n) s = s->next;
    return s;
}

void steps_run(struct request *r, struct verdict v)
{
    struct request *outer = in_hand;
    bool was_running = r->running;
    in_hand = r;
    r->running = true;
    while (v.what != V_OVER && !r->closing) {
        if (v.what == V_REPLY) {
            v = unlikely(explain_on != NULL) ? explain_reply(r, v.status) : error_page_answer(r, v.status);
            continue;
        }
        if (v.what == V_WAIT && !r->resumed) {
            r->resumable = true;
            break;
        }
        if (v.what == V_GOTO) r->step = v.to, r->hook = 0;
        if (v.what == V_NEXT) r->step = next_of(r), r->hook = 0;
        ASSERT(r->step);
        r->resumed = false;
        log_at(r->log, L_DEBUG, r->about, 0, "step: %s", r->step->name);
        v = r->step->run(r);
    }
    r->running = was_running;
    in_hand = outer;
}

struct relay_pace *steps_paces(struct request *r)
{
    struct relay_pace *all = NULL;
    const struct http *h = r->vhost->http;
    for (size_t i = 0; i < h->pace_count; i++) {
        struct relay_pace *p = h->paces[i](r);
        if (!p) continue;
        p->next = all;
        all = p;
    }
    return all;
}

/* ---- the end of reading ---- */

void steps_parts_each(void (*fn)(const struct http_part *p, const struct module *m, void *arg), void *arg)
{
    for (struct module *const *m = module_list; *m; m++)
        for (const struct module *part = *m; part; part = part->extra)
            if (part->part && part->part_kind == &http_part_kind) fn(part->part, *m, arg);
}

struct taking { struct conf *cf; struct http *h; size_t caps[STEP_COUNT], pace_cap; };

static void take_hooks(const struct http_part *p, const struct module *m, void *arg)
{
    struct taking *t = arg;
    if (p->if_given && !conf_given(t->cf, m)) return;
    if (p->pace) {
        if (t->h->pace_count == t->pace_cap) t->h->paces = pool_grow(t->cf->pool, t->h->paces, t->h->pace_count, &t->pace_cap, sizeof *t->h->paces);
        t->h->paces[t->h->pace_count++] = p->pace;
    }
    for (const struct hook *k = p->hooks; k && k->step; k++) {
        unsigned i = k->step->index;
        struct hook_list *list = &t->h->hooks[i];
        if (list->n == t->caps[i]) list->v = pool_grow(t->cf->pool, list->v, list->n, &t->caps[i], sizeof *list->v);
        size_t at = list->n++;
        for (; at && list->v[at - 1]->order > k->order; at--) list->v[at] = list->v[at - 1];
        list->v[at] = k;
    }
}

bool steps_build(struct conf *cf, struct http *h)
{
    struct taking t = { .cf = cf, .h = h };
    NEED(h, HTTP_MAGIC);
    steps_parts_each(take_hooks, &t);
    base_panic_context = put_context;
    return true;
}
