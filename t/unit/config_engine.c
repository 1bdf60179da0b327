/* The engine: rows, blocks, duplicates, inheritance, checks. */
#include "t/unit/config_test.h"

struct inner { uint64_t a, b; };
struct things_conf {
    flag flag; span span; bytes bytes; int64_t num; struct text text, path; bufs bufs; int choice; unsigned bits; struct conf_texts texts;
    int64_t bounded; bytes bytes_off; span span_off; struct text place; int computed; struct inner not_a_row;
};
struct other_conf { int64_t n; };

static const struct conf_choice choices[] = { { "zero", 0 }, { "one", 1 }, { "two", 2 }, { NULL, 0 } };
static const struct conf_choice bit_choices[] = { { "a", 1 }, { "b", 2 }, { "c", 4 }, { NULL, 0 } };
static const struct conf_bounds one_to_ten = { 1, 10 };
static unsigned checks, finishes, entries;
static char entry_words[256];

extern struct module things_module, other_module;

static conf_result parse_http(struct conf *cf, const struct directive *d, void *field)
{
    (void) d, (void) field;
    return conf_enter(cf, IN_HTTP, NULL, NULL);
}

static conf_result parse_server(struct conf *cf, const struct directive *d, void *field)
{
    struct conf_block *b = NULL;
    (void) d, (void) field;
    conf_result why = conf_enter(cf, IN_SERVER, NULL, &b);
    return why ? why : text_eq(cf->words[0], T("server")) && b->kind == IN_SERVER ? NULL : "lost its words";
}

static conf_result parse_location(struct conf *cf, const struct directive *d, void *field)
{
    char *object = pool_cstr(cf->pool, cf->words[1]);
    (void) d, (void) field;
    return conf_enter(cf, IN_LOCATION, object, NULL);
}

static conf_result take_entry(struct conf *cf, void *arg)
{
    ++*(unsigned *) arg;
    if (text_eq(cf->words[0], T("bad"))) return "a bad entry";
    if (text_eq(cf->words[0], T("worse"))) return conf_invalid;
    size_t n = strlen(entry_words);
    for (size_t i = 0; i < cf->count; i++) n += (size_t) snprintf(entry_words + n, sizeof entry_words - n, "%s,", cf->words[i].p);
    return NULL;
}

static conf_result parse_entries(struct conf *cf, const struct directive *d, void *field)
{
    (void) d, (void) field;
    return conf_entries(cf, take_entry, &entries);
}

static conf_result parse_opt(struct conf *cf, const struct directive *d, void *field)
{
    (void) d, (void) field;
    return cf->opened ? conf_enter(cf, IN_MATCH, NULL, NULL) : NULL;
}

static conf_result parse_mark(struct conf *cf, const struct directive *d, void *field)
{
    struct things_conf *c = field;
    (void) d;
    if (conf_is_set(cf->block, &things_module, offsetof(struct things_conf, not_a_row) + 8)) return conf_duplicate;
    c->num = 77;
    conf_mark_set(cf, cf->block, &things_module, offsetof(struct things_conf, num));
    conf_mark_set(cf, cf->block, &things_module, offsetof(struct things_conf, not_a_row) + 8);
    return NULL;
}

static const struct conf_type type_http     = { "{ ... }", 0, CONF_BLOCK, 0, 0, parse_http };
static const struct conf_type type_server   = { "{ ... }", 0, CONF_BLOCK | CONF_MULTI, 0, 0, parse_server };
static const struct conf_type type_location = { "uri { ... }", 0, CONF_BLOCK | CONF_MULTI, 1, 1, parse_location };
static const struct conf_type type_entries  = { "{ ... }", 0, CONF_BLOCK | CONF_MULTI, 0, 0, parse_entries };
static const struct conf_type type_opt      = { "[{ ... }]", 0, CONF_OPT_BLOCK | CONF_MULTI, 0, 0, parse_opt };
static const struct conf_type type_mark     = { "", 0, CONF_MULTI, 0, 0, parse_mark };

