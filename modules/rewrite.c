/*
 * rewrite: "rewrite", "return", "set", "break" and "if" of a server or a location are one program: a list of steps in the
 * file's order, an "if" skips those in its block. The server's runs in step_server_rewrite, the location's in step_rewrite.
 */
#include "modules/module.h"
#include "eval/condition.h"
#include "http/explain.h"
#include "http/open_file.h"
#include "http/steps.h"
#include "http/vhost.h"
#include "wire/uri.h"
#include <errno.h>

enum op_kind { OP_SET, OP_IF, OP_REWRITE, OP_RETURN, OP_BREAK };

struct rewrite {
    struct regex    *regex;
    struct template *uri;          /* of the replacement: up to "?"; all of it when it redirects */
    struct template *args;         /* after "?"; NULL: there was none */
    int              status;       /* 301, 302: redirects; 0: changes the uri */
    bool             has_args;     /* the replacement has a "?" */
    bool             keep_args;    /* the request's own are added: no "?" at the end */
    bool             last, stop;   /* "last" ends the program; "break" does, too, and the location stays */
};

struct op {
    enum op_kind      kind;
    unsigned          index;       /* set: of the variable */
    struct template  *value;       /* set; return's text or uri, or NULL */
    struct condition *condition;   /* if */
    unsigned          skip;        /* if: where it goes on when the condition does not hold */
    struct location  *location;    /* if, in a location: values in force from here on */
    struct rewrite   *rewrite;
    int               status;      /* return */
    const char       *file;
    unsigned          line;
};

struct program {
    const struct conf_block *block;    /* whose it is: blocks that set nothing share values with those above them */
    struct op               *ops;
    size_t                   count, cap;
};

struct rewrite_conf {
    flag            log, warn;
    struct program *program;
};

extern struct module rewrite_module;

/* ---- reading ---- */

static struct op *add_op(struct conf *cf, enum op_kind kind)
{
    struct conf_block *b = cf->block;
    if (b->kind & (IN_IF | IN_IF_SERVER)) b = b->parent;
    struct rewrite_conf *c = conf_own_values(cf, b, &rewrite_module);
    if (!c->program) c->program = pool_new(cf->pool, struct program);
    struct program *p = c->program;
    p->block = b;
    if (p->count == p->cap) p->ops = pool_grow(cf->pool, p->ops, p->count, &p->cap, sizeof *p->ops);
    struct op *op = &p->ops[p->count++];
    *op = (struct op) { .kind = kind, .file = cf->file, .line = cf->line };
    return op;
}

static bool is_url(struct text t) { return text_starts(t, T("http://")) || text_starts(t, T("https://")) || text_starts(t, T("$scheme")); }

static conf_result parse_break(struct conf *cf, const struct directive *d, void *field)
{
    (void) d, (void) field;
    add_op(cf, OP_BREAK);
    return NULL;
}

static conf_result parse_return(struct conf *cf, const struct directive *d, void *field)
{
    (void) d, (void) field;
    conf_result why = NULL;
    uint64_t status = 302;
    struct text text = { NULL, 0 };
    if (text_u64(cf->words[1], &status)) {
        if (status > 999) return conf_say(cf, "!invalid return code \"%.*s\"", TEXT_ARG(cf->words[1]));
        if (cf->count > 2) text = cf->words[2];
    } else {
        if (cf->count > 2 || !is_url(cf->words[1])) return conf_say(cf, "!invalid return code \"%.*s\"", TEXT_ARG(cf->words[1]));
        text = cf->words[1];
    }
    struct template *value = text.n ? template_compile(cf, text, &why) : NULL;
    struct op *op = add_op(cf, OP_RETURN);
    op->status = (int) status;
    op->value = value;
    return why;
}

