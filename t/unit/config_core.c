/* What the main context and "events" say: every row, and nginx's words where they are wrong. */
#include "t/unit/config_test.h"
#include "process/core_conf.h"
#include <unistd.h>

struct module *module_list[] = { &core_module, &events_module, NULL };

#define EVENTS "events { } "

static const struct core_conf *core(const char *text)
{
    static const struct core_conf none;
    char whole[1024];
    snprintf(whole, sizeof whole, EVENTS "%s", text);
    struct conf *cf = whole_conf(whole);
    if (cf) return core_conf(cf->top);
    diag("%s", said);
    return &none;
}

static const struct events_conf *events(const char *text)
{
    static const struct events_conf none;
    struct conf *cf = whole_conf(text);
    if (cf) return events_conf(cf);
    diag("%s", said);
    return &none;
}

/* Refused with this message, whatever the events. */
static void wrong(const char *text, const char *why)
{
    char whole[1024];
    snprintf(whole, sizeof whole, EVENTS "%s", text);
    refused(whole, why);
}

static void test_workers(void)
{
    struct core_cpus cpus;
    is_int(core("")->worker_processes, 1, "one worker");
    is_int(core("worker_processes 3;")->worker_processes, 3, "three");
    ok(core("worker_processes auto;")->worker_processes >= 1, "auto");
    wrong("worker_processes x;", "invalid value \"x\" in \"worker_processes\" directive in test.conf:1");
    wrong("worker_processes 0;", "invalid value \"0\"");
    is_int(core("worker_priority -5;")->worker_priority, -5, "priority");
    wrong("worker_priority x;", "invalid number \"x\" in \"worker_priority\" directive");
    wrong("worker_priority -;", "invalid number \"-\"");
    is_int(core("")->rlimit_nofile, -1, "no limit of descriptors");
    is_int(core("worker_rlimit_nofile 99;")->rlimit_nofile, 99, "a limit");
    ok(!core("")->rlimit_core.is_set, "no limit of core files");
    ok(core("worker_rlimit_core 0;")->rlimit_core.is_set, "none at all is a limit");
    is_int(core("worker_shutdown_timeout 10s;")->shutdown_timeout.ms, 10000, "time to end");
    const struct core_affinity *a = &core("worker_processes 2; worker_cpu_affinity 0001 '1 00';")->affinity;
    ok(core_conf_cpus(a, 0, &cpus) && cpus.bits[0] == 1, "the first mask");
    ok(core_conf_cpus(a, 1, &cpus) && cpus.bits[0] == 4, "the second, with a space");
    ok(core_conf_cpus(a, 9, &cpus) && cpus.bits[0] == 4, "the last one for the rest");
    a = &core("worker_cpu_affinity auto 1010;")->affinity;
    ok(core_conf_cpus(a, 0, &cpus) && cpus.bits[0] == 2, "auto: the first of the mask");
    ok(core_conf_cpus(a, 1, &cpus) && cpus.bits[0] == 8, "the second");
    ok(core_conf_cpus(a, 2, &cpus) && cpus.bits[0] == 2, "in a circle");
    ok(core_conf_cpus(&core("worker_cpu_affinity auto;")->affinity, 0, &cpus), "auto alone");
    ok(!core_conf_cpus(&core("")->affinity, 0, &cpus), "nothing said");
    ok(!core_conf_cpus(&core("worker_cpu_affinity auto 00;")->affinity, 0, &cpus), "an empty mask");
    wrong("worker_cpu_affinity 01x;", "invalid character \"x\" in \"worker_cpu_affinity\" in test.conf:1");
    wrong("worker_cpu_affinity auto 01 10;", "invalid number of arguments in \"worker_cpu_affinity\" directive in test.conf:1");
    core("worker_processes 3; worker_cpu_affinity 01 10;");
    ok(strstr(said, "the number of \"worker_processes\" is not equal to the number of \"worker_cpu_affinity\" masks"), "fewer masks than workers: a warning");
}

static void test_user(void)
{
    const struct core_conf *c = core("user root root;");
    if (geteuid() == 0) {
        ok(c->user.is_set && c->user.uid == 0 && c->user.gid == 0, "root");
        ok(core("")->user.is_set, "the default");
        wrong("user nosuchuser;", "getpwnam(\"nosuchuser\") failed in test.conf:1");
        wrong("user root nosuchgroup;", "getgrnam(\"nosuchgroup\") failed in test.conf:1");
    } else {
        ok(!c->user.is_set && strstr(said, "the \"user\" directive makes sense only if"), "user is for root");
        ok(!core("")->user.is_set && !*said, "and silence is the default");
    }
    wrong("user a b c;", "invalid number of arguments in \"user\" directive");
}

