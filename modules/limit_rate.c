/* limit_rate: how fast a response is sent. */
#include "modules/module.h"
#include "http/paced.h"

struct limit_rate_conf { struct template *rate, *after; };
struct pace { struct paced paced; uint64_t rate, after, passed; };

extern struct module limit_rate_module;

/* A size with variables, as nginx: what is no size is 0. */
static uint64_t size_of(struct request *r, const struct template *t)
{
    uint64_t n;
    if (!t) return 0;
    struct text value = template_render(t, &r->eval);
    if (conf_read_bytes(value, &n)) return n;
    request_log(r, L_ERR, 0, "invalid size \"%.*s\"", TEXT_ARG(value));
    return 0;
}

static uint64_t rate_of(struct request *r)
{
    if (r->main->limit_rate_set) return r->main->limit_rate;
    return size_of(r, ((const struct limit_rate_conf *) request_values(r, &limit_rate_module))->rate);
}

/* ---- $limit_rate ---- */

static bool get(struct eval *e, const struct variable *v, struct text name, struct text *out)
{
    (void) v, (void) name;
    *out = pool_printf(e->pool, "%llu", (unsigned long long) rate_of(request_of(e)));
    return true;
}

static void set(struct eval *e, const struct variable *v, struct text value)
{
    struct request *r = request_of(e)->main;
    uint64_t n;
    (void) v;
    if (!conf_read_bytes(value, &n)) {
        request_log(r, L_ERR, 0, "invalid $limit_rate \"%.*s\"", TEXT_ARG(value));
        return;
    }
    r->limit_rate = n;
    r->limit_rate_set = true;
}

/* ---- the filter ---- */

static bool head(struct request *r, struct filter_at *at)
{
    uint64_t rate = r->main == r && !r->out.no_body ? rate_of(r) : 0;
    if (!rate) return false;
    struct pace *p = pool_new(r->pool, struct pace);
    paced_begin(&p->paced, r);
    p->rate = min_of(rate, (uint64_t) 1 << 40);
    p->after = size_of(r, ((const struct limit_rate_conf *) request_values(r, &limit_rate_module))->after);
    at->state = p;
    return true;
}

/* Bytes that may go now; what is below 1 is to be waited for. */
static int64_t allowed(const struct pace *p)
{
    int64_t seconds = (int64_t) (clock_now.wall_ms / 1000) - (int64_t) (p->paced.r->started_wall_ms / 1000) + 1;
    return (int64_t) p->rate * max_of(seconds, (int64_t) 1) + (int64_t) p->after - (int64_t) p->passed;
}

/* Of the bytes passed since from, those that the rate counts. */
static uint64_t counted(const struct pace *p, uint64_t from)
{
    return p->passed > p->after ? p->passed - max_of(from, p->after) : 0;
}

static void run(struct request *r, struct filter_at *at)
{
    struct pace *p = at->state;
    struct chain out = CHAIN_EMPTY, *held = &p->paced.held;
    int64_t most = allowed(p);
    uint64_t was = p->passed, ms = 0;
    (void) r;
    if (!paced_may_go(&p->paced, at)) return;
    if (held->bytes && most <= 0) {
        ms = (uint64_t) -most * 1000 / p->rate + 1;
    } else {
        chain_move_bytes(&out, held, (uint64_t) max_of(most, (int64_t) 0));
        p->passed += out.bytes;
        if (!chain_empty(held) || p->paced.end == BODY_MORE) ms = counted(p, was) * 1000 / p->rate;
    }
    paced_pass(&p->paced, at, &out, ms);
}

static void body(struct request *r, struct filter_at *at, struct chain *in, enum body_end end)
{
    struct pace *p = at->state;
    paced_take(&p->paced, in, end);
    run(r, at);
}

/* ---- directives ---- */

static const struct variable variables[] = {
    { .name = "limit_rate", .flags = VAR_NO_CACHE | VAR_CHANGEABLE, .get = get, .set = set, .help = "Bytes a second at which the response is sent; 0: as fast as it goes. May be set." },
    { .name = NULL },
};

static conf_result parse_size(struct conf *cf, const struct directive *d, void *field)
{
    conf_result why = conf_template.parse(cf, d, field);
    uint64_t n;
    if (!why && template_is_constant(*(struct template **) field) && !conf_read_bytes(cf->words[1], &n)) return conf_invalid;
    return why;
}

static const struct conf_type type_rate = { "rate", sizeof(struct template *), 0, 1, 1, parse_size };
static const struct conf_type type_size = { "size", sizeof(struct template *), 0, 1, 1, parse_size };

static const struct directive rows[] = {
    D_TYPE(struct limit_rate_conf, rate, struct template *, &type_rate, "limit_rate", IN_HSL | IN_IF, "0", "Bytes a second at which a response is sent; 0: as fast as it goes."),
    D_TYPE(struct limit_rate_conf, after, struct template *, &type_size, "limit_rate_after", IN_HSL | IN_IF, "0", "How much of a response is sent at full speed before limit_rate counts."),
    { 0 }
};

static const struct filter limit_rate_filter = { .name = "limit_rate", .head = head, .body = body, .more = run };
static const struct filter *const filters[] = { &limit_rate_filter, NULL };
static const struct http_part part = { .variables = variables, .filters = filters };

struct module limit_rate_module = { .name = "limit_rate", .conf_size = sizeof(struct limit_rate_conf), .rows = rows, .part = &part, .part_kind = &http_part_kind };
