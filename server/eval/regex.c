/* regex: PCRE2 with JIT. One match data, one JIT stack a process; what a match may cost is bounded. */
#define PCRE2_CODE_UNIT_WIDTH 8
#include "eval/match.h"
#include <pcre2.h>

#define REGEX_MAGIC 0x52454758u

/* Steps of backtracking: about a hundredth of a second, where PCRE2's own default is ten times that. */
enum { MATCH_LIMIT = 1000000, HEAP_LIMIT_KIB = 4096, JIT_STACK_FIRST = 32 * 1024, JIT_STACK_MOST = 512 * 1024 };

struct group { unsigned number, index; };     /* a named group and the variable it sets */

struct regex {
    unsigned      magic;
    unsigned      groups;
    bool          fast;          /* compiled to machine code, no text check needed before it runs */
    pcre2_code   *code;
    struct text   source;
    struct text   start;         /* what every match begins with: of most that do not match this tells at once */
    unsigned      named;
    struct group *name;
};

static pcre2_match_context *context;
static pcre2_match_data    *data;
static uint32_t             data_pairs;

static void free_code(void *code) { pcre2_code_free(code); }

static conf_result explain(struct conf *cf, struct text pattern, int err, size_t at)
{
    char words[256];
    pcre2_get_error_message(err, (PCRE2_UCHAR *) words, sizeof words);
    if (at >= pattern.n) return conf_say(cf, "!pcre2_compile() failed: %s in \"%.*s\"", words, TEXT_ARG(pattern));
    return conf_say(cf, "!pcre2_compile() failed: %s in \"%.*s\" at \"%.*s\"", words, TEXT_ARG(pattern), TEXT_ARG(text_from(pattern, at)));
}

/* Every named group becomes a variable, set by a match. */
static conf_result add_names(struct conf *cf, struct regex *r)
{
    uint32_t count = 0, size = 0;
    const unsigned char *row = NULL;
    pcre2_pattern_info(r->code, PCRE2_INFO_NAMECOUNT, &count);
    pcre2_pattern_info(r->code, PCRE2_INFO_NAMEENTRYSIZE, &size);
    pcre2_pattern_info(r->code, PCRE2_INFO_NAMETABLE, &row);
    enum eval_kind kind = variables_kind(variables_here(cf));
    r->name = pool_array(cf->pool, struct group, count);
    r->named = count;
    for (uint32_t i = 0; i < count; i++, row += size) {
        struct variable *v = pool_new(cf->pool, struct variable);
        v->name = pool_cstr(cf->pool, text_c((const char *) row + 2));
        v->flags = VAR_CHANGEABLE;
        v->help = "A named group of a regular expression.";
        conf_result why = variables_add(cf, kind, v);
        if (why) return why;
        r->name[i] = (struct group) { (unsigned) row[0] << 8 | row[1], variables_index(cf, text_c(v->name)) };
    }
    return NULL;
}

/* The plain letters behind "^", where neither another branch nor another case may do. */
static struct text read_start(struct pool *pool, struct text pattern, bool nocase)
{
    struct build b = build_in_pool(pool, pattern.n, pattern.n);
    size_t i = 1, before = 0;
    if (nocase || !text_starts(pattern, T("^")) || text_find_char(pattern, '|') >= 0) return T("");
    for (; i < pattern.n && !strchr("^$.[]()?*+{}|#", pattern.p[i]) && pattern.p[i]; i++) {
        before = b.n;
        if (pattern.p[i] == '\\' && (++i == pattern.n || !strchr("./-_", pattern.p[i]) || !pattern.p[i])) break;
        build_char(&b, pattern.p[i]);
    }
    bool repeated = i < pattern.n && strchr("?*+{", pattern.p[i]);     /* the last one may come never */
    return text_upto(build_done(&b), repeated ? before : b.n);
}

struct regex *regex_compile(struct conf *cf, struct text pattern, bool nocase, conf_result *why)
{
    int err;
    size_t at;
    uint32_t groups, options;
    pcre2_code *code = pcre2_compile((PCRE2_SPTR) pattern.p, pattern.n, nocase ? PCRE2_CASELESS : 0, &err, &at, NULL);
    if (!code) {
        *why = explain(cf, pattern, err, at);
        return NULL;
    }
    pool_cleanup(cf->pool, free_code, code);
    pcre2_pattern_info(code, PCRE2_INFO_CAPTURECOUNT, &groups);
    pcre2_pattern_info(code, PCRE2_INFO_ALLOPTIONS, &options);
    struct regex *r = pool_new(cf->pool, struct regex);
    *r = (struct regex) { .magic = REGEX_MAGIC, .groups = groups, .code = code, .source = text_of(pool_cstr(cf->pool, pattern), pattern.n) };
    r->fast = pcre2_jit_compile(code, PCRE2_JIT_COMPLETE) == 0 && !(options & PCRE2_UTF);
    if (!(options & (PCRE2_EXTENDED | PCRE2_MULTILINE | PCRE2_CASELESS))) r->start = read_start(cf->pool, pattern, nocase);
    *why = add_names(cf, r);
    return *why ? NULL : r;
}