#define S struct things_conf
static const struct directive things_rows[] = {
    D_DO(&type_http, "http", IN_MAIN, NULL, NULL, "h"),
    D_DO(&type_server, "server", IN_HTTP, NULL, NULL, "h"),
    D_DO(&type_location, "location", IN_SERVER | IN_LOCATION, NULL, NULL, "h"),
    D_DO(&type_entries, "types", IN_HSL, NULL, NULL, "h"),
    D_DO(&type_opt, "opt", IN_HSL, NULL, NULL, "h"),
    D_DO(&type_mark, "mark", IN_HSL, "", NULL, "h"),
    D_FLAG(S, flag, "flag", IN_HSL, "on", "h"),
    D_TIME(S, span, "span", IN_HSL, "75s", "h"),
    D_SIZE(S, bytes, "bytes", IN_HSL, "1m", "h"),
    D_NUM(S, num, "num", IN_HSL, "5", "h"),
    D_TEXT(S, text, "text", IN_HSL, "\"the default\"", "h"),
    D_PATH(S, path, "path", IN_HSL, "logs/x", "h"),
    D_BUFS(S, bufs, "bufs", IN_HSL, "8 4k", "h"),
    D_ENUM(S, choice, "choice", IN_HSL, "one", choices, "h"),
    D_BITS(S, bits, "bits", IN_HSL, "a c", bit_choices, "h"),
    D_TYPE(S, texts, struct conf_texts, &conf_texts, "texts", IN_HSL, NULL, "h"),
    { .name = "bounded", .type = &conf_num, .where = IN_HSL, .offset = FIELD(S, bounded, int64_t), .dflt = "3", .help = "h", .data = &one_to_ten },
    D_TYPE(S, bytes_off, bytes, &conf_bytes_off, "bytes_off", IN_HSL, "off", "h"),
    D_TYPE(S, span_off, span, &conf_span_off, "span_off", IN_HSL, "1s", "h"),
    D_TEXT(S, place, "root", IN_HSL, "html", "h"),
    D_TEXT(S, place, "alias", IN_LOCATION, NULL, "h"),
    D_NONE("idle", IN_HSL, NULL, NULL, "h"),
    D_NONE("idle_flag", IN_HSL, "on | off", "on", "h"),
    D_NONE("idle_bufs", IN_HSL, "number size", NULL, "h"),
    { 0 }
};
#undef S

static const struct directive other_rows[] = {
    D_NUM(struct other_conf, n, "n", IN_HSL | IN_MATCH, "1", "h"),
    D_NUM(struct other_conf, n, "num", IN_MAIN, NULL, "h"),
    { 0 }
};

static conf_result check_things(struct conf *cf, struct conf_block *b, void *values)
{
    struct things_conf *c = values;
    (void) b;
    checks++;
    if (c->bytes.bytes == 13) return conf_say(cf, "13 bytes bring bad luck");
    c->computed = (int) c->num * 2;
    return NULL;
}

static conf_result finish_things(struct conf *cf, void *values)
{
    (void) cf;
    finishes++;
    return ((struct things_conf *) values)->num == 5 ? NULL : "not the top's values";
}

struct module things_module = { .name = "things", .conf_size = sizeof(struct things_conf), .rows = things_rows, .check = check_things, .finish = finish_things };
struct module other_module = { .name = "other", .conf_size = sizeof(struct other_conf), .rows = other_rows };
static struct module bare_module = { .name = "bare" };
struct module *module_list[] = { &things_module, &bare_module, &other_module, NULL };

static const struct things_conf *things(const struct conf_block *b) { return conf_values(b, &things_module); }

static void test_defaults(void)
{
    struct conf *cf = whole_conf("");
    if (!ok(cf != NULL, "an empty file")) return diag("%s", said);
    const struct things_conf *c = things(cf->top);
    ok(c->flag.on && c->span.ms == 75000 && c->bytes.bytes == 1048576 && c->num == 5, "defaults of scalars");
    is_text(c->text, "the default", "a quoted default");
    is_text(c->path, "/prefix/logs/x", "a path begins at the prefix");
    ok(c->bufs.n == 8 && c->bufs.size == 4096 && c->choice == 1 && c->bits == 5, "defaults of bufs, choice, bits");
    ok(c->span_off.ms == 1000 && c->bytes_off.bytes == 0 && c->texts.n == 0, "defaults with off");
    is_int(c->computed, 10, "check completes the top");
    is_int(finishes, 1, "finish is called once");
    is_str(said, "", "nothing is said");
}

