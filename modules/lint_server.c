/* lint_server: traps of servers as a whole, and of what is inherited. */
#include "config/lint.h"
#include "http/http.h"
#include "http/listen.h"
#include "modules/module.h"
#include "process/core_conf.h"
#include <sys/resource.h>

static const struct lint_id ids[] = {
    { "default-server",
      "Several servers share an address and none is its default_server: requests with a host that none of them has go to whichever stands first in the file, which changes with the order of includes.",
      "Say \"default_server\" in one listen of that address; a server of its own with \"return 444;\" keeps strangers out." },
    { "server-name-twice",
      "Two servers have the same name at the same address: the second one never gets a request for it.",
      "Take the name out of one of them, or give them different addresses." },
    { "header-dropped",
      "A block that has one add_header or proxy_set_header of its own inherits none of those around it, so that headers meant for all, security headers above all, are missing there.",
      "Repeat the lines, put them in a file that both blocks include, or with add_header say \"add_header_inherit merge;\"." },
    { "realip-from-all",
      "Every client is trusted to say which address it comes from: access rules, limits and logs then see what the client likes.",
      "Name only the proxies in front of this server: \"set_real_ip_from 10.0.0.0/8;\"." },
    { "worker-connections",
      "A worker may have fewer open descriptors than connections: when it runs out of them it can neither accept nor connect.",
      "Raise \"worker_rlimit_nofile\" (each proxied connection takes two) or lower \"worker_connections\"." },
    { "log-json-escape",
      "A log format that looks like JSON has the default escaping, \\xXX, which JSON does not know: a client can make lines that do not parse, or that say something else.",
      "Write \"log_format NAME escape=json '{...}';\"." },
    { "upstream-unverified",
      "The connection is encrypted, but whoever answers is believed: somebody between this server and the other one can read and change everything.",
      "Write \"proxy_ssl_verify on;\" with proxy_ssl_trusted_certificate (/etc/ssl/certs/ca-certificates.crt has the public ones), and proxy_ssl_name where the name is another one." },
    { NULL, NULL, NULL },
};

/* ---- servers ---- */

static const struct conf_line *line_of_name(const struct vhost *v, struct text name)
{
    for (const struct conf_line *l = lint_first(v->block, "server_name"); l; l = lint_next(l))
        for (unsigned i = 1; i < l->count; i++)
            if (text_eq_nocase(l->words[i], name)) return l;
    return lint_opener(v->block);
}

static void add_name(struct conf *cf, struct table *names, const struct listen *l, struct vhost *v, struct text name)
{
    struct vhost *other = table_get(names, name);
    if (!other) {
        table_add(names, name, v);
        return;
    }
    const struct conf_line *at = line_of_name(v, name), *first = line_of_name(other, name);
    if (at == first) lint_say_at(cf, v->block, at->file, at->line, "server-name-twice", "\"%.*s\" is named twice here; take one out", TEXT_ARG(name));
    else lint_say_at(cf, v->block, at->file, at->line, "server-name-twice", "requests to %.*s for \"%.*s\" go to the server at %s:%u, never to this one; take the name out of one of them",
                     TEXT_ARG(l->name), TEXT_ARG(name), first->file, first->line);
}

static void look_names(struct conf *cf, const struct listen *l)
{
    struct table names;
    if (l->server_count < 2) return;
    table_init(&names, cf->scratch, false);
    for (size_t i = 0; i < l->server_count; i++) {
        struct vhost *v = l->servers[i];
        for (size_t n = 0; n < v->name_count; n++) add_name(cf, &names, l, v, v->names[n].text);
        if (!v->name_count) add_name(cf, &names, l, v, T(""));
    }
}

static void look_http(struct conf *cf, const struct conf_line *line)
{
    const struct http *h = line->inner->object;
    for (const struct listen *l = h->listens; l; l = l->next) {
        if (l->server_count > 1 && !l->default_given)
            lint_say_at(cf, l->servers[0]->block, l->file, l->line, "default-server",
                        "requests to %.*s with an unknown host go to this server only because it is the first of %zu; write \"default_server\" in one of their listen directives",
                        TEXT_ARG(l->name), l->server_count);
        look_names(cf, l);
    }
}

/* ---- headers ---- */

static bool names_header(const struct conf_line *first, struct text name)
{
    for (; first; first = lint_next(first))
        if (first->count > 1 && text_eq_nocase(first->words[1], name)) return true;
    return false;
}

