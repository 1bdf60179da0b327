/* log_format: a list of pieces. */
#include "eval/log_format.h"
#ifdef __SSE2__
#include <emmintrin.h>
#endif

enum escape { ESCAPE_DEFAULT, ESCAPE_JSON, ESCAPE_NONE };

struct piece {
    void      (*put)(struct eval *e, struct build *b);   /* a word of the caller's; else: */
    const char *p;                                       /* text; NULL: the variable number n */
    uint32_t    n;
};

struct log_format {
    enum escape   escape;
    size_t        count, cap;
    struct piece *pieces;
};

static void add(struct conf *cf, struct log_format *f, struct piece piece)
{
    if (f->count == f->cap) f->pieces = pool_grow(cf->pool, f->pieces, f->count, &f->cap, sizeof *f->pieces);
    f->pieces[f->count++] = piece;
}

static bool in_name(char c) { return (text_lower((unsigned char) c) >= 'a' && text_lower((unsigned char) c) <= 'z') || (c >= '0' && c <= '9') || c == '_'; }

/* rest begins after "$", and then behind the name. */
static conf_result read_variable(struct conf *cf, enum eval_kind kind, struct log_format *f, const struct log_word *own, struct text *rest)
{
    bool bracket = rest->n > 1 && rest->p[0] == '{';
    struct text from = text_from(*rest, bracket);
    size_t n = 0;
    while (n < from.n && in_name(from.p[n])) n++;
    struct text name = text_upto(from, n);
    bool closed = n < from.n && from.p[n] == '}';
    if (bracket && !closed) return conf_say(cf, "!the closing bracket in \"%.*s\" variable is missing", TEXT_ARG(name));
    if (!n) return conf_say(cf, "!invalid parameter \"$%.*s\"", TEXT_ARG(*rest));
    *rest = text_from(from, n + bracket);
    while (own->name && !text_eq(text_c(own->name), name)) own++;
    if (own->name) add(cf, f, (struct piece) { .put = own->put });
    else add(cf, f, (struct piece) { .n = variables_index_of(cf, kind, name) });
    return NULL;
}

static conf_result read_escape(struct conf *cf, struct log_format *f, struct text word)
{
    if (text_eq(word, T("default"))) f->escape = ESCAPE_DEFAULT;
    else if (text_eq(word, T("json"))) f->escape = ESCAPE_JSON;
    else if (text_eq(word, T("none"))) f->escape = ESCAPE_NONE;
    else return conf_say(cf, "!unknown log format escaping \"%.*s\"", TEXT_ARG(word));
    return NULL;
}

struct log_format *log_format_compile(struct conf *cf, enum eval_kind kind, const struct text *words, size_t count, const struct log_word *own, conf_result *why)
{
    struct log_format *f = pool_new(cf->pool, struct log_format);
    *why = NULL;
    if (count && text_starts(words[0], T("escape="))) {
        if ((*why = read_escape(cf, f, text_from(words[0], strlen("escape="))))) return NULL;
        words++, count--;
    }
    for (size_t i = 0; i < count; i++) {
        for (struct text rest = pool_text(cf->pool, words[i]); rest.n;) {
            if (rest.p[0] == '$') {
                rest = text_from(rest, 1);
                if ((*why = read_variable(cf, kind, f, own, &rest))) return NULL;
                continue;
            }
            ssize_t at = text_find_char(rest, '$');
            size_t n = at < 0 ? rest.n : (size_t) at;
            add(cf, f, (struct piece) { .p = rest.p, .n = (uint32_t) n });
            rest = text_from(rest, n);
        }
    }
    return f;
}

/* ---- escaping: long runs of bytes that stay as they are ---- */

static inline bool is_plain(unsigned char c, bool json) { return c >= 0x20 && c != '"' && c != '\\' && (json || c < 0x7f); }

#ifdef __SSE2__
#define STEP 16
/* Which of sixteen bytes need an escape, a bit each. Signed, bytes above 127 are below a space. */
static inline unsigned special(const char *p, bool json)
{
    __m128i v = _mm_loadu_si128((const __m128i *) (const void *) p);
    __m128i quote = _mm_or_si128(_mm_cmpeq_epi8(v, _mm_set1_epi8('"')), _mm_cmpeq_epi8(v, _mm_set1_epi8('\\')));
    __m128i other = json ? _mm_cmpeq_epi8(_mm_min_epu8(v, _mm_set1_epi8(0x1f)), v)
                         : _mm_or_si128(_mm_cmplt_epi8(v, _mm_set1_epi8(0x20)), _mm_cmpeq_epi8(v, _mm_set1_epi8(0x7f)));
    return (unsigned) _mm_movemask_epi8(_mm_or_si128(quote, other));
}
#endif

/* How many bytes at the front need no escape. */
static inline size_t plain(struct text t, bool json)
{
    size_t i = 0;
#ifdef __SSE2__
    for (; i + STEP <= t.n; i += STEP) {
        unsigned hit = special(t.p + i, json);
        if (hit) return i + (size_t) __builtin_ctz(hit);
    }
    if (i && i < t.n) {                            /* the rest, with bytes that were looked at before it */
        unsigned hit = special(t.p + t.n - STEP, json);
        return hit ? t.n - STEP + (size_t) __builtin_ctz(hit) : t.n;
    }
#endif
    while (i < t.n && is_plain((unsigned char) t.p[i], json)) i++;
    return i;
}

static void put_escaped(struct build *b, struct text t, bool json)
{
    for (;;) {
        size_t n = plain(t, json);
        build_text(b, text_upto(t, n));
        if (n == t.n) return;
        if (json) build_json(b, text_of(t.p + n, 1));
        else build_escaped(b, text_of(t.p + n, 1));
        t = text_from(t, n + 1);
    }
}

void log_format_build(const struct log_format *f, struct eval *e, struct build *b)
{
    for (const struct piece *p = f->pieces, *end = p + f->count; p < end; p++) {
        if (p->p) {
            build_text(b, text_of(p->p, p->n));
            continue;
        }
        if (p->put) {
            p->put(e, b);
            continue;
        }
        struct value v = eval_get(e, p->n);
        if (v.state == VALUE_MISSING) {
            if (f->escape == ESCAPE_DEFAULT) build_char(b, '-');
        } else if (f->escape == ESCAPE_NONE) {
            build_text(b, value_text(v));
        } else {
            put_escaped(b, value_text(v), f->escape == ESCAPE_JSON);
        }
    }
}
