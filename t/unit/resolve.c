/* Lookups over name servers that do as the test says, by a clock that stands still. */
#include "event/nameserver.h"
#include "event/turn.h"
#include "t/unit/tap.h"

/* ---- the servers ---- */

enum { ASKED_MAX = 4000 };

struct nameserver { int dummy; };
struct question { bool open; char name[256]; enum dns_type type; void (*told)(void *arg, enum lookup_end how, struct text message); void *arg; };

static struct nameserver the_server;
static struct question questions[ASKED_MAX];
static unsigned asked, opened;
static bool in_hosts, broken;

bool nameserver_is_built(void) { return true; }
struct nameserver *nameserver_open(const struct addr *servers, size_t n) { (void) servers; (void) n; opened++; return broken ? NULL : &the_server; }
void nameserver_close(struct nameserver **s) { *s = NULL; }
unsigned nameserver_load(const struct nameserver *s) { (void) s; return 0; }

void nameserver_ask(struct nameserver *s, const char *name, enum dns_type type, void (*told)(void *arg, enum lookup_end how, struct text message), void *arg)
{
    (void) s;
    struct question *q = &questions[asked++];
    *q = (struct question) { .open = true, .type = type, .told = told, .arg = arg };
    snprintf(q->name, sizeof q->name, "%s", name);
}

bool nameserver_hosts(struct nameserver *s, const char *name, sa_family_t family, struct addr *out)
{
    (void) s;
    (void) name;
    if (!in_hosts || family != AF_INET) return false;
    *out = (struct addr) { .in = { .sin_family = AF_INET, .sin_addr = { htonl(0x7f000005) } } };
    return true;
}

static char room[65536];

static void put16(struct build *b, unsigned v) { build_char(b, (char) (v >> 8)); build_char(b, (char) v); }

/* Answers question i with n records, of this ttl; addresses from 10.0.0.<first>. */
static void answer_as(unsigned i, const char *name, unsigned n, uint32_t ttl, unsigned first)
{
    struct question *q = &questions[i];
    struct build b = build_in_room(room, sizeof room);
    put16(&b, 1); put16(&b, 0x8180 | (n ? 0 : 3)); put16(&b, 1); put16(&b, n); put16(&b, 0); put16(&b, 0);
    struct text rest = text_c(name), label;
    while (rest.n && text_split(&rest, '.', &label)) {
        build_char(&b, (char) label.n);
        build_text(&b, label);
    }
    build_char(&b, 0);
    put16(&b, q->type); put16(&b, 1);
    for (unsigned k = 0; k < n; k++) {
        put16(&b, 0xc00c); put16(&b, q->type); put16(&b, 1); put16(&b, ttl >> 16); put16(&b, ttl & 0xffff);
        put16(&b, q->type == DNS_A ? 4 : q->type == DNS_AAAA ? 16 : 9);
        if (q->type == DNS_AAAA) build_text(&b, T("\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0"));
        if (q->type == DNS_SRV) {
            put16(&b, 100 - k); put16(&b, 5); put16(&b, 8000 + k);
            build_text(&b, T("\1h\0"));
        } else {
            put16(&b, 0x0a00); put16(&b, first + k);
        }
    }
    q->open = false;
    q->told(q->arg, n ? LOOKUP_FOUND : LOOKUP_NONE, build_done(&b));
}

static void answer(unsigned i, unsigned n, uint32_t ttl, unsigned first) { answer_as(i, questions[i].name, n, ttl, first); }
static void fail(unsigned i, enum lookup_end how) { questions[i].open = false; questions[i].told(questions[i].arg, how, T("")); }

/* ---- who asks ---- */

struct asker { struct lookup l; unsigned told; enum lookup_end how; bool stale; size_t count; struct addr first; uint64_t valid_ms; uint16_t port; bool again; };

static struct resolver *r;
static struct pool *pool;
static uint64_t now = 1000000;

