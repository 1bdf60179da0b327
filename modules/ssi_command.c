/* ssi_command: what the commands do. */
#include "modules/ssi.h"
#include "http/postpone.h"
#include "wire/uri.h"

/* ---- include ---- */

enum { INC_VIRTUAL, INC_FILE, INC_WAIT, INC_SET, INC_STUB };

static bool wants_wait(struct ssi *s, ssi_values v, bool *out)
{
    const struct text *wait = &v[INC_WAIT];
    *out = v[INC_FILE].p != NULL;
    if (!wait->p) return true;
    if (!v[INC_VIRTUAL].p) {
        request_log(s->r, L_ERR, 0, "\"wait\" parameter cannot be used with file=\"%.*s\"", TEXT_ARG(v[INC_FILE]));
        return false;
    }
    *out = text_eq_nocase(*wait, T("yes"));
    if (*out || text_eq_nocase(*wait, T("no"))) return true;
    request_log(s->r, L_ERR, 0, "invalid value \"%.*s\" in the \"wait\" parameter", TEXT_ARG(*wait));
    return false;
}

static bool goes_up(struct text t, size_t at)
{
    return t.n >= at + 2 && t.p[at] == '.' && t.p[at + 1] == '.' && (t.n == at + 2 || t.p[at + 2] == '/');
}

/* A uri that a page made: none that leaves its folder, or is empty. */
static bool is_safe(struct text path)
{
    if (!path.n || goes_up(path, 0) || memchr(path.p, '\0', path.n)) return false;
    for (size_t i = 0; i + 1 < path.n; i++)
        if (path.p[i] == '/' && goes_up(path, i + 1)) return false;
    return true;
}

static bool split_uri(struct ssi *s, struct text uri, struct subrequest_want *w)
{
    ssize_t mark = text_find_char(uri, '?');
    struct text path = mark < 0 ? uri : text_upto(uri, (size_t) mark);
    if (path.n && memchr(path.p, '%', path.n)) {
        struct build b = build_in_pool(s->r->pool, path.n, 0);
        uri_unescape(&b, path);
        path = build_done(&b);
    }
    w->uri = path;
    if (mark >= 0) w->args = text_from(uri, (size_t) mark + 1);
    if (is_safe(path)) return true;
    request_log(s->r, L_ERR, 0, "unsafe URI \"%.*s\" was detected", TEXT_ARG(uri));
    return false;
}

static bool check_include(struct ssi *s, ssi_values v)
{
    if (v[INC_VIRTUAL].p && v[INC_FILE].p) {
        request_log(s->r, L_ERR, 0, "inclusion may be either virtual=\"%.*s\" or file=\"%.*s\"", TEXT_ARG(v[INC_VIRTUAL]), TEXT_ARG(v[INC_FILE]));
        return false;
    }
    if (!v[INC_VIRTUAL].p && !v[INC_FILE].p) {
        request_log(s->r, L_ERR, 0, "no parameter in \"include\" SSI command");
        return false;
    }
    if (v[INC_SET].p && v[INC_STUB].p) {
        request_log(s->r, L_ERR, 0, "\"set\" and \"stub\" cannot be used together in \"include\" SSI command");
        return false;
    }
    return true;
}

static void go_on(struct request *sub, void *arg)
{
    struct ssi *s = arg;
    (void) sub;
    s->waiting = false;
}

struct target { struct ssi *s; struct ssi_variable *v; };

static void set_variable(struct request *sub, void *arg)
{
    struct target *t = arg;
    t->s->waiting = false;
    if (sub->out.status < 300) t->v->value = pool_text(sub->main->pool, subrequest_memory(sub));
}

/* The block that stands for it; NULL: none of this name. */
static const struct chain *find_stub(struct ssi *s, struct text name)
{
    const struct ssi_block *found = NULL;
    for (const struct ssi_block *b = s->shared->blocks; b; b = b->next)
        if (text_eq(b->name, name)) found = b;      /* the first one of several: the list has the last one in front */
    if (!found) request_log(s->r, L_ERR, 0, "\"stub\"=\"%.*s\" for \"include\" not found", TEXT_ARG(name));
    return found ? &found->content : NULL;
}

