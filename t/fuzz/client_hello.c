/* Client hellos: no read behind the end; fingerprints of any that is taken are one line of bounded length. The same bytes as records: a
 * shorter piece asks for more, or is wrong already. */
#include "t/fuzz/fuzz.h"
#include "tls/fingerprint.h"
#include "tls/peek.h"

static void look(const uint8_t *data, size_t size)
{
    struct peeked whole, part;
    const char *why = NULL;
    enum peek_result how = peek_hello(text_of((const char *) data, size), &whole, &why);
    HOLD(how != PEEK_BAD || (why && *why));
    HOLD(how != PEEK_DONE || (whole.name.n <= PEEK_NAME_MAX && !(whole.name.n && memchr(whole.name.p, 0, whole.name.n))));
    for (size_t n = 0, step = size / 64 + 1; n < size; n += step) {
        char *less = fuzz_exact((const char *) data, n);
        enum peek_result then = peek_hello(text_of(less, n), &part, &why);
        HOLD(how == PEEK_BAD ? then != PEEK_DONE : how == PEEK_MORE ? then == PEEK_MORE : then != PEEK_BAD);
        free(less);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char ja3[65536], ja4[64], *exact = fuzz_exact((const char *) data, size);
    struct hello_facts f;
    look(data, size);
    if (fingerprint_read(text_of(exact, size), &f)) {
        struct build three = build_in_room(ja3, sizeof ja3), four = build_in_room(ja4, sizeof ja4);
        fingerprint_ja3(&f, &three);
        fingerprint_ja4(&f, &four);
        HOLD(build_ok(&three) && fuzz_one_line(build_done(&three)));
        HOLD(build_ok(&four) && build_done(&four).n == 36);
    }
    free(exact);
    return 0;
}
