#include "base/base.h"
#include "base/log.h"
#include <errno.h>
#include <unistd.h>

unsigned base_slack;
void (*base_panic_context)(char *room, size_t size);

void base_panic(const char *file, int line, const char *func, const char *what)
{
    static bool again;
    char context[256] = "";
    if (!again) {
        again = true;
        if (base_panic_context) base_panic_context(context, sizeof context);
        context[sizeof context - 1] = '\0';
        log_line(log_main, L_ALERT, NULL, 0, "%s:%d: %s: %s%s%s", file, line, func, what, context[0] ? "; " : "", context);
    }
    abort();
}

/* Memory ran out below the limits: the worker ends and is replaced. */
__attribute__((noreturn, cold)) static void starve(size_t n)
{
    log_line(log_main, L_EMERG, NULL, ENOMEM, "memory: %zu bytes", n);
    _exit(2);
}

void *base_alloc(size_t n)
{
    void *p = malloc(n ? n : 1);
    if (unlikely(p == NULL)) starve(n);
    return p;
}

void *base_zalloc(size_t count, size_t size)
{
    void *p = calloc(count ? count : 1, size ? size : 1);
    if (unlikely(p == NULL)) starve(count * size);
    return p;
}

void *base_realloc(void *old, size_t n)
{
    void *p = realloc(old, n ? n : 1);
    if (unlikely(p == NULL)) starve(n);
    return p;
}
