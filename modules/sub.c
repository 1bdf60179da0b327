/* sub: words in a body replaced by others. */
#include "modules/module.h"
#include "base/search.h"
#include "http/type_set.h"

struct pair { struct template *word, *replacement; };
struct pairs { struct pair *v; size_t n, cap; bool dynamic; struct search *search; };    /* search: where no word has variables */
struct sub_conf { struct pairs pairs; flag once, last_modified; struct type_set types; };

struct sub {
    const struct sub_conf *conf;
    const struct search   *search;
    const struct pair    **pairs;     /* of the words that search knows */
    size_t                 left;      /* words still looked for */
    bool                  *off;       /* those of which one was enough */
    struct text           *by;        /* replacements, once they are known (p not NULL) */
    char                  *tail;      /* what may become a word with what comes next, and room for that */
    size_t                 tail_n;
    struct chain           out;
};

extern struct module sub_module;

static void forget(void *arg)
{
    chain_clear(&((struct sub *) arg)->out);
}

/* The words of this request, without empty ones. */
static void make_search(struct request *r, const struct pairs *pairs, struct sub *s)
{
    struct text *words = pool_array(r->pool, struct text, pairs->n);
    s->pairs = pool_array(r->pool, const struct pair *, pairs->n);
    for (size_t i = 0; i < pairs->n; i++) {
        struct text word = pairs->search ? T("-") : template_render(pairs->v[i].word, &r->eval);
        if (!word.n) continue;
        words[s->left] = word;
        s->pairs[s->left++] = &pairs->v[i];
    }
    if (s->left) s->search = pairs->search ? pairs->search : search_open(r->pool, words, s->left);
}

static struct sub *start(struct request *r, const struct sub_conf *c)
{
    struct sub *s = pool_new(r->pool, struct sub);
    s->conf = c;
    make_search(r, &c->pairs, s);
    if (!s->left) return NULL;
    s->off = pool_array(r->pool, bool, s->left);
    s->by = pool_array(r->pool, struct text, s->left);
    s->tail = pool_bytes(r->pool, 2 * search_longest(s->search));
    pool_cleanup(r->pool, forget, s);
    return s;
}

static bool head(struct request *r, struct filter_at *at)
{
    const struct sub_conf *c = request_values(r, &sub_module);
    if (!c->pairs.n || r->out.length == 0 || !type_set_has(&c->types, r)) return false;
    if (!(at->state = start(r, c))) return false;
    if (r->main != r) return true;
    r->out.length = -1;
    if (c->last_modified.on) {
        response_weaken_etag(r);
    } else {
        response_clear_modified(r);
        response_clear_etag(r);
    }
    return true;
}

static void replace(struct request *r, struct sub *s, size_t word)
{
    struct text *by = &s->by[word];
    if (!by->p) {
        *by = template_render(s->pairs[word]->replacement, &r->eval);
        if (!by->p) *by = T("");
    }
    chain_add_text(&s->out, *by);
    if (!s->conf->once.on) return;
    s->off[word] = true;
    s->left--;
}

static void keep(struct sub *s, const char *p, size_t n)
{
    memmove(s->tail, p, n);
    s->tail_n = n;
}

/* What begins in the tail, with the first of t's bytes behind it. Gives how many of those went with it. */
static size_t finish_tail(struct request *r, struct sub *s, struct text t)
{
    while (s->tail_n) {
        size_t more = min_of(t.n, search_longest(s->search) - 1), at = 0, word = 0, had = s->tail_n;
        memcpy(s->tail + had, t.p, more);
        enum search_result found = s->left ? search_next(s->search, text_of(s->tail, had + more), false, s->off, &at, &word) : SEARCH_NONE;
        if (found == SEARCH_NONE || at >= had) at = had;
        chain_add_copy(&s->out, text_of(s->tail, at));
        if (at == had) {
            s->tail_n = 0;
        } else if (found == SEARCH_MAYBE) {     /* all of t is in it */
            keep(s, s->tail + at, had + more - at);
            return more;
        } else {
            size_t end = at + search_length(s->search, word);
            replace(r, s, word);
            s->tail_n = 0;
            if (end >= had) return end - had;
            keep(s, s->tail + end, had - end);
        }
    }
    return 0;
}

/* The first n bytes of the first link of in go, but not their flush. */
static void drop(struct sub *s, struct chain *in, size_t n)
{
    bool flush = in->first && in->first->n == n && chain_first_flushes(in);
    chain_skip(in, n);
    if (flush) chain_add_flush(&s->out);
}

