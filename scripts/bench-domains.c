/* For scripts/bench-domains: reads a list of names, looks names up; times and memory. */
#include "eval/domains.h"
#include <sys/mman.h>
#include <time.h>

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double) t.tv_sec + (double) t.tv_nsec / 1e9;
}

static size_t shared_kb(void)
{
    size_t kb = 0;
    char line[256];
    FILE *in = fopen("/proc/self/status", "r");
    while (in && fgets(line, sizeof line, in)) sscanf(line, "RssShmem: %zu", &kb);
    if (in) fclose(in);
    return kb;
}

int main(int argc, char **argv)
{
    enum { LOOKS = 2000000 };
    static struct { char p[80]; size_t n; } hosts[LOOKS];
    struct conf cf = { .pool = pool_open(0) };
    if (argc < 2) return 2;
    struct list_file *d = domains_of(&cf, text_c(argv[1]));
    double from = now();
    if (!list_files_load_all()) return 1;
    printf("load: %.3f s, %zu names, %zu KB of shared memory\n", now() - from, domains_count(d), shared_kb());
    srandom(1);
    for (unsigned known = 0; known < 2; known++) {
        for (unsigned i = 0; i < LOOKS; i++) {
            unsigned k = (unsigned) random() % 1000000;
            hosts[i].n = (size_t) snprintf(hosts[i].p, sizeof hosts[i].p, "www.host%u-%s.zone%u.example.com", k, known ? "ads" : "fine", k % 9973);
        }
        size_t found = 0;
        from = now();
        for (unsigned i = 0; i < LOOKS; i++) found += domains_have(d, text_of(hosts[i].p, hosts[i].n));
        printf("lookup of names %s the list: %.0f ns each (%zu of %d found)\n", known ? "in" : "not in", (now() - from) / LOOKS * 1e9, found, LOOKS);
    }
    pool_close(&cf.pool);
    return 0;
}