static void told(struct lookup *l)
{
    struct asker *k = container_of(l, struct asker, l);
    k->told++;
    k->how = l->how;
    k->stale = l->stale;
    k->count = l->count;
    k->valid_ms = l->valid_ms;
    if (l->addrs) k->first = l->addrs[0];
    if (l->services) k->port = l->services[0].port;
    if (k->again) {
        k->again = false;
        lookup_start(r, l, LOOKUP_HOST, T("again.example"), 80, 1000);
    }
}

static void pass(uint64_t ms)
{
    clock_fake(now += ms, 0);
    timer_run();
    task_run();
}

static void start(struct asker *k, const char *name)
{
    *k = (struct asker) { .l = { .done = told } };
    lookup_start(r, &k->l, LOOKUP_HOST, text_c(name), 8080, 30000);
}

static void open_with(struct resolver_want w)
{
    struct addr s = { .in = { .sin_family = AF_INET, .sin_port = htons(53) } };
    if (pool) pool_close(&pool);
    pool = pool_open(0);
    asked = 0;
    if (w.count) w.servers = &s;
    r = resolver_open(pool, &w);
}

static void begin(void) { open_with((struct resolver_want) { .count = 1, .ipv4 = true }); }

static void test_numeric(void)
{
    static const char *good[] = { "127.0.0.1", "::1", "[::1]", "2001:db8::5" }, *bad[] = { "", "a b", "1.2.3.4/8", "[::1", "::g", "-a/", "a..b" };
    struct asker k;
    begin();
    for (size_t i = 0; i < countof(good); i++) {
        start(&k, good[i]);
        ok(!k.told, "%s: not from within start", good[i]);
        pass(0);
        ok(k.told == 1 && k.how == LOOKUP_FOUND && k.count == 1 && addr_port(&k.first) == 8080, "%s is its own answer", good[i]);
    }
    for (size_t i = 0; i < countof(bad); i++) {
        start(&k, bad[i]);
        pass(0);
        ok(k.told == 1 && k.how == LOOKUP_NONE, "\"%s\" is no name", bad[i]);
    }
    is_int(asked, 0, "nobody was asked");
}

static void test_kept(void)
{
    struct asker k, j, m;
    begin();
    start(&k, "www.Example.com");
    start(&j, "www.example.com.");
    is_int(asked, 1, "two lookups, one question");
    is_str(questions[0].name, "www.example.com", "in lower case");
    answer(0, 2, 60, 1);
    ok(!k.told && !j.told, "told later");
    pass(0);
    ok(k.told == 1 && j.told == 1 && k.count == 2 && k.valid_ms == 60000, "both are told");
    pass(59000);
    start(&m, "www.example.com");
    pass(0);
    ok(asked == 1 && m.told == 1 && m.count == 2 && m.valid_ms == 1000 && !m.stale, "kept for its time");
    pass(1000);
    start(&m, "www.example.com");
    is_int(asked, 2, "then asked for again");
    answer(1, 1, 0, 9);
    pass(0);
    ok(m.told == 1 && m.count == 1 && m.valid_ms == 0, "a ttl of 0");
    start(&m, "www.example.com");
    is_int(asked, 3, "is not kept");
    lookup_cancel(&m.l);
    answer(2, 1, 0, 9);
    pass(0);
    ok(!m.told, "who gave up is not told");
    struct resolver_figures f = resolver_figures(r);
    ok(f.names == 1 && f.asked == 3 && f.kept == 1 && f.joined == 1, "figures");
    open_with((struct resolver_want) { .count = 1, .ipv4 = true, .valid_ms = 5000 });
    start(&k, "v.example.com");
    answer(0, 1, 1000, 1);
    pass(0);
    is_int(k.valid_ms, 5000, "valid= goes before the ttl");
}

