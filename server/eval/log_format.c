/* log_format: a list of pieces. */
#include "eval/log_format.h"

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

/* ---- escaping: long runs of bytes that stay as they are, eight at a time ---- */

#define EACH(c) ((uint64_t) (c) * 0x0101010101010101u)

/* The high bit of each byte that is "c" (exact for the lowest such byte, which is the one that counts). */
static inline uint64_t has(uint64_t w, unsigned char c) { uint64_t x = w ^ EACH(c); return (x - EACH(0x01)) & ~x & EACH(0x80); }
/* Below a space, '"' or '\'. */
static inline uint64_t has_json(uint64_t w) { return ((w - EACH(0x20)) & ~w & EACH(0x80)) | has(w, '"') | has(w, '\\'); }
/* The same, DEL and above. */
static inline uint64_t has_special(uint64_t w) { return has_json(w) | (w & EACH(0x80)) | has(w, 0x7f); }

/* How many bytes at the front need no escape. */
static inline size_t plain(struct text t, bool json)
{
    size_t i = 0;
    for (; i + 8 <= t.n; i += 8) {
        uint64_t w;
        memcpy(&w, t.p + i, 8);
        uint64_t hit = json ? has_json(w) : has_special(w);
        if (hit) return i + (size_t) __builtin_ctzll(hit) / 8;
    }
    for (; i < t.n; i++) {
        unsigned char c = (unsigned char) t.p[i];
        if (c < 0x20 || c == '"' || c == '\\' || (!json && c >= 0x7f)) break;
    }
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
