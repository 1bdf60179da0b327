/* memcached: answers are values of a memcached server, by the key in $memcached_key. */
#include "gateway/exchange.h"
#include "gateway/pass.h"
#include "http/core_conf.h"
#include "http/reqbody.h"
#include "modules/module.h"

struct memcached_conf { struct gateway_conf g; int64_t gzip_flag; };
/* One request's: the exchange's data. */
struct memcached { const struct memcached_conf *conf; struct text key; uint64_t left; char end[8]; size_t end_n; };

static const char tail[] = "\r\nEND\r\n";
enum { TAIL = sizeof tail - 1, LINE_MOST = 1024 };

extern struct module memcached_module;
static inline struct memcached *memcached_of(const struct exchange *x) { return x->data; }

/* A key has no space or control character in it: those are sent as %XX, as is the sign itself. */
static bool make_request(struct exchange *x)
{
    struct request *r = x->r;
    struct memcached *m = memcached_of(x);
    struct text key = value_text(eval_get_name(&r->eval, T("memcached_key")));
    if (!key.n) {
        log_at(r->log, L_ERR, r->about, 0, "the \"$memcached_key\" variable is not set");
        return false;
    }
    struct build b = build_in_pool(r->pool, key.n * 3 + 8, 0);
    build_lit(&b, "get ");
    for (size_t i = 0; i < key.n; i++) {
        unsigned char c = (unsigned char) key.p[i];
        if (c <= 0x20 || c == 0x7f || c == '%') build_fmt(&b, "%%%02X", c);
        else build_char(&b, (char) c);
    }
    m->key = text_of(b.p + 4, b.n - 4);
    build_lit(&b, "\r\n");
    x->send.head = build_done(&b);
    m->key.p = x->send.head.p + 4;
    x->send.body_set = true;            /* none goes up */
    return build_ok(&b);
}

static void restart(struct exchange *x)
{
    struct memcached *m = memcached_of(x);
    m->left = 0;
    m->end_n = 0;
    x->up = (struct upstream_response) { .length = -1, .version = 1000 };
}

static enum gateway_parse bad(struct exchange *x, struct text line)
{
    log_at(x->r->log, L_ERR, x->r->about, 0, "memcached sent invalid response: \"%.*s\"", TEXT_ARG(line));
    return GATEWAY_BAD;
}

static bool take_word(struct text *line, struct text *word_out)
{
    return text_split(line, ' ', word_out) && word_out->n;
}

/* "VALUE key flags bytes" */
static enum gateway_parse take_value(struct exchange *x, struct text line)
{
    struct memcached *m = memcached_of(x);
    struct text rest = text_from(line, 6), key, flags, size;
    uint64_t f, n;
    if (!take_word(&rest, &key) || !take_word(&rest, &flags) || !take_word(&rest, &size) || rest.n || !text_u64(flags, &f) || !text_u64(size, &n) || n > INT64_MAX)
        return bad(x, line);
    if (!text_eq(key, m->key)) {
        log_at(x->r->log, L_ERR, x->r->about, 0, "memcached sent invalid key in response \"%.*s\" for key \"%.*s\"", TEXT_ARG(line), TEXT_ARG(m->key));
        return GATEWAY_BAD;
    }
    m->left = n;
    request_set_type(x->r);
    x->up.status = 200;
    x->up.length = (int64_t) n;
    if (m->conf->gzip_flag && f & (uint64_t) m->conf->gzip_flag) fields_add(&x->up.fields, x->r->pool, FIELD_CONTENT_ENCODING, T("Content-Encoding"), T("gzip"));
    return GATEWAY_DONE;
}

