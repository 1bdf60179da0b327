#include "wire/uri.h"
#include "t/unit/tap.h"

static struct pool *pool;
static struct uri uri;

static enum fault parse(struct text t, bool merge)
{
    return uri_parse(pool_text(pool, t), merge, pool, &uri);       /* under ASan a copy of exactly these bytes */
}

static void path(struct text in, const char *want)
{
    is_str(fault_row(parse(in, true))->name, "NONE", "%s", in.p);
    is_same(uri.path, text_c(want), "  path");
}

static void bad(struct text in, enum fault want) { is_str(fault_row(parse(in, true))->name, fault_row(want)->name, "%s", in.p); }

static void test_paths(void)
{
    path(T("/"), "/");
    ok(!uri.complex && !uri.has_args && !uri.exten.n, "nothing to do");
    path(T("/a/b.html?x=1&y=%20"), "/a/b.html");
    is_text(uri.args, "x=1&y=%20", "args as they came");
    is_text(uri.exten, "html", "exten");
    ok(!uri.complex && !uri.quoted, "a slice");
    path(T("/a?"), "/a");
    ok(uri.has_args && uri.args.n == 0, "empty args");
    path(T("/a?b?c#d"), "/a");
    is_text(uri.args, "b?c", "args end at #");
    path(T("/a#b?c"), "/a");
    ok(!uri.has_args, "# ends all");
    path(T(""), "/");
    path(T("?a"), "/");
    is_text(uri.args, "a", "args without a path");
    path(T("#a"), "/");
    path(T("/a+b"), "/a+b");
    ok(uri.plus && !uri.complex, "plus");

    path(T("//a///b//"), "/a/b/");
    path(T("/a/./b/."), "/a/b/");
    path(T("/./"), "/");
    path(T("/."), "/");
    path(T("/a/../b"), "/b");
    path(T("/a/.."), "/");
    path(T("/a/b/../../c"), "/c");
    path(T("/a/b/..?q"), "/a/");
    is_text(uri.args, "q", "args after ..");
    path(T("/a//../b"), "/b");
    path(T("/a/..b/.c/..."), "/a/..b/.c/...");
    path(T("/%41%2fb%2Fc"), "/A/b/c");
    ok(uri.quoted && uri.complex, "quoted");
    path(T("/a/%2e%2e/b"), "/b");
    path(T("/a/%2e/b"), "/a/b");
    path(T("/a/.%2e%2fb"), "/b");
    path(T("/%252e"), "/%2e");
    path(T("/a%3fb%23c?d"), "/a?b#c");
    is_text(uri.args, "d", "args after quoted ?");
    path(T("/a%20b%0a"), "/a b\n");
    path(T("/%2b"), "/+");
    ok(uri.plus, "quoted plus");

    bad(T("/a\0b"), FAULT_TARGET_CHAR);
    bad(T("/%00"), FAULT_ESCAPE_NUL);
    bad(T("/%"), FAULT_ESCAPE);
    bad(T("/%4"), FAULT_ESCAPE);
    bad(T("/%4?41"), FAULT_ESCAPE);
    bad(T("/%zz"), FAULT_ESCAPE);
    bad(T("/%4z"), FAULT_ESCAPE);
    bad(T("/.."), FAULT_ABOVE_ROOT);
    bad(T("/../a"), FAULT_ABOVE_ROOT);
    bad(T("/a/../../b"), FAULT_ABOVE_ROOT);
    bad(T("/a/%2e%2e/..%2f"), FAULT_ABOVE_ROOT);
    bad(T("/..?a"), FAULT_ABOVE_ROOT);
    bad(T("a"), FAULT_TARGET);

    is_int(parse(T("//a//b/../c"), false), FAULT_NONE, "merge_slashes off");
    is_text(uri.path, "//a//c", "slashes stay");
    is_int(parse(T("/a//../b"), false), FAULT_NONE, "merge_slashes off");
    is_text(uri.path, "/a/b", "an empty segment is a segment");
    is_int(parse(T("//a"), false), FAULT_NONE, "merge_slashes off");
    ok(!uri.complex, "nothing to do");
}

static void exten(struct text in, const char *want)
{
    parse(in, true);
    is_same(uri.exten, text_c(want), "exten of %s", in.p);
}

static void test_extens(void)
{
    exten(T("/a.b.c"), "c");
    exten(T("/a.b/c"), "");
    exten(T("/.htaccess"), "");
    exten(T("/.a.b"), "b");
    exten(T("/..a.b"), "b");
    exten(T("/a."), "");
    exten(T("//a.b"), "b");
    exten(T("//a.b/c"), "");
    exten(T("/a%2eb"), "b");
    exten(T("/a.b%2fc"), "");
}

