#include "wire/chunked.h"
#include "wire/scan.h"

enum step {
    SIZE, BEFORE_SEMICOLON, BEFORE_NAME, NAME, AFTER_NAME, BEFORE_VALUE, TOKEN, QUOTED, ESCAPED, AFTER_QUOTED, SIZE_LF,
    DATA, DATA_CR, DATA_LF, TRAILERS_OR_END, END_LF, TRAILERS, ENDED,
};

enum { DIGITS_MOST = 16 };

void chunked_begin(struct chunked *c) { *c = (struct chunked) { .step = SIZE }; }

void chunked_room(struct chunked *c, char *room, size_t size)
{
    c->room = room;
    c->room_size = size;
    h1_begin(&c->parse, H1_TRAILERS);
}

static inline bool is_blank(char c) { return c == ' ' || c == '\t'; }

/* Into the next step, or at a fault: -1 where what comes next is not allowed. */
static int after_size(char c)
{
    return c == '\r' ? SIZE_LF : c == ';' ? BEFORE_NAME : is_blank(c) ? BEFORE_SEMICOLON : -1;
}

/* RFC 9112 7.1.1: *( BWS ";" BWS name [ BWS "=" BWS ( token | quoted-string ) ] ) */
static int next_in_extension(enum step step, char c)
{
    bool token = scan_is_token((unsigned char) c);
    switch (step) {
    case BEFORE_SEMICOLON: return is_blank(c) ? (int) step : c == ';' ? BEFORE_NAME : -1;
    case BEFORE_NAME:      return is_blank(c) ? (int) step : token ? NAME : -1;
    case NAME:             return token ? (int) step : is_blank(c) ? AFTER_NAME : c == '=' ? BEFORE_VALUE : after_size(c);
    case AFTER_NAME:       return is_blank(c) ? (int) step : c == '=' ? BEFORE_VALUE : c == ';' ? BEFORE_NAME : -1;
    case BEFORE_VALUE:     return is_blank(c) ? (int) step : c == '"' ? QUOTED : token ? TOKEN : -1;
    case TOKEN:            return token ? (int) step : after_size(c);
    case QUOTED:           return c == '"' ? AFTER_QUOTED : c == '\\' ? ESCAPED : scan_is_value((unsigned char) c) ? (int) step : -1;
    case ESCAPED:          return scan_is_value((unsigned char) c) ? QUOTED : -1;
    case AFTER_QUOTED:     return after_size(c);
    default:               return -1;
    }
}

static enum fault take_digit(struct chunked *c, char ch)
{
    unsigned d = text_lower((unsigned char) ch);
    d = d - '0' < 10 ? d - '0' : d - 'a' < 6 ? d - 'a' + 10 : 16;
    if (d < 16) {
        if (c->digits++ == DIGITS_MOST || c->left > INT64_MAX >> 4) return FAULT_CHUNK_LARGE;
        c->left = c->left << 4 | d;
        return FAULT_NONE;
    }
    int next = c->digits ? after_size(ch) : -1;
    if (next < 0) return ch == '\n' ? FAULT_BARE_LF : FAULT_CHUNK_SIZE;
    c->step = (uint8_t) next;
    return FAULT_NONE;
}

static enum fault take_extension(struct chunked *c, char ch)
{
    if (++c->line > CHUNKED_LINE_MOST || ++c->extensions > CHUNKED_EXTENSIONS_MOST) return FAULT_CHUNK_EXTENSIONS;
    int next = next_in_extension((enum step) c->step, ch);
    if (next < 0) return ch == '\n' ? FAULT_BARE_LF : FAULT_CHUNK_EXTENSION;
    c->step = (uint8_t) next;
    return FAULT_NONE;
}

static enum fault expect(struct chunked *c, char ch, char want, enum step next, enum fault f)
{
    if (ch != want) return ch == '\n' && want == '\r' ? FAULT_BARE_LF : f;
    c->step = (uint8_t) next;
    return FAULT_NONE;
}

/* One byte of all that is not data and not trailers. */
static enum fault take(struct chunked *c, char ch)
{
    switch ((enum step) c->step) {
    case SIZE:    return take_digit(c, ch);
    case SIZE_LF: return expect(c, ch, '\n', c->left ? DATA : TRAILERS_OR_END, FAULT_BARE_CR);
    case DATA_CR: return expect(c, ch, '\r', DATA_LF, FAULT_CHUNK_END);
    case DATA_LF:
        c->left = c->digits = c->line = 0;
        return expect(c, ch, '\n', SIZE, FAULT_CHUNK_END);
    case END_LF:  return expect(c, ch, '\n', ENDED, FAULT_BARE_CR);
    default:      return take_extension(c, ch);
    }
}

static enum chunked_result bad(struct chunked *c, enum fault f)
{
    c->fault = f;
    return CHUNKED_BAD;
}

/* Gathers line by line, so that nothing behind the section is taken. */
static enum chunked_result take_trailers(struct chunked *c, const char *p, size_t n, size_t *used)
{
    if (c->room == NULL) return CHUNKED_ROOM;
    const char *lf = n ? memchr(p, '\n', n) : NULL;
    size_t part = lf ? (size_t) (lf - p) + 1 : n;
    bool too_large = part > c->room_size - c->gathered;
    if (too_large) part = c->room_size - c->gathered;         /* what is wrong before the limit is said first */
    if (part) memcpy(c->room + c->gathered, p, part);
    c->gathered += part;
    *used = part;
    switch (h1_field(&c->parse, c->room, c->gathered, &c->trailer)) {
    case H1_FIELD: return CHUNKED_TRAILER;
    case H1_BAD:   return bad(c, c->parse.fault);
    case H1_MORE:  return too_large ? bad(c, FAULT_TRAILERS_LARGE) : CHUNKED_MORE;
    default:
        c->step = ENDED;
        return CHUNKED_END;
    }
}

enum chunked_result chunked_next(struct chunked *c, const char *p, size_t n, size_t *used, struct text *data_out)
{
    *used = 0;
    if (c->fault) return CHUNKED_BAD;
    if (c->step == ENDED) return CHUNKED_END;
    for (size_t i = 0; i < n; i++) {
        switch ((enum step) c->step) {
        case DATA:
            *data_out = text_of(p + i, (size_t) min_of((uint64_t) (n - i), c->left));
            c->left -= data_out->n;
            if (c->left == 0) c->step = DATA_CR;
            *used = i + data_out->n;
            return CHUNKED_DATA;
        case TRAILERS_OR_END:
            if (p[i] == '\r') {
                c->step = END_LF;
                continue;
            }
            c->step = TRAILERS;
            /* fall through */
        case TRAILERS: {
            size_t part = 0;
            enum chunked_result got = take_trailers(c, p + i, n - i, &part);
            *used = i + part;
            return got;
        }
        default:
            if ((c->fault = take(c, p[i]))) return CHUNKED_BAD;
        }
        if (c->step == ENDED) {
            *used = i + 1;
            return CHUNKED_END;
        }
    }
    *used = n;
    return CHUNKED_MORE;
}

size_t chunked_head(char room[CHUNKED_HEAD_MOST], uint64_t size)
{
    ASSERT(size > 0);
    size_t digits = (size_t) (67 - __builtin_clzll(size)) / 4;
    for (size_t i = digits; i-- > 0; size >>= 4) room[i] = "0123456789abcdef"[size & 15];
    room[digits] = '\r';
    room[digits + 1] = '\n';
    return digits + 2;
}