static void test_both_families(void)
{
    struct asker k;
    open_with((struct resolver_want) { .count = 1, .ipv4 = true, .ipv6 = true });
    start(&k, "both.example.com");
    is_int(asked, 2, "A and AAAA");
    answer(1, 2, 60, 1);
    pass(0);
    ok(!k.told, "one of them is not enough");
    answer(0, 3, 30, 1);
    pass(0);
    ok(k.told == 1 && k.count == 5 && k.valid_ms == 30000, "both, for the shorter time");
    unsigned v4 = 0, v6 = 0;
    for (unsigned i = 0; i < 200; i++) {
        start(&k, "both.example.com");
        pass(0);
        v4 += k.first.family == AF_INET;
        v6 += k.first.family == AF_INET6;
    }
    ok(v4 > 20 && v6 > 20, "the order changes: %u, %u", v4, v6);
    start(&k, "four.example.com");
    answer(2, 1, 60, 1);
    fail(3, LOOKUP_SERVER);
    pass(0);
    ok(k.how == LOOKUP_FOUND && k.count == 1, "one that fails does not spoil the other");
    start(&k, "none.example.com");
    answer(4, 0, 60, 1);
    answer(5, 0, 60, 1);
    pass(0);
    is_int(k.how, LOOKUP_NONE, "neither");
    start(&k, "none.example.com");
    pass(0);
    ok(asked == 6 && k.told == 1 && k.how == LOOKUP_NONE, "is kept");
    pass(RESOLVE_NONE_MS);
    start(&k, "none.example.com");
    is_int(asked, 8, "for a while");
    lookup_cancel(&k.l);
    answer(6, 0, 0, 0);
    answer(7, 0, 0, 0);
}

static void test_wrong(void)
{
    struct asker k;
    begin();
    start(&k, "a.example.com");
    answer_as(0, "b.example.com", 1, 60, 1);
    pass(0);
    ok(k.told == 1 && k.how == LOOKUP_FORMAT, "an answer for another name is none");
    pass(RESOLVE_NONE_MS);
    start(&k, "a.example.com");
    fail(1, LOOKUP_SERVER);
    pass(0);
    is_int(k.how, LOOKUP_SERVER, "a server that fails");
    is_str(lookup_why(k.how), "Server failure", "in nginx's words");
}

static void test_time(void)
{
    struct asker k, j;
    begin();
    start(&k, "slow.example.com");
    pass(20000);
    fail(0, LOOKUP_TIMEOUT);
    pass(0);
    ok(!k.told, "no answer: it waits on");
    pass(500);
    is_int(asked, 2, "and asks again");
    start(&j, "slow.example.com");
    pass(9500);
    ok(k.told == 1 && k.how == LOOKUP_TIMEOUT && !j.told, "until its own time is over");
    answer(1, 1, 10, 1);
    pass(0);
    ok(j.told == 1 && j.how == LOOKUP_FOUND, "the other got the answer");
    start(&k, "late.example.com");
    k.again = true;
    pass(30000);
    ok(k.told == 1 && lookup_is_on(&k.l), "started again as it was told");
    lookup_cancel(&k.l);
    answer(2, 1, 10, 1);
    answer(3, 1, 10, 1);
    pass(0);
    is_int(k.told, 1, "and told no more");
}

static void test_same_turn(void)
{
    struct asker k;
    begin();
    start(&k, "turn.example.com");
    clock_fake(now += 30000, 0);
    answer(0, 1, 10, 1);
    timer_run();
    task_run();
    ok(k.told == 1 && k.how == LOOKUP_FOUND, "an answer in the turn in which time is over");
    pass(0);
    is_int(k.told, 1, "told once");
}

