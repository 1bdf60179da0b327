/* template: text with variables as a list of parts. */
#include "eval/template.h"

enum part_kind { PART_TEXT, PART_VARIABLE, PART_CAPTURE };

struct part {
    enum part_kind kind;
    uint32_t       n;         /* of the text; the variable's index; the capture's number */
    const char    *p;
};

struct template {
    struct text source;
    unsigned    count;
    uint32_t    fixed;        /* bytes of text parts */
    bool        captures;
    struct part parts[];
};

#define TEMPLATE_MAX (1u << 20)

static bool in_name(char c) { return (text_lower((unsigned char) c) >= 'a' && text_lower((unsigned char) c) <= 'z') || (c >= '0' && c <= '9') || c == '_'; }

/* rest begins after "$" and then behind what was read. NULL, or what is wrong. */
static conf_result read_dollar(struct conf *cf, enum eval_kind kind, struct text *rest, struct part *out)
{
    if (rest->n && rest->p[0] >= '1' && rest->p[0] <= '9') {
        *out = (struct part) { .kind = PART_CAPTURE, .n = (uint32_t) (rest->p[0] - '0') };
        *rest = text_from(*rest, 1);
        return NULL;
    }
    bool bracket = rest->n > 1 && rest->p[0] == '{';
    if (bracket) *rest = text_from(*rest, 1);
    size_t n = 0;
    while (n < rest->n && in_name(rest->p[n])) n++;
    struct text name = text_upto(*rest, n);
    bool closed = n < rest->n && rest->p[n] == '}';
    if (bracket && !closed) return conf_say(cf, "!the closing bracket in \"%.*s\" variable is missing", TEXT_ARG(name));
    if (!n) return "!invalid variable name";
    *out = (struct part) { .kind = PART_VARIABLE, .n = variables_index_of(cf, kind, name) };
    *rest = text_from(*rest, n + bracket);
    return NULL;
}

static unsigned count_parts(struct text source)
{
    unsigned dollars = 0;
    for (size_t i = 0; i < source.n; i++) dollars += source.p[i] == '$';
    return 2 * dollars + 1;
}

struct template *template_compile_kind(struct conf *cf, enum eval_kind kind, struct text given, conf_result *why)
{
    if (given.n > TEMPLATE_MAX) { *why = "!the text is too long"; return NULL; }
    struct template *t = pool_zalloc(cf->pool, sizeof *t + sizeof(struct part) * count_parts(given));
    t->source = text_of(pool_cstr(cf->pool, given), given.n);
    *why = NULL;
    for (struct text rest = t->source; rest.n;) {
        struct part *part = &t->parts[t->count++];
        if (rest.p[0] == '$') {
            rest = text_from(rest, 1);
            if ((*why = read_dollar(cf, kind, &rest, part))) return NULL;
            t->captures |= part->kind == PART_CAPTURE;
            continue;
        }
        ssize_t at = text_find_char(rest, '$');
        *part = (struct part) { .kind = PART_TEXT, .p = rest.p, .n = (uint32_t) (at < 0 ? (ssize_t) rest.n : at) };
        t->fixed += part->n;
        rest = text_from(rest, part->n);
    }
    return t;
}

struct template *template_compile(struct conf *cf, struct text source, conf_result *why)
{
    return template_compile_kind(cf, variables_kind(variables_here(cf)), source, why);
}

bool template_is_constant(const struct template *t) { return t->count == 0 || (t->count == 1 && t->parts[0].kind == PART_TEXT); }

struct text template_source(const struct template *t) { return t->source; }

bool template_has_captures(const struct template *t) { return t->captures; }

bool template_variable(const struct template *t, unsigned *index_out)
{
    if (t->count != 1 || t->parts[0].kind != PART_VARIABLE) return false;
    *index_out = t->parts[0].n;
    return true;
}

