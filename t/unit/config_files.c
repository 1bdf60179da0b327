/* Files: include, globs, their order, the dump of -T, what cannot be read. In a folder of its own under /tmp. */
#include "t/unit/config_test.h"
#include <stdlib.h>
#include <sys/stat.h>

struct letters_conf { struct conf_texts letters; };
static const struct directive rows[] = {
    D_TYPE(struct letters_conf, letters, struct conf_texts, &conf_texts, "letter", IN_MAIN, NULL, "h"),
    { 0 }
};
static struct module letters_module = { .name = "letters", .conf_size = sizeof(struct letters_conf), .rows = rows };
struct module *module_list[] = { &letters_module, NULL };

static char folder[] = "/tmp/weir-unit-config.XXXXXX";
static char made[16][256];
static size_t made_n;

static const char *in_folder(const char *name)
{
    static char path[256];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static void put(const char *name, const char *content)
{
    snprintf(made[made_n], sizeof made[0], "%s", in_folder(name));
    FILE *f = fopen(made[made_n++], "w");
    ASSERT(f);
    fputs(content, f);
    fclose(f);
}

/* The letters read, one after the other, or "refused". */
static const char *letters(const char *name, FILE *dump)
{
    static char out[256];
    said_n = 0;
    said[0] = 0;
    pool_close(&pool);
    pool = pool_open(0);
    struct conf *cf = conf_open(pool, in_folder(name), T(""), T("/nowhere/"), NULL, false, dump);
    if (!cf || !conf_finish(cf)) return "refused";
    const struct letters_conf *c = conf_values(cf->top, &letters_module);
    size_t n = 0;
    out[0] = 0;
    for (size_t i = 0; i < c->letters.n; i++) n += (size_t) snprintf(out + n, sizeof out - n, "%s", c->letters.v[i].p);
    return out;
}

static bool says(const char *fmt, const char *name)
{
    char want[512];
    snprintf(want, sizeof want, fmt, folder, name);
    return strstr(said, want) != NULL;
}

static void test_include(void)
{
    is_str(letters("main", NULL), "abcdefz", "included in sorted order, relative to the main file's folder, however deep");
    is_str(letters("none", NULL), "z", "a mask that nothing matches");
    is_str(letters("missing", NULL), "refused", "a file that is not there");
    ok(says("open() \"%s/%s\" failed (2: No such file or directory) in", "nosuch"), "is named");
    ok(says("in %s/%s:2", "missing"), "with the line of the include");
    is_str(letters("wrong", NULL), "refused", "an error in an included file");
    ok(says("unexpected \"}\" in %s/%s:2", "brace"), "has that file's line");
    is_str(letters("loop", NULL), "refused", "a file that includes itself");
    ok(strstr(said, "\"include\" directive is nested too deeply, at most 64 files in"), "is stopped");
    is_str(letters("many", NULL), "refused", "include takes one name");
    ok(strstr(said, "invalid number of arguments in \"include\" directive in"), "and says so");
    is_str(letters("nofile", NULL), "refused", "no main file");
    ok(says("open() \"%s/%s\" failed (2: No such file or directory)\n", "nofile"), "has no place");
    is_str(letters("sub", NULL), "refused", "a folder is not a file");
    ok(strstr(said, "(21: Is a directory)"), "and says so");
}

static void test_dump(void)
{
    char *text = NULL, want[2048];
    size_t n = 0;
    FILE *f = open_memstream(&text, &n);
    letters("twice", f);
    fclose(f);
    snprintf(want, sizeof want, "# configuration file %s/twice:\ninclude sub/one.conf;\ninclude sub/one.conf;\n\n"
             "# configuration file %s/sub/one.conf:\nletter a; letter \"b\";\n\n", folder, folder);
    is_str(text, want, "each file once, as it is");
    free(text);
}

int main(void)
{
    listen_in();
    if (!mkdtemp(folder) || mkdir(in_folder("sub"), 0700)) return skip_all("no temporary folder"), 0;
    put("main", "include sub/*.conf;\ninclude sub/../end;\n");
    put("sub/one.conf", "letter a; letter \"b\";\n");
    put("sub/three.conf", "letter c; include sub/deep;\n");
    put("sub/zwei.conf", "letter e f;\n");
    put("sub/deep", "letter d;");
    put("end", "letter z;\n");
    put("none", "include sub/*.nothing;\ninclude end;\n");
    put("missing", "letter a;\ninclude nosuch;\n");
    put("brace", "letter a;\n}\n");
    put("wrong", "include brace;\n");
    put("loop", "include loop;\n");
    put("many", "include a b;\n");
    put("twice", "include sub/one.conf;\ninclude sub/one.conf;\n");
    ok(conf_register(), "rows are accepted");
    test_include();
    test_dump();
    pool_close(&pool);
    while (made_n) unlink(made[--made_n]);
    rmdir(in_folder("sub"));
    rmdir(folder);
    return done();
}
