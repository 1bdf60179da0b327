/* fastcgi: requests passed to a FastCGI server: PHP's, for one. */
#include "gateway/cgi.h"
#include "gateway/pass.h"
#include "eval/match.h"
#include "http/reqbody.h"
#include "modules/module.h"
#include "wire/fastcgi.h"

struct fastcgi_conf {
    struct gateway_conf g;
    struct cgi_params   params;
    struct template    *index;
    struct regex       *split;
    struct conf_texts   catch;
    flag                keep_conn;
};

/* One request's: the exchange's data. */
struct fastcgi {
    const struct fastcgi_conf *conf;
    struct fastcgi_reader      records;
    struct cgi_reader          cgi;
    char                      *head;         /* standard output so far, until the head is complete: buffer_size bytes */
    size_t                     head_n;
    bool                       over;         /* the request's end was read: the connection may serve again */
};

extern struct module fastcgi_module;
static const struct gateway_protocol protocol;
static inline struct fastcgi *fastcgi_of(const struct exchange *x) { return x->data; }

/* ---- the request ---- */

static void put_pair(void *arg, struct text name, struct text value) { fastcgi_put_pair(arg, name, value); }

static bool make_request(struct exchange *x)
{
    const struct fastcgi_conf *c = fastcgi_of(x)->conf;
    size_t guess = (size_t) x->r->in_bytes + 2048;
    struct build pairs = build_in_pool(x->r->pool, guess, 0), b = build_in_pool(x->r->pool, guess + 64, 0);
    cgi_params_each(&c->params, x, put_pair, &pairs);
    fastcgi_put_begin(&b, x->keep);
    fastcgi_put_stream(&b, FASTCGI_PARAMS, build_done(&pairs));
    x->send.head = build_done(&b);
    return build_ok(&pairs) && build_ok(&b);
}

static void frame_body(struct exchange *x, struct chain *in, enum body_end end, struct chain *out)
{
    char room[FASTCGI_HEAD];
    (void) x;
    while (in->bytes) {
        size_t n = min_of(in->bytes, (uint64_t) FASTCGI_MOST);
        struct build b = build_in_room(room, sizeof room);
        fastcgi_put_head(&b, FASTCGI_STDIN, n);
        chain_add_copy(out, build_done(&b));
        chain_move_bytes(out, in, n);
    }
    if (end != BODY_FINAL) return;
    struct build b = build_in_room(room, sizeof room);
    fastcgi_put_head(&b, FASTCGI_STDIN, 0);
    chain_add_copy(out, build_done(&b));
}

/* ---- the answer ---- */

static void restart(struct exchange *x)
{
    struct fastcgi *f = fastcgi_of(x);
    if (unlikely(x->hedge.second)) f->head = pool_bytes(x->r->pool, x->conf->buffer_size.bytes);       /* that of the first is in use */
    f->records = (struct fastcgi_reader) { .have = 0 };
    f->head_n = 0;
    f->over = false;
    cgi_begin(&f->cgi, x);
}

/* What the script complains of. False: it is what fastcgi_catch_stderr looks for. */
static bool take_complaint(struct exchange *x, struct text t)
{
    const struct conf_texts *catch = &fastcgi_of(x)->conf->catch;
    while (t.n && (t.p[t.n - 1] == '\n' || t.p[t.n - 1] == '\r')) t.n--;
    if (t.n) log_at(x->r->log, L_ERR, x->r->about, 0, "FastCGI sent in stderr: \"%.*s\"", TEXT_ARG(t));
    for (size_t i = 0; i < catch->n; i++)
        if (text_find(t, catch->v[i]) >= 0) return false;
    return true;
}

static enum gateway_parse bad(struct exchange *x, const char *why)
{
    log_at(x->r->log, L_ERR, x->r->about, 0, "upstream sent %s", why);
    return GATEWAY_BAD;
}

/* More of the head: what is read behind it in the same record is left where it is. taken_out: bytes of data that were the head's. */
static enum gateway_parse take_head(struct exchange *x, struct text data, size_t *taken_out)
{
    struct fastcgi *f = fastcgi_of(x);
    size_t size = x->conf->buffer_size.bytes, before = f->head_n, used = 0;
    size_t take = min_of(data.n, size - before);
    memcpy(f->head + before, data.p, take);
    f->head_n += take;
    enum gateway_parse how = cgi_parse_head(&f->cgi, x, false, f->head, f->head_n, &used);
    *taken_out = how == GATEWAY_DONE ? used - before : take;
    return how == GATEWAY_MORE && f->head_n == size ? bad(x, "too big header") : how;
}

