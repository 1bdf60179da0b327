/* The policy: hosts that mean one thing, what kind of place an address is, rules in order, and addresses. */
#define TEST_MODULES &policy_test_module,
#include "config/conf.h"
extern struct module policy_test_module;
#include "base/clock.h"
#include "eval/policy.h"
#include "t/unit/eval_test.h"
#include "wire/host.h"

static const struct directive policy_rows[] = {
    D_TYPE(struct policy, rules, struct policy_rules, &policy_rule_type, "access", IN_HTTP, NULL, "A rule."),
    D_TYPE(struct policy, ports, struct policy_ports, &policy_ports_type, "ports", IN_HTTP, NULL, "Ports."),
    D_TYPE(struct policy, guards, struct policy_guards, &policy_guard_type, "address", IN_HTTP, NULL, "Addresses."),
    { .name = NULL },
};
struct module policy_test_module = { .name = "policy_test", .conf_size = sizeof(struct policy), .rows = policy_rows };

static struct addr at(const char *text)
{
    struct addr a = { .family = AF_UNSPEC };
    ASSERT(addr_parse(NULL, text_c(text), 80, &a));
    return a;
}

/* ---- hosts ---- */

static void hosts(void)
{
    static const struct { const char *host; enum host_kind kind; } cases[] = {
        { "example.com", HOST_NAME }, { "a", HOST_NAME }, { "a-b_c.x1", HOST_NAME }, { "1.2.3.com", HOST_NAME }, { "xn--p1ai", HOST_NAME }, { "0x7f.example", HOST_NAME },
        { "192.0.2.1", HOST_IPV4 }, { "0.0.0.0", HOST_IPV4 }, { "255.255.255.255", HOST_IPV4 }, { "[::1]", HOST_IPV6 }, { "[::ffff:127.0.0.1]", HOST_IPV6 },
        { "2130706433", HOST_ODD }, { "0177.0.0.1", HOST_ODD }, { "0x7f.0.0.1", HOST_ODD }, { "0x7f000001", HOST_ODD }, { "127.1", HOST_ODD }, { "127.0.1", HOST_ODD },
        { "127.0.0.01", HOST_ODD }, { "127.0.0.1.5", HOST_ODD }, { "256.0.0.1", HOST_ODD }, { "127.0.0.0x1", HOST_ODD }, { "a.0x", HOST_ODD }, { "example.1", HOST_ODD }, { "00.0.0.1", HOST_ODD },
        { "", HOST_ODD }, { ".", HOST_ODD }, { "a..b", HOST_ODD }, { ".a", HOST_ODD }, { "a.", HOST_ODD }, { "a b", HOST_ODD }, { "a%2eb", HOST_ODD }, { "a@b", HOST_ODD }, { "\xc3\xa9.fr", HOST_ODD },
        { "a,b", HOST_ODD }, { "a'b", HOST_ODD }, { "a!b", HOST_ODD }, { "[::1", HOST_ODD }, { "[]", HOST_ODD }, { "[1.2.3.4]", HOST_ODD }, { "[fe80::1%25eth0]", HOST_ODD }, { "[::1%1]", HOST_ODD }, { "[::gggg]", HOST_ODD },
    };
    for (size_t i = 0; i < countof(cases); i++) {
        const char *why = "fine";
        ok(host_look(text_c(cases[i].host), &why) == cases[i].kind, "host \"%s\": %s", cases[i].host, why);
    }
    char long_name[300];
    const char *why;
    memset(long_name, 'a', sizeof long_name);
    ok(host_look(text_of(long_name, 64), &why) == HOST_ODD, "a label of 64");
    ok(host_look(text_of(long_name, 63), &why) == HOST_NAME, "a label of 63");
    for (size_t i = 50; i < sizeof long_name; i += 50) long_name[i] = '.';
    ok(host_look(text_of(long_name, 254), &why) == HOST_ODD, "a name of 254");
    ok(host_look(text_of(long_name, 253), &why) == HOST_NAME, "a name of 253");
}

/* ---- addresses ---- */

