/* uwsgi: requests passed to a uwsgi server. */
#include "gateway/cgi.h"
#include "gateway/pass.h"
#include "gateway/secure_conf.h"
#include "modules/module.h"

struct uwsgi_conf { struct gateway_conf g; struct cgi_params params; int64_t modifier1, modifier2; };

enum { UWSGI_MOST = 65535 };        /* bytes of parameters, and of each */

extern struct module uwsgi_module, uwsgi_ssl_module;

/* ---- TLS ---- */

/* A uwsgi_pass that may speak it. */
struct secure_use { struct secure_use *next; struct conf_block *block; const char *file; unsigned line; };
/* uses: of the top: all. */
struct uwsgi_ssl_conf { struct secure_conf s; struct secure_use *uses; };

static void note_use(struct conf *cf)
{
    struct uwsgi_ssl_conf *top = conf_own_values(cf, cf->top, &uwsgi_ssl_module);
    struct secure_use *u = pool_new(cf->pool, struct secure_use);
    *u = (struct secure_use) { top->uses, cf->block, cf->file, cf->line };
    top->uses = u;
}

static bool open_ssl(struct cycle *c)
{
    const struct uwsgi_ssl_conf *top = conf_values(c->conf->top, &uwsgi_ssl_module);
    struct secure_opening o;
    bool fine = true;
    secure_opening_begin(&o, c);
    for (const struct secure_use *u = top->uses; fine && u; u = u->next) {
        struct uwsgi_ssl_conf *own = conf_values(u->block, &uwsgi_ssl_module);
        fine = secure_conf_open(&o, &own->s, false, "uwsgi_ssl_", u->file, u->line);
    }
    secure_opening_end(&o);
    return fine;
}

static const struct secure *secure_of(struct request *r, struct text host)
{
    const struct uwsgi_ssl_conf *c = request_values(r, &uwsgi_ssl_module);
    return secure_conf_of(r, &c->s, c->s.name ? template_render(c->s.name, &r->eval) : host);
}

static const struct directive ssl_rows[] = { SECURE_ROWS(struct uwsgi_ssl_conf, s, "uwsgi_ssl_", NULL, "off", "1", "off", NULL, "; by default the host of uwsgi_pass"), { .name = NULL } };

static const struct process_part process = { .open = open_ssl };

struct module uwsgi_ssl_module = { .name = "uwsgi_ssl", .conf_size = sizeof(struct uwsgi_ssl_conf), .rows = ssl_rows, .part = &process, .part_kind = &process_part_kind };

/* ---- the request ---- */

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
    if (x->target.secure) {
        x->target.scheme = T("suwsgi");
        x->secure = secure_of(r, x->target.host);
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
    .hedged = sizeof(struct cgi),
};

static struct verdict answer(struct request *r)
{
    const struct uwsgi_conf *c = request_values(r, &uwsgi_module);
    /* The field Status is passed on, as nginx does. */
    return cgi_answer(r, &protocol, &c->g, (struct cgi) { .params = &c->params, .conf = c, .shows_status = true });
}

static conf_result parse_pass(struct conf *cf, const struct directive *d, void *field)
{
    static const struct gateway_scheme schemes[] = { { TEXT_INIT("uwsgi://"), false }, { TEXT_INIT("suwsgi://"), true }, { TEXT_INIT(""), false } };
    struct gateway_pass *p;
    (void) d, (void) field;
    conf_result why = gateway_pass_parse(cf, cf->words[1], schemes, answer, &p);
    if (!why && (p->dynamic || p->secure)) note_use(cf);
    return why;
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
    GATEWAY_HEDGE_ROW(struct uwsgi_conf, g, "uwsgi_"),
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
