/* Any bytes as a configuration: words, blocks, rows of every type, inheritance. Nothing is opened. */
#include "config/conf.h"

struct fuzz_conf {
    flag flag; span span, span_off; bytes bytes, bytes_off; int64_t num; struct text text, path; bufs bufs; int choice;
    unsigned bits; struct conf_texts texts;
};

static const struct conf_choice choices[] = { { "one", 1 }, { "two", 2 }, { "four", 4 }, { NULL, 0 } };

static conf_result parse_block(struct conf *cf, const struct directive *d, void *field)
{
    static const struct { const char *name; uint32_t kind; } kinds[] = { { "http", IN_HTTP }, { "server", IN_SERVER }, { "location", IN_LOCATION } };
    (void) field;
    for (size_t i = 0; i < countof(kinds); i++)
        if (strcmp(d->name, kinds[i].name) == 0) return conf_enter(cf, kinds[i].kind, NULL, NULL);
    return conf_invalid;
}

static conf_result take_entry(struct conf *cf, void *arg)
{
    size_t *total = arg;
    for (size_t i = 0; i < cf->count; i++) *total += strlen(cf->words[i].p);
    return *total > 100000 ? conf_invalid : NULL;
}

static conf_result parse_entries(struct conf *cf, const struct directive *d, void *field)
{
    size_t total = 0;
    (void) d, (void) field;
    return cf->opened ? conf_entries(cf, take_entry, &total) : NULL;
}

static const struct conf_type type_block = { "{ ... }", 0, CONF_BLOCK | CONF_MULTI, 0, 1, parse_block };
static const struct conf_type type_entries = { "{ ... }", 0, CONF_OPT_BLOCK, 0, 2, parse_entries };

#define S struct fuzz_conf
enum { ALL = IN_MAIN | IN_HSL };
static const struct directive rows[] = {
    D_DO(&type_block, "http", IN_MAIN, NULL, NULL, "h"),
    D_DO(&type_block, "server", IN_HTTP, NULL, NULL, "h"),
    D_DO(&type_block, "location", IN_SERVER | IN_LOCATION, NULL, NULL, "h"),
    D_DO(&type_entries, "map", ALL, NULL, NULL, "h"),
    D_FLAG(S, flag, "f", ALL, "on", "h"),
    D_TIME(S, span, "t", ALL, "75s", "h"),
    D_TYPE(S, span_off, span, &conf_span_off, "to", ALL, "off", "h"),
    D_SIZE(S, bytes, "s", ALL, "1m", "h"),
    D_TYPE(S, bytes_off, bytes, &conf_bytes_off, "so", ALL, "off", "h"),
    D_NUM(S, num, "n", ALL, "5", "h"),
    D_TEXT(S, text, "x", ALL, "\"the default\"", "h"),
    D_PATH(S, path, "p", ALL, "logs/x", "h"),
    D_PATH(S, path, "alias", IN_LOCATION, NULL, "h"),
    D_BUFS(S, bufs, "b", ALL, "8 4k", "h"),
    D_ENUM(S, choice, "e", ALL, "one", choices, "h"),
    D_BITS(S, bits, "m", ALL, "one two", choices, "h"),
    D_TYPE(S, texts, struct conf_texts, &conf_texts, "l", ALL, NULL, "h"),
    D_NONE("idle", ALL, NULL, NULL, "h"),
    { 0 }
};
#undef S

static struct module fuzz_module = { .name = "fuzz", .conf_size = sizeof(struct fuzz_conf), .rows = rows };
struct module *module_list[] = { &fuzz_module, NULL };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct log quiet;
    if (!fuzz_module.row_count) {
        ASSERT(conf_register());
        log_main = &quiet;
    }
    struct pool *pool = pool_open(0);
    size_t globals = size && data[0] < ' ' ? min_of((size_t) data[0], size) : 0;
    const char *p = (const char *) data;
    struct conf *cf = conf_open_text(pool, "fuzz.conf", text_of(p + globals, size - globals), text_of(p, globals), T("/"));
    if (cf) ASSERT(conf_finish(cf));
    pool_close(&pool);
    return 0;
}
