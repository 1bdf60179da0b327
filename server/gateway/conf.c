#include "gateway/conf.h"
#include "process/cycle.h"

const struct conf_choice gateway_next_choices[] = {
    { "error", NEXT_ERROR }, { "timeout", NEXT_TIMEOUT }, { "denied", NEXT_DENIED }, { "invalid_header", NEXT_INVALID_HEADER }, { "http_500", NEXT_500 },
    { "http_502", NEXT_502 }, { "http_503", NEXT_503 }, { "http_504", NEXT_504 }, { "http_403", NEXT_403 }, { "http_404", NEXT_404 },
    { "http_429", NEXT_429 }, { "non_idempotent", NEXT_NON_IDEMPOTENT }, { "updating", NEXT_UPDATING }, { "off", NEXT_OFF }, { NULL, 0 },
};

const struct conf_choice gateway_next_cgi[] = {
    { "error", NEXT_ERROR }, { "timeout", NEXT_TIMEOUT }, { "invalid_header", NEXT_INVALID_HEADER }, { "http_500", NEXT_500 },
    { "http_503", NEXT_503 }, { "http_403", NEXT_403 }, { "http_404", NEXT_404 }, { "http_429", NEXT_429 },
    { "non_idempotent", NEXT_NON_IDEMPOTENT }, { "updating", NEXT_UPDATING }, { "off", NEXT_OFF }, { NULL, 0 },
};

const struct conf_choice gateway_next_memcached[] = {
    { "error", NEXT_ERROR }, { "timeout", NEXT_TIMEOUT }, { "invalid_response", NEXT_INVALID_HEADER }, { "not_found", NEXT_404 }, { "off", NEXT_OFF }, { NULL, 0 },
};

const struct conf_choice gateway_ignore_choices[] = {
    { "X-Accel-Redirect", IGNORE_ACCEL_REDIRECT }, { "X-Accel-Expires", IGNORE_ACCEL_EXPIRES }, { "X-Accel-Limit-Rate", IGNORE_ACCEL_LIMIT_RATE },
    { "X-Accel-Buffering", IGNORE_ACCEL_BUFFERING }, { "X-Accel-Charset", IGNORE_ACCEL_CHARSET }, { "Expires", IGNORE_EXPIRES },
    { "Cache-Control", IGNORE_CACHE_CONTROL }, { "Set-Cookie", IGNORE_SET_COOKIE }, { "Vary", IGNORE_VARY }, { NULL, 0 },
};

bool gateway_bind_parse(struct pool *pool, struct text t, struct addr *out)
{
    ssize_t comma = text_find_char(t, ',');
    out[0].family = out[1].family = AF_UNSPEC;
    if (comma < 0) return addr_parse(pool, t, 0, &out[0]);
    return addr_parse(pool, text_trim(text_upto(t, (size_t) comma)), 0, &out[0]) && addr_parse(pool, text_trim(text_from(t, (size_t) comma + 1)), 0, &out[1])
        && out[0].family != out[1].family;
}

static conf_result parse_bind(struct conf *cf, const struct directive *d, void *field)
{
    (void) d;
    struct gateway_bind *b = *(struct gateway_bind **) field = pool_new(cf->pool, struct gateway_bind);
    struct text word = cf->words[1];
    if (cf->count == 3) {
        if (!text_eq(cf->words[2], T("transparent"))) return conf_say(cf, "!invalid parameter \"%.*s\"", TEXT_ARG(cf->words[2]));
        b->transparent = ((struct cycle *) cf->cycle)->transparent = true;
    }
    if (text_eq(word, T("off"))) {
        b->off = true;
        return NULL;
    }
    conf_result why = NULL;
    struct template *t = template_compile(cf, word, &why);
    if (!t) return why;
    if (!template_is_constant(t)) b->dynamic = t;
    else if (!gateway_bind_parse(cf->pool, word, b->addrs)) return conf_say(cf, "!invalid address \"%.*s\"", TEXT_ARG(word));
    return NULL;
}

const struct conf_type gateway_bind_type = { "address[,address] [transparent] | off", sizeof(struct gateway_bind *), 0, 1, 2, parse_bind };