static bool include(struct ssi *s, ssi_values v)
{
    struct subrequest_want w = { .way = SUBREQUEST_INLINE };
    bool wait;
    struct text uri;
    if (!check_include(s, v) || !wants_wait(s, v, &wait)) return false;
    if (!ssi_text_expand(s, v[INC_VIRTUAL].p ? v[INC_VIRTUAL] : v[INC_FILE], true, &uri) || !split_uri(s, uri, &w)) return false;
    if (v[INC_STUB].p && !(w.instead = find_stub(s, v[INC_STUB]))) return false;
    if (wait) w.done = go_on, w.arg = s;
    if (v[INC_SET].p) {
        struct target *t = pool_new(s->r->pool, struct target);
        *t = (struct target) { s, ssi_text_variable(s, v[INC_SET]) };
        w.way = SUBREQUEST_MEMORY;
        w.done = set_variable;
        w.arg = t;
    } else {
        ssi_flush(s);
    }
    if (!subrequest_open(s->r, &w)) return false;
    s->waiting = wait || v[INC_SET].p;
    return true;
}

/* ---- echo, set, config ---- */

enum { ECHO_VAR, ECHO_DEFAULT, ECHO_ENCODING };

static void choose_encoding(struct ssi *s, struct text name)
{
    if (text_eq(name, T("none"))) s->encoding = SSI_PLAIN;
    else if (text_eq(name, T("url"))) s->encoding = SSI_URL;
    else if (text_eq(name, T("entity"))) s->encoding = SSI_ENTITY;
    else request_log(s->r, L_ERR, 0, "unknown encoding \"%.*s\" in the \"echo\" command", TEXT_ARG(name));
}

static bool echo(struct ssi *s, ssi_values v)
{
    struct text value;
    if (!s->timefmt.n && (text_eq_nocase(v[ECHO_VAR], T("date_local")) || text_eq_nocase(v[ECHO_VAR], T("date_gmt")))) return false;
    if (!ssi_text_lookup(s, v[ECHO_VAR], &value)) value = v[ECHO_DEFAULT].p ? v[ECHO_DEFAULT] : T("(none)");
    if (!value.n) return true;
    if (v[ECHO_ENCODING].p) choose_encoding(s, v[ECHO_ENCODING]);
    struct build b = build_in_pool(s->r->pool, value.n + 32, 0);
    ssi_text_escape(&b, value, s->encoding);
    chain_add_copy(&s->out, build_done(&b));
    return true;
}

static bool set(struct ssi *s, ssi_values v)
{
    struct text value;
    if (!ssi_text_expand(s, v[1], false, &value)) return false;
    ssi_text_variable(s, v[0])->value = pool_text(s->r->main->pool, value);
    return true;
}

static bool configure(struct ssi *s, ssi_values v)
{
    if (v[0].p) s->timefmt = v[0];
    if (v[1].p) s->errmsg = v[1];
    return true;
}

/* ---- if ---- */

static bool is_operand(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '$' || c == '{' || c == '}' || c == '_' || c == '"' || c == '\'';
}

static void keep_names(struct ssi *s, const struct regex *re, const struct captures *c)
{
    struct text name;
    unsigned number;
    for (unsigned i = 0; regex_group_name(re, i, &name, &number); i++) {
        if (number >= c->count) continue;
        const int *at = &c->at[2 * number];
        ssi_text_variable(s, name)->value = at[0] < 0 ? T("") : text_of(c->subject.p + at[0], (size_t) (at[1] - at[0]));
    }
}

static bool matches(struct ssi *s, struct text subject, struct text pattern, bool *out)
{
    struct text why;
    struct captures found = { .count = 0 };
    struct eval e = s->r->eval;
    struct regex *re = regex_compile_now(s->r->pool, pattern, false, &why);
    if (!re) {
        request_log(s->r, L_ERR, 0, "%.*s", TEXT_ARG(why));
        return false;
    }
    subject = pool_text(s->r->main->pool, subject);
    e.captures = &found;
    e.failed = false;
    *out = regex_match(re, subject, &e);
    if (e.failed) return false;
    if (!*out) return true;
    s->shared->captures = found;
    keep_names(s, re, &found);
    return true;
}

