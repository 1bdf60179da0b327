/* Client hellos: whole, in records of any size, cut anywhere, and wrong in one place each. */
#include "tls/peek.h"
#include "t/unit/tap.h"

struct bytes { char v[40000]; size_t n; };

static void put(struct bytes *b, const char *p, size_t n) { memcpy(b->v + b->n, p, n), b->n += n; }
static void put1(struct bytes *b, unsigned v) { b->v[b->n++] = (char) v; }
static void put2(struct bytes *b, unsigned v) { put1(b, v >> 8), put1(b, v & 255); }

static void extension(struct bytes *b, unsigned type, const char *p, size_t n)
{
    put2(b, type), put2(b, (unsigned) n);
    put(b, p, n);
}

static void named(struct bytes *b, const char *name, size_t n)
{
    struct bytes body = { .n = 0 };
    put2(&body, (unsigned) n + 3), put1(&body, 0), put2(&body, (unsigned) n);
    put(&body, name, n);
    extension(b, 0, body.v, body.n);
}

/* A message with these extensions. */
static struct text message(struct bytes *b, const struct bytes *extensions)
{
    *b = (struct bytes) { .n = 4 };
    put2(b, 0x0303);
    for (int i = 0; i < 32; i++) put1(b, 'r');
    put1(b, 0), put2(b, 2), put2(b, 0x1301), put1(b, 1), put1(b, 0);
    put2(b, (unsigned) extensions->n);
    put(b, extensions->v, extensions->n);
    b->v[0] = 1, b->v[1] = 0, b->v[2] = (char) ((b->n - 4) >> 8), b->v[3] = (char) (b->n - 4);
    return text_of(b->v, b->n);
}

static struct text records(struct bytes *b, struct text m, size_t size)
{
    *b = (struct bytes) { .n = 0 };
    while (m.n) {
        size_t n = min_of(m.n, size);
        put1(b, 22), put2(b, 0x0301), put2(b, (unsigned) n);
        put(b, m.p, n);
        m = text_from(m, n);
    }
    return text_of(b->v, b->n);
}

static enum peek_result look(struct text t, struct peeked *out)
{
    const char *why = NULL;
    char *exact = malloc(t.n ? t.n : 1);      /* so that a read behind the end is seen */
    memcpy(exact, t.p, t.n);
    enum peek_result got = peek_hello(text_of(exact, t.n), out, &why);
    free(exact);
    if (got == PEEK_BAD) ok(why && *why, "why: %s", why ? why : "nothing is said");
    return got;
}

static struct bytes e, m, r;
static struct peeked p;

static enum peek_result look_at(const char *name, size_t n)
{
    e.n = 0;
    named(&e, name, n);
    return look(records(&r, message(&m, &e), 16384), &p);
}

static void whole(void)
{
    static const size_t sizes[] = { 1, 2, 3, 4, 5, 43, 100, 16384 };
    e.n = 0;
    extension(&e, 0xaaaa, "", 0);
    named(&e, "WWW.Example.ORG.", 16);
    extension(&e, 43, "\2\3\4", 3);
    for (size_t i = 0; i < countof(sizes); i++) {
        struct text all = records(&r, message(&m, &e), sizes[i]);
        unsigned more = 0;
        for (size_t n = 0; n < all.n; n++) more += look(text_upto(all, n), &p) == PEEK_MORE;
        is_int((int64_t) more, (int64_t) all.n, "records of %zu: cut anywhere it is not all", sizes[i]);
        ok(look(all, &p) == PEEK_DONE, "whole");
        is_text(p.name, "www.example.org", "its name");
        put(&r, "\x17\3\3", 3);
        ok(look(text_of(r.v, r.n), &p) == PEEK_DONE, "what comes behind it does not count");
    }
    e.n = 0;
    ok(look(records(&r, message(&m, &e), 100), &p) == PEEK_DONE && !p.name.n, "no name");
    extension(&e, 0xfe0d, "x", 1);
    ok(look(records(&r, message(&m, &e), 100), &p) == PEEK_DONE && !p.name.n, "none with ECH");
}

static void wrong(void)
{
    char lengthy[300];
    memset(lengthy, 'a', sizeof lengthy);
    ok(look_at(lengthy, 255) == PEEK_DONE && p.name.n == 255, "255 bytes");
    ok(look_at(lengthy, 256) == PEEK_BAD, "256 bytes");
    ok(look_at("", 0) == PEEK_BAD, "an empty name");
    ok(look_at("a\0b", 3) == PEEK_BAD, "a NUL");
    ok(look_at(".", 1) == PEEK_DONE && !p.name.n, "a dot: no name");
    e.n = 0;
    named(&e, "a", 1), named(&e, "b", 1);
    ok(look(records(&r, message(&m, &e), 100), &p) == PEEK_BAD, "two");
    e.n = 0;
    extension(&e, 0, "\0\10\0\0\1a\0\0\1b", 10);
    ok(look(records(&r, message(&m, &e), 100), &p) == PEEK_BAD, "two in one");
    static const struct { const char *v; size_t n, until; const char *what; } bad[] = {
        { "GET / HTTP/1.1", 14, 0, "HTTP" }, { "\x16\2\0\0\5", 5, 1, "another version" }, { "\x16\3\1\0\0", 5, 4, "an empty record" }, { "\x16\3\1\x40\1", 5, 4, "a long record" },
        { "\x16\3\1\0\1\2", 6, 5, "another message" }, { "\x16\3\1\0\4\1\0\x80\0", 9, 8, "a long message" }, { "\x16\3\1\0\1\1\x15\3\1\0\2", 11, 6, "another type between" },
    };
    for (size_t i = 0; i < countof(bad); i++) {
        ok(look(text_of(bad[i].v, bad[i].n), &p) == PEEK_BAD, "%s", bad[i].what);
        ok(look(text_of(bad[i].v, bad[i].until), &p) == PEEK_MORE, "%s: not before it is certain", bad[i].what);
    }
}

int main(void)
{
    whole();
    wrong();
    return done();
}