static inline struct text part_text(const struct part *p, struct eval *e)
{
    switch (p->kind) {
    case PART_TEXT: return text_of(p->p, p->n);
    case PART_VARIABLE: return value_text(eval_get(e, p->n));
    case PART_CAPTURE: return eval_capture(e, p->n);
    }
    return text_of(NULL, 0);
}

void template_build(const struct template *t, struct eval *e, struct build *b)
{
    for (const struct part *p = t->parts, *end = p + t->count; p < end; p++) build_text(b, part_text(p, e));
}

void template_build_with(const struct template *t, struct eval *e, struct build *b, void (*put)(struct build *b, struct text value))
{
    for (const struct part *p = t->parts, *end = p + t->count; p < end; p++) {
        if (p->kind == PART_TEXT) {
            build_text(b, text_of(p->p, p->n));
        } else if (p->kind == PART_CAPTURE) {
            put(b, eval_capture(e, p->n));
        } else {
            struct value v = eval_get(e, p->n);
            put(b, v.state == VALUE_FOUND ? text_of(v.p ? v.p : "", v.n) : text_of(NULL, 0));
        }
    }
}

void template_build_captures(const struct template *t, struct eval *e, struct build *b, void (*put)(struct build *b, struct text value))
{
    for (const struct part *p = t->parts, *end = p + t->count; p < end; p++) {
        struct text text = part_text(p, e);
        if (p->kind == PART_CAPTURE) put(b, text);
        else build_text(b, text);
    }
}

struct text template_render(const struct template *t, struct eval *e)
{
    if (t->count == 0) return t->source;
    if (t->count == 1) return part_text(t->parts, e);
    struct build b = build_in_pool(e->pool, t->fixed + 24 * t->count, TEMPLATE_MAX);
    template_build(t, e, &b);
    if (unlikely(!build_ok(&b))) log_at(e->log, L_ERR, e->about, 0, "the value of \"%.*s\" is longer than 1 MiB, cut", TEXT_ARG(t->source));
    return build_done(&b);
}

/* ---- directives ---- */

/* The defaults are read at the top of the file: there only the row tells whom it is for. */
static enum eval_kind row_kind(struct conf *cf, const struct directive *d)
{
    const uint32_t stream = IN_STREAM | IN_STREAM_SERVER | IN_STREAM_UPSTREAM;
    if (cf->block != cf->top) return variables_kind(variables_here(cf));
    return d->where & stream && !(d->where & (IN_HTTP | IN_SERVER | IN_LOCATION)) ? EVAL_STREAM : EVAL_HTTP;
}

static conf_result parse_template(struct conf *cf, const struct directive *d, void *field)
{
    conf_result why;
    *(struct template **) field = template_compile_kind(cf, row_kind(cf, d), cf->words[1], &why);
    return why;
}

static conf_result parse_templates(struct conf *cf, const struct directive *d, void *field)
{
    struct templates *list = field;
    conf_result why = NULL;
    for (size_t i = 1; i < cf->count && !why; i++) {
        if (list->n == list->cap) list->v = pool_grow(cf->pool, list->v, list->n, &list->cap, sizeof *list->v);
        list->v[list->n++] = template_compile_kind(cf, row_kind(cf, d), cf->words[i], &why);
    }
    return why;
}

const struct conf_type conf_template = { .syntax = "string", .size = sizeof(struct template *), .min = 1, .max = 1, .parse = parse_template };
const struct conf_type conf_templates = { .syntax = "string ...", .size = sizeof(struct templates), .flags = CONF_MULTI, .min = 1, .max = 1000, .parse = parse_templates };

/* nginx: a value counts unless it is empty or "0". */
bool templates_any_true(const struct templates *list, struct eval *e)
{
    for (size_t i = 0; i < list->n; i++) {
        struct text t = template_render(list->v[i], e);
        if (t.n && !(t.n == 1 && t.p[0] == '0')) return true;
    }
    return false;
}
