/* stub_status: nginx's page of connection counts, over all workers; and the process part that gives every process its counts. */
#include "modules/module.h"
#include "http/vhost.h"
#include "os/metrics_worker.h"
#include "process/cycle.h"

static struct verdict answer(struct request *r)
{
    if (r->method != METHOD_GET && r->method != METHOD_HEAD) return v_reply(405);
    struct build b = build_in_pool(r->pool, 256, 0);
    build_fmt(&b, "Active connections: %llu \n", (unsigned long long) metrics_sum(METRIC_CONNECTIONS_ACTIVE));
    build_fmt(&b, "server accepts handled requests\n %llu %llu %llu \n", (unsigned long long) metrics_sum(METRIC_CONNECTIONS_ACCEPTED),
              (unsigned long long) metrics_sum(METRIC_CONNECTIONS_HANDLED), (unsigned long long) metrics_sum(METRIC_REQUESTS));
    build_fmt(&b, "Reading: %llu Writing: %llu Waiting: %llu \n", (unsigned long long) metrics_sum(METRIC_CONNECTIONS_READING),
              (unsigned long long) metrics_sum(METRIC_CONNECTIONS_WRITING), (unsigned long long) metrics_sum(METRIC_CONNECTIONS_WAITING));
    return response_text(r, 200, T("text/plain"), build_done(&b), true);
}

static conf_result parse(struct conf *cf, const struct directive *d, void *field)
{
    (void) d, (void) field;
    if (location_reading(cf)) return location_set_content(cf, answer, NULL);
    struct vhost *v = cf->block->object;
    NEED(v, VHOST_MAGIC);
    if (v->self->content) return conf_duplicate;
    v->self->content = answer;
    return NULL;
}

static bool get(struct eval *e, const struct variable *v, struct text name, struct text *out)
{
    (void) name;
    *out = pool_printf(e->pool, "%llu", (unsigned long long) metrics_sum(*(const enum metric *) v->data));
    return true;
}

static const enum metric shown[] = { METRIC_CONNECTIONS_ACTIVE, METRIC_CONNECTIONS_READING, METRIC_CONNECTIONS_WRITING, METRIC_CONNECTIONS_WAITING };
static const struct variable variables[] = {
    { .name = "connections_active", .get = get, .flags = VAR_NO_CACHE, .data = &shown[0], .help = "Client connections that are open." },
    { .name = "connections_reading", .get = get, .flags = VAR_NO_CACHE, .data = &shown[1], .help = "Connections on which the head of a request is being read." },
    { .name = "connections_writing", .get = get, .flags = VAR_NO_CACHE, .data = &shown[2], .help = "Connections on which a request is being served." },
    { .name = "connections_waiting", .get = get, .flags = VAR_NO_CACHE, .data = &shown[3], .help = "Connections that are idle." },
    { .name = NULL },
};

static const struct conf_type type = { .syntax = "", .flags = 0, .min = 0, .max = 1, .parse = parse };
static const struct directive rows[] = {
    D_DO(&type, "stub_status", IN_SERVER | IN_LOCATION, NULL, NULL, "Answers with the numbers of connections and requests."),
    { .name = NULL },
};

static bool open_metrics(struct cycle *c)
{
    (void) c;
    return metrics_open();
}

static void begin(struct cycle *c, unsigned slot)
{
    metrics_begin();
    metrics_name(slot, c->number);
}

static void begin_manager(struct cycle *c)
{
    (void) c;
    metrics_begin();
}

static const struct process_part process = { .open = open_metrics, .worker_start = begin, .manager_start = begin_manager };
static const struct module metrics = { .name = "metrics", .part = &process, .part_kind = &process_part_kind };
static const struct http_part part = { .variables = variables };

struct module stub_status_module = { .name = "stub_status", .rows = rows, .part = &part, .part_kind = &http_part_kind, .extra = &metrics };
