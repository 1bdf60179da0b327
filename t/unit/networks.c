/* networks: what lines mean, which addresses are found, and files that change or break while somebody looks. */
#include "eval/networks.h"
#include "t/unit/list_test.h"

static bool has(const struct list_file *f, const char *address)
{
    struct cidr c;
    ASSERT(addr_parse_cidr(text_c(address), &c));
    return networks_have(f, &c.base);
}

static void lines(const struct list_file *f)
{
    ok(has(f, "192.0.2.1") && !has(f, "192.0.2.0") && !has(f, "192.0.2.2"), "an address");
    ok(has(f, "198.51.100.0") && has(f, "198.51.100.255") && !has(f, "198.51.99.255") && !has(f, "198.51.101.0"), "a network, to its ends");
    ok(has(f, "203.0.113.7") && has(f, "203.0.113.9") && !has(f, "203.0.113.6") && !has(f, "203.0.113.10"), "a range");
    ok(has(f, "10.1.2.3") && !has(f, "10.2.0.0"), "bits beyond the mask mean nothing");
    ok(has(f, "2001:db8::1") && has(f, "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff") && !has(f, "2001:db9::"), "IPv6");
    ok(has(f, "2001:dba::5") && has(f, "2001:dba::9") && !has(f, "2001:dba::a"), "a range of it");
    ok(has(f, "::ffff:192.0.2.1") && !has(f, "::ffff:192.0.2.2"), "a client's IPv4 in IPv6");
    ok(has(f, "172.16.0.9") && has(f, "172.31.0.1") && !has(f, "172.32.0.0"), "IPv4 that the file writes as IPv6");
    ok(has(f, "255.255.255.255") && has(f, "255.255.255.254") && !has(f, "0.0.0.0"), "the last addresses");
    ok(!has(f, "192.0.2.99") && !has(f, "192.0.2.98"), "comments");
    ok(has(f, "100.64.0.1") && has(f, "100.64.0.200"), "networks within each other");
    ok(has(f, "192.0.2.200"), "a last line without an end");
    struct addr local = { .un = { .family = AF_UNIX } };
    ok(!networks_have(f, &local), "a unix socket is in no network");
    is_int(networks_count(f), 11, "ranges that meet are one");
}

static void whole(const struct list_file *f)
{
    put_text("0.0.0.0/0\n");
    look();
    ok(has(f, "0.0.0.0") && has(f, "255.255.255.255") && has(f, "::ffff:1.2.3.4") && !has(f, "::1"), "all of IPv4");
    put_text("::/0\n");
    look();
    ok(has(f, "::") && has(f, "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff") && !has(f, "1.2.3.4"), "all of IPv6");
    put_text("# nobody\n\n");
    look();
    ok(!has(f, "::") && !has(f, "1.2.3.4") && !strstr(said, "[error]"), "nobody");
}

static void many(const struct list_file *f)
{
    size_t n = 0, room = 4 << 20, found = 0, strays = 0;
    char *big = base_alloc(room), address[64];
    for (unsigned i = 0; i < 100000; i++) n += (size_t) snprintf(big + n, room - n, "%u.%u.%u.%u/31\n", 1 + i % 200, i / 200 % 256, i / 51200, 4 * (i % 50));
    for (unsigned i = 0; i < 1000; i++) n += (size_t) snprintf(big + n, room - n, "2001:db8:%x::/48\n", 2 * i);
    put(big, n);
    look();
    ok(strstr(said, "101000 addresses and networks were read") != NULL, "a hundred thousand lines");
    for (unsigned i = 0; i < 100000; i++) {
        snprintf(address, sizeof address, "%u.%u.%u.%u", 1 + i % 200, i / 200 % 256, i / 51200, 4 * (i % 50) + 1);
        found += has(f, address);
        snprintf(address, sizeof address, "%u.%u.%u.%u", 1 + i % 200, i / 200 % 256, i / 51200, 4 * (i % 50) + 2);
        strays += has(f, address);
    }
    is_int(found, 100000, "all are found");
    is_int(strays, 0, "and nothing else");
    ok(has(f, "2001:db8:2::5") && !has(f, "2001:db8:3::5"), "the others too");
    free(big);
}

