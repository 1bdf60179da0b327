/* ssi_text: strings of SSI commands. */
#include "modules/ssi.h"
#include "wire/uri.h"

static struct ssi_variable *find(const struct ssi *s, struct text name)
{
    for (struct ssi_variable *v = s->shared->variables; v; v = v->next)
        if (text_eq_nocase(v->name, name)) return v;
    return NULL;
}

/* Group n, if it or one behind it took part in the match. */
static bool captured(const struct captures *c, unsigned n, struct text *out)
{
    unsigned last = c->count;
    while (last > n && c->at[2 * (last - 1)] < 0) last--;
    if (last <= n) return false;
    const int *at = &c->at[2 * n];
    *out = at[0] < 0 ? T("") : text_of(c->subject.p + at[0], (size_t) (at[1] - at[0]));
    return true;
}

bool ssi_text_lookup(struct ssi *s, struct text name, struct text *out)
{
    if (name.n == 1 && name.p[0] >= '0' && name.p[0] <= '9' && captured(&s->shared->captures, (unsigned) (name.p[0] - '0'), out)) return true;
    const struct ssi_variable *own = find(s, name);
    if (own) {
        *out = own->value;
        return true;
    }
    char *lower = pool_cstr(s->r->pool, name);
    for (size_t i = 0; i < name.n; i++) lower[i] = (char) text_lower((unsigned char) lower[i]);
    struct value v = eval_get_name(&s->r->eval, text_of(lower, name.n));
    *out = value_text(v);
    return v.state == VALUE_FOUND;
}

struct ssi_variable *ssi_text_variable(struct ssi *s, struct text name)
{
    struct pool *pool = s->r->main->pool;
    struct ssi_variable *v = find(s, name);
    if (v) return v;
    v = pool_new(pool, struct ssi_variable);
    *v = (struct ssi_variable) { s->shared->variables, pool_text(pool, name), T("") };
    return s->shared->variables = v;
}

static bool is_word(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

/* The name at t.p[at], after the "$"; false: logged. */
static bool read_name(struct ssi *s, struct text t, size_t *at, struct text *name_out)
{
    bool bracket = *at < t.n && t.p[*at] == '{';
    size_t from = *at + bracket, end = from;
    while (end < t.n && is_word(t.p[end])) end++;
    *name_out = text_of(t.p + from, end - from);
    *at = end + bracket;
    if (bracket && (end >= t.n || t.p[end] != '}')) {
        request_log(s->r, L_ERR, 0, "the closing bracket in \"%.*s\" variable is missing", TEXT_ARG(*name_out));
        return false;
    }
    if (!name_out->n) request_log(s->r, L_ERR, 0, "invalid variable name in \"%.*s\"", TEXT_ARG(t));
    return name_out->n != 0;
}

/* Text up to the next "$" without its backslashes, where they stand before what they are for. */
static size_t put_plain(struct build *b, struct text t, size_t at)
{
    for (; at < t.n && t.p[at] != '$'; at++) {
        char c = t.p[at];
        if (c == '\\' && at + 1 < t.n) {
            c = t.p[++at];
            if (c != '\\' && c != '\'' && c != '"' && c != '$') build_char(b, '\\');
        } else if (c == '\\') {
            break;
        }
        build_char(b, c);
    }
    return at < t.n && t.p[at] == '\\' ? t.n : at;
}

bool ssi_text_expand(struct ssi *s, struct text t, bool prefix, struct text *out)
{
    struct build b = build_in_pool(s->r->pool, t.n + 64, 1 << 20);
    for (size_t at = 0; at < t.n;) {
        struct text name, value;
        if (t.p[at] != '$') {
            at = put_plain(&b, t, at);
            continue;
        }
        at++;
        if (!read_name(s, t, &at, &name)) return false;
        if (ssi_text_lookup(s, name, &value)) build_text(&b, value);
    }
    *out = build_done(&b);
    if (!prefix || (out->n && out->p[0] == '/')) return true;
    ssize_t slash = text_rfind_char(s->r->uri, '/');
    *out = pool_printf(s->r->pool, "%.*s%.*s", (int) (slash + 1), s->r->uri.p, TEXT_ARG(*out));
    return true;
}

void ssi_text_escape(struct build *b, struct text t, enum ssi_encoding how)
{
    if (how == SSI_PLAIN) build_text(b, t);
    if (how == SSI_URL) uri_escape(b, t, URI_ESCAPE_HTML);
    if (how == SSI_ENTITY) build_html(b, t);
}