static void scopes(void)
{
    static const struct { const char *addr; enum scope scope; const char *inner; } cases[] = {
        { "8.8.8.8", SCOPE_GLOBAL, NULL }, { "1.0.0.1", SCOPE_GLOBAL, NULL }, { "172.15.255.255", SCOPE_GLOBAL, NULL }, { "172.32.0.0", SCOPE_GLOBAL, NULL }, { "100.63.255.255", SCOPE_GLOBAL, NULL },
        { "126.255.255.255", SCOPE_GLOBAL, NULL }, { "128.0.0.1", SCOPE_GLOBAL, NULL }, { "223.255.255.255", SCOPE_GLOBAL, NULL },
        { "0.0.0.0", SCOPE_UNSPECIFIED, NULL }, { "0.1.2.3", SCOPE_UNSPECIFIED, NULL }, { "127.0.0.1", SCOPE_LOOPBACK, NULL }, { "127.255.255.254", SCOPE_LOOPBACK, NULL },
        { "10.1.2.3", SCOPE_PRIVATE, NULL }, { "172.16.0.1", SCOPE_PRIVATE, NULL }, { "172.31.255.255", SCOPE_PRIVATE, NULL }, { "192.168.1.1", SCOPE_PRIVATE, NULL }, { "100.64.0.1", SCOPE_PRIVATE, NULL },
        { "169.254.1.1", SCOPE_LINK_LOCAL, NULL }, { "169.254.169.254", SCOPE_METADATA, NULL }, { "100.100.100.200", SCOPE_METADATA, NULL }, { "168.63.129.16", SCOPE_METADATA, NULL },
        { "224.0.0.1", SCOPE_MULTICAST, NULL }, { "239.255.255.250", SCOPE_MULTICAST, NULL }, { "240.0.0.1", SCOPE_RESERVED, NULL }, { "255.255.255.255", SCOPE_RESERVED, NULL },
        { "192.0.2.1", SCOPE_RESERVED, NULL }, { "198.18.0.1", SCOPE_RESERVED, NULL }, { "198.51.100.1", SCOPE_RESERVED, NULL }, { "203.0.113.1", SCOPE_RESERVED, NULL },
        { "[2606:4700::1111]", SCOPE_GLOBAL, NULL }, { "[2a00::1]", SCOPE_GLOBAL, NULL }, { "[::]", SCOPE_UNSPECIFIED, NULL }, { "[::1]", SCOPE_LOOPBACK, NULL }, { "[fe80::1]", SCOPE_LINK_LOCAL, NULL },
        { "[febf::1]", SCOPE_LINK_LOCAL, NULL }, { "[fec0::1]", SCOPE_PRIVATE, NULL }, { "[fc00::1]", SCOPE_PRIVATE, NULL }, { "[fdff::1]", SCOPE_PRIVATE, NULL }, { "[fd00:ec2::254]", SCOPE_METADATA, NULL },
        { "[ff02::1]", SCOPE_MULTICAST, NULL }, { "[2001:db8::1]", SCOPE_RESERVED, NULL }, { "[4000::1]", SCOPE_RESERVED, NULL }, { "[100::1]", SCOPE_RESERVED, NULL },
        { "[::ffff:127.0.0.1]", SCOPE_EMBEDDED, "127.0.0.1" }, { "[::ffff:8.8.8.8]", SCOPE_EMBEDDED, "8.8.8.8" }, { "[::127.0.0.1]", SCOPE_EMBEDDED, "127.0.0.1" }, { "[::ffff:0:10.0.0.1]", SCOPE_EMBEDDED, "10.0.0.1" },
        { "[2002:7f00:1::]", SCOPE_EMBEDDED, "127.0.0.1" }, { "[2002:a9fe:a9fe::1]", SCOPE_EMBEDDED, "169.254.169.254" }, { "[64:ff9b::7f00:1]", SCOPE_EMBEDDED, "127.0.0.1" }, { "[64:ff9b::8.8.8.8]", SCOPE_EMBEDDED, "8.8.8.8" },
        { "[64:ff9b:1::10.0.0.1]", SCOPE_EMBEDDED, "10.0.0.1" }, { "[2001:0:53aa:64c:0:0:80ff:fffe]", SCOPE_EMBEDDED, "127.0.0.1" }, { "[2a00::5efe:10.0.0.1]", SCOPE_EMBEDDED, "10.0.0.1" }, { "[2a00::200:5efe:127.0.0.1]", SCOPE_EMBEDDED, "127.0.0.1" },
    };
    for (size_t i = 0; i < countof(cases); i++) {
        struct addr a = at(cases[i].addr), inner = { .family = AF_UNSPEC }, want;
        ok(scope_of(&a, &inner) == cases[i].scope, "%s is %s", cases[i].addr, scope_rows[cases[i].scope].name);
        if (!cases[i].inner) continue;
        want = at(cases[i].inner);
        ok(addr_eq(&inner, &want), "and carries %s", cases[i].inner);
    }
    ok(scope_named(T("private")) == SCOPE_PRIVATE && scope_named(T("nothing")) == SCOPE_COUNT, "scopes by name");
}

/* ---- rules ---- */

static struct conf *cf;
static const struct policy *policy;
static struct policy_answer answer;

static void set(const char *inner)
{
    cf = http_conf(inner);
    policy = cf ? conf_values(cf->top->children, &policy_test_module) : NULL;
    if (!cf) diag("%s", said);
    ok(cf != NULL, "%.70s…", inner);
}

