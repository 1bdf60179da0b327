/* variables: early_hints, and $upstream_*: what came of the tries, in nginx's list syntax: "a, b" for tries, "a : b" over an internal redirect. */
#include "gateway/exchange.h"
#include "http/module.h"

enum figure { ADDR, STATUS, CONNECT_TIME, HEADER_TIME, RESPONSE_TIME, QUEUE_TIME, LENGTH, SENT, RECEIVED };

static void put_number(struct build *b, bool known, uint64_t v)
{
    if (known) build_u64(b, v);
    else build_char(b, '-');
}

static void put_time(struct build *b, int64_t ms)
{
    if (ms >= 0) build_ms(b, (uint64_t) ms);
    else build_char(b, '-');
}

static void put(struct build *b, const struct exchange_try *t, enum figure figure)
{
    switch (figure) {
    case ADDR:          build_text(b, t->name); break;
    case STATUS:        put_number(b, t->status, (uint64_t) t->status); break;
    case CONNECT_TIME:  put_time(b, t->connect_ms); break;
    case HEADER_TIME:   put_time(b, t->header_ms); break;
    case RESPONSE_TIME: put_time(b, t->response_ms); break;
    case QUEUE_TIME:    put_time(b, t->queue_ms); break;
    case LENGTH:        build_u64(b, (uint64_t) t->length); break;
    case SENT:          build_u64(b, t->sent); break;
    case RECEIVED:      build_u64(b, t->received); break;
    }
}

static bool get_list(struct eval *e, const struct variable *v, struct text name, struct text *out)
{
    (void) name;
    const struct exchange *x = exchange_of(request_of(e));
    if (!x || !x->tries) return false;
    enum figure figure = (enum figure) (uintptr_t) v->data;
    struct build b = build_in_pool(e->pool, 32, 0);
    for (const struct exchange_try *t = x->tries; t; t = t->next) {
        if (t != x->tries) build_text(&b, t->redirected ? T(" : ") : T(", "));
        put(&b, t, figure);
    }
    *out = build_done(&b);
    return true;
}

/* "x_request_id" means "X-Request-Id". */
static bool is_named(struct text field, struct text name)
{
    if (field.n != name.n) return false;
    for (size_t i = 0; i < field.n; i++) {
        unsigned char c = text_lower((unsigned char) field.p[i]);
        if ((c == '-' ? '_' : c) != text_lower((unsigned char) name.p[i])) return false;
    }
    return true;
}

static bool join_fields(struct eval *e, const struct fields *f, struct text name, struct text *out)
{
    struct build b = build_in_pool(e->pool, 64, 0);
    unsigned found = 0;
    for (unsigned i = 0; i < f->n; i++) {
        if (!is_named(f->v[i].name, name)) continue;
        *out = f->v[i].value;
        if (found++) build_lit(&b, ", ");
        build_text(&b, f->v[i].value);
    }
    if (found > 1) *out = build_done(&b);
    return found != 0;
}

static bool get_http(struct eval *e, const struct variable *v, struct text name, struct text *out)
{
    (void) v;
    const struct exchange *x = exchange_of(request_of(e));
    return x && join_fields(e, &x->up.fields, text_from(name, sizeof "upstream_http_" - 1), out);
}

static bool get_trailer(struct eval *e, const struct variable *v, struct text name, struct text *out)
{
    (void) v;
    const struct exchange *x = exchange_of(request_of(e));
    return x && join_fields(e, &x->up.trailers, text_from(name, sizeof "upstream_trailer_" - 1), out);
}

