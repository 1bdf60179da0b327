/* JA3 and JA4: the examples that their authors give, with and without GREASE; and hellos cut anywhere. */
#include "tls/fingerprint.h"
#include "t/unit/tap.h"

struct bytes { char v[2048]; size_t n; };

static void one(struct bytes *b, unsigned v) { b->v[b->n++] = (char) v; }
static void put2(struct bytes *b, unsigned v) { one(b, v >> 8), one(b, v & 255); }
static void extension(struct bytes *b, unsigned type, const char *body, size_t n)
{
    put2(b, type), put2(b, (unsigned) n);
    memcpy(b->v + b->n, body, n);
    b->n += n;
}
static void empty(struct bytes *b, unsigned type) { extension(b, type, "", 0); }

static void put_ciphers(struct bytes *b, bool grease)
{
    static const unsigned ciphers[] = { 0x1301, 0x1302, 0x1303, 0xc02b, 0xc02f, 0xc02c, 0xc030, 0xcca9, 0xcca8, 0xc013, 0xc014, 0x9c, 0x9d, 0x2f, 0x35 };
    put2(b, (unsigned) (countof(ciphers) + grease) * 2);
    if (grease) put2(b, 0x4a4a);
    for (size_t i = 0; i < countof(ciphers); i++) put2(b, ciphers[i]);
}

static void put_extensions(struct bytes *b, bool grease)
{
    if (grease) empty(b, 0xdada);
    empty(b, 0x1b);
    extension(b, 0, "\0\3\0\0\0", 5);
    empty(b, 0x33);
    extension(b, 0x10, "\0\014\2h2\010http/1.1", 14);
    empty(b, 0x4469), empty(b, 0x17), empty(b, 0x2d);
    extension(b, 0xd, "\0\020\4\3\10\4\4\1\5\3\10\5\5\1\10\6\6\1", 18);
    empty(b, 5), empty(b, 0x23), empty(b, 0x12);
    if (grease) extension(b, 0x2b, "\6\xba\xba\3\4\3\3", 7);
    else extension(b, 0x2b, "\4\3\4\3\3", 5);
    empty(b, 0xff01);
    extension(b, 0xb, "\1\0", 2);
    if (grease) extension(b, 0xa, "\0\10\x1a\x1a\0\35\0\27\0\30", 10);
    else extension(b, 0xa, "\0\6\0\35\0\27\0\30", 8);
    empty(b, 0x15);
    if (grease) empty(b, 0x3a3a);
}

static struct text browser(struct bytes *b, bool grease)
{
    *b = (struct bytes) { .n = 4 };
    put2(b, 0x0303);
    b->n += 32;
    one(b, 0);
    put_ciphers(b, grease);
    one(b, 1), one(b, 0);
    struct bytes e = { .n = 0 };
    put_extensions(&e, grease);
    put2(b, (unsigned) e.n);
    memcpy(b->v + b->n, e.v, e.n);
    b->n += e.n;
    b->v[0] = 1;
    b->v[2] = (char) ((b->n - 4) >> 8);
    b->v[3] = (char) (b->n - 4);
    return text_of(b->v, b->n);
}

static struct text shown(const struct hello_facts *f, void (*how)(const struct hello_facts *, struct build *))
{
    static char room[4096];
    struct build b = build_in_room(room, sizeof room);
    how(f, &b);
    return build_done(&b);
}

int main(void)
{
    struct bytes b;
    struct hello_facts f;
    for (int grease = 0; grease < 2; grease++) {
        ok(fingerprint_read(browser(&b, grease), &f), "a browser's hello, GREASE %d", grease);
        is_text(shown(&f, fingerprint_ja4), "t13d1516h2_8daaf6152771_e5627efa2ab1", "JA4, as its authors have it");
        is_text(shown(&f, fingerprint_ja3), "771,4865-4866-4867-49195-49199-49196-49200-52393-52392-49171-49172-156-157-47-53,27-0-51-16-17513-23-45-13-5-35-18-43-65281-11-10-21,29-23-24,0", "JA3");
    }
    struct text whole = browser(&b, true);
    unsigned taken = 0;
    for (size_t n = 0; n < whole.n; n++) {
        char *exact = base_alloc(n + 1);      /* so that ASan sees a read behind the end */
        memcpy(exact, whole.p, n);
        char *cut = base_realloc(exact, n ? n : 1);
        taken += fingerprint_read(text_of(cut, n), &f);
        free(cut);
    }
    is_int(taken, 0, "one cut anywhere is not taken");
    char plain[] = "\1\0\0\051\3\1" "01234567890123456789012345678901" "\0\0\2\0\57\1\0";
    ok(fingerprint_read(text_of(plain, 45), &f), "no extensions");
    is_text(shown(&f, fingerprint_ja3), "769,47,,,", "JA3 of it");
    is_text(text_upto(shown(&f, fingerprint_ja4), 11), "t10i010000_", "JA4 of it");
    is_text(text_from(shown(&f, fingerprint_ja4), 24), "000000000000", "without a second hash");
    return done();
}
