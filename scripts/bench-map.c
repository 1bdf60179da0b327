/* bench-map: what one look into a map or a geo costs: "bench-map map|geo FILE", FILE with its entries. See scripts/bench-map. */
#define TEST_MODULES &map_module, &geo_module,
#include "config/conf.h"
extern struct module map_module, geo_module;
#include "t/unit/eval_test.h"
#include <time.h>

enum { WORDS = 1000000, LOOKS = 100000, ROUNDS = 100 };     /* short ones: some have the processor to themselves on a busy machine too */

static uint64_t seed = 88172645463325252u;
static uint64_t next_random(void)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    return seed ^= seed << 17;
}

static double now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double) t.tv_sec * 1e9 + (double) t.tv_nsec;
}

/* The first words of the lines, in a random order, one after the other: to read them costs no look into far memory. */
static struct text *read_words(const char *path, size_t *n_out)
{
    FILE *in = fopen(path, "r");
    char line[256];
    struct text *all = calloc(WORDS, sizeof *all);
    size_t n = 0;
    while (in && n < WORDS && fgets(line, sizeof line, in)) {
        all[n] = text_of(strndup(line, strcspn(line, " ")), strcspn(line, " "));
        ssize_t slash = text_find_char(all[n], '/');
        if (slash >= 0) all[n].n = (size_t) slash;
        n++;
    }
    for (size_t i = n; i > 1; i--) {
        size_t at = next_random() % i;
        struct text swap = all[i - 1];
        all[i - 1] = all[at];
        all[at] = swap;
    }
    char *room = malloc(n * 64 + 1), *p = room;
    for (size_t i = 0; i < n; i++) {
        all[i].n = min_of(all[i].n, (size_t) 64);
        memcpy(p, all[i].p, all[i].n);
        all[i].p = p;
        p += all[i].n;
    }
    *n_out = n;
    return all;
}

/* "http { map $free $x { … } }" with the file's lines in it. */
static struct conf *read_all(const char *what, const char *path)
{
    char *text;
    size_t n;
    FILE *in = fopen(path, "r"), *out = open_memstream(&text, &n);
    fprintf(out, "http { %s $free $x { volatile;\n", what);
    for (int c; in && (c = getc(in)) != EOF;) putc(c, out);
    fputs("} }", out);
    fclose(out);
    return whole_conf(text);
}

int main(int argc, char **argv)
{
    size_t n;
    listen_in();
    if (argc < 3 || !conf_register()) return 2;
    struct conf *cf = read_all(argv[1], argv[2]);
    if (!cf) {
        fprintf(stderr, "%s", said);
        return 2;
    }
    struct text *words = read_words(argv[2], &n);
    struct eval e = request(cf);
    unsigned from = variables_index(cf, T("free")), x = variables_index(cf, T("x"));
    double best = 1e18;
    size_t found = 0, asked_for = 0;
    for (unsigned round = 0; round < ROUNDS; round++) {
        double began = now_ns();
        for (size_t i = 0; i < LOOKS; i++, asked_for++) {
            const struct text *word = &words[asked_for % n];
            e.values[from] = (struct value) { word->p, (uint32_t) word->n, VALUE_FOUND };
            struct text value = value_text(eval_get(&e, x));
            found += value.n && value.p[value.n - 1] != ';';
        }
        best = min_of(best, (now_ns() - began) / LOOKS);
    }
    printf("%.0f %zu\n", best, asked_for - found);
    return 0;
}
