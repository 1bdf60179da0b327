/* scgi: requests passed to an SCGI server. */
#include "gateway/cgi.h"
#include "gateway/pass.h"
#include "http/reqbody.h"
#include "modules/module.h"

struct scgi_conf { struct gateway_conf g; struct cgi_params params; };

extern struct module scgi_module;

static void put_pair(void *arg, struct text name, struct text value)
{
    struct build *b = arg;
    build_text(b, name);
    build_char(b, '\0');
    build_text(b, value);
    build_char(b, '\0');
}

/* A netstring of pairs; CONTENT_LENGTH is the first of them. */
static bool make_request(struct exchange *x)
{
    struct request *r = x->r;
    bool has_body = x->conf->pass_body.on;
    int64_t length = !has_body ? 0 : r->body && r->body->whole ? r->body->length : max_of(r->in_length, (int64_t) 0);
    size_t guess = (size_t) r->in_bytes + 1024;
    struct build pairs = build_in_pool(r->pool, guess, 0), b = build_in_pool(r->pool, guess + 32, 0);
    put_pair(&pairs, T("CONTENT_LENGTH"), pool_printf(r->pool, "%lld", (long long) length));
    cgi_params_each(cgi_of(x)->params, x, put_pair, &pairs);
    build_u64(&b, pairs.n);
    build_char(&b, ':');
    build_text(&b, build_done(&pairs));
    build_char(&b, ',');
    x->send.head = build_done(&b);
    return build_ok(&pairs) && build_ok(&b);
}

static const struct gateway_protocol protocol = {
    .name = "scgi", .make_request = make_request, .restart = cgi_restart, .parse_head = cgi_plain_head, .parse_body = cgi_plain_body, .ends_at_eof = cgi_ends_at_eof,
    .hedged = sizeof(struct cgi),
};

static struct verdict answer(struct request *r)
{
    const struct scgi_conf *c = request_values(r, &scgi_module);
    return cgi_answer(r, &protocol, &c->g, (struct cgi) { .params = &c->params });
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
    struct scgi_conf *c = values;
    (void) b;
    return gateway_conf_check(cf, &c->g, "scgi_", cgi_hidden, CGI_HIDDEN);
}

static const struct directive rows[] = {
    GATEWAY_ROWS(struct scgi_conf, g, "scgi_", "scgi_temp", gateway_next_cgi),
    GATEWAY_HEDGE_ROW(struct scgi_conf, g, "scgi_"),
    CGI_PARAM_ROW(struct scgi_conf, params, "scgi_"),
    { .name = NULL },
};

static const struct directive pass_rows[] = {
    D_DO(&pass_type, "scgi_pass", IN_LOCATION | IN_IF, NULL, NULL, "Passes requests to the SCGI server, or group of servers, at this address."),
    { .name = NULL },
};

struct module scgi_pass_module = { .name = "scgi_pass", .rows = pass_rows };
struct module scgi_module = { .name = "scgi", .conf_size = sizeof(struct scgi_conf), .rows = rows, .check = check };