static void test_rest(void)
{
    const struct core_conf *c = core("env A; env B=; env C=d=e; pid run/x.pid; working_directory /tmp; daemon off; master_process OFF; pcre_jit on;");
    is_int(c->env.n, 3, "three variables");
    ok(!c->env.v[0].has_value && c->env.v[1].has_value && !c->env.v[1].value.n, "kept, and empty");
    is_text(c->env.v[2].name, "C", "name");
    is_text(c->env.v[2].value, "d=e", "value");
    is_text(c->pid, "/prefix/run/x.pid", "pid, from the prefix");
    is_text(c->working_directory, "/tmp", "working_directory");
    ok(!c->daemon.on && !c->master_process.on && c->pcre_jit.on, "flags");
    wrong("env =x;", "invalid value \"=x\"");
    c = core("thread_pool a threads=2; thread_pool b threads=3 max_queue=0;");
    ok(c->thread_pools.n == 2 && c->thread_pools.v[0].max_queue == 65536 && c->thread_pools.v[1].max_queue == 0, "thread pools");
    wrong("thread_pool a;", "invalid number of arguments in \"thread_pool\" directive");
    wrong("thread_pool a max_queue=3;", "\"thread_pool\" must have \"threads\" parameter in test.conf:1");
    wrong("thread_pool a threads=0;", "invalid threads value \"threads=0\" in test.conf:1");
    wrong("thread_pool a threads=2; thread_pool a threads=2;", "duplicate thread pool \"a\" in test.conf:1");
    wrong("load_module x.so;", "weir loads no modules of nginx, \"x.so\": remove this line if the site uses nothing of it in test.conf:1");
    core("lock_file a; timer_resolution 1s; debug_points stop;");
    ok(strstr(said, "the \"lock_file\" directive has no effect") && strstr(said, "the \"timer_resolution\" directive has no effect"), "no effect, and says so");
}

static void test_error_log(void)
{
    const struct error_log_list *l = &core("")->error_log;
    ok(l->n == 1 && l->v[0].kind == ERROR_LOG_FILE && l->v[0].level == L_ERR, "the default");
    l = &core("error_log a.log; error_log stderr debug; error_log memory:32k info; error_log syslog:server=127.0.0.1,tag=t crit;")->error_log;
    is_int(l->n, 4, "four logs");
    is_text(l->v[0].path, "/prefix/a.log", "a file, from the prefix");
    ok(l->v[1].kind == ERROR_LOG_STDERR && l->v[1].level == L_DEBUG, "stderr");
    ok(l->v[2].kind == ERROR_LOG_MEMORY && l->v[2].memory == 32768 && l->v[2].level == L_INFO, "memory");
    ok(l->v[3].kind == ERROR_LOG_SYSLOG && l->v[3].level == L_CRIT && l->v[3].syslog, "syslog");
    is_int(core("error_log stderr debug_http debug_event;")->error_log.v[0].level, L_DEBUG, "parts of debug");
    wrong("error_log x foo;", "invalid log level \"foo\" in test.conf:1");
    wrong("error_log x info warn;", "duplicate log level \"warn\" in test.conf:1");
    wrong("error_log x warn debug_http;", "duplicate log level \"debug_http\" in test.conf:1");
    wrong("error_log memory:1;", "invalid buffer size \"1\" in test.conf:1");
    wrong("error_log memory:x;", "invalid buffer size \"x\" in test.conf:1");
    wrong("error_log syslog:foo=1;", "unknown syslog parameter \"foo=1\" in test.conf:1");
}

static void test_events(void)
{
    refused("", "no \"events\" section in configuration");
    refused("events {} events {}", "\"events\" directive is duplicate in test.conf:1");
    refused("events { use kqueue; }", "invalid event type \"kqueue\" in test.conf:1");
    refused("events { use epoll; use epoll; }", "\"use\" directive is duplicate in test.conf:1");
    refused("events { worker_connections x; }", "invalid number \"x\" in \"worker_connections\" directive");
    refused("events { worker_connections 0; }", "value must be between 1 and 2147483647 in test.conf:1");
    refused("events { debug_connection no.such.host.invalid; }", "in debug_connection \"no.such.host.invalid\" in test.conf:1");
    const struct events_conf *e = events("events { }");
    ok(e->worker_connections == 512 && !e->multi_accept.on && !e->debug.n, "defaults");
    e = events("events { use epoll; worker_connections 1024; multi_accept on; debug_connection 10.0.0.0/8; debug_connection ::1; debug_connection unix:; }");
    ok(e->worker_connections == 1024 && e->multi_accept.on, "set in the block, read at the top");
    ok(e->debug.n == 2 && e->debug.unix_too && e->debug.v[0].bits == 8, "debug_connection");
    events("events { debug_connection 127.0.0.1/8; }");
    ok(strstr(said, "low address bits of 127.0.0.1/8 are meaningless in test.conf:1"), "low bits");
    events("events { accept_mutex on; accept_mutex_delay 1s; worker_aio_requests 3; }");
    ok(strstr(said, "the \"accept_mutex\" directive has no effect"), "accept_mutex has no effect");
}

int main(void)
{
    listen_in();
    ok(conf_register(), "rows are accepted");
    test_workers();
    test_user();
    test_rest();
    test_error_log();
    test_events();
    pool_close(&pool);
    return done();
}