/* The rule that decides, "-" before it when it denies. */
static void decides(struct policy_ask ask, const char *want)
{
    struct eval e = request(cf);
    struct addr client = at("192.0.2.7");
    if (!ask.client) ask.client = &client;
    if (!ask.host.n) ask.host = T("www.example.com");
    if (!ask.method.n) ask.method = T("GET");
    if (!ask.port) ask.port = 80;
    if (!ask.scheme.n && !text_eq(ask.method, T("CONNECT"))) ask.scheme = T("http");
    if (!ask.path.n && !text_eq(ask.method, T("CONNECT"))) ask.path = T("/");
    ask.eval = &e;
    bool allowed = policy_decide(policy, &ask, request_pool, &answer);
    struct text got = pool_printf(request_pool, "%s%.*s", allowed ? "" : "-", TEXT_ARG(answer.rule));
    is_same(got, text_c(want), "%.*s %.*s:%u%.*s by %.*s: %s", TEXT_ARG(ask.method), TEXT_ARG(ask.host), ask.port, TEXT_ARG(ask.path), TEXT_ARG(ask.user), want);
}
#define ASK(want, ...) decides((struct policy_ask) { __VA_ARGS__ }, want)

static void rules(void)
{
    set("access deny host=bad.example,*.worse.example; access allow host=.example.com method=GET,HEAD; access allow name=tls method=CONNECT port=443; access deny all; access allow all;");
    ASK("-1", .host = T("bad.example"));
    ASK("-4", .host = T("x.bad.example"));
    ASK("-1", .host = T("a.b.worse.example"));
    ASK("2", .host = T("example.com"));
    ASK("-4", .host = T("example.com"), .method = T("POST"));
    ASK("tls", .method = T("CONNECT"), .port = 443);
    ASK("-4", .method = T("CONNECT"), .port = 80);
    ASK("-ports", .method = T("CONNECT"), .port = 22);
    set("ports 8080 9000-9010; access allow all;");
    ASK("1", .port = 8080);
    ASK("1", .port = 9010);
    ASK("1", .port = 443);
    ASK("-ports", .port = 9011);
    set("ports all; access allow port=1-1023,9999; access deny port!=8000;");
    ASK("1", .port = 25);
    ASK("1", .port = 9999);
    ASK("-2", .port = 9998);
    ASK("-default", .port = 8000);
    set("text x;");
    ASK("-default", .port = 80);
}

static void conditions_each(void)
{
    struct addr inside = at("10.1.2.3"), six = at("[2001:db8::5]");
    set("access deny path=/private/,/x; access deny path=~\\.exe$; access deny url=~*^http://WWW\\.example\\.com/Ads; access deny client!=10.0.0.0/8,2001:db8::/32; access allow user=alice,bob; access deny user=*; access allow if=$free; access deny host=~^tracker; access allow scheme=http;");
    ASK("-1", .client = &inside, .path = T("/private/a"));
    ASK("-2", .client = &inside, .path = T("/a.exe"));
    ASK("9", .client = &inside, .path = T("/a.exe?x"));
    ASK("-3", .client = &inside, .path = T("/ads/1"));
    ASK("-4", .path = T("/"));
    ASK("9", .client = &six);
    ASK("5", .client = &inside, .user = T("bob"));
    ASK("-6", .client = &inside, .user = T("mallory"));
    ASK("-8", .client = &inside, .host = T("tracker.example"));
    ASK("-default", .client = &inside, .method = T("CONNECT"), .port = 443);
    set("access deny path!=/public/; access allow all;");
    ASK("-1", .path = T("/x"));
    ASK("2", .path = T("/public/x"));
    ASK("2", .method = T("CONNECT"), .port = 443);
    set("access deny host=192.0.2.9,[2001:db8::5]; access deny host!=.example.com,192.0.2.8; access allow host=www.example.com,192.0.2.8;");      /* an alias: what else leads there */
    ASK("3");
    ASK("3", .alias = T("192.0.2.7"));
    ASK("-1", .alias = T("192.0.2.9"));
    ASK("-1", .alias = T("[2001:db8::5]"));
    ASK("-2", .host = T("other.example"), .alias = T("192.0.2.8"));      /* nothing is allowed by it */
    set("access deny url=~^http://\\[::1\\]:8080/$; access allow if=$host; ports 8080;");
    ASK("-1", .host = T("[::1]"), .port = 8080);
    ASK("2", .host = T("[::1]"), .port = 80);
}

