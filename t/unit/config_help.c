/* What -h prints of a row. */
#include "config/conf_help.h"
#include "t/unit/config_test.h"
#include <stdlib.h>

struct help_conf { int choice; unsigned bits; struct text path; int64_t n; };
static const struct conf_choice choices[] = { { "one", 1 }, { "two", 2 }, { NULL, 0 } };

static conf_result parse_block(struct conf *cf, const struct directive *d, void *field)
{
    (void) d, (void) field;
    return conf_enter(cf, IN_UPSTREAM, NULL, NULL);
}

static const struct conf_type type_block = { "name { ... }", 0, CONF_BLOCK, 0, 0, parse_block };

static const struct directive rows[] = {
    D_ENUM(struct help_conf, choice, "choice", IN_HSL, "one", choices, "Which one."),
    D_BITS(struct help_conf, bits, "bits", IN_HTTP, NULL, choices, "Which ones, in a sentence that is long enough to need a second line of the page."),
    D_PATH(struct help_conf, path, "path", IN_MAIN, "\"a/b\" \"c d\"", "A path."),
    { .name = "same", .type = &conf_num, .where = IN_HTTP, .offset = FIELD(struct help_conf, n, int64_t), .help = "Ours.", .since = "weir" },
    { .name = "same", .type = &conf_num, .where = IN_IF, .offset = FIELD(struct help_conf, n, int64_t), .help = "Elsewhere." },
    D_DO(&type_block, "block", IN_HTTP, NULL, NULL, "A block."),
    { 0 }
};
static struct module help_module = { .name = "help", .conf_size = sizeof(struct help_conf), .rows = rows };
struct module *module_list[] = { &help_module, NULL };

static const char *help(const char *name)
{
    static char *text;
    size_t n;
    free(text);
    FILE *f = open_memstream(&text, &n);
    if (!name) conf_help_list(f);
    else if (!conf_help(f, text_c(name))) fputs("unknown", f);
    fclose(f);
    return text;
}

static void nearest(const char *name, const char *want)
{
    char room[256];
    struct build b = build_in_room(room, sizeof room);
    conf_help_nearest(&b, text_c(name));
    is_same(build_done(&b), text_c(want), "nearest to %s", name);
}

int main(void)
{
    listen_in();
    ok(conf_register(), "rows are accepted");
    is_str(help("choice"), "Syntax:   choice one | two;\nDefault:  one\nContext:  http, server, location\nModule:   help\n          Which one.\n", "a choice");
    is_str(help("bits"), "Syntax:   bits one | two ...;\nDefault:  none\nContext:  http\nModule:   help\n"
           "          Which ones, in a sentence that is long enough to need a second line\n          of the page.\n", "bits, and a long sentence");
    is_str(help("block"), "Syntax:   block name { ... }\nDefault:  none\nContext:  http\nModule:   help\n          A block.\n", "a block");
    is_str(help("same"), "Syntax:   same number;\nDefault:  none\nContext:  if in location\nModule:   help\n          Elsewhere.\n\n"
           "Syntax:   same number;\nDefault:  none\nContext:  http\nModule:   help (not in nginx)\n          Ours.\n", "two rows of one name");
    is_str(help("nothing"), "unknown", "no such directive");
    ok(strstr(help(NULL), "help\tpath\tpath\ta/b \"c d\"\tmain\tA path.\n") != NULL, "the list");
    nearest("bit", "bits");
    nearest("chioce", "choice");
    nearest("sam", "same");
    nearest("qwertyuiop", "");
    pool_close(&pool);
    return done();
}