static void escapes(struct text in, enum uri_escape_kind kind, const char *want)
{
    struct build b = build_in_pool(pool, 0, 0);
    uri_escape(&b, in, kind);
    is_same(build_done(&b), text_c(want), "escape %d \"%s\"", kind, in.p);
    is_int(uri_needs_escape(in, kind), !text_eq(in, text_c(want)), "  needs");
}

static void unescapes(struct text in, const char *want)
{
    struct build b = build_in_pool(pool, 0, 0);
    uri_unescape(&b, in);
    is_same(build_done(&b), text_c(want), "unescape \"%s\"", in.p);
}

static void test_escapes(void)
{
    struct text punctuation = T(" !\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~");
    escapes(punctuation, URI_ESCAPE_URI, "%20!%22%23$%25&'()*+,-./:;%3C=%3E%3F@[%5C]%5E_%60%7B%7C%7D~");
    escapes(punctuation, URI_ESCAPE_ARGS, "%20!%22%23$%25%26'()*%2B,-./:%3B%3C=%3E%3F@[%5C]%5E_%60%7B%7C%7D~");
    escapes(punctuation, URI_ESCAPE_COMPONENT, "%20%21%22%23%24%25%26%27%28%29%2A%2B%2C-.%2F%3A%3B%3C%3D%3E%3F%40%5B%5C%5D%5E_%60%7B%7C%7D~");
    escapes(punctuation, URI_ESCAPE_HTML, "%20!%22%23$%25&%27()*+,-./:;%3C=%3E?@[%5C]%5E_%60%7B%7C%7D~");
    escapes(T("aZ09\x01\x7f\xff"), URI_ESCAPE_URI, "aZ09%01%7F%FF");
    escapes(T("a b%c\xff"), URI_ESCAPE_MEMCACHED, "a%20b%25c\xff");
    escapes(T("/plain/path.html"), URI_ESCAPE_URI, "/plain/path.html");
    escapes(T(""), URI_ESCAPE_URI, "");
    unescapes(T("a%41%7e+"), "aA~+");
    unescapes(T("%"), "");
    unescapes(T("%4"), "");
    unescapes(T("%zb"), "zb");
    unescapes(T("%4zb"), "b");
}

static void host(struct text in, const char *name, int port)
{
    struct uri_host h;
    enum fault f = uri_host(in, pool, &h);
    is_int(f, FAULT_NONE, "host \"%s\"", in.p);
    is_same(h.name, text_c(name), "  name");
    is_int(h.has_port ? h.port : -1, port, "  port");
}

static void bad_host(struct text in, enum fault want)
{
    struct uri_host h;
    is_str(fault_row(uri_host(in, pool, &h))->name, fault_row(want)->name, "host \"%s\"", in.p);
}

static void test_hosts(void)
{
    host(T("example.com"), "example.com", -1);
    host(T("Example.COM:8080"), "example.com", 8080);
    host(T("example.com."), "example.com", -1);
    host(T("example.com.:80"), "example.com", 80);
    host(T("a_b-c.d"), "a_b-c.d", -1);
    host(T("h:"), "h", -1);
    host(T("h:65535"), "h", 65535);
    host(T("[::1]"), "[::1]", -1);
    host(T("[FE80::1]:443"), "[fe80::1]", 443);
    host(T("1.2.3.4:1"), "1.2.3.4", 1);
    bad_host(T(""), FAULT_HOST);
    bad_host(T("."), FAULT_HOST);
    bad_host(T(":80"), FAULT_HOST);
    bad_host(T("a..b"), FAULT_HOST);
    bad_host(T("..a"), FAULT_HOST);
    bad_host(T("a.."), FAULT_HOST);
    bad_host(T("a/b"), FAULT_HOST);
    bad_host(T("a b"), FAULT_HOST);
    bad_host(T("a\0b"), FAULT_HOST);
    bad_host(T("u@h"), FAULT_HOST);
    bad_host(T("a?b"), FAULT_HOST);
    bad_host(T("a\x7f"), FAULT_HOST);
    bad_host(T("[]"), FAULT_HOST);
    bad_host(T("[1..:2]"), FAULT_HOST);
    bad_host(T("[12]"), FAULT_HOST);
    bad_host(T("[::1"), FAULT_HOST);
    bad_host(T("[::1]x"), FAULT_HOST);
    bad_host(T("[::x]"), FAULT_HOST);
    bad_host(T("::1"), FAULT_HOST);
    bad_host(T("h:x"), FAULT_HOST_PORT);
    bad_host(T("h:65536"), FAULT_HOST_PORT);
    bad_host(T("h:80:80"), FAULT_HOST_PORT);
    bad_host(T("h:-1"), FAULT_HOST_PORT);
}

int main(void)
{
    pool = pool_open(0);
    test_paths();
    test_extens();
    test_escapes();
    test_hosts();
    pool_close(&pool);
    return done();
}
