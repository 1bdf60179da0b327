/*
 * forward_proxy_original: requests of clients that know of no proxy, whose connections netfilter led here (listen … transparent). They go
 * to the address that the client was going to, and nowhere else. The name is the client's word: where a rule allows it, it must lead there.
 */
#include "modules/forward_proxy.h"
#include "http/circle.h"
#include "process/cycle.h"
#include "wire/host.h"

struct text forward_proxy_original_host(struct request *r)
{
    const struct addr *a = &request_original(r)->addr;
    struct text t = addr_text(r->pool, a, true);
    return a->family == AF_INET6 ? pool_printf(r->pool, "[%.*s]", TEXT_ARG(t)) : t;
}

void forward_proxy_original_mark(struct request *r)
{
    if (r->form != REQUEST_ORIGIN || r->forward || r->err_status || r->main != r || !request_original(r)) return;
    r->form = REQUEST_ABSOLUTE;
    r->asked_scheme = T("http");
}

const char *forward_proxy_original_ask(struct request *r, struct forward *f, struct text *rule_out)
{
    const struct request_original *o = request_original(r);
    if (!o) return NULL;
    struct text address = forward_proxy_original_host(r);
    if (!r->host.n) r->host = address;
    f->ask.host = r->host;
    f->ask.port = addr_port(&o->addr);
    if (!text_eq(r->host, address)) f->ask.alias = address;
    if (r->form == REQUEST_ABSOLUTE && !text_eq_nocase(r->asked_scheme, T("http"))) return "only http is spoken there";
    *rule_out = T("protocol");
    if (o->said == REQUEST_SAID_UNKNOWN) return "neither HTTP nor TLS is spoken";
    *rule_out = T("original");
    if (o->said == REQUEST_SAID_HTTP && r->form == REQUEST_AUTHORITY) return "a tunnel is asked for on a connection that is no proxy's";
    if (r->host_port && r->host_port != f->ask.port) return "the port is not the one that the client was going to";
    return NULL;
}

/* ---- does the name lead there? ---- */

static void looked_up(struct lookup *l)
{
    struct forward *f = container_of(l, struct forward, lookup);
    const struct request_original *o = request_original(f->r);
    if (l->how != LOOKUP_FOUND)
        request_log(f->r, L_ERR, 0, "%.*s could not be resolved (%d: %s)", TEXT_ARG(f->r->host), (int) l->how, lookup_why(l->how));
    for (size_t i = 0; l->how == LOOKUP_FOUND && i < l->count; i++) f->fits |= addr_eq(&l->addrs[i], &o->addr);
    forward_proxy_looked_up(f);
}

/* False: it is being looked up. */
static bool check_name(struct request *r, struct forward *f, const struct addr *to)
{
    struct addr said;
    if (f->found) return true;
    f->found = true;
    if (f->conf->verify_host == VERIFY_OFF || !f->ask.alias.n) return f->fits = true;
    if (addr_parse(r->pool, r->host, addr_port(to), &said)) {
        f->fits = addr_eq(&said, to);
        return true;
    }
    forward_proxy_look_up(f, looked_up, r->host, addr_port(to));
    return false;
}

/* The name is not believed. What is left to be judged is the address. */
static bool may_go_by_address(struct request *r, struct forward *f)
{
    if (f->conf->verify_host != VERIFY_ADDRESS) {
        f->decided = (struct policy_answer) { .rule = T("original"), .words = pool_printf(r->pool, "the name does not lead to %.*s, where the client was going", TEXT_ARG(f->ask.alias)) };
        return false;
    }
    f->ask.alias = f->ask.host;
    f->ask.host = forward_proxy_original_host(r);
    return policy_decide(&f->conf->policy, &f->ask, r->pool, &f->decided);
}

struct verdict forward_proxy_original_find(struct request *r, struct forward *f)
{
    const struct addr *to = &request_original(r)->addr;
    if (f->group) return v_next();
    if (f->looking) return v_wait();
    if (!f->count) forward_proxy_take(f, to);
    if (!f->count) return forward_proxy_refuse_address(r, f);
    if (!check_name(r, f, to)) return v_wait();
    if (!f->fits && !may_go_by_address(r, f)) return forward_proxy_refuse(r, f, f->decided.rule, f->decided.words);
    f->fits = true;
    f->group = forward_proxy_group(r, f, pool_printf(r->pool, "%.*s:%u", TEXT_ARG(r->host), addr_port(to)));
    return v_next();
}

static bool open_circle(struct cycle *c)
{
    (void) c;
    circle_open();
    return true;
}

/* ---- variables ---- */

static bool get_original(struct eval *e, const struct variable *v, struct text name, struct text *out)
{
    const struct request_original *o = request_original(request_of(e));
    (void) v, (void) name;
    if (o) *out = addr_text(e->pool, &o->addr, false);
    return o != NULL;
}

static bool get_sni(struct eval *e, const struct variable *v, struct text name, struct text *out)
{
    const struct request *r = request_of(e);
    const struct request_original *o = request_original(r);
    const char *why;
    (void) v, (void) name;
    if (!o || o->said != REQUEST_SAID_TLS || host_look(r->host, &why) != HOST_NAME) return false;
    *out = r->host;
    return true;
}

static bool get_spoken(struct eval *e, const struct variable *v, struct text name, struct text *out)
{
    static const struct text words[] = { TEXT_INIT("http"), TEXT_INIT("tls"), TEXT_INIT("opaque"), TEXT_INIT("unknown") };
    const struct request_original *o = request_original(request_of(e));
    (void) v, (void) name;
    if (o) *out = words[o->said];
    return o != NULL;
}

static const struct variable variables[] = {
    { .name = "forward_proxy_original", .get = get_original, .flags = VAR_NO_CACHE, .help = "The address and port that a client was going to whose connection netfilter led here." },
    { .name = "forward_proxy_sni", .get = get_sni, .flags = VAR_NO_CACHE, .help = "The server's name in the client hello of such a connection." },
    { .name = "forward_proxy_protocol", .get = get_spoken, .flags = VAR_NO_CACHE, .help = "What such a client speaks: http, tls, opaque (nobody has looked), or unknown." },
    { .name = NULL },
};
static const struct http_part part = { .variables = variables };

static const struct process_part process = { .open = open_circle };
static const struct module circle = { .name = "forward_proxy_circle", .part = &process, .part_kind = &process_part_kind };

struct module forward_proxy_original_module = { .name = "forward_proxy_original", .part = &part, .part_kind = &http_part_kind, .extra = &circle };
