/* api: the state of the server as JSON, and changes of it while it serves, under the paths of NGINX Plus's API. */
#include "modules/module.h"
#include "http/api.h"
#include "http/reqbody.h"
#include "os/metrics.h"
#include "process/cycle.h"
#include "weir_config.h"
#include "wire/uri.h"
#include <time.h>
#include <unistd.h>

struct api_conf { flag write; };

extern struct module http_api_module;

/* ---- answers ---- */

static struct verdict send_json(struct request *r, int status, json_t *j)
{
    char *words = json_dumps(j, JSON_COMPACT | JSON_ENCODE_ANY);
    ASSERT(words != NULL);
    struct text t = pool_text(r->pool, text_c(words));
    free(words);
    json_decref(j);
    return response_text(r, status, T("application/json"), t, true);
}

static struct verdict send_error(struct request *r, int status, const char *code, const char *words)
{
    struct text id = value_text(eval_get_name(&r->eval, T("request_id")));
    json_t *j = json_pack("{s:{s:i,s:s,s:s},s:o,s:s}", "error", "status", status, "text", words, "code", code, "request_id", api_text(id),
                          "href", "https://nginx.org/en/docs/http/ngx_http_api_module.html");
    return send_json(r, status, j);
}

static struct verdict not_found(struct request *r) { return send_error(r, 404, "PathNotFound", "path not found"); }

/* ?fields=a,b: only those of the object, or of each object of a collection; empty: only the names. */
static json_t *choose_fields(json_t *j, struct text fields)
{
    if (!json_is_object(j)) return j;
    json_t *out = json_object();
    struct text one;
    while (text_split(&fields, ',', &one)) {
        json_t *value = json_object_getn(j, one.p ? one.p : "", one.n);
        if (value) json_object_setn(out, one.p, one.n, value);
    }
    json_decref(j);
    return out;
}

static json_t *names_of(json_t *j)
{
    const char *name;
    json_t *value, *out = json_array();
    json_object_foreach(j, name, value) json_array_append_new(out, json_string(name));
    json_decref(j);
    return out;
}

static json_t *filter(const struct api_call *c, const struct api_part *p, json_t *j)
{
    struct text fields;
    void *at;
    const char *name;
    json_t *value;
    if (!api_argument(c, T("fields"), &fields)) return j;
    if (json_is_array(j) && fields.n)
        for (size_t i = 0; i < json_array_size(j); i++) json_array_set_new(j, i, choose_fields(json_incref(json_array_get(j, i)), fields));
    if (!json_is_object(j)) return j;
    if (!p->named || c->depth) return fields.n ? choose_fields(j, fields) : names_of(j);
    if (!fields.n) return names_of(j);
    json_object_foreach_safe(j, at, name, value) json_object_set_new(j, name, choose_fields(json_incref(value), fields));
    return j;
}

static struct verdict finish(struct api_call *c, const struct api_part *p, int status)
{
    struct request *r = c->r;
    json_decref(c->body);
    if (c->code) {
        json_decref(c->answer);
        return send_error(r, status, c->code, c->words);
    }
    if (c->location.n) response_add(r, FIELD_LOCATION, T("Location"), c->location);
    if (status == 200) return send_json(r, status, filter(c, p, c->answer));
    if (c->answer) return send_json(r, status, c->answer);
    return response_text(r, status, T(""), T(""), true);
}

/* ---- a request's parts ---- */

/* The path below the location, in words: "9", "http", "keyvals" … False: too many. */
static bool split_path(const struct request *r, struct text *words, size_t most, size_t *count_out)
{
    struct text rest = text_from(r->uri, min_of(r->location->name.n, r->uri.n)), word;
    *count_out = 0;
    while (text_split(&rest, '/', &word)) {
        if (!word.n) continue;
        if (*count_out == most) return false;
        words[(*count_out)++] = word;
    }
    return true;
}

/* The body is whole, and not large. */
static bool read_body(struct api_call *c, int *status_out)
{
    struct request *r = c->r;
    json_error_t error;
    char room[API_BODY_MOST];
    size_t n = 0;
    struct chain *chain = &r->body->chain;
    if (r->body->length > API_BODY_MOST) {
        *status_out = api_refuse(c, 413, "RequestEntityTooLarge", "request entity is too large");
        return false;
    }
    for (const struct link *l = chain->first; l; l = l->next) {
        if (l->file && pread(l->file->fd, room + n, l->n, l->from) != (ssize_t) l->n) break;
        if (!l->file && l->n) memcpy(room + n, l->p, l->n);
        n += l->n;
    }
    c->body = json_loadb(room, n, JSON_REJECT_DUPLICATES, &error);
    if (json_is_object(c->body)) return true;
    *status_out = api_refuse(c, 415, "JsonError", "json error");
    return false;
}