static bool get_cookie(struct eval *e, const struct variable *v, struct text name, struct text *out)
{
    (void) v;
    const struct exchange *x = exchange_of(request_of(e));
    name = text_from(name, sizeof "upstream_cookie_" - 1);
    for (unsigned i = 0; x && i < x->up.fields.n; i++) {
        const struct field *f = &x->up.fields.v[i];
        struct text rest = f->value, pair;
        if (f->id != FIELD_SET_COOKIE || !text_split(&rest, ';', &pair)) continue;
        ssize_t eq = text_find_char(pair, '=');
        if (eq < 0 || !text_eq_nocase(text_trim(text_upto(pair, (size_t) eq)), name)) continue;
        *out = text_trim(text_from(pair, (size_t) eq + 1));
        return true;
    }
    return false;
}

static bool get_last_addr(struct eval *e, const struct variable *v, struct text name, struct text *out)
{
    (void) v, (void) name;
    const struct exchange *x = exchange_of(request_of(e));
    if (!x || !x->last || !x->last->server.n) return false;
    *out = x->last->name;
    return true;
}

static bool get_last_server(struct eval *e, const struct variable *v, struct text name, struct text *out)
{
    (void) v, (void) name;
    const struct exchange *x = exchange_of(request_of(e));
    if (!x || !x->last || !x->last->server.n) return false;
    *out = x->last->server;
    return true;
}

static bool get_breaker(struct eval *e, const struct variable *v, struct text name, struct text *out)
{
    (void) v, (void) name;
    const struct exchange *x = exchange_of(request_of(e));
    *out = x && x->pick.group ? breaker_word(x->pick.group) : T("");
    return out->n != 0;
}

#define LIST(nm, what, hp) { .name = nm, .get = get_list, .flags = VAR_NO_CACHE, .data = (const void *) what, .help = hp }
static const struct variable variables[] = {
    LIST("upstream_addr", ADDR, "Addresses of the peers that were asked."),
    LIST("upstream_status", STATUS, "Status codes of the peers' answers."),
    LIST("upstream_connect_time", CONNECT_TIME, "Seconds until each connection was made."),
    LIST("upstream_header_time", HEADER_TIME, "Seconds until each answer's head was read."),
    LIST("upstream_response_time", RESPONSE_TIME, "Seconds until each answer was read."),
    LIST("upstream_queue_time", QUEUE_TIME, "Seconds that the request waited for a free peer."),
    LIST("upstream_response_length", LENGTH, "Lengths of the answers' bodies as received."),
    LIST("upstream_bytes_sent", SENT, "Bytes sent to each peer."),
    LIST("upstream_bytes_received", RECEIVED, "Bytes received from each peer."),
    { .name = "upstream_last_addr", .get = get_last_addr, .flags = VAR_NO_CACHE, .help = "Address of the peer that was chosen last." },
    { .name = "upstream_last_server_name", .get = get_last_server, .flags = VAR_NO_CACHE, .help = "Name of the server, as the configuration has it, that was chosen last." },
    { .name = "upstream_breaker", .get = get_breaker, .flags = VAR_NO_CACHE, .help = "closed, open or half_open: the breaker of the group that was asked last." },
    { .name = "upstream_http_", .get = get_http, .flags = VAR_NO_CACHE | VAR_PREFIX, .help = "A field of the last peer's answer." },
    { .name = "upstream_cookie_", .get = get_cookie, .flags = VAR_NO_CACHE | VAR_PREFIX, .help = "A cookie that the last peer's answer sets." },
    { .name = "upstream_trailer_", .get = get_trailer, .flags = VAR_NO_CACHE | VAR_PREFIX, .help = "A trailer field of the last peer's answer." },
    { .name = NULL },
};

static const struct http_part part = { .variables = variables };

static const struct directive rows[] = {
    D_TYPE(struct early_hints_conf, when, struct templates, &conf_templates, "early_hints", IN_HSL, NULL, "A 103 of an upstream is passed to the client when one of these is neither empty nor 0."),
    { .name = NULL },
};

struct module http_gateway_module = {
    .name = "http_gateway", .conf_size = sizeof(struct early_hints_conf), .rows = rows, .part = &part, .part_kind = &http_part_kind,
};