static enum gateway_parse parse_head(struct exchange *x, const char *p, size_t n, size_t *used_out)
{
    struct fastcgi *f = fastcgi_of(x);
    for (size_t at = 0;;) {
        size_t used = 0, taken;
        struct text data;
        switch (fastcgi_next(&f->records, p + at, n - at, &used, &data)) {
        case FASTCGI_MORE:
            *used_out = n;
            return GATEWAY_MORE;
        case FASTCGI_ERROR:
            if (!take_complaint(x, data)) return GATEWAY_BAD;
            break;
        case FASTCGI_DATA: {
            enum gateway_parse how = take_head(x, data, &taken);
            if (how == GATEWAY_BAD) return how;
            if (how != GATEWAY_DONE) break;
            f->records.left += (unsigned) (data.n - taken);       /* the body begins within this piece */
            *used_out = at + used - (data.n - taken);
            return GATEWAY_DONE;
        }
        case FASTCGI_CLOSED:
        case FASTCGI_END:
            return bad(x, "no header: it closed FastCGI stdout before");
        case FASTCGI_BAD:
            return bad(x, f->records.fault);
        }
        at += used;
    }
}

/* A piece of the body; what is beyond its length is not passed on. */
static void take_body(struct exchange *x, struct chunk *chunk, struct text data, struct chain *out)
{
    struct cgi_reader *c = &fastcgi_of(x)->cgi;
    size_t used;
    cgi_parse_body(c, chunk, data.p, data.n, out, &used);
    if (used < data.n) log_at(x->r->log, L_WARN, x->r->about, 0, "upstream sent more data than specified in \"Content-Length\" header");
}

static enum gateway_parse end_of_body(struct exchange *x)
{
    struct fastcgi *f = fastcgi_of(x);
    if (f->cgi.left > 0) return bad(x, "too little: it closed FastCGI stdout before the end of its body");
    x->up.keepalive = f->over && x->keep;
    return GATEWAY_DONE;
}

static enum gateway_parse parse_body(struct exchange *x, struct chunk *chunk, const char *p, size_t n, struct chain *out, size_t *used_out)
{
    struct fastcgi *f = fastcgi_of(x);
    for (size_t at = 0;;) {
        size_t used = 0;
        struct text data;
        enum fastcgi_result how = fastcgi_next(&f->records, p + at, n - at, &used, &data);
        at += used;
        switch (how) {
        case FASTCGI_MORE:
            return GATEWAY_MORE;
        case FASTCGI_DATA:
            take_body(x, chunk, data, out);
            break;
        case FASTCGI_ERROR:
            take_complaint(x, data);
            break;
        case FASTCGI_CLOSED:
            if (x->keep) break;          /* the end of the request is waited for */
            *used_out = n;
            return end_of_body(x);
        case FASTCGI_END:
            f->over = true;
            *used_out = at;
            return end_of_body(x);
        case FASTCGI_BAD:
            return bad(x, f->records.fault);
        }
    }
}

static bool ends_at_eof(struct exchange *x)
{
    (void) x;
    return false;
}

static const struct gateway_protocol protocol = {
    .name = "fastcgi", .make_request = make_request, .restart = restart, .parse_head = parse_head, .parse_body = parse_body,
    .ends_at_eof = ends_at_eof, .frame_body = frame_body, .frames_whole = true, .unwraps = true, .hedged = sizeof(struct fastcgi),
};

/* ---- fastcgi_pass ---- */

static struct verdict answer(struct request *r)
{
    const struct fastcgi_conf *c = request_values(r, &fastcgi_module);
    if (c->g.request_buffering.on || !c->g.pass_body.on) {
        struct verdict v = reqbody_whole(r);
        if (v.what != V_NEXT) return v;
    }
    int status = 500;
    struct gateway_target to = { .scheme = T("fastcgi"), .uri = r->uri };
    if (!gateway_pass_find(r, r->location->content_data, &to, &status)) return v_reply(status);
    struct fastcgi *f = pool_new(r->pool, struct fastcgi);
    f->conf = c;
    f->head = pool_bytes(r->pool, c->g.buffer_size.bytes);
    struct exchange *x = exchange_open(r, &protocol, &c->g, &to, f);
    x->keep = c->keep_conn.on && to.group && to.group->keep.connections > 0;
    return exchange_start(x);
}

static conf_result parse_pass(struct conf *cf, const struct directive *d, void *field)
{
    struct gateway_pass *p;
    (void) d, (void) field;
    return gateway_pass_parse(cf, cf->words[1], NULL, answer, &p);
}

static conf_result parse_split(struct conf *cf, const struct directive *d, void *field)
{
    conf_result why = NULL;
    (void) d;
    struct regex *re = regex_compile(cf, cf->words[1], false, &why);
    if (!re) return why;
    if (regex_groups(re) != 2) return conf_say(cf, "!pattern \"%.*s\" must have 2 captures", TEXT_ARG(cf->words[1]));
    *(struct regex **) field = re;
    return NULL;
}