static struct verdict serve(struct request *r, const struct api_part *p, struct api_call *c)
{
    bool reads = c->method == METHOD_GET;
    const struct api_conf *conf = request_values(r, &http_api_module);
    int status = 0;
    if (!reads && (!conf->write.on || !(p->methods & 1u << c->method))) return send_error(r, 405, "MethodDisabled", "method disabled");
    if (c->method != METHOD_POST && c->method != METHOD_PATCH) return finish(c, p, p->serve(c));
    if (r->in_length > API_BODY_MOST) return send_error(r, 413, "RequestEntityTooLarge", "request entity is too large");
    struct verdict v = reqbody_whole(r);
    if (v.what != V_NEXT) return v;
    if (read_body(c, &status)) status = p->serve(c);
    return finish(c, p, status);
}

/* ---- lists of what there is ---- */

struct list { json_t *names; struct text section; unsigned version; };

static void add_name(struct list *l, const char *name)
{
    for (size_t i = 0; i < json_array_size(l->names); i++)
        if (!strcmp(json_string_value(json_array_get(l->names, i)), name)) return;
    json_array_append_new(l->names, json_string(name));
}

static void list_part(const struct api_part *p, void *arg)
{
    struct list *l = arg;
    if (p->since > l->version) return;
    if (!l->section.n) add_name(l, p->section ? p->section : p->name);
    else if (text_eq(text_c(p->section), l->section)) add_name(l, p->name);
}

static struct verdict list(struct request *r, struct text section, unsigned version)
{
    struct list l = { json_array(), section, version };
    api_parts_each(list_part, &l);
    if (json_array_size(l.names)) return send_json(r, 200, l.names);
    json_decref(l.names);
    return not_found(r);
}

static struct verdict list_versions(struct request *r)
{
    json_t *j = json_array();
    for (int i = API_LEAST; i <= API_MOST; i++) json_array_append_new(j, json_integer(i));
    return send_json(r, 200, j);
}

/* ---- the way in ---- */

static bool known_method(const struct request *r, enum method *out)
{
    *out = r->method == METHOD_HEAD ? METHOD_GET : r->method;
    return *out == METHOD_GET || *out == METHOD_POST || *out == METHOD_PATCH || *out == METHOD_DELETE;
}

static struct verdict answer(struct request *r)
{
    struct text words[API_DEPTH + 3];
    size_t n, at = 1;
    uint64_t version;
    struct api_call c = { .r = r };
    if (!known_method(r, &c.method)) return send_error(r, 405, "MethodDisabled", "method disabled");
    if (!split_path(r, words, countof(words), &n)) return not_found(r);
    bool reads = c.method == METHOD_GET;
    if (!n) return reads ? list_versions(r) : send_error(r, 405, "MethodDisabled", "method disabled");
    if (!text_u64(words[0], &version) || version < API_LEAST || version > API_MOST) return send_error(r, 404, "UnknownVersion", "unknown version");
    c.version = (unsigned) version;
    if (n == 1) return reads ? list(r, T(""), c.version) : send_error(r, 405, "MethodDisabled", "method disabled");
    const struct api_part *p = api_part_find(T(""), words[at++], c.version);
    if (!p && n == 2) return reads ? list(r, words[1], c.version) : send_error(r, 405, "MethodDisabled", "method disabled");
    if (!p) p = api_part_find(words[1], words[at++], c.version);
    if (!p || n - at > API_DEPTH) return not_found(r);
    for (; at < n; at++) c.rest[c.depth++] = words[at];
    return serve(r, p, &c);
}

/* ---- the server itself ---- */

static int no_path(struct api_call *c) { return api_refuse(c, 404, "PathNotFound", "path not found"); }

static uint64_t loaded_ms;

