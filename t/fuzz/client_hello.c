/* Client hellos: no read behind the end; fingerprints of any that is taken are one line of bounded length. */
#include "t/fuzz/fuzz.h"
#include "tls/fingerprint.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char ja3[65536], ja4[64], *exact = fuzz_exact((const char *) data, size);
    struct hello_facts f;
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
