/* ssi: server side includes: commands in a body, done as it passes. */
#include "modules/ssi.h"
#include "http/postpone.h"
#include "http/type_set.h"
#include <time.h>

struct ssi_conf { flag on, silent, last_modified; bytes chunk, value_length; struct type_set types; };
/* Of one request; shared counts in the main request's. */
struct ssi_state { struct ssi *own; struct ssi_shared *shared; };

extern struct module ssi_module;

static const struct text usual_time = TEXT_INIT("%A, %d-%b-%Y %H:%M:%S %Z"), usual_error = TEXT_INIT("[an error occurred while processing the directive]");

static struct ssi_state *state_of(struct request *r)
{
    void **at = request_context(r, &ssi_module);
    if (!*at) *at = pool_new(r->pool, struct ssi_state);
    return *at;
}

struct ssi_shared *ssi_shared_of(struct request *r)
{
    struct ssi_state *main = state_of(r->main);
    if (!main->shared) main->shared = pool_new(r->main->pool, struct ssi_shared);
    return main->shared;
}

/* ---- the head ---- */

static void forget(void *arg)
{
    struct ssi *s = arg;
    chain_clear(&s->in);
    chain_clear(&s->out);
}

static struct ssi *start(struct request *r, const struct ssi_conf *c)
{
    struct ssi *s = pool_new(r->pool, struct ssi);
    *s = (struct ssi) { .r = r, .shared = ssi_shared_of(r), .output = true, .silent = c->silent.on, .timefmt = usual_time, .errmsg = usual_error };
    ssi_parse_open(&s->parser, r->pool, (size_t) c->value_length.bytes);
    pool_cleanup(r->pool, forget, s);
    state_of(r)->own = s;
    return s;
}

static bool head(struct request *r, struct filter_at *at)
{
    const struct ssi_conf *c = request_values(r, &ssi_module);
    if (!c->on.on || r->out.length == 0 || !type_set_has(&c->types, r)) return false;
    at->state = start(r, c);
    if (!r->out.no_body) postpone_expect(r);
    if (r->main != r) return true;
    r->out.length = -1;
    response_clear_ranges(r);
    if (c->last_modified.on) {
        response_weaken_etag(r);
    } else {
        response_clear_modified(r);
        response_clear_etag(r);
    }
    return true;
}

/* ---- the body ---- */

static struct filter_at *place_of(struct ssi *s)
{
    struct filter_at *at = s->r->filters;
    while (at->state != s) at++;
    return at;
}

void ssi_flush(struct ssi *s)
{
    if (s->out.first) filter_pass(s->r, place_of(s), &s->out, BODY_MORE);
}

/* Where text goes now; NULL: nowhere. */
static struct chain *sink_of(struct ssi *s) { return s->output ? &s->out : s->block ? &s->block->content : NULL; }

static void put_text(struct ssi *s, struct text t)
{
    struct chain *to = sink_of(s);
    if (to) chain_add_copy(to, t);
}

/* n bytes at the front of in: they are text. */
static void pass(struct ssi *s, size_t n)
{
    struct chain *to = sink_of(s);
    if (to) chain_move_bytes(to, &s->in, n);
    else chain_skip(&s->in, n);
    if (to && to != &s->out) chain_own(to);
}

static void complain(struct ssi *s)
{
    if (!s->silent) put_text(s, s->errmsg);
}

static void log_fault(struct ssi *s)
{
    const struct ssi_parser *p = &s->parser;
    struct text name = p->count && p->count <= SSI_PARAMS_MOST ? p->params[p->count - 1].name : T("");
    if (!name.p) request_log(s->r, L_ERR, 0, "%s \"%c\" symbol in \"%.*s\" SSI command", p->fault, p->symbol, TEXT_ARG(p->command));
    else request_log(s->r, L_ERR, 0, "%s \"%c\" symbol in \"%.*s\" SSI command, parameter \"%.*s\"", p->fault, p->symbol, TEXT_ARG(p->command), TEXT_ARG(name));
}

