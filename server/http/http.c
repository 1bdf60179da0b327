#include "http/http.h"
#include "http/core_conf.h"
#include "http/explain.h"
#include "http/listen.h"
#include "process/core_conf.h"

const int http_part_kind;

struct http *http_of(const struct conf *cf)
{
    for (const struct conf_block *b = cf->top->children; b; b = b->next)
        if (b->kind == IN_HTTP) return b->object;
    return NULL;
}

/* ---- blocks and what belongs to one block ---- */

struct adding { struct conf *cf; conf_result why; };

static void add_variables(const struct http_part *p, const struct module *m, void *arg)
{
    struct adding *a = arg;
    (void) m;
    if (!a->why && p->variables) a->why = variables_add_rows(a->cf, EVAL_HTTP, p->variables);
}

static conf_result read_http(struct conf *cf, const struct directive *d, void *field)
{
    struct http *h = pool_new(cf->pool, struct http);
    struct adding a = { .cf = cf };
    (void) d, (void) field;
    h->magic = HTTP_MAGIC;
    temp_forget();
    steps_parts_each(add_variables, &a);
    if (a.why) return a.why;
    h->names = variables_of(cf, EVAL_HTTP);
    return conf_enter(cf, IN_HTTP, h, &h->block);
}

static struct http *outer_http(struct conf *cf)
{
    const struct conf_block *b = cf->block;
    while (b->kind != IN_HTTP) b = b->parent;
    struct http *h = b->object;
    NEED(h, HTTP_MAGIC);
    return h;
}

static conf_result read_server(struct conf *cf, const struct directive *d, void *field)
{
    (void) d, (void) field;
    return vhost_read(cf, outer_http(cf));
}

static conf_result read_location(struct conf *cf, const struct directive *d, void *field)
{
    (void) d, (void) field;
    return location_read(cf);
}

static conf_result read_listen(struct conf *cf, const struct directive *d, void *field)
{
    (void) d, (void) field;
    return listen_read(cf, outer_http(cf), cf->block->object);
}

static conf_result read_server_name(struct conf *cf, const struct directive *d, void *field)
{
    (void) d, (void) field;
    return vhost_read_names(cf, cf->block->object);
}

static conf_result read_internal(struct conf *cf, const struct directive *d, void *field)
{
    (void) d, (void) field;
    location_reading(cf)->internal = true;
    return NULL;
}

static conf_result read_limit_except(struct conf *cf, const struct directive *d, void *field)
{
    struct location *outer = location_reading(cf);
    (void) d, (void) field;
    for (size_t i = 1; i < cf->count; i++) {
        enum method m = METHOD_COUNT - 1;
        while (m && !text_eq_nocase(method_row(m)->name, cf->words[i])) m--;
        if (m == METHOD_OTHER || m == METHOD_TRACE || m == METHOD_CONNECT) return conf_say(cf, "!invalid method \"%s\"", cf->words[i].p);
        outer->limit_except |= 1u << m;
        if (m == METHOD_GET) outer->limit_except |= 1u << METHOD_HEAD;
    }
    struct location *l = location_open(cf, LOCATION_NONAME, outer->name, outer);
    outer->limit_except_location = l;
    return conf_enter(cf, IN_LIMIT_EXCEPT, l, &l->block);
}

static const struct conf_type block = { "{ ... }", 0, CONF_BLOCK, 0, 0, read_http };
static const struct conf_type server = { "{ ... }", 0, CONF_BLOCK | CONF_MULTI, 0, 0, read_server };
static const struct conf_type location = { "[ = | ~ | ~* | ^~ ] uri { ... } | @name { ... }", 0, CONF_BLOCK | CONF_MULTI, 1, 2, read_location };
static const struct conf_type listen_type = { "address[:port] | port | unix:path [default_server] [ssl] [proxy_protocol] [backlog=number] [rcvbuf=size] [sndbuf=size] [fastopen=number] [deferred] [bind] [ipv6only=on|off] [reuseport] [multipath] [so_keepalive=on|off|[keepidle]:[keepintvl]:[keepcnt]]", 0, CONF_MULTI, 1, UINT32_MAX, read_listen };
static const struct conf_type server_name = { "name ...", 0, CONF_MULTI, 1, UINT32_MAX, read_server_name };
static const struct conf_type internal = { "", 0, 0, 0, 0, read_internal };
static const struct conf_type limit_except = { "method ... { ... }", 0, CONF_BLOCK, 1, UINT32_MAX, read_limit_except };

