/* A Redis server as it may behave: the test plays it on a socket of its own, over the real loop. */
#include "upstream/redis.h"
#include "event/event.h"
#include "t/unit/tap.h"
#include <arpa/inet.h>
#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

static int listener;
static uint16_t port;
static struct pool *pool;
static unsigned ups, downs;
static char last_why[256];

static void turned(void *arg, bool up, const char *why)
{
    (void) arg;
    *(up ? &ups : &downs) += 1;
    if (why) snprintf(last_why, sizeof last_why, "%s", why);
}

static unsigned answers, none;
static int64_t last[2];
static void told(void *arg, const int64_t *v)
{
    (void) arg;
    if (v) answers++, memcpy(last, v, sizeof last);
    else none++;
}

/* What has come, after loop turns until done or many turns. */
static char got[1 << 20];
static size_t got_n;
static int peer = -1;

static void take(void)
{
    ssize_t n;
    if (peer < 0) peer = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
    while (peer >= 0 && got_n < sizeof got - 1 && (n = recv(peer, got + got_n, sizeof got - 1 - got_n, MSG_DONTWAIT)) > 0) got_n += (size_t) n;
    got[got_n] = '\0';
}

static bool until_got(const char *what)
{
    for (int i = 0; i < 400 && !strstr(got, what); i++) {
        loop_turn(5);
        take();
    }
    return strstr(got, what) != NULL;
}

static void until(const unsigned *what, unsigned n)
{
    for (int i = 0; i < 800 && *what < n; i++) loop_turn(5);
}

static void forget(void) { got_n = 0; got[0] = '\0'; }
static void say(const char *s) { if (send(peer, s, strlen(s), MSG_NOSIGNAL) < 0) diag("send: %s", strerror(errno)); }
static void hang_up(void) { close(peer); peer = -1; forget(); }

static struct redis_target target;
static const struct text probe[] = { TEXT_INIT("probe"), TEXT_INIT("1") };
static const struct text question[] = { TEXT_INIT("key"), TEXT_INIT("1"), TEXT_INIT("22") };
static const struct redis_want want = { &target, TEXT_INIT("return {1, 2}"), probe, countof(probe), turned, NULL };

/* Begins, as a server that knows all. */
static bool welcome(void)
{
    if (!until_got("probe\r\n$1\r\n1\r\n")) return false;
    forget();
    say("+OK\r\n+OK\r\n*2\r\n:1\r\n:2\r\n");
    until(&ups, 1);
    return ups == 1;
}

static struct redis *begin(void)
{
    ups = downs = answers = none = 0;
    last_why[0] = '\0';
    forget();
    return redis_open(&want);
}

static void end(struct redis **s)
{
    redis_close(s);
    if (peer >= 0) hang_up();
}

static void targets(void)
{
    struct conf cf = { .pool = pool, .scratch = pool };
    struct redis_target t;
    ok(!redis_read_target(&cf, T("redis://h"), &t) && text_eq(t.host, T("h")) && t.port == 6379 && t.db == 0 && !t.password.n, "a host");
    ok(!redis_read_target(&cf, T("redis://u%40:p%3a@w@1.2.3.4:77/5"), &t) && text_eq(t.user, T("u@")) && text_eq(t.password, T("p:@w")) && text_eq(t.host, T("1.2.3.4")) && t.port == 77 && t.db == 5, "all of it");
    ok(text_eq(t.shown, T("redis://1.2.3.4:77/5")), "shown without secrets");
    ok(!redis_read_target(&cf, T("redis://:p@[::1]/"), &t) && !t.user.n && text_eq(t.password, T("p")) && t.port == 6379, "a password alone, IPv6");
    ok(!redis_read_target(&cf, T("redis://unix:/run/a:b.sock:/3"), &t) && text_eq(t.host, T("unix:/run/a:b.sock")) && t.db == 3, "a unix socket");
    ok(!redis_read_target(&cf, T("redis://unix:/run/a.sock"), &t) && text_eq(t.host, T("unix:/run/a.sock")) && t.db == 0, "without a number");
    for (const char *const *bad = (const char *const []) { "h:1", "rediss://h", "redis://", "redis://h/x", "redis://h:99999", "redis://secret@h", "redis://u:@h", "redis://unix:", "redis://h/99999999", NULL }; *bad; bad++) {
        conf_result why = redis_read_target(&cf, text_c(*bad), &t);
        ok(why && !strstr(why, "secret"), "refused: %s", *bad);
    }
}