struct regex *regex_compile_now(struct pool *pool, struct text pattern, bool nocase, struct text *why_out)
{
    int err;
    size_t at;
    uint32_t groups;
    char words[256];
    pcre2_code *code = pcre2_compile((PCRE2_SPTR) pattern.p, pattern.n, nocase ? PCRE2_CASELESS : 0, &err, &at, NULL);
    if (!code) {
        pcre2_get_error_message(err, (PCRE2_UCHAR *) words, sizeof words);
        *why_out = pool_printf(pool, "pcre2_compile() failed: %s in \"%.*s\"", words, TEXT_ARG(pattern));
        return NULL;
    }
    pool_cleanup(pool, free_code, code);
    pcre2_pattern_info(code, PCRE2_INFO_CAPTURECOUNT, &groups);
    struct regex *r = pool_new(pool, struct regex);
    *r = (struct regex) { .magic = REGEX_MAGIC, .groups = groups, .code = code, .source = text_of(pool_cstr(pool, pattern), pattern.n) };
    return r;
}

bool regex_group_name(const struct regex *r, unsigned n, struct text *name_out, unsigned *number_out)
{
    uint32_t count = 0, size = 0;
    const unsigned char *row = NULL;
    NEED(r, REGEX_MAGIC);
    pcre2_pattern_info(r->code, PCRE2_INFO_NAMECOUNT, &count);
    pcre2_pattern_info(r->code, PCRE2_INFO_NAMEENTRYSIZE, &size);
    pcre2_pattern_info(r->code, PCRE2_INFO_NAMETABLE, &row);
    if (n >= count) return false;
    row += (size_t) n * size;
    *name_out = text_c((const char *) row + 2);
    *number_out = (unsigned) row[0] << 8 | row[1];
    return true;
}

static void make_context(void)
{
    context = pcre2_match_context_create(NULL);
    pcre2_jit_stack *stack = pcre2_jit_stack_create(JIT_STACK_FIRST, JIT_STACK_MOST, NULL);
    ASSERT(context && stack);
    pcre2_jit_stack_assign(context, NULL, stack);
    pcre2_set_match_limit(context, MATCH_LIMIT);
    pcre2_set_heap_limit(context, HEAP_LIMIT_KIB);
}

static void make_room(uint32_t pairs)
{
    if (!context) make_context();
    pcre2_match_data_free(data);
    data_pairs = max_of(pairs, 32u);
    data = pcre2_match_data_create(data_pairs, NULL);
    ASSERT(data);
}

/* What matched, into e: numbered groups as captures, named ones as values. */
static void keep(const struct regex *r, struct text subject, struct eval *e)
{
    const PCRE2_SIZE *at = pcre2_get_ovector_pointer(data);
    if (!e->captures) e->captures = pool_new(e->pool, struct captures);
    struct captures *c = e->captures;
    c->subject = subject;
    c->count = min_of(r->groups + 1, (unsigned) EVAL_CAPTURES);
    for (unsigned i = 0; i < 2 * c->count; i++) c->at[i] = at[i] == PCRE2_UNSET ? -1 : (int) at[i];
    for (unsigned i = 0; i < r->named; i++) {
        const PCRE2_SIZE *pair = at + 2 * r->name[i].number;
        bool took_part = pair[0] != PCRE2_UNSET;
        eval_set(e, r->name[i].index, took_part ? text_of(subject.p + pair[0], pair[1] - pair[0]) : T(""));
    }
}

static bool complain(const struct regex *r, struct text subject, int err, struct eval *e)
{
    char words[256];
    pcre2_get_error_message(err, (PCRE2_UCHAR *) words, sizeof words);
    if (e) e->failed = true;
    log_at(e ? e->log : log_main, L_ERR, e ? e->about : NULL, 0, "pcre2_match() failed: %s on \"%.*s\" using \"%.*s\"", words,
           TEXT_ARG(text_upto(subject, min_of(subject.n, (size_t) 512))), TEXT_ARG(r->source));
    return false;
}

bool regex_match(const struct regex *r, struct text subject, struct eval *e)
{
    NEED(r, REGEX_MAGIC);
    if (r->start.n && !text_starts(subject, r->start)) return false;
    if (unlikely(r->groups >= data_pairs)) make_room(r->groups + 1);
    PCRE2_SPTR p = (PCRE2_SPTR) (subject.p ? subject.p : "");
    int rc = r->fast ? pcre2_jit_match(r->code, p, subject.n, 0, 0, data, context) : pcre2_match(r->code, p, subject.n, 0, 0, data, context);
    if (rc == PCRE2_ERROR_NOMATCH) return false;
    if (unlikely(rc < 0)) return complain(r, subject, rc, e);
    if (e) keep(r, subject, e);
    return true;
}

struct text regex_source(const struct regex *r) { return r->source; }
unsigned regex_groups(const struct regex *r) { return r->groups; }