/* Monday 2023-11-20 00:00 UTC */
static void at_time(unsigned day, unsigned hour, unsigned minute, const char *want)
{
    clock_fake(1000, (1700438400ull + day * 86400 + hour * 3600 + minute * 60) * 1000);
    ASK(want, .port = 80);
}

static void hours_of_the_day(void)
{
    setenv("TZ", "UTC", 1);
    tzset();
    set("access allow time=mon-fri/08:00-18:00; access allow name=night time=fri/22:00-06:00; access allow name=sunday time=sun; access allow name=lunch time=12:00-13:00;");
    at_time(0, 8, 0, "1");
    at_time(0, 17, 59, "1");
    at_time(0, 18, 0, "-default");
    at_time(4, 23, 0, "night");
    at_time(5, 5, 59, "night");
    at_time(5, 6, 0, "-default");
    at_time(5, 22, 30, "-default");
    at_time(6, 3, 0, "sunday");
    at_time(5, 12, 30, "lunch");
    clock_real();
}

/* ---- guards ---- */

static bool leads_to(const char *text)
{
    struct addr a = at(text);
    return policy_guard_allows(policy, &answer, &a, NULL);
}

static void guards(void)
{
    static const char *const refused_by_default[] = { "127.0.0.1", "10.0.0.1", "169.254.169.254", "0.0.0.0", "224.0.0.1", "255.255.255.255", "[::1]", "[fe80::1]", "[::ffff:8.8.8.8]", "[64:ff9b::8.8.8.8]", "[2002:808:808::]" };
    set("access allow host=in.example to=10.0.0.0/8,loopback; access allow all;");
    ASK("2", .port = 80);
    for (size_t i = 0; i < countof(refused_by_default); i++) ok(!leads_to(refused_by_default[i]), "nobody is led to %s", refused_by_default[i]);
    ok(leads_to("8.8.8.8") && leads_to("[2606:4700::1111]"), "but to the world");
    ASK("1", .host = T("in.example"));
    ok(leads_to("10.2.3.4") && leads_to("127.0.0.1") && leads_to("8.8.8.8") && !leads_to("192.168.0.1"), "a rule may lead to more than others");
    set("address deny 8.8.8.0/24 2606:4700::/32; address allow private embedded; address deny 8.8.4.4; access allow all;");
    ASK("1", .port = 80);
    ok(!leads_to("8.8.8.8") && !leads_to("8.8.4.4") && leads_to("9.9.9.9") && !leads_to("[2606:4700::1]"), "networks that are denied");
    ok(leads_to("10.0.0.1") && !leads_to("127.0.0.1"), "scopes that are allowed");
    ok(leads_to("[64:ff9b::9.9.9.9]") && leads_to("[64:ff9b::10.0.0.1]") && !leads_to("[64:ff9b::127.0.0.1]") && !leads_to("[64:ff9b::8.8.8.8]"), "what is embedded is looked at as well");
    set("address allow all; access allow all;");
    ASK("1", .port = 80);
    ok(leads_to("127.0.0.1") && leads_to("[::ffff:127.0.0.1]"), "all is all");
    struct addr a = at("10.0.0.1");
    const char *why;
    set("access allow all;");
    ok(!policy_guard_allows(policy, NULL, &a, &why) && strcmp(why, "private") == 0, "why");
}

int main(void)
{
    listen_in();
    conf_register();
    hosts();
    scopes();
    rules();
    conditions_each();
    hours_of_the_day();
    guards();
    refused_inside("access maybe all;", "invalid value \"maybe\"");
    refused_inside("access allow nonsense=1;", "invalid condition \"nonsense=1\"");
    refused_inside("access allow something;", "invalid condition \"something\"");
    refused_inside("access allow port=0;", "invalid value \"0\" of a condition");
    refused_inside("access allow port=80-70;", "invalid value \"80-70\" of a condition");
    refused_inside("access allow time=25:00-26:00;", "invalid value \"25:00-26:00\" of a condition");
    refused_inside("access allow time=someday;", "invalid value \"someday\" of a condition");
    refused_inside("access allow path=x;", "invalid value \"x\" of a condition");
    refused_inside("access allow client=1.2.3;", "invalid value \"1.2.3\" of a condition");
    refused_inside("access allow host=;", "invalid value \"\" of a condition");
    refused_inside("access allow url=/x;", "invalid value \"/x\" of a condition");
    refused_inside("access allow path=~(;", "pcre2_compile() failed");
    refused_inside("access deny to=private;", "\"to=\" is for rules that allow");
    refused_inside("access allow to=nowhere;", "invalid address or scope \"nowhere\"");
    refused_inside("address allow nowhere;", "invalid address or scope \"nowhere\"");
    refused_inside("ports 0;", "invalid port \"0\"");
    pool_close(&request_pool);
    pool_close(&pool);
    return done();
}