static enum gateway_parse parse_head(struct exchange *x, const char *p, size_t n, size_t *used_out)
{
    const char *end = memchr(p, '\n', n);
    if (!end) return n > LINE_MOST ? bad(x, text_of(p, LINE_MOST)) : GATEWAY_MORE;
    struct text line = text_of(p, (size_t) (end - p));
    if (!text_ends(line, T("\r"))) return bad(x, line);
    line.n--;
    *used_out = (size_t) (end - p) + 1;
    if (text_starts(line, T("VALUE "))) return take_value(x, line);
    if (!text_eq(line, T("END"))) return bad(x, line);
    log_at(x->r->log, L_INFO, x->r->about, 0, "key: \"%.*s\" was not found by memcached", TEXT_ARG(memcached_of(x)->key));
    x->up.status = 404;
    x->up.no_body = x->up.keepalive = x->up.own_page = true;
    return GATEWAY_DONE;
}

/* The value, then CRLF END CRLF. */
static enum gateway_parse parse_body(struct exchange *x, struct chunk *chunk, const char *p, size_t n, struct chain *out, size_t *used_out)
{
    struct memcached *m = memcached_of(x);
    size_t take = min_of((uint64_t) n, m->left), rest = min_of(n - take, TAIL - m->end_n);
    if (take) chain_add_chunk(out, chunk, p, take);
    m->left -= take;
    *used_out = take + rest;
    if (memcmp(p + take, tail + m->end_n, rest)) return bad(x, T("the value does not end where it should"));
    m->end_n += rest;
    if (m->left || m->end_n < TAIL) return GATEWAY_MORE;
    x->up.keepalive = true;
    return GATEWAY_DONE;
}

static bool ends_at_eof(struct exchange *x)
{
    (void) x;
    return false;
}

static const struct gateway_protocol protocol = {
    .name = "memcached", .make_request = make_request, .restart = restart, .parse_head = parse_head, .parse_body = parse_body, .ends_at_eof = ends_at_eof,
    .hedged = sizeof(struct memcached),
};

static struct verdict answer(struct request *r)
{
    const struct memcached_conf *c = request_values(r, &memcached_module);
    if (r->method != METHOD_GET && r->method != METHOD_HEAD) return v_reply(405);
    reqbody_discard(r);
    int status = 500;
    struct gateway_target to = { .scheme = T("memcached"), .uri = r->uri };
    if (!gateway_pass_find(r, r->location->content_data, &to, &status)) return v_reply(status);
    struct memcached *m = pool_new(r->pool, struct memcached);
    m->conf = c;
    struct exchange *x = exchange_open(r, &protocol, &c->g, &to, m);
    x->keep = to.group && to.group->keep.connections > 0;
    return exchange_start(x);
}

static conf_result parse_pass(struct conf *cf, const struct directive *d, void *field)
{
    struct gateway_pass *p;
    (void) d, (void) field;
    return gateway_pass_parse(cf, cf->words[1], NULL, answer, &p);
}

static const struct conf_type pass_type = { "address", 0, 0, 1, 1, parse_pass };

static conf_result check(struct conf *cf, struct conf_block *b, void *values)
{
    struct memcached_conf *c = values;
    (void) b;
    c->g.buffers = (bufs) { 8, 4096 };      /* what answers take that come as fast as the client reads them */
    c->g.force_ranges.on = 1;               /* a value is the same each time */
    return gateway_conf_check(cf, &c->g, "memcached_", NULL, 0);
}

static const struct directive rows[] = {
    GATEWAY_PEER_ROWS(struct memcached_conf, g, "memcached_", gateway_next_memcached),
    GATEWAY_HEDGE_ROW(struct memcached_conf, g, "memcached_"),
    D_NUM(struct memcached_conf, gzip_flag, "memcached_gzip_flag", IN_HSL, NULL, "The flag of values that are compressed: they get Content-Encoding: gzip. None is by default."),
    { .name = NULL },
};

static const struct directive pass_rows[] = {
    D_DO(&pass_type, "memcached_pass", IN_LOCATION | IN_IF, NULL, NULL, "Answers with the value that the memcached server at this address has for $memcached_key."),
    { .name = NULL },
};

struct module memcached_pass_module = { .name = "memcached_pass", .rows = pass_rows };
struct module memcached_module = { .name = "memcached", .conf_size = sizeof(struct memcached_conf), .rows = rows, .check = check };