/* "$a", "$a = text", "$a != text", "$a = /regex/" */
static bool test(struct ssi *s, struct text t, bool *out)
{
    size_t at = 0;
    struct text left, right;
    while (at < t.n && is_operand(t.p[at])) at++;
    struct text rest = text_from(t, at);
    char *lower = pool_cstr(s->r->pool, text_upto(t, at));
    for (size_t i = 0; i < at; i++) lower[i] = (char) text_lower((unsigned char) lower[i]);      /* as nginx, all of it */
    if (!ssi_text_expand(s, text_of(lower, at), false, &left)) return false;
    while (rest.n && *rest.p == ' ') rest = text_from(rest, 1);
    *out = left.n > 0;
    if (!rest.n) return true;
    bool negative = *rest.p == '!';
    rest = text_from(rest, negative);
    if (!rest.n || *rest.p != '=') goto invalid;
    do rest = text_from(rest, 1); while (rest.n && *rest.p == ' ');
    if (rest.n > 1 && *rest.p == '/') {
        if (rest.p[rest.n - 1] != '/') goto invalid;
        if (!ssi_text_expand(s, text_of(rest.p + 1, rest.n - 2), false, &right) || !matches(s, left, right, out)) return false;
    } else {
        if (rest.n > 1 && rest.p[0] == '\\' && rest.p[1] == '/') rest = text_from(rest, 1);
        if (!ssi_text_expand(s, rest, false, &right)) return false;
        *out = text_eq(left, right);
    }
    *out ^= negative;
    return true;
invalid:
    request_log(s->r, L_ERR, 0, "invalid expression in \"%.*s\"", TEXT_ARG(t));
    return false;
}

static bool decide(struct ssi *s, ssi_values v)
{
    bool holds;
    if (s->chosen) {
        s->output = false;
        return true;
    }
    if (!test(s, v[0], &holds)) return false;
    s->output = s->chosen = holds;
    s->context = SSI_AFTER_IF;
    return true;
}

static bool begin_if(struct ssi *s, ssi_values v)
{
    if (s->context == SSI_OUTSIDE) return decide(s, v);
    request_log(s->r, L_ERR, 0, "the \"if\" command inside the \"if\" command");
    return false;
}

static bool begin_else(struct ssi *s, ssi_values v)
{
    (void) v;
    s->output = !s->chosen;
    s->context = SSI_AFTER_ELSE;
    return true;
}

static bool end_if(struct ssi *s, ssi_values v)
{
    (void) v;
    s->output = true;
    s->chosen = false;
    s->context = SSI_OUTSIDE;
    return true;
}

/* ---- block ---- */

static void drop_content(void *arg) { chain_clear(arg); }

static bool begin_block(struct ssi *s, ssi_values v)
{
    struct pool *pool = s->r->main->pool;
    s->block = pool_new(pool, struct ssi_block);
    *s->block = (struct ssi_block) { .next = s->shared->blocks, .name = pool_text(pool, v[0]) };
    pool_cleanup(pool, drop_content, &s->block->content);
    s->shared->blocks = s->block;
    s->output = false;
    return true;
}

static bool end_block(struct ssi *s, ssi_values v)
{
    (void) v;
    s->output = true;
    s->block = NULL;
    return true;
}

/* ---- all of them ---- */

enum { NEED_FIRST = 1, NEED_TWO = 2 };

