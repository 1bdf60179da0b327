/* SOCKS5 as clients and servers say it: the first byte tells which message; shorter pieces ask for more, names are clean; of what servers
 * say never more is asked for than the message takes. */
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

static enum socks_result read_answer(int what, const char *p, size_t n, size_t *used)
{
    unsigned code = 0;
    bool good;
    const char *why = NULL;
    enum socks_result got = what == 0 ? socks_read_choice(p, n, &code, used, &why)
                          : what == 1 ? socks_read_login_answer(p, n, &good, used, &why) : socks_read_reply(p, n, &code, used, &why);
    HOLD(got != SOCKS_BAD || (why && why[0]));
    HOLD(got != SOCKS_DONE || socks_reply_words(code)[0]);
    return got;
}

static void read_server(int what, const char *p, size_t n)
{
    size_t have = 0, used = 0;
    enum socks_result got;
    for (;;) {
        char *exact = fuzz_exact(p, have);
        got = read_answer(what, exact, have, &used);
        free(exact);
        if (got != SOCKS_MORE || used > n) break;
        HOLD(used > have && used <= 300);
        have = used;
    }
    HOLD(got != SOCKS_DONE || used == have);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!size) return 0;
    int what = data[0] % 6;
    if (what > 2) {
        read_server(what - 3, (const char *) data + 1, size - 1);
        return 0;
    }
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
