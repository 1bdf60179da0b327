/* uwsgi: requests passed to a uwsgi server. */
#include "gateway/cgi.h"
#include "gateway/pass.h"
#include "modules/module.h"

struct uwsgi_conf { struct gateway_conf g; struct cgi_params params; int64_t modifier1, modifier2; };

enum { UWSGI_MOST = 65535 };        /* bytes of parameters, and of each */

extern struct module uwsgi_module;

/* Numbers are little-endian. */
static void put_u16(struct build *b, size_t v)
{
    build_char(b, (char) v);
    build_char(b, (char) (v >> 8));
}

static void put_text(struct build *b, struct text t)
{
    put_u16(b, min_of(t.n, (size_t) UWSGI_MOST));
    build_text(b, text_upto(t, min_of(t.n, (size_t) UWSGI_MOST)));
}

static void put_pair(void *arg, struct text name, struct text value)
{
    put_text(arg, name);
    put_text(arg, value);
}

static bool make_request(struct exchange *x)
{
    struct request *r = x->r;
    const struct uwsgi_conf *c = cgi_of(x)->conf;
    size_t guess = (size_t) r->in_bytes + 1024;
    struct build pairs = build_in_pool(r->pool, guess, 0), b = build_in_pool(r->pool, guess + 8, 0);
    cgi_params_each(&c->params, x, put_pair, &pairs);
    if (pairs.n > UWSGI_MOST) {
        log_at(r->log, L_ERR, r->about, 0, "uwsgi request is too large: %zu bytes of parameters", pairs.n);
        return false;
    }
    build_char(&b, (char) c->modifier1);
    put_u16(&b, pairs.n);
    build_char(&b, (char) c->modifier2);
    build_text(&b, build_done(&pairs));
    x->send.head = build_done(&b);
    return build_ok(&pairs) && build_ok(&b);
}

static const struct gateway_protocol protocol = {
    .name = "uwsgi", .make_request = make_request, .restart = cgi_restart, .parse_head = cgi_plain_head, .parse_body = cgi_plain_body, .ends_at_eof = cgi_ends_at_eof,
};

static struct verdict answer(struct request *r)
{
    const struct uwsgi_conf *c = request_values(r, &uwsgi_module);
    /* The field Status is passed on, as nginx does. */
    return cgi_answer(r, &protocol, &c->g, (struct cgi) { .params = &c->params, .conf = c, .shows_status = true });
}

static conf_result parse_pass(struct conf *cf, const struct directive *d, void *field)
{
    struct gateway_pass *p;
    struct text to = cf->words[1];
    (void) d, (void) field;
    if (text_starts_nocase(to, T("suwsgi://"))) return "!suwsgi protocol is not supported: uwsgi_pass knows uwsgi:// only";
    if (text_starts_nocase(to, T("uwsgi://"))) to = text_from(to, 8);
    return gateway_pass_parse(cf, to, answer, &p);
}

static const struct conf_type pass_type = { "[protocol://]address", 0, 0, 1, 1, parse_pass };

static conf_result check(struct conf *cf, struct conf_block *b, void *values)
{
    struct uwsgi_conf *c = values;
    (void) b;
    return gateway_conf_check(cf, &c->g, "uwsgi_", cgi_hidden, CGI_HIDDEN);
}

static const struct conf_bounds byte = { 0, 255 };

static const struct directive rows[] = {
    GATEWAY_ROWS(struct uwsgi_conf, g, "uwsgi_", "uwsgi_temp", gateway_next_cgi),
    CGI_PARAM_ROW(struct uwsgi_conf, params, "uwsgi_"),
    { .name = "uwsgi_modifier1", .type = &conf_num, .where = IN_HSL, .offset = FIELD(struct uwsgi_conf, modifier1, int64_t), .dflt = "0", .data = &byte, .help = "The first modifier of uwsgi packets." },
    { .name = "uwsgi_modifier2", .type = &conf_num, .where = IN_HSL, .offset = FIELD(struct uwsgi_conf, modifier2, int64_t), .dflt = "0", .data = &byte, .help = "The second modifier of uwsgi packets." },
    { .name = NULL },
};

static const struct directive pass_rows[] = {
    D_DO(&pass_type, "uwsgi_pass", IN_LOCATION | IN_IF, NULL, NULL, "Passes requests to the uwsgi server, or group of servers, at this address."),
    { .name = NULL },
};

struct module uwsgi_pass_module = { .name = "uwsgi_pass", .rows = pass_rows };
struct module uwsgi_module = { .name = "uwsgi", .conf_size = sizeof(struct uwsgi_conf), .rows = rows, .check = check };
