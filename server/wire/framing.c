#include "wire/framing.h"

/* What the fields say, before it is judged. */
struct said { struct text length, coding; unsigned lengths, codings; };

static struct said look(const struct field *fields, size_t n)
{
    struct said s = { { NULL, 0 }, { NULL, 0 }, 0, 0 };
    for (const struct field *f = fields; f < fields + n; f++) {
        if (f->id == FIELD_CONTENT_LENGTH) {
            s.length = f->value;
            s.lengths++;
        } else if (f->id == FIELD_TRANSFER_ENCODING) {
            s.coding = f->value;
            s.codings++;
        }
    }
    return s;
}

static struct framing bad(enum fault f) { return (struct framing) { FRAMING_BAD, f, -1, true }; }

/* One number, once; a list of equal ones is refused too, though RFC 9110 8.6 would allow taking it. */
static enum fault read_length(const struct said *s, int64_t *out)
{
    uint64_t v;
    *out = -1;
    if (s->lengths == 0) return FAULT_NONE;
    if (s->lengths > 1) return FAULT_LENGTH_TWICE;
    if (!text_u64(s->length, &v)) {
        for (size_t i = 0; i < s->length.n; i++) {
            if ((unsigned char) (s->length.p[i] - '0') > 9) return FAULT_LENGTH;
        }
        return s->length.n ? FAULT_LENGTH_LARGE : FAULT_LENGTH;
    }
    if (v > INT64_MAX) return FAULT_LENGTH_LARGE;
    *out = (int64_t) v;
    return FAULT_NONE;
}

static enum fault check_coding(const struct said *s)
{
    if (s->codings > 1) return FAULT_CODING_TWICE;
    if (s->codings && !text_eq_nocase(s->coding, T("chunked"))) return FAULT_CODING;
    return FAULT_NONE;
}

static struct framing by_length(int64_t length)
{
    return (struct framing) { length > 0 ? FRAMING_LENGTH : FRAMING_NONE, FAULT_NONE, length, false };
}

struct framing framing_request(unsigned version, const struct field *fields, size_t n)
{
    struct said s = look(fields, n);
    int64_t length;
    enum fault f = read_length(&s, &length);
    if (f) return bad(f);
    if (s.codings == 0) return by_length(length);
    if ((f = check_coding(&s))) return bad(f);
    if (s.lengths) return bad(FAULT_LENGTH_AND_CODING);       /* RFC 9112 6.1: smuggling until shown otherwise */
    if (version < 1001) return bad(FAULT_CODING_10);          /* RFC 9112 6.1: faulty framing */
    return (struct framing) { FRAMING_CHUNKED, FAULT_NONE, -1, false };
}

/* RFC 9112 6.3, 1 and 2: no body, whatever the fields say. */
static bool never_has_body(enum method method, unsigned status)
{
    return method == METHOD_HEAD || status < 200 || status == 204 || status == 304;
}

struct framing framing_response(unsigned version, enum method method, unsigned status, const struct field *fields, size_t n)
{
    struct said s = look(fields, n);
    int64_t length;
    if (status == 101 || (method == METHOD_CONNECT && status / 100 == 2)) {
        return (struct framing) { FRAMING_TUNNEL, FAULT_NONE, -1, true };
    }
    enum fault f = read_length(&s, &length);
    if (f || (f = check_coding(&s))) return bad(f);
    if (s.lengths && s.codings) return bad(FAULT_LENGTH_AND_CODING);
    if (never_has_body(method, status)) {
        /* RFC 9112 6.1 and RFC 9110 8.6: neither belongs into 1xx and 204; who sends it may send a body as well. */
        bool odd = (status < 200 || status == 204) && (s.codings || length > 0);
        return (struct framing) { FRAMING_NONE, FAULT_NONE, length, odd };
    }
    if (s.codings) return (struct framing) { FRAMING_CHUNKED, FAULT_NONE, -1, version < 1001 };
    if (s.lengths) return by_length(length);
    return (struct framing) { FRAMING_CLOSE, FAULT_NONE, -1, true };
}