static void usual(void)
{
    struct redis *s = begin();
    ok(until_got("probe\r\n$1\r\n1\r\n"), "begins");
    is_int(strncmp(got, "*3\r\n$4\r\nAUTH\r\n$1\r\nu\r\n$2\r\npw\r\n*2\r\n$6\r\nSELECT\r\n$1\r\n7\r\n*5\r\n$4\r\nEVAL\r\n", 66), 0, "AUTH, SELECT, EVAL at once");
    ok(!redis_ask(s, question, countof(question), told, NULL), "nothing is asked before it is up");
    ok(welcome() && !downs, "is up when all is answered");
    for (int i = 0; i < 3; i++) ok(redis_ask(s, question, countof(question), told, NULL), "a question");
    loop_turn(0);
    take();
    is_int(got_n, 3 * strlen("*6\r\n$7\r\nEVALSHA\r\n$40\r\n") + 3 * (40 + strlen("\r\n$1\r\n1\r\n$3\r\nkey\r\n$1\r\n1\r\n$2\r\n22\r\n")), "all at the end of the turn, by digest");
    say("*2\r\n:1\r\n:5\r\n*2\r\n:0\r\n:-6\r\n-NOSCRIPT none\r\n");
    forget();
    until(&answers, 2);
    ok(last[0] == 0 && last[1] == -6, "answers");
    ok(until_got("return {1, 2}"), "a server that forgot the script is told again");
    say("*2\r\n:1\r\n:9\r\n");
    until(&answers, 3);
    ok(answers == 3 && last[1] == 9 && !none && !downs, "and answers");
    struct text longest[] = { { got, REDIS_ARG_BYTES } };
    ok(redis_ask(s, longest, 1, told, NULL), "as long as may be");
    longest->n++;
    ok(!redis_ask(s, longest, 1, told, NULL), "longer is not asked");
    end(&s);
    is_int(none, 1, "who waits at the end is told");
}

static void full(void)
{
    struct redis *s = begin();
    unsigned n = 0;
    welcome();
    while (n <= REDIS_PENDING_MOST && redis_ask(s, question, countof(question), told, NULL)) n++;
    is_int(n, REDIS_PENDING_MOST, "so many may wait");
    until(&downs, 1);
    is_str(last_why, "it does not answer any more", "a silent server is left");
    is_int(none, REDIS_PENDING_MOST, "all are told");
    ok(!redis_ask(s, question, countof(question), told, NULL), "and nothing is asked until it is back");
    hang_up();
    ups = 0;
    ok(welcome(), "which it is after a pause");
    ok(redis_ask(s, question, countof(question), told, NULL), "asked again");
    end(&s);
}

static void faults(void)
{
    static const struct { const char *say, *why; } begins[] = {
        { "-WRONGPASS wrong\r\n", "WRONGPASS wrong" }, { "+OK\r\n-ERR DB index is out of range\r\n", "ERR DB index is out of range" }, { "+OK\r\n+OK\r\n-READONLY no\r\n", "READONLY no" },
        { "HTTP/1.1 400\r\n", "Protocol error, got \"H\" as reply type byte" },
    }, serves[] = {
        { "-OOM no memory\r\n", "OOM no memory" }, { "+OK\r\n", "its answer is not what was asked for" }, { "*2\r\n:1\r\n$1\r\na\r\n", "its answer is not what was asked for" },
        { "*2\r\n:1\r\nX", "Protocol error, got \"X\" as reply type byte" },
    };
    for (size_t i = 0; i < countof(begins); i++) {
        struct redis *s = begin();
        until_got("probe\r\n$1\r\n1\r\n");
        say(begins[i].say);
        until(&downs, 1);
        is_str(last_why, begins[i].why, "does not begin: %s", begins[i].why);
        ok(!ups, "never up");
        end(&s);
    }
    for (size_t i = 0; i < countof(serves); i++) {
        struct redis *s = begin();
        welcome();
        redis_ask(s, question, countof(question), told, NULL);
        redis_ask(s, question, countof(question), told, NULL);
        loop_turn(0);
        say(serves[i].say);
        until(&downs, 1);
        is_str(last_why, serves[i].why, "goes down: %s", serves[i].why);
        is_int(none, 2, "and all are told");
        end(&s);
    }
    struct redis *s = begin();
    until_got("probe");
    until(&downs, 1);
    is_str(last_why, "it does not answer", "one that never answers");
    end(&s);
}

/* Pauses double up to their most: counts how often it comes in a while. */
static void pauses(void)
{
    struct redis *s = begin();
    unsigned came = 0;
    uint64_t from = clock_now.ms;
    while (clock_now.ms < from + 1500) {
        loop_turn(5);
        take();
        if (peer < 0) continue;
        hang_up();
        came++;
    }
    ok(came >= 2 && came <= 6, "comes back with pauses: %u times in 1.5 seconds", came);
    is_int(downs, 1, "told once");
    end(&s);
    for (int left; (left = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0;) close(left);

    s = begin();
    welcome();
    from = clock_now.ms;
    while (clock_now.ms < from + 1100) loop_turn(50);
    hang_up();
    ok(until_got("probe\r\n$1\r\n1\r\n"), "an idle connection that was closed is made again");
    say("+OK\r\n+OK\r\n*2\r\n:1\r\n:2\r\n");
    for (int i = 0; i < 200 && !redis_ask(s, question, countof(question), told, NULL); i++) loop_turn(5);
    ok(!downs && ups == 1, "which nobody is told");
    end(&s);
}

int main(void)
{
    struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t n = sizeof a;
    pool = pool_open(0);
    if (!redis_is_built()) return done();
    listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    if (bind(listener, (struct sockaddr *) &a, n) || listen(listener, 16) || getsockname(listener, (struct sockaddr *) &a, &n)) return 1;
    port = ntohs(a.sin_port);
    clock_update();
    loop_open(64);
    targets();
    target = (struct redis_target) { .user = T("u"), .password = T("pw"), .host = T("127.0.0.1"), .port = port, .db = 7 };
    usual();
    full();
    faults();
    pauses();
    loop_turn(0);
    loop_close();
    pool_close(&pool);
    return done();
}