static bool get_uninitialized(struct eval *e, const struct variable *v, struct text name, struct text *out)
{
    struct request *r = request_of(e);
    const struct rewrite_conf *c = request_values(r, &rewrite_module);
    (void) v;
    if (c->warn.on) request_log(r, L_WARN, 0, "using uninitialized \"%.*s\" variable", TEXT_ARG(name));
    *out = T("");
    return true;
}

/* A variable that somebody else gives keeps its getter. */
static conf_result define(struct conf *cf, struct text name)
{
    const struct variable *old = variables_find(variables_of(cf, EVAL_HTTP), name);
    struct variable *v = pool_new(cf->pool, struct variable);
    *v = (struct variable) { .name = pool_cstr(cf->pool, name), .flags = VAR_CHANGEABLE, .help = "A variable that \"set\" gives a value." };
    if (!old || !old->get || old->flags & VAR_PREFIX) v->get = get_uninitialized;
    return variables_add(cf, EVAL_HTTP, v);
}

static conf_result parse_set(struct conf *cf, const struct directive *d, void *field)
{
    (void) d, (void) field;
    struct text name = cf->words[1];
    if (name.n < 2 || name.p[0] != '$') return conf_say(cf, "!invalid variable name \"%.*s\"", TEXT_ARG(name));
    name = text_from(name, 1);
    conf_result why = define(cf, name);
    if (why) return why;
    unsigned index = variables_index(cf, name);
    struct template *value = template_compile(cf, cf->words[2], &why);
    struct op *op = add_op(cf, OP_SET);
    op->index = index;
    op->value = value;
    return why;
}

static conf_result read_flag(struct conf *cf, struct rewrite *w, struct text word)
{
    w->last = true;
    if (text_eq(word, T("last"))) return NULL;
    if (text_eq(word, T("break"))) w->stop = true;
    else if (text_eq(word, T("redirect"))) w->status = 302;
    else if (text_eq(word, T("permanent"))) w->status = 301;
    else return conf_say(cf, "!invalid parameter \"%.*s\"", TEXT_ARG(word));
    return NULL;
}

static conf_result read_replacement(struct conf *cf, struct rewrite *w, struct text to)
{
    conf_result why = NULL;
    w->keep_args = !text_ends(to, T("?"));
    if (!w->keep_args) to.n--;
    ssize_t mark = text_find_char(to, '?');
    w->has_args = mark >= 0;
    if (w->status || mark < 0) {
        w->uri = template_compile(cf, to, &why);
        return why;
    }
    w->uri = template_compile(cf, text_upto(to, (size_t) mark), &why);
    if (!why) w->args = template_compile(cf, text_from(to, (size_t) mark + 1), &why);
    return why;
}

static conf_result parse_rewrite(struct conf *cf, const struct directive *d, void *field)
{
    (void) d, (void) field;
    conf_result why = NULL;
    struct rewrite *w = pool_new(cf->pool, struct rewrite);
    if (!cf->words[2].n) return "!empty replacement";
    if (!(w->regex = regex_compile(cf, cf->words[1], false, &why))) return why;
    if (is_url(cf->words[2])) {
        w->status = 302;
        w->last = true;
    }
    if (cf->count > 3) why = read_flag(cf, w, cf->words[3]);
    if (!why) why = read_replacement(cf, w, cf->words[2]);
    add_op(cf, OP_REWRITE)->rewrite = w;
    return why;
}

static conf_result parse_if(struct conf *cf, const struct directive *d, void *field)
{
    (void) d, (void) field;
    conf_result why;
    struct conf_block *block;
    struct condition *condition = condition_compile(cf, cf->words + 1, cf->count - 1, &why);
    if (why) return why;
    struct location *parent = location_reading(cf), *l = NULL;
    if (parent) l = location_open(cf, LOCATION_NONAME, parent->name, parent);
    struct op *op = add_op(cf, OP_IF);
    op->condition = condition;
    op->location = l;
    struct program *p = ((struct rewrite_conf *) conf_own_values(cf, cf->block, &rewrite_module))->program;
    size_t at = p->count - 1;
    why = conf_enter(cf, l ? IN_IF : IN_IF_SERVER, l, &block);
    if (l) l->block = block;
    p->ops[at].skip = (unsigned) p->count;
    return why;
}