static void test_inheritance(void)
{
    checks = 0;
    struct conf *cf = whole_conf(
        "num 9;\n"
        "http { flag off; bytes 2k; texts a b; texts 'c d';\n"
        "  server { }\n"
        "  server { bytes 3k; location /x { text here; location /x/y { } } location /z { alias q; texts only; } }\n"
        "}\n");
    if (!ok(cf != NULL, "three levels")) return diag("%s", said);
    struct conf_block *http = cf->top->children, *first = http->children, *second = first->next;
    struct conf_block *x = second->children, *y = x->children, *z = x->next;
    ok(first->values == http->values, "a block that sets nothing shares its parent's array");
    ok(y->values == x->values && things(y) == things(x), "however deep");
    ok(conf_values(x, &other_module) == conf_values(cf->top, &other_module), "a module of which nothing was set is shared");
    is_int(((struct other_conf *) conf_values(cf->top, &other_module))->n, 9, "one name, two modules, by place");
    is_int(things(http)->num, 5, "and the other one keeps its default");
    is_int(things(http)->flag.on, 0, "http's own");
    is_int(things(x)->flag.on, 0, "inherited over two levels");
    is_int(things(x)->bytes.bytes, 3072, "inherited from server");
    is_int(things(http)->bytes.bytes, 2048, "http's stays");
    is_text(things(x)->text, "here", "location's own");
    is_text(things(z)->text, "the default", "its neighbour has not got it");
    is_text(things(z)->place, "q", "alias fills root's field");
    is_text(things(x)->place, "html", "and the other location has the default");
    is_int(things(second)->texts.n, 3, "a list is inherited whole");
    is_int(things(z)->texts.n, 1, "or replaced whole");
    ok(conf_is_set(z, &things_module, offsetof(struct things_conf, place)), "set here, by another row");
    ok(!conf_is_set(x, &things_module, offsetof(struct things_conf, place)), "not set there");
    is_str(z->object, "/z", "a block has its object");
    is_str(z->file, "test.conf", "and its file");
    is_int(z->line, 4, "and its line");
    is_int(checks, 5, "checked: top, http, second, x, z");
}