static void test_stale(void)
{
    struct asker k;
    begin();
    start(&k, "s.example.com");
    answer(0, 1, 10, 7);
    pass(10000);
    start(&k, "s.example.com");
    fail(1, LOOKUP_SERVER);
    pass(0);
    ok(k.told == 1 && k.how == LOOKUP_FOUND && k.stale && k.count == 1, "the servers fail: the last answer");
    start(&k, "s.example.com");
    pass(0);
    ok(asked == 2 && k.stale, "asked again not at once");
    pass(RESOLVE_RECHECK_MS);
    start(&k, "s.example.com");
    is_int(asked, 3, "but soon");
    pass(RESOLVE_PATIENCE_MS - 1);
    ok(!k.told, "patience");
    pass(1);
    ok(k.told == 1 && k.stale, "… has an end");
    answer(2, 2, 10, 7);
    start(&k, "s.example.com");
    pass(0);
    ok(k.count == 2 && !k.stale, "a late answer is good");
    pass(10000 + RESOLVE_STALE_MS);
    start(&k, "s.example.com");
    fail(3, LOOKUP_REFUSED);
    pass(0);
    is_int(k.how, LOOKUP_REFUSED, "too old to serve");
    pass(RESOLVE_NONE_MS);
    start(&k, "s.example.com");
    answer(4, 1, 10, 7);
    pass(10000);
    start(&k, "s.example.com");
    answer(5, 0, 10, 7);
    pass(0);
    is_int(k.how, LOOKUP_NONE, "that there is no such name any more is an answer");
}

static void test_bounds(void)
{
    static struct asker many[RESOLVE_NAMES_MAX + 1];
    char name[32];
    begin();
    for (unsigned i = 0; i <= RESOLVE_NAMES_MAX; i++) {
        snprintf(name, sizeof name, "n%u.example", i);
        start(&many[i], name);
    }
    pass(0);
    ok(many[RESOLVE_NAMES_MAX].told == 1 && many[RESOLVE_NAMES_MAX].how == LOOKUP_BUSY, "too many at once");
    is_int(asked, RESOLVE_NAMES_MAX, "the others are asked for");
    for (unsigned i = 0; i < RESOLVE_NAMES_MAX; i++) answer(i, 1, 600, 1);
    pass(0);
    start(&many[0], "n0.example");
    start(&many[RESOLVE_NAMES_MAX], "one.more");
    answer(RESOLVE_NAMES_MAX, 1, 600, 1);
    pass(0);
    is_int(resolver_figures(r).names, RESOLVE_NAMES_MAX, "no more are kept");
    start(&many[0], "n0.example");
    is_int(asked, RESOLVE_NAMES_MAX + 1, "one used of late stays");
    start(&many[1], "n1.example");
    is_int(asked, RESOLVE_NAMES_MAX + 2, "the oldest went");
    answer(RESOLVE_NAMES_MAX + 1, 1000, 600, 1);
    pass(0);
    is_int(many[1].count, RESOLVE_ADDRS_MAX, "addresses are bounded");
}

static void test_services(void)
{
    struct asker k = { .l = { .done = told } };
    begin();
    lookup_start(r, &k.l, LOOKUP_SRV, T("_http._tcp.example.com"), 0, 1000);
    ok(asked == 1 && questions[0].type == DNS_SRV, "one question");
    answer(0, 3, 60, 0);
    pass(0);
    ok(k.told == 1 && k.count == 3, "three services");
    is_int(k.port, 8002, "the one of least priority first");
}

static void test_hosts(void)
{
    struct asker k;
    open_with((struct resolver_want) { .ipv4 = true });
    in_hosts = true;
    start(&k, "box");
    pass(0);
    ok(asked == 0 && k.told == 1 && k.count == 1 && k.first.in.sin_addr.s_addr == htonl(0x7f000005), "of /etc/hosts");
    in_hosts = false;
    start(&k, "box");
    pass(0);
    ok(asked == 0 && k.told == 1, "kept");
    broken = true;
    open_with((struct resolver_want) { .count = 1, .ipv4 = true });
    start(&k, "box");
    pass(0);
    ok(k.told == 1 && k.how == LOOKUP_SERVER, "servers that cannot be asked");
    broken = false;
}

int main(void)
{
    clock_fake(now, 0);
    test_numeric();
    test_kept();
    test_both_families();
    test_wrong();
    test_time();
    test_same_turn();
    test_stale();
    test_bounds();
    test_services();
    test_hosts();
    pool_close(&pool);
    timer_close();
    return done();
}