/* ---- running ---- */

struct run {
    struct request *r;
    bool            quote;      /* nginx: $1 … in "set" are escaped until a rewrite was done */
    bool            log;        /* rewrite_log */
};

static void put_escaped(struct build *b, struct text value) { uri_escape(b, value, URI_ESCAPE_ARGS); }

/* A template; with escape, what came out of the uri goes back the way it came. */
static void render(struct request *r, const struct template *t, bool escape, struct build *b)
{
    if (escape && (r->quoted_uri || r->plus_in_uri)) template_build_captures(t, &r->eval, b, put_escaped);
    else template_build(t, &r->eval, b);
}

static void add_args(struct build *b, char mark, struct text args)
{
    build_char(b, mark);
    build_text(b, args);
}

static int hex_value(char c)
{
    unsigned char low = text_lower((unsigned char) c);
    return low >= '0' && low <= '9' ? low - '0' : low >= 'a' && low <= 'f' ? low - 'a' + 10 : -1;
}

/* Escapes that a uri need not have are taken out of a redirect, up to the "?"; as nginx. */
static void put_unescaped(struct build *b, struct text t)
{
    for (size_t i = 0; i < t.n; i++) {
        if (t.p[i] == '?') {
            build_text(b, text_from(t, i));
            return;
        }
        if (t.p[i] != '%') {
            build_char(b, t.p[i]);
            continue;
        }
        int high = i + 1 < t.n ? hex_value(t.p[i + 1]) : -1, low = i + 2 < t.n ? hex_value(t.p[i + 2]) : -1;
        if (high < 0 || low < 0) {
            if (high >= 0) i++;
            continue;
        }
        int c = high << 4 | low;
        if (c > '%' && c < 0x7f) build_char(b, (char) c);
        else build_text(b, text_of(t.p + i, 3));
        i += 2;
        if (c != '?') continue;
        build_text(b, text_from(t, i + 1));
        return;
    }
}

static struct verdict redirect(struct run *run, const struct rewrite *w)
{
    struct request *r = run->r;
    struct build raw = build_in_pool(r->pool, 0, 0), b = build_in_pool(r->pool, 0, 0);
    render(r, w->uri, true, &raw);
    put_unescaped(&b, build_done(&raw));
    if (w->keep_args && r->args.n) add_args(&b, w->has_args ? '&' : '?', r->args);
    r->out.location = build_done(&b);
    if (run->log) request_log(r, L_NOTICE, 0, "rewritten redirect: \"%.*s\"", TEXT_ARG(r->out.location));
    return v_reply(w->status);
}

static struct verdict change_uri(struct run *run, const struct rewrite *w)
{
    struct request *r = run->r;
    struct build uri = build_in_pool(r->pool, r->uri.n + 64, 0);
    render(r, w->uri, false, &uri);
    if (w->args) {
        struct build args = build_in_pool(r->pool, r->args.n + 64, 0);
        render(r, w->args, true, &args);
        if (w->keep_args && r->args.n) add_args(&args, '&', r->args);
        r->args = build_done(&args);
        r->has_args = true;
    } else if (!w->keep_args) {
        r->args.n = 0;
    }
    r->uri = build_done(&uri);
    if (run->log) request_log(r, L_NOTICE, 0, "rewritten data: \"%.*s\", args: \"%.*s\"", TEXT_ARG(r->uri), TEXT_ARG(r->args));
    if (r->uri.n) {
        request_set_exten(r);
        return v_next();
    }
    request_log(r, L_ERR, 0, "the rewritten URI has a zero length");
    return v_reply(500);
}

