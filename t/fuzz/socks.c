/* SOCKS5 as clients say it: the first byte tells which message; shorter pieces ask for more, names are clean. */
#include "t/fuzz/fuzz.h"
#include "wire/socks.h"

static enum socks_result read_one(int what, const char *p, size_t n, struct text *text, size_t *used)
{
    struct socks_greeting greeting;
    struct socks_login login;
    struct socks_request request;
    enum socks_reply reply;
    const char *why = NULL;
    enum socks_result got = what == 0 ? socks_read_greeting(p, n, &greeting, used, &why)
                          : what == 1 ? socks_read_login(p, n, &login, used, &why) : socks_read_request(p, n, &request, used, &reply, &why);
    HOLD(got != SOCKS_BAD || (why && why[0]));
    *text = T("");
    if (got != SOCKS_DONE) return got;
    if (what == 1) *text = login.password;
    if (what == 2) *text = request.host;
    if (what == 2) HOLD(request.port && (request.kind != SOCKS_NAME || (fuzz_one_line(request.host) && request.host.n)));
    return got;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!size) return 0;
    int what = data[0] % 3;
    size_t n = size - 1, used, unused;
    char *exact = fuzz_exact((const char *) data + 1, n);
    struct text text, part;
    if (read_one(what, exact, n, &text, &used) == SOCKS_DONE) {
        HOLD(used && used <= n && text.p + text.n <= exact + used);
        for (size_t i = 0; i < used; i++) {
            char *less = fuzz_exact(exact, i);
            HOLD(read_one(what, less, i, &part, &unused) == SOCKS_MORE);
            free(less);
        }
    }
    free(exact);
    return 0;
}