static const struct directive rows[] = {
    D_DO(&block, "http", IN_MAIN, NULL, NULL, "Holds all that serves HTTP."),
    D_DO(&server, "server", IN_HTTP, NULL, NULL, "A server: what is answered at some addresses under some names."),
    D_DO(&location, "location", IN_SERVER | IN_LOCATION, NULL, NULL, "What holds for uris that begin with, equal, or match this one; or, with @, for redirects made here."),
    D_DO(&listen_type, "listen", IN_SERVER, NULL, "*:80 | *:8000", "An address, port or unix socket at which the server is reached; with socks: by SOCKS5 clients of a forward proxy; with transparent: by connections to elsewhere that netfilter leads here (REDIRECT, TPROXY)."),
    D_DO(&server_name, "server_name", IN_SERVER, NULL, "\"\"", "Names of the server: exact, with a wildcard at one end, or a regular expression after \"~\"."),
    D_DO(&internal, "internal", IN_LOCATION, NULL, NULL, "The location is for redirects and subrequests made here; clients that ask for it get 404."),
    D_DO(&limit_except, "limit_except", IN_LOCATION, NULL, NULL, "What holds for all methods but these (GET includes HEAD)."),
    D_NONE("connection_pool_size", IN_HTTP | IN_SERVER, "size", "512", "Memory that a connection begins with; weir's need none of their own."),
    D_NONE("request_pool_size", IN_HTTP | IN_SERVER, "size", "4k", "Memory that a request begins with; weir recycles its blocks."),
    D_NONE("client_body_in_single_buffer", IN_HSL, "on | off", "off", "Whether a request body is kept in one piece of memory, to save $request_body a copy; weir copies it when the variable is asked for, and only then."),
    D_NONE("server_names_hash_bucket_size", IN_HTTP, "size", "64", "Size of buckets in the table of server names; weir's tables grow by themselves."),
    D_NONE("server_names_hash_max_size", IN_HTTP, "size", "512", "Size of the table of server names; weir's tables grow by themselves."),
    D_NONE("types_hash_bucket_size", IN_HSL, "size", "64", "Size of buckets in the table of types; weir's tables grow by themselves."),
    D_NONE("types_hash_max_size", IN_HSL, "size", "1024", "Size of the table of types; weir's tables grow by themselves."),
    D_NONE("postpone_output", IN_HSL, "size", "1460", "How much output is gathered before it is sent; weir sends what a turn of its loop brought, however little, in one call: no byte waits for one that is not there yet."),
    D_NONE("send_lowat", IN_HSL, "size", "0", "Least free room in a socket's buffer before more is sent; Linux decides that itself."),
    D_NONE("aio_write", IN_HSL, "on | off", "off", "Whether threads write temporary files; weir writes them to the kernel's memory itself, which takes no longer than to ask a thread, and the kernel writes them to the disk."),
    { 0 }
};

/* ---- the end of reading ---- */

/* What inner locations have of outer ones: a nameless one also who answers. */
static void settle(struct location *l, void *arg)
{
    (void) arg;
    l->internal |= l->parent && l->parent->internal;
    for (struct location *n = l->nameless; n; n = n->next) {
        if (n->content) continue;
        n->content = l->content;
        n->content_data = l->content_data;
    }
}

static conf_result finish(struct conf *cf, void *values)
{
    struct http *h = http_of(cf);
    (void) values;
    if (!h) return NULL;
    if (!steps_build(cf, h) || !filters_build(cf, h)) return conf_said;
    for (size_t i = 0; i < h->vhost_count; i++) {
        locations_each(h->vhosts[i]->locations, settle, NULL);
        if (!locations_build(cf, h->vhosts[i]->locations)) return conf_said;
    }
    h->value_count = eval_value_count(h->names);
    return listen_build(cf, h) ? NULL : conf_said;
}

/* ---- opening a generation ---- */

/* The opened log of b: the outer one's unless b has error_log lines of its own. */
static const struct log *log_of(struct cycle *c, const struct conf_block *b, const struct log *outer)
{
    if (core_conf(b)->error_log.v == core_conf(b->parent)->error_log.v) return outer;
    return cycle_error_log(c, &core_conf(b)->error_log);
}

static void open_log(struct location *l, void *arg);

struct logs { struct cycle *cycle; const struct log *outer; };

static void open_block_log(struct location *l, struct logs *at)
{
    const struct log *outer = l->parent && l->parent->log ? l->parent->log : at->outer;
    l->log = log_of(at->cycle, l->block, outer);
}

static void open_log(struct location *l, void *arg)
{
    open_block_log(l, arg);
    if (l->limit_except_location) open_block_log(l->limit_except_location, arg);
}

static bool open_cycle(struct cycle *c)
{
    struct http *h = http_of(c->conf);
    if (!h) return true;
    h->log = log_of(c, h->block, c->log);
    for (size_t i = 0; i < h->vhost_count; i++) {
        struct vhost *v = h->vhosts[i];
        struct logs at = { c, v->self->log = log_of(c, v->block, h->log) };
        locations_each(v->locations, open_log, &at);
    }
    return temp_folders_make(c);
}

static const struct process_part process = { .open = open_cycle, .explain = explain_run };
static const struct module process_module = { .name = "http_process", .part = &process, .part_kind = &process_part_kind };

struct module http_module = { .name = "http", .rows = rows, .finish = finish, .extra = &process_module };