static void test_errors(void)
{
    refused("flg on;", "unknown directive \"flg\" (did you mean \"flag\"? It belongs in: http, server, location) in test.conf:1");
    refused("http {\n flg on; }", "unknown directive \"flg\" (did you mean \"flag\"?) in test.conf:2");
    refused("qqqqqq on;", "unknown directive \"qqqqqq\" in test.conf:1");
    refused("\n\nflag on;", "\"flag\" directive is not allowed here (it belongs in: http, server, location) in test.conf:3");
    refused("http { flag on }", "unexpected \"}\" in test.conf:1");
    refused("http { flag on {} }", "directive \"flag\" is not terminated by \";\" in test.conf:1");
    refused("http;", "directive \"http\" has no opening \"{\" in test.conf:1");
    refused("http {", "unexpected end of file, expecting \"}\" in test.conf:1");
    refused("http { } }", "unexpected \"}\" in test.conf:1");
    refused("http { flag on", "unexpected end of file, expecting \";\" or \"}\" in test.conf:1");
    refused("http { flag on off; }", "invalid number of arguments in \"flag\" directive in test.conf:1");
    refused("http { flag; }", "invalid number of arguments in \"flag\" directive in test.conf:1");
    refused("http { flag on; flag; }", "invalid number of arguments in \"flag\" directive in test.conf:1");
    refused("http { flag of; }", "invalid value \"of\" in \"flag\" directive, it must be \"on\" or \"off\" in test.conf:1");
    refused("http { flag on;\nflag on; }", "\"flag\" directive is duplicate in test.conf:2");
    refused("http {} http {}", "\"http\" directive is duplicate in test.conf:1");
    refused("http { server { location / { root a;\nalias b; } } }", "\"alias\" directive is duplicate, \"root\" directive was specified earlier in test.conf:2");
    refused("http { server { location / { alias b; root a; } } }", "\"root\" directive is duplicate, \"alias\" directive was specified earlier");
    refused("http { choice three; }", "invalid value \"three\" in \"choice\" directive in test.conf:1");
    refused("http { bits a d; }", "invalid value \"d\" in \"bits\" directive in test.conf:1");
    refused("http { bounded 0; }", "value must be between 1 and 10 in test.conf:1");
    refused("http { bounded 11; }", "value must be between 1 and 10 in test.conf:1");
    refused("http { num -1; }", "invalid number \"-1\" in \"num\" directive");
    refused("http { span 1x; }", "invalid value \"1x\" in \"span\" directive");
    refused("http { bufs 0 4k; }", "invalid value \"0\" in \"bufs\" directive");
    refused("http { bufs 4 0k; }", "invalid value \"0k\" in \"bufs\" directive");
    refused("http { server { bytes 13; } }", "13 bytes bring bad luck in test.conf:1");
    refused("http { include /etc/passwd; }", "\"include\" directive is not possible here");
    refused("http { mark; num 3; }", "\"num\" directive is duplicate in test.conf:1");
    refused("http { mark; mark; }", "\"mark\" directive is duplicate in test.conf:1");
    refused("http { types { a b; bad x; } }", ": a bad entry in test.conf:1");
    refused("http { types { a b; worse x; } }", ": invalid value \"x\" in test.conf:1");
    refused("http { types { a b; c { } } }", "unexpected \"{\" in test.conf:1");
    refused("http { types { a b;", "unexpected end of file, expecting \"}\" in test.conf:1");
}

static void test_long_message(void)
{
    char text[4100], x[3001];
    memset(x, 'x', sizeof x);
    x[3000] = 0;
    snprintf(text, sizeof text, "http { flag %s; }", x);
    refused(text, "xxx in test.conf:1");
    snprintf(text, sizeof text, "http { %s; }", x);
    refused(text, "unknown directive \"xxx");
    refused(text, "xxx in test.conf:1");
}

static void test_blocks(void)
{
    struct conf *cf;
    entry_words[0] = 0;
    entries = 0;
    cf = whole_conf("http { types { text/html html htm; a 'b c'; default x; } num 4; }");
    ok(cf != NULL, "free-form lines");
    is_int(entries, 3, "each given once");
    is_str(entry_words, "text/html,html,htm,a,b c,default,x,", "with their words");
    cf = whole_conf("http { opt; opt { n 3; } }");
    ok(cf && cf->top->children->children->kind == IN_MATCH, "a block that may be left out");
    cf = whole_conf("http { mark; server { } }");
    ok(cf && things(cf->top->children)->num == 77, "a field set by another parser counts as set");
    cf = whole_conf("http { bits a a; }");
    ok(cf && strstr(said, "[warn]") && strstr(said, "duplicate value \"a\" in test.conf:1"), "a bit given twice is a warning");
}

static void test_no_effect(void)
{
    struct conf *cf = whole_conf("http { idle; idle 1 2 3;\nserver { idle x; } }");
    ok(cf != NULL, "a directive without effect takes any words");
    const char *first = strstr(said, "the \"idle\" directive has no effect");
    ok(first && !strstr(first + 1, "the \"idle\""), "and says so once");
    ok(cf && !cf->top->children->children->own, "and costs nothing");
    ok(whole_conf("http { idle_flag on; idle_bufs 8 4k; }") != NULL, "words of a simple syntax");
    refused("http { idle_flag maybe; }", "invalid value \"maybe\" in \"idle_flag\" directive, it must be \"on\" or \"off\" in test.conf:1");
    refused("http { idle_bufs 8; }", "invalid number of arguments in \"idle_bufs\" directive in test.conf:1");
}

