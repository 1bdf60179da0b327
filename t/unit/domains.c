/* domains: what lines mean, what is found, and files that change or break while somebody looks names up. */
#include "eval/domains.h"
#include "t/unit/list_test.h"

static bool has(const struct list_file *d, const char *host) { return domains_have(d, text_c(host)); }

static void lines(const struct list_file *d)
{
    ok(has(d, "plain.example"), "a name");
    ok(has(d, "a.plain.example") && has(d, "a.b.plain.example"), "and all below it");
    ok(!has(d, "notplain.example") && !has(d, "example") && !has(d, "plain.example.org"), "but nothing that only looks like it");
    ok(has(d, "dot.example") && has(d, "a.dot.example"), "a leading dot means the same");
    ok(!has(d, "star.example") && has(d, "a.star.example") && has(d, "b.a.star.example"), "a star: only what is below");
    ok(has(d, "upper.example"), "capitals in the file");
    ok(has(d, "trailing.example") && has(d, "plain.example."), "a dot at the end, in the file and in the question");
    ok(has(d, "ads.example") && has(d, "track.example") && !has(d, "x.ads.example"), "lines of a hosts file: these very names");
    ok(has(d, "six.example"), "with an IPv6 address as well");
    ok(!has(d, "localhost") && !has(d, "ip6-loopback"), "what a hosts file says of the machine is left out");
    ok(has(d, "xn--mnchen-3ya.example"), "IDNA as it is given");
    ok(has(d, "both.example") && has(d, "a.both.example"), "two lines about one name add up");
    ok(has(d, "last.example"), "a last line without an end");
    ok(!has(d, "comment.example") && !has(d, "behind.example"), "comments");
    ok(!has(d, "") && !has(d, ".") && !has(d, ".."), "no names");
    is_int(domains_count(d), 11, "eleven names");
}

static void many(const struct list_file *d)
{
    size_t n = 0, room = 4 << 20, found = 0, strays = 0;
    char *big = base_alloc(room), name[64];
    for (unsigned i = 0; i < 100000; i++) n += (size_t) snprintf(big + n, room - n, "host%u.zone%u.example\n", i, i % 977);
    put(big, n);
    look();
    is_int(domains_count(d), 100000, "a hundred thousand names");
    for (unsigned i = 0; i < 100000; i++) {
        snprintf(name, sizeof name, "www.host%u.zone%u.example", i, i % 977);
        found += has(d, name);
        snprintf(name, sizeof name, "host%u.zone%u.example", i, (i + 1) % 977);
        strays += has(d, name);
    }
    is_int(found, 100000, "all are found");
    is_int(strays, 0, "and no others");
    free(big);
}

/* Somebody looks names up while the list is read anew again and again: the name that is in all versions is always found. */
static void changing(const struct list_file *d)
{
    put_text("first.example\nalways.example\n");
    look();
    pid_t child = fork();
    if (child == 0) {
        unsigned missed = 0;
        for (unsigned i = 0; i < 300000; i++) missed += !has(d, "www.always.example") || has(d, "never.example");
        _exit(missed ? 1 : 0);
    }
    int status = 0;
    for (unsigned i = 0; waitpid(child, &status, WNOHANG) == 0; i++) {
        put_text(i & 1 ? "odd.example\nalways.example\n" : "0.0.0.0 x.example\nalways.example\neven.example\nmore.example\n");
        look();
    }
    ok(WIFEXITED(status) && WEXITSTATUS(status) == 0, "a name that stays in the list is found all the time, from another process");
}

static void broken(const struct list_file *d)
{
    put_text("");
    look();
    ok(has(d, "always.example"), "an empty file leaves the list as it was");
    ok(strstr(said, "[error]") && strstr(said, "has no names"), "and is told");
    said[0] = '\0';
    list_files_look(at_once);
    is_int(strlen(said), 0, "once");
    put_text("# only a comment\n\n");
    look();
    ok(has(d, "always.example") && strstr(said, "has no names"), "so does one without names");
    put_text("<html><body>\n<h1>404 Not Found</h1>\nwww.example\n</body></html>\n");
    look();
    ok(has(d, "always.example") && strstr(said, "is no list of names"), "so does a page that came in its place");
    unlink(path);
    look();
    ok(has(d, "always.example"), "so does a file that is gone");
    put_text("new.example\nnot/a/name\na.b.c.example\nd.example\ne.example\nf.example\ng.example\nh.example\ni.example\nj.example\nk.example\n");
    look();
    ok(has(d, "new.example") && !has(d, "always.example"), "the next good one is taken");
    ok(strstr(said, "1 lines of") && strstr(said, "the first is line 2"), "a line that is no name is told and left out");
}

int main(void)
{
    begin("domains");
    struct pool *pool = pool_open(0), *second = pool_open(0);
    cf.pool = pool;
    struct list_file *d = domains_of(&cf, text_c(path));
    ok(!list_files_load_all() && strstr(said, "[emerg]"), "a list that is not there");
    put_text("# comment.example\nplain.example # behind.example\n\r\n.dot.example\n*.star.example\r\nUPPER.Example\ntrailing.example.\n"
             "127.0.0.1 localhost\n::1 ip6-loopback localhost\n0.0.0.0 ads.example track.example # comment\n:: six.example\n"
             "\txn--mnchen-3ya.example  \n*.both.example\n0.0.0.0 both.example\nlast.example");
    ok(list_files_load_all(), "a list that is there");
    lines(d);
    cf.pool = second;
    ok(domains_of(&cf, text_c(path)) == d, "the same file is the same list");
    pool_close(&pool);
    ok(has(d, "plain.example"), "which lives as long as one configuration has it");
    many(d);
    changing(d);
    broken(d);
    pool_close(&second);
    unlink(path);
    return done();
}