static conf_result parse_store(struct conf *cf, const struct directive *d, void *field)
{
    struct gateway_store *s = field;
    conf_result why = NULL;
    (void) d;
    if (text_eq(cf->words[1], T("off"))) return NULL;
    if (!cf->words[1].n) return "!empty path";
    s->on = true;
    if (text_eq(cf->words[1], T("on"))) return NULL;
    bool whole = cf->words[1].p[0] == '/' || cf->words[1].p[0] == '$';
    s->path = template_compile(cf, whole ? cf->words[1] : conf_full_path(cf, cf->words[1], false), &why);
    return s->path ? NULL : why;
}

const struct conf_type gateway_store_type = { "on | off | string", sizeof(struct gateway_store), 0, 1, 1, parse_store };

/* A size, perhaps with variables; "0" leaves it NULL. */
static conf_result parse_rate(struct conf *cf, const struct directive *d, void *field)
{
    conf_result why = NULL;
    uint64_t n;
    (void) d;
    struct template *t = template_compile(cf, cf->words[1], &why);
    if (!t) return why;
    if (template_is_constant(t) && !conf_read_bytes(cf->words[1], &n)) return conf_invalid;
    if (!template_is_constant(t) || n) *(struct template **) field = t;
    return NULL;
}

const struct conf_type gateway_rate_type = { "rate", sizeof(struct template *), 0, 1, 1, parse_rate };

static conf_result parse_backoff(struct conf *cf, const struct directive *d, void *field)
{
    struct gateway_backoff *b = field;
    (void) d;
    if (cf->count == 2 && text_eq(cf->words[1], T("off"))) return NULL;
    if (!conf_read_span(cf->words[1], &b->base_ms) || !b->base_ms) return conf_invalid;
    b->most_ms = b->base_ms * 10;
    if (cf->count == 2) return NULL;
    if (!text_starts(cf->words[2], T("max=")) || !conf_read_span(text_from(cf->words[2], 4), &b->most_ms) || b->most_ms < b->base_ms)
        return conf_say(cf, "!invalid parameter \"%.*s\"", TEXT_ARG(cf->words[2]));
    return NULL;
}

static conf_result parse_budget(struct conf *cf, const struct directive *d, void *field)
{
    struct gateway_budget *b = field;
    struct text share = cf->words[1];
    uint64_t percent, least = 1;
    (void) d;
    if (cf->count == 2 && text_eq(share, T("off"))) return NULL;
    if (!text_ends(share, T("%")) || !text_u64(text_upto(share, share.n - 1), &percent) || percent > 1000) return conf_invalid;
    if (cf->count == 3 && (!text_starts(cf->words[2], T("min=")) || !text_u64(text_from(cf->words[2], 4), &least) || least > 1000000))
        return conf_say(cf, "!invalid parameter \"%.*s\"", TEXT_ARG(cf->words[2]));
    *b = (struct gateway_budget) { .on = true, .percent = (uint32_t) percent, .least = (uint32_t) least };
    return NULL;
}

/* "200ms", "p95 min=20ms" */
static conf_result parse_hedge(struct conf *cf, const struct directive *d, void *field)
{
    struct gateway_hedge *h = field;
    struct text word = cf->words[1];
    uint64_t percent;
    (void) d;
    if (cf->count == 2 && text_eq(word, T("off"))) return NULL;
    h->on = true;
    if (!text_starts(word, T("p"))) return cf->count == 2 && conf_read_span(word, &h->after_ms) && h->after_ms ? NULL : conf_invalid;
    if (!text_u64(text_from(word, 1), &percent) || !percent || percent > 99) return conf_invalid;
    h->percentile = (uint32_t) percent;
    h->after_ms = 10;
    if (cf->count == 2 || (text_starts(cf->words[2], T("min=")) && conf_read_span(text_from(cf->words[2], 4), &h->after_ms) && h->after_ms)) return NULL;
    return conf_say(cf, "!invalid parameter \"%.*s\"", TEXT_ARG(cf->words[2]));
}

const struct conf_type gateway_hedge_type = { "off | time | percentile [min=time]", sizeof(struct gateway_hedge), 0, 1, 2, parse_hedge };
const struct conf_type gateway_backoff_type = { "time [max=time] | off", sizeof(struct gateway_backoff), 0, 1, 2, parse_backoff };
const struct conf_type gateway_budget_type = { "percent% [min=number] | off", sizeof(struct gateway_budget), 0, 1, 2, parse_budget };

/* ---- hidden fields ---- */

static void mark(struct gateway_hidden *h, enum field_id id, bool on)
{
    if (on) h->known[id >> 6] |= 1ull << (id & 63);
    else h->known[id >> 6] &= ~(1ull << (id & 63));
}

