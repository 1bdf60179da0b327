/* config_test: what the tests of the config engine share: a small module list and the log in a buffer. */
#ifndef CONFIG_TEST_H
#define CONFIG_TEST_H

#include "config/conf.h"
#include "t/unit/tap.h"

static char said[8192];
static size_t said_n;

static void note(struct log_target *t, enum log_level level, struct text line)
{
    (void) t, (void) level;
    size_t n = min_of(line.n, sizeof said - said_n - 1);
    memcpy(said + said_n, line.p, n);
    said[said_n += n] = 0;
}

/* All lines of the log go to said. */
static void listen_in(void)
{
    static struct log_target target = { .level = L_DEBUG, .write = note };
    static struct log log;
    log_add_target(&log, &target);
    log_main = &log;
}

static struct pool *pool;

/* Reads text as "test.conf" with the globals. NULL: refused; said tells why. */
static struct conf *read_conf_with(const char *text, const char *globals)
{
    said_n = 0;
    said[0] = 0;
    pool_close(&pool);
    pool = pool_open(0);
    return conf_open_text(pool, "test.conf", text_c(text), text_c(globals), T("/prefix/"));
}

__attribute__((unused)) static struct conf *read_conf(const char *text) { return read_conf_with(text, ""); }

/* Reads and finishes. */
__attribute__((unused)) static struct conf *whole_conf(const char *text)
{
    struct conf *cf = read_conf(text);
    if (cf && !conf_finish(cf)) cf = NULL;
    return cf;
}

/* The text is refused, and the log has this message. */
__attribute__((unused)) static void refused(const char *text, const char *why)
{
    struct conf *cf = read_conf(text);
    if (cf && !conf_finish(cf)) cf = NULL;
    bool passed = ok(!cf && strstr(said, why), "refused: %.60s", why);
    if (!passed) diag("\"%s\" said \"%s\"", text, said);
}

#endif