/* *done_out: the program ends here. */
static struct verdict run_rewrite(struct run *run, const struct op *op, bool *done_out)
{
    struct request *r = run->r;
    const struct rewrite *w = op->rewrite;
    bool matched = regex_match(w->regex, r->uri, &r->eval);
    explain_note(op->file, op->line, "rewrite: \"%.*s\" %s \"%.*s\"", TEXT_ARG(regex_source(w->regex)), matched ? "matches" : "does not match", TEXT_ARG(r->uri));
    if (run->log)
        request_log(r, L_NOTICE, 0, "\"%.*s\" %s \"%.*s\"", TEXT_ARG(regex_source(w->regex)), matched ? "matches" : "does not match", TEXT_ARG(r->uri));
    if (!matched) {
        if (r->eval.captures) r->eval.captures->count = 0;
        *done_out = r->eval.failed;
        return r->eval.failed ? v_reply(500) : v_next();
    }
    *done_out = w->last || w->status;
    run->quote = false;
    r->internal = true;
    r->valid_target = false;
    r->uri_changed = !w->stop;
    if (w->stop) r->valid_location = false;
    if (w->status) return redirect(run, w);
    struct verdict v = change_uri(run, w);
    if (unlikely(explain_on != NULL)) explain_more("the uri is now \"%.*s\", args \"%.*s\"%s", TEXT_ARG(r->uri), TEXT_ARG(r->args), w->stop ? ", and stays in this location" : w->last ? ", and the location is looked for anew" : "");
    if (v.what != V_NEXT) *done_out = true;
    return v;
}

static struct verdict run_return(struct request *r, const struct op *op)
{
    explain_note(op->file, op->line, "return %d", op->status);
    if (op->status >= 400 && !op->value) return v_reply(op->status);
    r->out.status = op->status;           /* a text may speak of $status */
    struct text text = op->value ? template_render(op->value, &r->eval) : T("");
    switch (op->status) {
    case 301: case 302: case 303: case 307: case 308:
        r->out.location = text;
        if (!text.n) response_add(r, FIELD_LOCATION, T("Location"), T(""));
        return v_reply(op->status);
    default:
        return response_text(r, op->status, T(""), text, true);
    }
}

static void run_set(struct run *run, const struct op *op)
{
    struct request *r = run->r;
    if (!run->quote || !template_has_captures(op->value)) {
        eval_set(&r->eval, op->index, template_render(op->value, &r->eval));
        return;
    }
    struct build b = build_in_pool(r->pool, 0, 0);
    render(r, op->value, true, &b);
    eval_set(&r->eval, op->index, build_done(&b));
}

/* "-f" and its like: as files that are served, by open_file_cache and disable_symlinks. */
static void look(struct eval *e, struct text path, struct condition_file *out)
{
    struct request *r = request_of(e);
    struct open_file f;
    open_file_look(r, path, &f);
    if (f.err && f.err != ENOENT && f.err != ENOTDIR && f.err != ENAMETOOLONG)
        request_log(r, L_CRIT, f.err, "%s \"%.*s\" failed", f.call, TEXT_ARG(path));
    if (unlikely(explain_on != NULL)) explain_more("\"%.*s\" %s", TEXT_ARG(path), f.err ? "is not there" : f.is_folder ? "is a folder" : f.is_file ? "is a file" : "is neither a file nor a folder");
    if (!f.err) *out = (struct condition_file) { f.is_file, f.is_folder, f.is_executable };
}