/* name, what it does, where it may stand only, read within blocks, parameters, how many of them there must be */
static const struct ssi_command_row rows[] = {
    { "include", include, SSI_OUTSIDE, false, { "virtual", "file", "wait", "set", "stub" }, 0 },
    { "echo", echo, SSI_OUTSIDE, false, { "var", "default", "encoding" }, NEED_FIRST },
    { "config", configure, SSI_OUTSIDE, false, { "timefmt", "errmsg" }, 0 },
    { "set", set, SSI_OUTSIDE, false, { "var", "value" }, NEED_TWO },
    { "if", begin_if, SSI_OUTSIDE, false, { "expr" }, NEED_FIRST },
    { "elif", decide, SSI_AFTER_IF, false, { "expr" }, NEED_FIRST },
    { "else", begin_else, SSI_AFTER_IF, false, { NULL }, 0 },
    { "endif", end_if, SSI_AFTER_ELSE, false, { NULL }, 0 },
    { "block", begin_block, SSI_OUTSIDE, false, { "name" }, NEED_FIRST },
    { "endblock", end_block, SSI_OUTSIDE, true, { NULL }, 0 },
};

static const struct ssi_command_row *find_row(struct text name)
{
    for (size_t i = 0; i < countof(rows); i++)
        if (text_eq(name, text_c(rows[i].name))) return &rows[i];
    return NULL;
}

static bool take_params(struct ssi *s, const struct ssi_command_row *row, struct text *v)
{
    const struct ssi_parser *p = &s->parser;
    struct text name = text_c(row->name);
    for (size_t i = 0; i < p->count; i++) {
        size_t k = 0;
        while (row->params[k] && !text_eq(p->params[i].name, text_c(row->params[k]))) k++;
        if (!row->params[k]) {
            request_log(s->r, L_ERR, 0, "invalid parameter name: \"%.*s\" in \"%.*s\" SSI command", TEXT_ARG(p->params[i].name), TEXT_ARG(name));
            return false;
        }
        if (v[k].p) {
            request_log(s->r, L_ERR, 0, "duplicate \"%.*s\" parameter in \"%.*s\" SSI command", TEXT_ARG(p->params[i].name), TEXT_ARG(name));
            return false;
        }
        v[k] = p->params[i].value.p ? p->params[i].value : T("");
    }
    for (size_t k = 0; k < row->needed; k++) {
        if (v[k].p) continue;
        request_log(s->r, L_ERR, 0, "mandatory \"%s\" parameter is absent in \"%.*s\" SSI command", row->params[k], TEXT_ARG(name));
        return false;
    }
    return true;
}

/* Within a block a command is text, for whoever shows the block. */
static void keep_as_text(struct ssi *s)
{
    const struct ssi_parser *p = &s->parser;
    struct build b = build_in_pool(s->r->pool, 128, 0);
    build_lit(&b, SSI_BEGIN);
    build_text(&b, p->command);
    for (size_t i = 0; i < min_of(p->count, (size_t) SSI_PARAMS_MOST); i++)
        build_fmt(&b, " %.*s=\"%.*s\"", TEXT_ARG(p->params[i].name), TEXT_ARG(p->params[i].value));
    build_lit(&b, " -->");
    chain_add_copy(&s->block->content, build_done(&b));
}

bool ssi_command(struct ssi *s)
{
    const struct ssi_parser *p = &s->parser;
    const struct ssi_command_row *row = find_row(p->command);
    struct text v[countof(row->params)] = { { NULL, 0 } };
    if (!row) {
        request_log(s->r, L_ERR, 0, "invalid SSI command: \"%.*s\"", TEXT_ARG(p->command));
        return false;
    }
    if (!s->output && !row->in_block) {
        if (s->block) {
            keep_as_text(s);
            return true;
        }
        if (!row->only_in) return true;
    }
    if (row->only_in && (s->context == SSI_OUTSIDE || s->context > row->only_in)) {
        request_log(s->r, L_ERR, 0, "invalid context of SSI command: \"%.*s\"", TEXT_ARG(p->command));
        return false;
    }
    if (p->count > SSI_PARAMS_MOST) {
        request_log(s->r, L_ERR, 0, "too many SSI command parameters: \"%.*s\"", TEXT_ARG(p->command));
        return false;
    }
    return take_params(s, row, v) && row->run(s, v);
}