static void test_globals(void)
{
    struct conf *cf = read_conf_with("", "num 3;");
    ok(cf && conf_finish(cf) && ((struct other_conf *) conf_values(cf->top, &other_module))->n == 3, "-g sets");
    ok(!read_conf_with("num 3;", "num 3;") && strstr(said, "\"num\" directive is duplicate in test.conf:1"), "-g and the file: duplicate");
    ok(!read_conf_with("", "num 3") && strstr(said, "unexpected end of parameter, expecting \";\" in command line\n"), "-g unfinished");
    ok(!read_conf_with("", "http {") && strstr(said, "block directives are not supported in -g option in command line\n"), "-g with a block");
    ok(!read_conf_with("", "nm 3;") && strstr(said, "unknown directive \"nm\"") && strstr(said, "in command line\n"), "-g unknown");
}

static void test_nesting(void)
{
    char text[4096];
    size_t n = (size_t) snprintf(text, sizeof text, "http { server { ");
    for (int i = 0; i < 62; i++) n += (size_t) snprintf(text + n, sizeof text - n, "location /%d { ", i);
    for (int i = 0; i < 64; i++) n += (size_t) snprintf(text + n, sizeof text - n, "}");
    ok(whole_conf(text) != NULL, "64 blocks nested");
    n = (size_t) snprintf(text, sizeof text, "http { server { ");
    for (int i = 0; i < 63; i++) n += (size_t) snprintf(text + n, sizeof text - n, "location /%d { ", i);
    refused(text, "\"location\" directive is nested too deeply, at most 64 blocks in test.conf:1");
}

static void test_nearest(void)
{
    is_text(conf_nearest(T("flgs"), IN_HTTP), "flag", "two edits");
    is_text(conf_nearest(T("locaton"), IN_SERVER), "location", "one edit");
    ok(!conf_nearest(T("locaton"), IN_HTTP).n, "not in this place");
    ok(!conf_nearest(T("x"), UINT32_MAX).n || true, "a short one does not crash");
    char room[256];
    struct build b = build_in_room(room, sizeof room);
    conf_where_text(&b, IN_SERVER | IN_LOCATION | IN_IF | IN_IF_SERVER);
    is_text(build_done(&b), "server, location, if", "places");
}

/* The order is that of a name's rows: refusals of the registry. */
static void test_register(void)
{
    static const struct directive twice[] = { D_NUM(struct other_conf, n, "flag", IN_HTTP, NULL, "h"), { 0 } };
    static const struct directive dumb[] = { D_NUM(struct other_conf, n, "dumb", IN_HTTP, NULL, ""), { 0 } };
    static const struct directive far[] = { { .name = "far", .type = &conf_num, .where = IN_HTTP, .offset = 100, .help = "h" }, { 0 } };
    static const struct directive wrong[] = { D_NUM(struct other_conf, n, "wrong", IN_HTTP, "x", "h"), { 0 } };
    static struct module extra = { .name = "extra", .conf_size = sizeof(struct other_conf) };
    module_list[1] = &extra;
    said_n = 0;
    extra.rows = twice;
    ok(!conf_register() && strstr(said, "[alert]") && strstr(said, "\"flag\": exists already in the same place"), "one name twice in a place");
    extra.rows = dumb;
    ok(!conf_register() && strstr(said, "\"dumb\": has no help"), "a row without help");
    extra.rows = far;
    ok(!conf_register() && strstr(said, "\"far\": fills a field outside its struct"), "a field outside");
    extra.rows = wrong;
    ok(conf_register() && !whole_conf("") && strstr(said, "the default \"x\" of \"wrong\" is refused"), "a wrong default");
    module_list[1] = &bare_module;
    ok(conf_register(), "and all is well again");
}

int main(void)
{
    listen_in();
    ok(conf_register(), "rows are accepted");
    is_int(conf_slots(), 3, "three modules");
    test_defaults();
    test_inheritance();
    test_errors();
    test_long_message();
    test_blocks();
    test_no_effect();
    test_globals();
    test_nesting();
    test_nearest();
    test_register();
    pool_close(&pool);
    return done();
}