static bool has_name(const struct conf_texts *list, struct text name)
{
    for (size_t i = 0; i < list->n; i++)
        if (text_eq_nocase(list->v[i], name)) return true;
    return false;
}

static struct gateway_hidden *compile_hidden(struct conf *cf, const struct gateway_conf *g, const enum field_id *dflt, size_t count)
{
    struct gateway_hidden *h = pool_new(cf->pool, struct gateway_hidden);
    for (size_t i = 0; i < count; i++) mark(h, dflt[i], true);
    for (size_t i = 0; i < g->pass.n; i++) {
        enum field_id id = field_lookup(g->pass.v[i]);
        if (id != FIELD_OTHER) mark(h, id, false);
    }
    h->others = pool_array(cf->pool, struct text, g->hide.n + 1);
    if (!has_name(&g->pass, T("X-Pad"))) h->others[h->count++] = T("X-Pad");
    for (size_t i = 0; i < g->hide.n; i++) {
        enum field_id id = field_lookup(g->hide.v[i]);
        if (id != FIELD_OTHER) mark(h, id, true);
        else h->others[h->count++] = g->hide.v[i];
    }
    return h;
}

bool gateway_hides(const struct gateway_hidden *h, const struct field *f)
{
    if (f->id != FIELD_OTHER) return h->known[f->id >> 6] >> (f->id & 63) & 1;
    for (size_t i = 0; i < h->count; i++)
        if (text_eq_nocase(h->others[i], f->name)) return true;
    return false;
}

static conf_result parse_checked(struct conf *cf, const struct directive *d, void *field) { return conf_bytes.parse(cf, d, field); }

const struct conf_type gateway_checked_size = { "size", sizeof(bytes), CONF_NO_EFFECT, 1, 1, parse_checked };

/* busy and write sizes that are not set follow the larger buffer size, whatever the enclosing block says. */
static conf_result check_sizes(struct conf *cf, const struct gateway_conf *g, const char *p)
{
    uint64_t total = (uint64_t) g->buffers.n * g->buffers.size, largest = max_of(g->buffer_size.bytes, (uint64_t) g->buffers.size);
    uint64_t busy = g->busy_buffers_size.bytes ? g->busy_buffers_size.bytes : 2 * largest;
    uint64_t write = g->temp_file_write_size.bytes ? g->temp_file_write_size.bytes : 2 * largest;
    const char *rule = "equal to or greater than the maximum of the value of";
    if (g->buffers.n < 2) return conf_say(cf, "!there must be at least 2 \"%sbuffers\"", p);
    if (!g->buffer_size.bytes || !g->buffers.size) return conf_say(cf, "!\"%sbuffer_size\" and \"%sbuffers\" must not be zero", p, p);
    if (busy < largest)
        return conf_say(cf, "!\"%sbusy_buffers_size\" must be %s \"%sbuffer_size\" and one of the \"%sbuffers\"", p, rule, p, p);
    if (busy > total - g->buffers.size)
        return conf_say(cf, "!\"%sbusy_buffers_size\" must be less than the size of all \"%sbuffers\" minus one buffer", p, p);
    if (write < largest)
        return conf_say(cf, "!\"%stemp_file_write_size\" must be %s \"%sbuffer_size\" and one of the \"%sbuffers\"", p, rule, p, p);
    if (g->max_temp_file_size.bytes && g->max_temp_file_size.bytes < largest)
        return conf_say(cf, "!\"%smax_temp_file_size\" must be equal to zero to disable temporary files usage or must be %s \"%sbuffer_size\" and one of the \"%sbuffers\"", p, rule, p, p);
    return NULL;
}

conf_result gateway_conf_check(struct conf *cf, struct gateway_conf *g, const char *prefix, const enum field_id *hidden, size_t count)
{
    conf_result why = check_sizes(cf, g, prefix);
    if (why) return why;
    if (g->next_upstream & NEXT_OFF) g->next_upstream = 0;
    g->dynamic = g->allow.n || g->bind_dynamic.on || g->request_dynamic.on;
    if (g->hedge.on && g->dynamic)
        return conf_say(cf, "!\"%shedge\" goes with none of \"%sallow_upstream\", \"%sbind_dynamic\" and \"%srequest_dynamic\"", prefix, prefix, prefix, prefix);
    g->timed = g->try_timeout.ms || g->deadline.ms || g->backoff.base_ms;
    g->hidden = compile_hidden(cf, g, hidden, count);
    return NULL;
}