static const struct conf_type pass_type = { "address", 0, 0, 1, 1, parse_pass };
static const struct conf_type split_type = { "regex", sizeof(struct regex *), 0, 1, 1, parse_split };

/* ---- variables ---- */

struct parts { struct text script, info; };

/* The captures that are in force are somebody else's: they stay. */
static struct parts split(struct request *r)
{
    const struct fastcgi_conf *c = request_values(r, &fastcgi_module);
    struct parts parts = { r->uri, T("") };
    struct captures *before = r->eval.captures, mine;
    if (c->split) {
        r->eval.captures = NULL;
        if (regex_match(c->split, r->uri, &r->eval)) {
            mine = *r->eval.captures;
            parts.script = text_of(mine.subject.p + mine.at[2], (size_t) (mine.at[3] - mine.at[2]));
            parts.info = text_of(mine.subject.p + mine.at[4], (size_t) (mine.at[5] - mine.at[4]));
        }
        r->eval.captures = before;
    }
    return parts;
}

static bool get_script_name(struct eval *e, const struct variable *v, struct text name, struct text *out)
{
    struct request *r = request_of(e);
    const struct fastcgi_conf *c = request_values(r, &fastcgi_module);
    (void) v, (void) name;
    *out = split(r).script;
    if (!c->index || !text_ends(*out, T("/"))) return true;
    struct text index = template_source(c->index);
    *out = pool_printf(e->pool, "%.*s%.*s", TEXT_ARG(*out), TEXT_ARG(index));
    return true;
}

static bool get_path_info(struct eval *e, const struct variable *v, struct text name, struct text *out)
{
    (void) v, (void) name;
    *out = split(request_of(e)).info;
    return true;
}

static const struct variable variables[] = {
    { .name = "fastcgi_script_name", .get = get_script_name, .flags = VAR_NO_CACHE, .help = "The uri, or its part that fastcgi_split_path_info takes first; with fastcgi_index behind a slash at its end." },
    { .name = "fastcgi_path_info", .get = get_path_info, .flags = VAR_NO_CACHE, .help = "The part of the uri that fastcgi_split_path_info takes second." },
    { .name = NULL },
};

/* ---- rows ---- */

static conf_result check(struct conf *cf, struct conf_block *b, void *values)
{
    struct fastcgi_conf *c = values;
    (void) b;
    return gateway_conf_check(cf, &c->g, "fastcgi_", cgi_hidden, CGI_HIDDEN);
}

static const struct directive rows[] = {
    GATEWAY_ROWS(struct fastcgi_conf, g, "fastcgi_", "fastcgi_temp", gateway_next_cgi),
    GATEWAY_HEDGE_ROW(struct fastcgi_conf, g, "fastcgi_"),
    CGI_PARAM_ROW(struct fastcgi_conf, params, "fastcgi_"),
    D_TEMPLATE(struct fastcgi_conf, index, "fastcgi_index", IN_HSL, NULL, "What is put behind a uri that ends with a slash, in $fastcgi_script_name."),
    D_TYPE(struct fastcgi_conf, split, struct regex *, &split_type, "fastcgi_split_path_info", IN_LOCATION, NULL, "A pattern with two captures: what becomes $fastcgi_script_name and $fastcgi_path_info."),
    D_TYPE(struct fastcgi_conf, catch, struct conf_texts, &conf_texts, "fastcgi_catch_stderr", IN_HSL, NULL, "A text that, seen in what the script writes to its standard error, makes its answer an invalid one."),
    D_FLAG(struct fastcgi_conf, keep_conn, "fastcgi_keep_conn", IN_HSL, "off", "Whether the server is told to keep the connection open; for the group's keepalive."),
    D_NONE("fastcgi_send_lowat", IN_HSL, "size", "0", "SO_SNDLOWAT of connections to the server, which Linux does not have."),
    { .name = NULL },
};

/* A module of its own, so that a location with nothing but fastcgi_pass shares the values of its parent. */
static const struct directive pass_rows[] = {
    D_DO(&pass_type, "fastcgi_pass", IN_LOCATION | IN_IF, NULL, NULL, "Passes requests to the FastCGI server, or group of servers, at this address."),
    { .name = NULL },
};

struct module fastcgi_pass_module = { .name = "fastcgi_pass", .rows = pass_rows };

static const struct http_part part = { .variables = variables };

struct module fastcgi_module = {
    .name = "fastcgi", .conf_size = sizeof(struct fastcgi_conf), .rows = rows, .check = check, .part = &part, .part_kind = &http_part_kind,
};