/* The bytes of the first link of in go to out, or to the tail. */
static void take_link(struct request *r, struct sub *s, struct chain *in)
{
    struct text t = text_of(in->first->p, in->first->n);
    size_t skip = finish_tail(r, s, t), at = 0, word = 0;
    drop(s, in, skip);
    t = text_from(t, skip);
    while (t.n) {
        enum search_result found = s->left ? search_next(s->search, t, false, s->off, &at, &word) : SEARCH_NONE;
        if (found == SEARCH_NONE) at = t.n;
        chain_move_bytes(&s->out, in, at);
        if (found == SEARCH_NONE) return;
        size_t gone = t.n - at;
        if (found == SEARCH_FOUND) {
            gone = search_length(s->search, word);
            replace(r, s, word);
        } else {
            keep(s, t.p + at, gone);
        }
        drop(s, in, gone);
        t = text_from(t, at + gone);
    }
}

/* What is left in the tail when nothing follows. */
static void end_tail(struct request *r, struct sub *s)
{
    struct text t = text_of(s->tail, s->tail_n);
    size_t at = 0, word = 0;
    while (s->left && search_next(s->search, t, true, s->off, &at, &word) == SEARCH_FOUND) {
        chain_add_copy(&s->out, text_upto(t, at));
        replace(r, s, word);
        t = text_from(t, at + search_length(s->search, word));
    }
    chain_add_copy(&s->out, t);
    s->tail_n = 0;
}

static void body(struct request *r, struct filter_at *at, struct chain *in, enum body_end end)
{
    struct sub *s = at->state;
    bool given = in->first != NULL;
    if (!s->left && !s->tail_n) chain_move(&s->out, in);
    while (in->first) {
        if (in->first->n) take_link(r, s, in);
        else drop(s, in, 0);
    }
    if (end == BODY_FINAL) end_tail(r, s);
    if (s->out.first || end != BODY_MORE || !given) filter_pass(r, at, &s->out, end);
}

/* ---- directives ---- */

static conf_result parse_pair(struct conf *cf, const struct directive *d, void *field)
{
    struct pairs *pairs = field;
    conf_result why = NULL;
    struct pair p;
    (void) d;
    if (!cf->words[1].n) return conf_say(cf, "!empty search pattern");
    if (!(p.word = template_compile(cf, cf->words[1], &why)) || !(p.replacement = template_compile(cf, cf->words[2], &why))) return why;
    if (pairs->n == pairs->cap) pairs->v = pool_grow(cf->pool, pairs->v, pairs->n, &pairs->cap, sizeof *pairs->v);
    pairs->v[pairs->n++] = p;
    pairs->dynamic |= !template_is_constant(p.word);
    return NULL;
}

static const struct conf_type type_pair = { "string replacement", sizeof(struct pairs), CONF_MULTI, 2, 2, parse_pair };

static conf_result check(struct conf *cf, struct conf_block *b, void *values)
{
    struct pairs *pairs = &((struct sub_conf *) values)->pairs;
    if (!pairs->n || pairs->dynamic || pairs->search) return NULL;
    (void) b;
    struct text *words = pool_array(cf->pool, struct text, pairs->n);
    for (size_t i = 0; i < pairs->n; i++) words[i] = template_source(pairs->v[i].word);
    pairs->search = search_open(cf->pool, words, pairs->n);
    return NULL;
}

static const struct directive rows[] = {
    D_TYPE(struct sub_conf, pairs, struct pairs, &type_pair, "sub_filter", IN_HSL, NULL, "Replaces a string in responses, found whatever the case of its letters, by another; both may have variables."),
    D_FLAG(struct sub_conf, once, "sub_filter_once", IN_HSL, "on", "Whether each string is replaced only the first time."),
    D_FLAG(struct sub_conf, last_modified, "sub_filter_last_modified", IN_HSL, "off", "Whether Last-Modified stays although strings are replaced."),
    D_TYPES(struct sub_conf, types, "sub_filter_types", IN_HSL, "text/html", "The content types in which strings are replaced, besides text/html; * is any."),
    { 0 }
};

static const struct filter sub_filter = { .name = "sub", .head = head, .body = body, .bytes = true };
static const struct filter *const filters[] = { &sub_filter, NULL };
static const struct http_part part = { .filters = filters, .if_given = true };

struct module sub_module = { .name = "sub", .conf_size = sizeof(struct sub_conf), .rows = rows, .check = check, .part = &part, .part_kind = &http_part_kind };