static void step(struct ssi *s)
{
    struct ssi_parser *p = &s->parser;
    struct text t = text_of(s->in.first->p, s->in.first->n);
    size_t used = 0;
    bool flush = s->in.first->n == 0 && s->in.first->flush;
    enum ssi_event e = t.n ? ssi_parse(p, t, &used) : SSI_MORE;
    if (e == SSI_SPILL) {
        put_text(s, text_of(SSI_BEGIN, p->matched));
        p->matched = 0;
    }
    flush |= used == t.n && chain_first_flushes(&s->in);
    if (e == SSI_TEXT) pass(s, used);
    else chain_skip(&s->in, used);
    if (flush) chain_add_flush(&s->out);
    if (e == SSI_BAD) log_fault(s);
    if (e == SSI_BAD || (e == SSI_COMMAND && !ssi_command(s))) complain(s);
}

static void run(struct request *r, struct filter_at *at)
{
    struct ssi *s = at->state;
    while (s->in.first && !s->waiting && !r->closing) step(s);
    at->holds = s->waiting || s->in.first;
    enum body_end end = at->holds ? BODY_MORE : s->end;
    if (end == BODY_MORE && !s->out.first) return;
    filter_pass(r, at, &s->out, end);
}

static void body(struct request *r, struct filter_at *at, struct chain *in, enum body_end end)
{
    struct ssi *s = at->state;
    bool given = in->first != NULL;
    chain_move(&s->in, in);
    s->end = end;
    if (!given && end == BODY_MORE && !at->holds) filter_pass(r, at, in, end);
    else if (!at->holds) run(r, at);
}

/* ---- variables ---- */

static bool get_date(struct eval *e, const struct variable *v, struct text name, struct text *out)
{
    struct request *r = request_of(e);
    const struct ssi *s = state_of(r)->own;
    struct text format = s ? s->timefmt : usual_time;
    time_t now = (time_t) (clock_now.wall_ms / 1000);
    char room[512];
    struct tm tm;
    (void) name;
    if (text_eq(format, T("%s"))) {
        *out = pool_printf(e->pool, "%lld", (long long) now);
        return true;
    }
    if (v->data) gmtime_r(&now, &tm);
    else localtime_r(&now, &tm);
    size_t n = strftime(room, sizeof room, pool_cstr(e->pool, format), &tm);
    *out = pool_text(e->pool, text_of(room, n));
    return n > 0;
}

static const struct variable variables[] = {
    { .name = "date_local", .get = get_date, .flags = VAR_NO_CACHE, .help = "The time here, as SSI's config timefmt says." },
    { .name = "date_gmt", .get = get_date, .flags = VAR_NO_CACHE, .data = "", .help = "The time in Greenwich, as SSI's config timefmt says." },
    { .name = NULL },
};

/* ---- directives ---- */

static const struct directive rows[] = {
    D_FLAG(struct ssi_conf, on, "ssi", IN_HSL | IN_IF, "off", "Whether commands in responses (<!--# ... -->) are done."),
    D_FLAG(struct ssi_conf, silent, "ssi_silent_errors", IN_HSL, "off", "Whether nothing, instead of a message, stands where a command failed."),
    D_FLAG(struct ssi_conf, last_modified, "ssi_last_modified", IN_HSL, "off", "Whether Last-Modified and ETag stay although the response is made of parts."),
    D_SIZE(struct ssi_conf, chunk, "ssi_min_file_chunk", IN_HSL, "1k", "The least part of a file that nginx sends by sendfile; here files with commands are read in pieces."),
    { .name = "ssi_value_length", .type = &conf_bytes, .where = IN_HSL, .offset = FIELD(struct ssi_conf, value_length, bytes), .dflt = "256", .syntax = "length", .help = "The longest value of a command's parameter." },
    D_TYPES(struct ssi_conf, types, "ssi_types", IN_HSL, "text/html", "The content types in which commands are done, besides text/html; * is any."),
    { 0 }
};

static const struct filter ssi_filter = { .name = "ssi", .head = head, .body = body, .more = run, .bytes = true };
static const struct filter *const filters[] = { &ssi_filter, NULL };
static const struct http_part part = { .filters = filters, .variables = variables, .if_given = true };

struct module ssi_module = { .name = "http_ssi", .conf_size = sizeof(struct ssi_conf), .rows = rows, .part = &part, .part_kind = &http_part_kind };