/* For the first line of its name in a block: what the nearest block around it has and this one does not repeat. */
static void look_header(struct conf *cf, const struct conf_line *line)
{
    const char *name = line->words[0].p;
    const struct conf_line *first = lint_first(line->block, name), *outer = NULL;
    const struct conf_block *b;
    char room[512];
    struct build lost = build_in_room(room, sizeof room);
    if (first != line) return;
    for (b = line->block->parent; b && !outer; b = b->parent) outer = lint_first(b, name);
    const struct conf_line *where = outer;
    for (; outer; outer = lint_next(outer)) {
        if (outer->count < 3 || !outer->words[2].n || names_header(first, outer->words[1])) continue;
        build_fmt(&lost, "%s\"%.*s\"", lost.n ? ", " : "", TEXT_ARG(outer->words[1]));
    }
    if (!lost.n) return;
    lint_say(cf, line, "header-dropped", "%s here drops %.*s, set at %s:%u; repeat %s here%s", name, TEXT_ARG(build_done(&lost)), where->file, where->line,
             text_find_char(build_done(&lost), ',') >= 0 ? "them" : "it", lint_is(line, "add_header") ? " or write \"add_header_inherit merge;\"" : "");
}

static void look_add_header(struct conf *cf, const struct conf_line *line)
{
    for (const struct conf_block *b = line->block; b; b = b->parent) {
        const struct conf_line *inherit = lint_first(b, "add_header_inherit");
        if (inherit && text_eq(inherit->words[1], T("merge"))) return;
        if (inherit) break;
    }
    look_header(cf, line);
}

/* ---- the rest ---- */

static void look_realip(struct conf *cf, const struct conf_line *line)
{
    if (text_ends(line->words[1], T("/0")))
        lint_say(cf, line, "realip-from-all", "every client may say which address it comes from; name the proxies in front of this server instead of %s", line->words[1].p);
}

static void look_connections(struct conf *cf, const struct conf_line *line)
{
    struct rlimit now;
    uint64_t wanted, limit;
    const struct conf_line *given = lint_first(cf->top, "worker_rlimit_nofile");
    if (!text_u64(line->words[1], &wanted) || getrlimit(RLIMIT_NOFILE, &now)) return;
    if (!given || !text_u64(given->words[1], &limit)) limit = now.rlim_cur;
    if (wanted <= limit) return;
    lint_say(cf, line, "worker-connections", "%llu connections are more than the %llu descriptors that a worker may open; write \"worker_rlimit_nofile %llu;\" outside of all blocks",
             (unsigned long long) wanted, (unsigned long long) limit, (unsigned long long) wanted * 2);
}

static void look_format(struct conf *cf, const struct conf_line *line)
{
    if (line->count < 3 || text_starts(line->words[2], T("escape="))) return;
    if (text_starts(text_trim(line->words[2]), T("{")))
        lint_say(cf, line, "log-json-escape", "the format looks like JSON but is not escaped so; write \"log_format %s escape=json …\"", line->words[1].p);
}

/* What is in force where line stands. */
static const struct conf_line *nearest(const struct conf_line *line, const char *name)
{
    const struct conf_line *found = NULL;
    for (const struct conf_block *b = line->block; b && !found; b = b->parent) found = lint_first(b, name);
    return found;
}

static void look_pass(struct conf *cf, const struct conf_line *line)
{
    const struct conf_line *verify = nearest(line, "proxy_ssl_verify");
    if (!text_starts_nocase(line->words[1], T("https://")) || (verify && text_eq_nocase(verify->words[1], T("on")))) return;
    lint_say(cf, line, "upstream-unverified", "anybody can answer for \"%s\": its certificate is not verified; write \"proxy_ssl_verify on;\" and proxy_ssl_trusted_certificate", line->words[1].p);
}

static const struct lint_rule rules[] = {
    { "http", look_http },
    { "add_header", look_add_header },
    { "proxy_set_header", look_header },
    { "set_real_ip_from", look_realip },
    { "worker_connections", look_connections },
    { "log_format", look_format },
    { "proxy_pass", look_pass },
    { NULL, NULL },
};

static const struct lint_part part = { ids, rules };
struct module lint_server_module = { .name = "lint_server", .part = &part, .part_kind = &lint_part_kind };
