/* syslog: its words, and its messages as they arrive; and the small things of file. */
#include "os/syslog.h"
#include "base/clock.h"
#include "os/file.h"
#include "t/unit/tap.h"
#include <sys/stat.h>
#include <sys/un.h>

static struct pool *pool;

static void refuses(const char *words, const char *why)
{
    struct syslog s;
    const char *said = syslog_parse(pool, text_c(words), &s);
    is_str(said ? said : "taken", why, "\"%s\"", words);
}

static void test_parse(void)
{
    struct syslog s;
    ok(!syslog_parse(pool, T("server=127.0.0.1"), &s) && addr_port(&s.server) == 514 && s.facility == 23 && s.severity == 6, "defaults: local7, info, port 514");
    is_same(s.tag, T("weir"), "and our name");
    ok(!syslog_parse(pool, T("server=[::1]:99,facility=daemon,severity=crit,tag=x_1,nohostname"), &s), "everything");
    ok(addr_port(&s.server) == 99 && s.facility == 3 && s.severity == 2 && s.nohostname && text_eq(s.tag, T("x_1")), "is kept");
    refuses("", "unknown syslog parameter \"\"");
    refuses("tag=x", "no syslog server specified");
    refuses("server=127.0.0.1,facility=none", "unknown syslog facility \"none\"");
    refuses("server=127.0.0.1,severity=bad", "unknown syslog severity \"bad\"");
    refuses("server=127.0.0.1,tag=a-b", "syslog \"tag\" only allows alphanumeric characters and underscore");
    refuses("server=127.0.0.1,tag=abcdefghijklmnopqrstuvwxyz0123456", "syslog tag length exceeds 32");
    refuses("server=127.0.0.1:x", "invalid port in syslog server \"127.0.0.1:x\"");
    refuses("server=127.0.0.1,x=y", "unknown syslog parameter \"x=y\"");
}

static struct text hear(int fd, char *room, size_t size)
{
    ssize_t n = recv(fd, room, size, MSG_DONTWAIT);
    return text_of(room, n > 0 ? (size_t) n : 0);
}

static void test_send(void)
{
    char path[64], words[400], room[4096], host[256];
    snprintf(path, sizeof path, "/tmp/weir-unit-syslog-%d", (int) getpid());
    snprintf(words, sizeof words, "server=unix:%s,facility=local0,tag=tag", path);
    struct sockaddr_un sa = { .sun_family = AF_UNIX };
    memcpy(sa.sun_path, path, strlen(path));
    int fd = socket(AF_UNIX, SOCK_DGRAM, 0);
    struct syslog s;
    ok(fd >= 0 && bind(fd, (struct sockaddr *) &sa, sizeof sa) == 0 && !syslog_parse(pool, text_c(words), &s), "a unix socket");
    clock_fake(5000, 1700000000000);
    setenv("TZ", "UTC", 1);
    gethostname(host, sizeof host);
    struct log log = { 0 };
    log_add_target(&log, syslog_target(pool, L_ERR, &s));
    log_at(&log, L_ERR, NULL, 0, "said");
    snprintf(words, sizeof words, "<131>Nov 14 22:13:20 %s tag: ", host);       /* 16 * 8 + 3 */
    struct text got = hear(fd, room, sizeof room);
    ok(text_starts(got, text_c(words)) && text_ends(got, T(": said")), "a line of an error log: %.*s", TEXT_ARG(got));
    log_at(&log, L_WARN, NULL, 0, "not said");
    is_text(hear(fd, room, sizeof room), "", "less serious lines stay here");
    s.nohostname = true;
    syslog_send(&s, 6, T("plain"));
    is_text(hear(fd, room, sizeof room), "<134>Nov 14 22:13:20 tag: plain", "without the host");
    unlink(path);
    close(fd);
    fd = socket(AF_UNIX, SOCK_DGRAM, 0);
    ok(bind(fd, (struct sockaddr *) &sa, sizeof sa) == 0, "the daemon is started anew");
    syslog_send(&s, 6, T("again"));
    is_text(hear(fd, room, sizeof room), "<134>Nov 14 22:13:20 tag: again", "and hears the next line");
    unlink(path);
    close(fd);
    syslog_send(&s, 6, T("lost"));
    syslog_send(&s, 6, T("lost"));
    is_int(s.fd, -1, "when it is gone, lines are lost, not waited for");
    syslog_close(&s);
    clock_real();
}

static void test_files(void)
{
    char dir[64], path[128], room[16];
    struct stat st;
    snprintf(dir, sizeof dir, "/tmp/weir-unit-file-%d", (int) getpid());
    snprintf(path, sizeof path, "%s/a/b", dir);
    ok(file_make_folders(path, 0700) == 0 && stat(path, &st) == 0 && S_ISDIR(st.st_mode), "folders are made");
    ok(file_make_folders(path, 0700) == 0, "twice is fine");
    snprintf(path, sizeof path, "%s/a/file", dir);
    ok(file_replace(path, T("one"), 0600) == 0 && file_replace(path, T("two"), 0600) == 0, "a file is replaced");
    is_int(file_read(path, room, sizeof room), 3, "and read");
    is_str(room, "two", "with what it has now");
    int fd = file_open_append(path);
    ok(file_write_all(fd, T(" and much more than that")) > 0, "appended to");
    is_int(file_read(path, room, sizeof room), sizeof room - 1, "what does not fit is left out");
    close(fd);
    const char *call;
    snprintf(path, sizeof path, "%s/c", dir);
    ok(file_own_folder(path, getuid(), &call) == 0 && stat(path, &st) == 0 && (st.st_mode & 0777) == 0700, "a folder of one's own");
    ok(file_own_folder("/proc/none/x", getuid(), &call) == -1 && strcmp(call, "mkdir()") == 0, "where it cannot be");
    const char *all[] = { "a/file", "a/b", "a", "c", "" };
    for (size_t i = 0; i < countof(all); i++) {
        snprintf(path, sizeof path, "%s/%s", dir, all[i]);
        remove(path);
    }
}

int main(void)
{
    pool = pool_open(0);
    test_parse();
    test_send();
    test_files();
    pool_close(&pool);
    return done();
}
