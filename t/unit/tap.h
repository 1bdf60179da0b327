/*
 * tap: the unit tests' few words. A test is one main that ends with `return done();`. The plan is printed last.
 * Every check returns whether it passed, so that a test may stop or say more.
 */
#ifndef UNIT_TAP_H
#define UNIT_TAP_H

#include "base/text.h"
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

static unsigned tap_run_, tap_failed_;

__attribute__((format(printf, 1, 2), unused)) static void diag(const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    fputs("# ", stdout);
    vprintf(fmt, args);
    putchar('\n');
    va_end(args);
}

__attribute__((format(printf, 4, 0), unused))
static bool tap_vok_(bool passed, const char *file, int line, const char *fmt, va_list args)
{
    tap_run_++;
    printf("%s %u - ", passed ? "ok" : "not ok", tap_run_);
    vprintf(fmt, args);
    putchar('\n');
    if (!passed) {
        tap_failed_++;
        diag("failed at %s line %d", file, line);
    }
    fflush(stdout);
    return passed;
}

__attribute__((format(printf, 4, 5), unused))
static bool tap_ok_(bool passed, const char *file, int line, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    tap_vok_(passed, file, line, fmt, args);
    va_end(args);
    return passed;
}

__attribute__((unused)) static void tap_show_(const char *what, struct text t)
{
    printf("# %s (%zu): \"", what, t.n);
    for (size_t i = 0; i < t.n; i++) {
        unsigned char c = (unsigned char) t.p[i];
        if (c < 0x20 || c > 0x7e || c == '\\' || c == '"') printf("\\x%02x", c);
        else putchar(c);
    }
    puts("\"");
}

__attribute__((format(printf, 5, 6), unused))
static bool tap_int_(int64_t got, int64_t want, const char *file, int line, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    bool passed = tap_vok_(got == want, file, line, fmt, args);
    va_end(args);
    if (!passed) diag("got %" PRId64 ", want %" PRId64, got, want);
    return passed;
}

__attribute__((format(printf, 5, 6), unused))
static bool tap_text_(struct text got, struct text want, const char *file, int line, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    bool passed = tap_vok_(text_eq(got, want), file, line, fmt, args);
    va_end(args);
    if (!passed) {
        tap_show_(" got", got);
        tap_show_("want", want);
    }
    return passed;
}

/* ok(cond, "name %d", x) */
#define ok(cond, ...)            tap_ok_(!!(cond), __FILE__, __LINE__, __VA_ARGS__)
/* is_int(got, want, "name %d", x): any integers */
#define is_int(got, want, ...)   tap_int_((int64_t) (got), (int64_t) (want), __FILE__, __LINE__, __VA_ARGS__)
/* is_text(got, "literal", "name"): got is a struct text */
#define is_text(got, lit, ...)   tap_text_((got), T(lit), __FILE__, __LINE__, __VA_ARGS__)
/* is_same(got, want, "name"): both are struct text */
#define is_same(got, want, ...)  tap_text_((got), (want), __FILE__, __LINE__, __VA_ARGS__)
/* is_str(got, "want", "name"): C strings */
#define is_str(got, want, ...)   tap_text_(text_c(got), text_c(want), __FILE__, __LINE__, __VA_ARGS__)

/* Leaves the whole file: `if (cannot) { skip_all("why"); return 0; }`, before any check. */
__attribute__((unused)) static void skip_all(const char *why) { printf("1..0 # SKIP %s\n", why); }

/* Prints the plan; the exit code. */
__attribute__((unused)) static int done(void)
{
    printf("1..%u\n", tap_run_);
    if (tap_failed_) diag("%u of %u failed", tap_failed_, tap_run_);
    fflush(stdout);
    return tap_failed_ ? 1 : 0;
}

#endif
