#include "config/source.h"
#include <stdio.h>

/* What ends or complicates a bare word. */
static const bool special[256] = {
    [' '] = 1, ['\t'] = 1, ['\r'] = 1, ['\n'] = 1, [';'] = 1, ['{'] = 1, ['\\'] = 1, ['$'] = 1,
};

static bool is_space(char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; }

struct source source_of(char *bytes, size_t n, bool is_param)
{
    return (struct source) { .at = bytes, .end = bytes + n, .line = 1, .is_param = is_param };
}

static enum source_stop unexpected(struct source *s, char c)
{
    snprintf(s->why, sizeof s->why, "unexpected \"%c\"", c);
    return SOURCE_WRONG;
}

static enum source_stop ended(struct source *s)
{
    snprintf(s->why, sizeof s->why, s->is_param ? "unexpected end of parameter, expecting \";\""
                                                : "unexpected end of file, expecting \";\" or \"}\"");
    return SOURCE_WRONG;
}

/* quote: the word's opening quote, or 0. */
static enum source_stop too_long(struct source *s, const char *start, unsigned line, char quote)
{
    s->line = line;
    if (quote) snprintf(s->why, sizeof s->why, "too long parameter, probably missing terminating \"%c\" character", quote);
    else snprintf(s->why, sizeof s->why, "too long parameter \"%.10s...\" started", start);
    return SOURCE_WRONG;
}

static void tell_remark(struct source *s, const char *p)
{
    const char *end = memchr(p, '\n', (size_t) (s->end - p));
    s->remark(s->remark_arg, s->line, s->line == s->ended_line, text_of(p + 1, (size_t) ((end ? end : s->end) - p - 1)));
}

static void skip_blanks(struct source *s)
{
    char *p = s->at;
    for (; p < s->end; p++) {
        if (unlikely(*p == '#') && s->remark) tell_remark(s, p);
        if (*p == '#' && !(p = memchr(p, '\n', (size_t) (s->end - p)))) {
            s->at = s->end;
            return;
        }
        if (*p == '\n') s->line++;
        else if (!is_space(*p)) break;
    }
    s->at = p;
}

/* Resolves \" \' \\ \t \r \n in place; any other backslash stays. Returns the new end. */
static char *unescape(char *p, const char *end)
{
    char *to = p;
    while (p < end) {
        if (*p == '\\') {
            switch (p[1]) {
            case '"': case '\'': case '\\': p++; break;
            case 't': *to++ = '\t'; p += 2; continue;
            case 'r': *to++ = '\r'; p += 2; continue;
            case 'n': *to++ = '\n'; p += 2; continue;
            }
        }
        *to++ = *p++;
    }
    return to;
}

static void add_word(struct pool *pool, struct source_words *words, char *from, char *end, bool escaped)
{
    if (escaped) end = unescape(from, end);
    *end = 0;
    if (words->n == words->cap) words->v = pool_grow(pool, words->v, words->n, &words->cap, sizeof *words->v);
    words->v[words->n++] = text_of(from, (size_t) (end - from));
}

/* The end of a bare word: the byte that ends it, or the end of the source. */
static char *scan_bare(struct source *s, char *p, bool *escaped)
{
    while (p < s->end) {
        if (likely(!special[(unsigned char) *p])) {
            p++;
        } else if (*p == '\\') {
            *escaped = true;
            if (++p < s->end && *p++ == '\n') s->line++;
        } else if (*p == '$') {
            for (p++; p < s->end && *p == '{'; p++) { }     /* "${name}" does not open a block */
        } else {
            break;
        }
    }
    return p;
}

static char *scan_quoted(struct source *s, char *p, char quote, bool *escaped)
{
    while (p < s->end && *p != quote) {
        if (*p == '\\') {
            *escaped = true;
            if (++p == s->end) break;
        }
        if (*p++ == '\n') s->line++;
    }
    return p;
}

/* Puts how the words ended into *stop; false: more words follow. */
static bool read_bare(struct source *s, struct pool *pool, struct source_words *words, enum source_stop *stop)
{
    bool escaped = false;
    unsigned line = s->line;
    char *start = s->at, *end = scan_bare(s, start, &escaped);
    if (unlikely(end - start >= SOURCE_WORD_MAX)) { *stop = too_long(s, start, line, 0); return true; }
    if (unlikely(end == s->end)) { *stop = ended(s); return true; }
    char c = *end;
    s->at = end + 1;
    add_word(pool, words, start, end, escaped);
    if (c == '\n') s->line++;
    if (c != ';' && c != '{') return false;
    *stop = c == ';' ? SOURCE_SEMICOLON : SOURCE_OPEN;
    return true;
}

static bool read_quoted(struct source *s, struct pool *pool, struct source_words *words, enum source_stop *stop)
{
    bool escaped = false;
    unsigned line = s->line;
    char quote = *s->at, *start = s->at + 1, *end = scan_quoted(s, start, quote, &escaped);
    if (unlikely(end - start >= SOURCE_WORD_MAX)) { *stop = too_long(s, start, line, quote); return true; }
    if (unlikely(end == s->end)) { *stop = ended(s); return true; }
    s->at = end + 1;
    add_word(pool, words, start, end, escaped);
    if (s->at == s->end || is_space(*s->at) || *s->at == ';' || *s->at == '{' || *s->at == ')') return false;
    *stop = unexpected(s, *s->at);
    return true;
}

static enum source_stop read_words(struct source *s, struct pool *pool, struct source_words *words)
{
    enum source_stop stop = SOURCE_WRONG;
    words->n = 0;
    for (;;) {
        skip_blanks(s);
        if (s->at == s->end) return words->n ? ended(s) : SOURCE_END;
        switch (*s->at) {
        case ';': case '{':
            if (!words->n) return unexpected(s, *s->at);
            return *s->at++ == ';' ? SOURCE_SEMICOLON : SOURCE_OPEN;
        case '}':
            if (words->n) return unexpected(s, '}');
            s->at++;
            return SOURCE_CLOSE;
        case '"': case '\'':
            if (read_quoted(s, pool, words, &stop)) return stop;
            break;
        default:
            if (read_bare(s, pool, words, &stop)) return stop;
        }
    }
}

enum source_stop source_read(struct source *s, struct pool *pool, struct source_words *words)
{
    enum source_stop stop = read_words(s, pool, words);
    s->ended_line = s->line;
    return stop;
}
