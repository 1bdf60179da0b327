/* wipe: OpenSSL's memory. What it decodes keys in it frees as it is; here it is wiped first, while keys are read. */
#include "tls/pair.h"
#include <malloc.h>

static bool wiping;

static void *take(size_t n, const char *file, int line)
{
    (void) file, (void) line;
    return malloc(n);
}

static void give(void *p, const char *file, int line)
{
    (void) file, (void) line;
    if (unlikely(wiping) && p) OPENSSL_cleanse(p, malloc_usable_size(p));
    free(p);
}

static void *change(void *p, size_t n, const char *file, int line)
{
    if (likely(!wiping) || !p) return realloc(p, n);
    void *other = n ? malloc(n) : NULL;
    if (other) memcpy(other, p, min_of(n, malloc_usable_size(p)));
    if (other || !n) give(p, file, line);
    return other;
}

/* OpenSSL takes them only before it has allocated anything. */
__attribute__((constructor)) static void begin(void)
{
    CRYPTO_set_mem_functions(take, change, give);
}

void tls_wipe(bool on) { wiping = on; }