/* Somebody looks all the time, from another process, while the list is built anew again and again. */
static void changing(const struct list_file *f)
{
    put_text("10.0.0.0/8\n192.0.2.1\n");
    look();
    pid_t child = fork();
    if (child == 0) {
        unsigned missed = 0;
        for (unsigned i = 0; i < 300000; i++) missed += !has(f, "10.9.9.9") || has(f, "11.0.0.0");
        _exit(missed ? 1 : 0);
    }
    int status = 0;
    for (unsigned i = 0; waitpid(child, &status, WNOHANG) == 0; i++) {
        put_text(i & 1 ? "9.0.0.0/8\n10.0.0.0/8\n2001:db8::/32\n" : "1.1.1.1\n2.2.2.2\n3.3.3.3\n10.0.0.0/8\n172.16.0.0/12\n");
        look();
    }
    ok(WIFEXITED(status) && WEXITSTATUS(status) == 0, "a network that stays in the list is found all the time, from another process");
}

static void broken(const struct list_file *f)
{
    static const char *const bad[] = { "1.2.3", "1.2.3.4/33", "10.0.0.1 10.0.0.2", "example.com", "10.0.0.9-10.0.0.1", "10.0.0.1-2001:db8::1", "10.0.0.0/24-10.0.1.0", "<html>", "all", "10.0.0.1-", "-", "::1/129", "unix:" };
    char content[128], want[256];
    put_text("10.0.0.0/8\n");
    look();
    for (size_t i = 0; i < countof(bad); i++) {
        snprintf(content, sizeof content, "1.1.1.1\n# 2\n%s\nalso bad\n", bad[i]);
        put_text(content);
        look();
        snprintf(want, sizeof want, "%s:3: \"%s\" is no address, network or range: the one that was read before stays", path, bad[i]);
        ok(has(f, "10.9.9.9") && !has(f, "1.1.1.1") && strstr(said, "[error]") && strstr(said, want), "%s", bad[i]);
    }
    said[0] = '\0';
    list_files_look(at_once);
    list_files_look(at_once);
    is_int(strlen(said), 0, "told once");
    memset(content, 'x', sizeof content);
    put(content, sizeof content);
    look();
    ok(has(f, "10.9.9.9") && strstr(said, "xxx...\" is no address"), "a long line is not shown whole");
    put("1.1.1.1\n\1\x1b[31m\n", 15);
    look();
    ok(has(f, "10.9.9.9") && !strchr(said, '\x1b') && strstr(said, ":2: "), "nor what is none of a terminal's business");
    unlink(path);
    look();
    ok(has(f, "10.9.9.9"), "a file that is gone");
    put_text("1.1.1.1\n");
    look();
    ok(has(f, "1.1.1.1") && !has(f, "10.9.9.9"), "the next good one is taken");
}

int main(void)
{
    begin("networks");
    struct pool *pool = pool_open(0), *second = pool_open(0);
    cf.pool = pool;
    struct list_file *f = networks_of(&cf, text_c(path));
    ok(!list_files_load_all() && strstr(said, "[emerg]"), "a list that is not there");
    said[0] = '\0';
    put_text("1.1.1.1\nrubbish\n");
    ok(!list_files_load_all() && strstr(said, "[emerg]") && strstr(said, ":2: \"rubbish\" is no address, network or range"), "one that is none");
    put_text("# 192.0.2.99\n192.0.2.1 # 192.0.2.98\n\r\n  198.51.100.0/24\t\r\n203.0.113.7-203.0.113.9 ; SBL1\n10.1.2.3/16\n;comment\n2001:db8::/32\n2001:dba::5 - 2001:dba::9\n"
             "::ffff:172.16.0.0/108\n255.255.255.254/31\n255.255.255.255\n100.64.0.0/24\n100.64.0.7\n100.64.1.0/24\n2001:0DB7::\n192.0.2.200");
    ok(list_files_load_all(), "a list that is there");
    lines(f);
    cf.pool = second;
    ok(networks_of(&cf, text_c(path)) == f, "the same file is the same list");
    pool_close(&pool);
    ok(has(f, "192.0.2.1"), "which lives as long as one configuration has it");
    whole(f);
    many(f);
    changing(f);
    broken(f);
    pool_close(&second);
    unlink(path);
    return done();
}