static struct verdict run_program(struct request *r, const struct program *p)
{
    struct run run = { .r = r, .quote = true, .log = ((struct rewrite_conf *) request_values(r, &rewrite_module))->log.on };
    bool done = false, holds;
    r->eval.failed = false;
    for (size_t i = 0; i < p->count;) {
        const struct op *op = &p->ops[i++];
        struct verdict v;
        switch (op->kind) {
        case OP_SET:
            run_set(&run, op);
            explain_note(op->file, op->line, "set: the value is \"%.*s\"", TEXT_ARG(value_text(eval_get(&r->eval, op->index))));
            break;
        case OP_IF:
            holds = condition_test(op->condition, &r->eval, run.log ? r->log : NULL, look);
            explain_note(op->file, op->line, "if: the condition %s", holds ? "holds" : "does not hold");
            if (!holds) i = op->skip;
            else if (op->location) request_enter(r, op->location);
            if (unlikely(r->eval.failed)) return v_reply(500);
            break;
        case OP_REWRITE:
            v = run_rewrite(&run, op, &done);
            if (done) return v;
            break;
        case OP_RETURN:
            return run_return(r, op);
        case OP_BREAK:
            if (r->uri_changed) r->valid_location = false;
            r->uri_changed = false;
            return v_next();
        }
    }
    return v_next();
}

static struct verdict run_of(struct request *r, const struct conf_block *b)
{
    const struct rewrite_conf *c = conf_values(b, &rewrite_module);
    return c->program && c->program->block == b ? run_program(r, c->program) : v_next();
}

static struct verdict run_server(struct request *r) { return run_of(r, r->vhost->block); }
static struct verdict run_location(struct request *r) { return r->location->kind == LOCATION_NONAME ? v_next() : run_of(r, r->location->block); }

/* ---- rows ---- */

enum { PLACES = IN_SERVER | IN_LOCATION | IN_IF_SERVER | IN_IF };

static const struct conf_type type_break = { .syntax = "", .flags = CONF_MULTI, .parse = parse_break };
static const struct conf_type type_return = { .syntax = "code [text] | code URL | URL", .flags = CONF_MULTI, .min = 1, .max = 2, .parse = parse_return };
static const struct conf_type type_set = { .syntax = "$variable value", .flags = CONF_MULTI, .min = 2, .max = 2, .parse = parse_set };
static const struct conf_type type_rewrite = { .syntax = "regex replacement [flag]", .flags = CONF_MULTI, .min = 2, .max = 3, .parse = parse_rewrite };
static const struct conf_type type_if = { .syntax = "(condition) { ... }", .flags = CONF_MULTI | CONF_BLOCK, .min = 1, .max = 100, .parse = parse_if };

static const struct directive rows[] = {
    D_DO(&type_break, "break", PLACES, NULL, NULL, "Ends the rewriting of this request here."),
    D_DO(&type_if, "if", IN_SERVER | IN_LOCATION, NULL, NULL, "Where the condition holds, follows what is inside, and in a location goes on with the values set there."),
    D_DO(&type_return, "return", PLACES, NULL, NULL, "Answers with this status, and a text or a redirect."),
    D_DO(&type_rewrite, "rewrite", PLACES, NULL, NULL, "Changes a uri that matches, or redirects it; flags: last, break, redirect, permanent."),
    D_FLAG(struct rewrite_conf, log, "rewrite_log", IN_HSL | IN_IF_SERVER | IN_IF, "off", "Notes in the error log, at level notice, how rewriting went."),
    D_DO(&type_set, "set", PLACES, NULL, NULL, "Gives a variable a value."),
    D_FLAG(struct rewrite_conf, warn, "uninitialized_variable_warn", IN_HSL | IN_IF_SERVER | IN_IF, "on", "Warns of variables that are used before \"set\" gave them a value."),
    { .name = NULL },
};

static const struct hook hooks[] = {
    { .step = &step_server_rewrite, .name = "rewrite", .run = run_server },
    { .step = &step_rewrite, .name = "rewrite", .run = run_location },
    { .step = NULL },
};
static const struct http_part part = { .hooks = hooks, .if_given = true };

struct module rewrite_module = {
    .name = "rewrite", .conf_size = sizeof(struct rewrite_conf), .rows = rows, .part = &part, .part_kind = &http_part_kind,
};