static int serve_server(struct api_call *c)
{
    char address[ADDR_TEXT_MAX];
    struct build b = build_in_room(address, sizeof address);
    if (c->depth) return no_path(c);
    addr_print(&b, conn_local(c->r->conn), true);
    c->answer = json_pack("{s:s,s:s,s:o,s:I,s:o,s:o,s:i,s:i}", "version", WEIR_VERSION, "build", WEIR_BUILD, "address", api_text(build_done(&b)),
                          "generation", (json_int_t) cycle_current->number - 1, "load_timestamp", api_time(loaded_ms),
                          "timestamp", api_time(clock_now.wall_ms), "pid", (int) getpid(), "ppid", (int) getppid());
    return 200;
}

static uint64_t less(uint64_t a, uint64_t b) { return a > b ? a - b : 0; }

static int serve_connections(struct api_call *c)
{
    uint64_t accepted = metrics_since(METRIC_CONNECTIONS_ACCEPTED), waiting = metrics_sum(METRIC_CONNECTIONS_WAITING);
    if (c->depth) return no_path(c);
    if (c->method == METHOD_DELETE) {
        metrics_forget(METRIC_CONNECTIONS_ACCEPTED);
        metrics_forget(METRIC_CONNECTIONS_HANDLED);
        return 204;
    }
    c->answer = json_pack("{s:I,s:I,s:I,s:I}", "accepted", (json_int_t) accepted, "dropped", (json_int_t) less(accepted, metrics_since(METRIC_CONNECTIONS_HANDLED)),
                          "active", (json_int_t) less(metrics_sum(METRIC_CONNECTIONS_ACTIVE), waiting), "idle", (json_int_t) waiting);
    return 200;
}

static int serve_requests(struct api_call *c)
{
    if (c->depth) return no_path(c);
    if (c->method == METHOD_DELETE) {
        metrics_forget(METRIC_REQUESTS);
        return 204;
    }
    c->answer = json_pack("{s:I,s:I}", "total", (json_int_t) metrics_since(METRIC_REQUESTS), "current", (json_int_t) metrics_sum(METRIC_CONNECTIONS_WRITING));
    return 200;
}

/* What limits and gates did, all of the server together; limit_reqs and the like have it by zones. */
static int serve_gates(struct api_call *c)
{
    if (c->depth) return no_path(c);
    c->answer = json_object();
    for (enum metric m = METRIC_REQUESTS + 1; m < METRIC_COUNT; m++) json_object_set_new(c->answer, metric_rows[m].name, json_integer((json_int_t) metrics_sum(m)));
    return 200;
}

static const struct api_part parts[] = {
    { NULL, "nginx", 1, 0, false, serve_server },
    { NULL, "connections", 1, 1u << METHOD_DELETE, false, serve_connections },
    { "http", "requests", 1, 1u << METHOD_DELETE, false, serve_requests },
    { "http", "gates", 9, 0, false, serve_gates },
    { 0 },
};

/* ---- reading ---- */

static conf_result parse(struct conf *cf, const struct directive *d, void *field)
{
    (void) d;
    struct api_conf *c = field;
    for (size_t i = 1; i < cf->count; i++) {
        bool on = false;
        if (!text_starts(cf->words[i], T("write=")) || !conf_read_flag(text_from(cf->words[i], 6), &on)) return conf_say(cf, "!invalid parameter \"%.*s\"", TEXT_ARG(cf->words[i]));
        c->write.on = on;
    }
    struct location *l = location_reading(cf);
    if (l->kind == LOCATION_REGEX || l->kind == LOCATION_NAMED) return conf_say(cf, "!\"api\" cannot stand in a location given by regular expression or name");
    return location_set_content(cf, answer, NULL);
}

static bool open_cycle(struct cycle *c)
{
    (void) c;
    clock_update();
    loaded_ms = clock_now.wall_ms;
    return true;
}

static const struct conf_type type = { .syntax = "[write=on|off]", .min = 0, .max = 1, .parse = parse };
static const struct directive rows[] = {
    D_DO(&type, "api", IN_LOCATION, NULL, NULL, "Answers with the state of the server as JSON, and takes changes of it where write is on."),
    { .name = NULL },
};
static const struct process_part process = { .open = open_cycle };
static const struct module api_process = { .name = "http_api_process", .part = &process, .part_kind = &process_part_kind };

struct module http_api_module = { .name = "http_api", .conf_size = sizeof(struct api_conf), .rows = rows, .part = parts, .part_kind = &api_part_kind, .extra = &api_process };
