/* Targets: what is normalised stays so; escaping and unescaping are each other's inverse; hosts are clean. */
#include "t/fuzz/fuzz.h"
#include "wire/uri.h"

static void check_path(struct text path, bool merge)
{
    HOLD(path.n > 0 && path.p[0] == '/');
    HOLD(text_find_char(path, '\0') < 0);
    HOLD(text_find(path, T("/../")) < 0 && text_find(path, T("/./")) < 0);
    HOLD(!text_ends(path, T("/..")) && !text_ends(path, T("/.")));
    HOLD(!merge || text_find(path, T("//")) < 0);
}

static void check_again(struct text path, bool merge, struct pool *pool)
{
    struct build b = build_in_pool(pool, 0, 0);
    struct uri again;
    uri_escape(&b, path, URI_ESCAPE_URI);
    HOLD(uri_parse(build_done(&b), merge, pool, &again) == FAULT_NONE);
    HOLD(text_eq(again.path, path) && !again.has_args);
}

static void check_escapes(struct text t, struct pool *pool)
{
    for (unsigned k = URI_ESCAPE_URI; k <= URI_ESCAPE_MEMCACHED; k++) {
        struct build to = build_in_pool(pool, 0, 0), back = build_in_pool(pool, 0, 0);
        uri_escape(&to, t, (enum uri_escape_kind) k);
        HOLD(uri_needs_escape(t, (enum uri_escape_kind) k) == (to.n != t.n));
        if (k == URI_ESCAPE_REFRESH) continue;      /* leaves "%" as it is */
        uri_unescape(&back, build_done(&to));
        HOLD(text_eq(build_done(&back), t));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct pool *pool = pool_open(0);
    char *exact = fuzz_exact((const char *) data, size);
    struct text t = text_of(exact, size);
    struct uri uri;
    struct uri_host host;
    for (int merge = 0; merge < 2; merge++) {
        if (uri_parse(t, merge, pool, &uri) != FAULT_NONE) continue;
        check_path(uri.path, merge);
        check_again(uri.path, merge, pool);
        HOLD(uri.exten.n == 0 || uri.exten.p + uri.exten.n == uri.path.p + uri.path.n);
        HOLD(text_find_char(uri.exten, '/') < 0 && text_find_char(uri.args, '#') < 0);
    }
    if (uri_host(t, pool, &host) == FAULT_NONE) {
        HOLD(host.name.n > 0 && text_find(host.name, T("..")) < 0 && text_find_char(host.name, '/') < 0);
        HOLD(host.is_ipv6 || text_find_char(host.name, ':') < 0);
        for (size_t i = 0; i < host.name.n; i++) HOLD((unsigned char) (host.name.p[i] - 'A') >= 26);
    }
    check_escapes(t, pool);
    free(exact);
    pool_close(&pool);
    return 0;
}
