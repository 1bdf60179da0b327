/* lint_location: traps of locations: what they match, and in which order their directives are followed. */
#include "config/lint.h"
#include "modules/module.h"

static const struct lint_id ids[] = {
    { "alias-traversal",
      "The location's name does not end with \"/\" but its alias does: \"/name../\" is a uri of this location, and leads into the folder above the alias.",
      "End the name with a slash too: \"location /name/ { alias /folder/; }\"." },
    { "alias-slash",
      "The location's name ends with \"/\" but its alias does not: what follows the name is glued to the last part of the alias.",
      "End the alias with a slash too: \"location /name/ { alias /folder/; }\"." },
    { "if-in-location",
      "\"if\" in a location is a location of its own, entered when its condition holds: of several only the last counts, and what the outer one does (try_files, content, headers) may not happen in it.",
      "Put only return, rewrite, set and break into an \"if\"; choose values with \"map\" and places with locations or \"error_page 418 = @name; return 418;\"." },
    { "regex-unanchored",
      "The regular expression is bound neither to the beginning nor to the end of the uri: it matches wherever its text occurs, in \"/upload/x.php.jpg\" as in \"/other/admin\".",
      "Begin it with \"^\" or end it with \"$\"." },
    { "location-unreachable",
      "No request can get to this location: what stands there has no effect.",
      "Take it out, or mend what keeps requests from it." },
    { "return-before-access",
      "\"return\" is followed before any access rule is asked: everybody gets what it returns.",
      "Move the return into a location of its own that try_files or error_page lead to, or refuse by \"if\" or \"geo\" before it." },
    { "allow-without-deny",
      "\"allow\" alone lets everybody in: who is not named by any rule is not refused.",
      "End the rules with \"deny all;\"." },
    { "proxy-pass-slash",
      "The location's name and the uri of its proxy_pass disagree about the slash at the end. The one takes the place of the other, so that upstream uris have two slashes or none: \"/name/x\" becomes \"//x\" or \"/appx\".",
      "End both with a slash, or neither; or leave the uri out of proxy_pass when it should not be changed." },
    { NULL, NULL, NULL },
};

static const struct location *location_at(const struct conf_line *line)
{
    return line->block->kind == IN_LOCATION ? line->block->object : NULL;
}

static bool is_prefix(const struct location *l) { return l && (l->kind == LOCATION_PREFIX || l->kind == LOCATION_PREFIX_FINAL); }

static bool ends_slash(struct text t) { return text_ends(t, T("/")); }

/* ---- slashes ---- */

static void look_alias(struct conf *cf, const struct conf_line *line)
{
    const struct location *l = location_at(line);
    const char *path = line->words[1].p;
    if (!is_prefix(l) || ends_slash(l->name) == ends_slash(line->words[1])) return;
    if (ends_slash(l->name))
        lint_say(cf, line, "alias-slash", "\"%sx\" is looked for at \"%sx\"; write \"alias %s/;\"", l->name.p, path, path);
    else
        lint_say(cf, line, "alias-traversal", "\"%s../x\" leads out of \"%s\"; write \"location %s/\"", l->name.p, path, l->name.p);
}

/* The uri of a proxy_pass without variables; empty: none. */
static struct text uri_of(struct text url)
{
    ssize_t at = text_find(url, T("://"));
    if (at < 0 || text_find_char(url, '$') >= 0) return T("");
    url = text_from(url, (size_t) at + 3);
    if (text_starts(url, T("unix:"))) {
        ssize_t colon = text_find_char(text_from(url, 5), ':');
        return colon < 0 ? T("") : text_from(url, (size_t) colon + 6);
    }
    ssize_t slash = text_find_char(url, '/');
    return slash < 0 ? T("") : text_from(url, (size_t) slash);
}

static void look_pass(struct conf *cf, const struct conf_line *line)
{
    const struct location *l = location_at(line);
    struct text uri = uri_of(line->words[1]);
    if (!is_prefix(l) || !uri.n || text_find_char(uri, '?') >= 0 || ends_slash(uri) == ends_slash(l->name)) return;
    bool longer = ends_slash(l->name);
    lint_say(cf, line, "proxy-pass-slash", "\"%s%sx\" is passed as \"%s%sx\"; write \"%s%s%s\"", l->name.p, longer ? "" : "/", uri.p, longer ? "" : "/",
             longer ? "proxy_pass " : "location ", longer ? line->words[1].p : l->name.p, longer ? "/;" : "/");
}

/* ---- order ---- */

static void look_if(struct conf *cf, const struct conf_line *line)
{
    static const char *const fine[] = { "return", "rewrite", "set", "break", "rewrite_log", "uninitialized_variable_warn" };
    if (!line->inner || line->inner->kind != IN_IF || !line->inner->lines) return;
    for (const struct conf_line *l = line->inner->lines->first; l; l = l->next) {
        size_t i = 0;
        while (i < countof(fine) && !lint_is(l, fine[i])) i++;
        if (i < countof(fine)) continue;
        lint_say(cf, l, "if-in-location", "\"%s\" inside an \"if\" of a location makes a location of its own, where the rest may not hold; use \"map\", a location, or \"error_page 418 = @name\"", l->words[0].p);
        return;
    }
}

static bool refuses(const struct conf_line *line)
{
    uint64_t status = 0;
    return line->count > 1 && text_u64(line->words[1], &status) && status >= 400;
}

static void look_return(struct conf *cf, const struct conf_line *line)
{
    static const char *const rules[] = { "deny", "allow", "auth_basic", "auth_request", "auth_jwt" };
    if (!(line->block->kind & (IN_SERVER | IN_LOCATION)) || refuses(line)) return;
    for (size_t i = 0; i < countof(rules); i++) {
        const struct conf_line *rule = lint_first(line->block, rules[i]);
        if (!rule || (rule->count > 1 && text_eq(rule->words[1], T("off"))) || (i == 1 && text_eq(rule->words[1], T("all")))) continue;
        lint_say(cf, line, "return-before-access", "this return is followed before \"%s\" of line %u is asked, by everybody; answer from a location that try_files or error_page lead to", rules[i], rule->line);
        return;
    }
}

static void look_allow(struct conf *cf, const struct conf_line *line)
{
    if (lint_first(line->block, "allow") != line || lint_first(line->block, "deny")) return;
    for (const struct conf_line *l = line; l; l = lint_next(l))
        if (text_eq(l->words[1], T("all"))) return;
    lint_say(cf, line, "allow-without-deny", "\"allow %s\" refuses nobody; write \"deny all;\" behind it", line->words[1].p);
}

/* ---- regular expressions ---- */

static bool only_refuses(const struct conf_block *b)
{
    for (const struct conf_line *l = lint_first(b, "deny"); l; l = lint_next(l))
        if (text_eq(l->words[1], T("all"))) return true;
    const struct conf_line *answer = lint_first(b, "return");
    return answer && refuses(answer);
}

/* The end of the alternative that begins at i, on its own level. */
static size_t alternative_end(struct text re, size_t i)
{
    unsigned depth = 0;
    for (bool in_class = false; i < re.n; i++) {
        char c = re.p[i];
        if (c == '\\') i++;
        else if (in_class) in_class = c != ']';
        else if (c == '[') in_class = true;
        else if (c == '(') depth++;
        else if (c == ')' && depth) depth--;
        else if (c == '|' && !depth) break;
    }
    return min_of(i, re.n);
}

static bool is_anchored(struct text one)
{
    struct text begin = one;
    while (begin.n && begin.p[0] == '(') {
        begin = text_from(begin, 1);
        if (text_starts(begin, T("?:")) || text_starts(begin, T("?i)"))) begin = text_from(begin, begin.p[1] == 'i' ? 3 : 2);
    }
    while (text_ends(one, T(")")) && !text_ends(one, T("\\)"))) one.n--;
    bool end = (text_ends(one, T("$")) && !text_ends(one, T("\\$"))) || text_ends(one, T("\\z")) || text_ends(one, T("\\Z"));
    return end || text_starts(begin, T("^")) || text_starts(begin, T("\\A"));
}

static void look_regex(struct conf *cf, const struct conf_line *line, const struct location *l)
{
    if (only_refuses(line->inner)) return;
    for (size_t i = 0; i < l->name.n; ) {
        size_t end = alternative_end(l->name, i);
        struct text one = text_upto(text_from(l->name, i), end - i);
        if (!is_anchored(one)) {
            lint_say(cf, line, "regex-unanchored", "\"%.*s\" matches anywhere in a uri; begin it with \"^\" or end it with \"$\"", TEXT_ARG(one));
            return;
        }
        i = end + 1;
    }
}

/* ---- what is never reached ---- */

static bool matches_all(struct text re)
{
    static const char *const all[] = { "", "^", "/", "^/", ".", ".*", "^.*", "^.*$", ".*$", "^/.*", "^/.*$", "/.*", "^(.*)$", "^/(.*)$", "(.*)", "^(.*)", "^/(.*)" };
    for (size_t i = 0; i < countof(all); i++) if (text_eq(re, text_c(all[i]))) return true;
    return false;
}

static bool mentions(const struct conf_block *b, struct text name)
{
    for (const struct conf_line *l = b->lines ? b->lines->first : NULL; l; l = l->next) {
        for (unsigned i = 1; i < l->count; i++)
            if (text_eq(l->words[i], name) && !lint_is(l, "location")) return true;
        if (l->inner && mentions(l->inner, name)) return true;
    }
    return false;
}

static bool has_escape(struct text name)
{
    for (size_t i = 0; i + 2 < name.n; i++)
        if (name.p[i] == '%' && strchr("0123456789abcdefABCDEF", name.p[i + 1]) && strchr("0123456789abcdefABCDEF", name.p[i + 2])) return true;
    return false;
}

/* Why no uri is what this location's name wants; NULL: one may. */
static const char *impossible(const struct location *l, const struct conf_block *b)
{
    if (l->name.n && l->name.p[0] != '/') return "uris begin with \"/\"; begin its name so";
    if (text_find_char(l->name, '?') >= 0) return "what follows \"?\" is no part of the uri that locations are compared with; use \"if ($arg_name)\" or a map";
    if (has_escape(l->name)) return "uris are decoded before locations are compared; write the characters themselves";
    if (text_find(l->name, T("//")) >= 0 && ((const struct http_core_conf *) conf_values(b, &http_core_module))->merge_slashes.on)
        return "slashes side by side become one before locations are compared; write one, or \"merge_slashes off;\"";
    return NULL;
}

static void look_kind(struct conf *cf, const struct conf_line *line, const struct location *l)
{
    const char *why;
    const struct conf_block *server = line->block;
    while (server->kind != IN_SERVER) server = server->parent;
    if (l->kind == LOCATION_NAMED) {
        /* Everything in the http block may be inherited. */
        bool used = mentions(server, l->name);
        for (const struct conf_line *e = lint_first(server->parent, "error_page"); e && !used; e = lint_next(e)) used = text_eq(e->words[e->count - 1], l->name);
        if (!used) lint_say(cf, line, "location-unreachable", "nothing in this server leads to \"%s\"; name it in try_files or error_page, or take it out", l->name.p);
    } else if (l->kind != LOCATION_REGEX && (why = impossible(l, line->inner)) != NULL) {
        lint_say(cf, line, "location-unreachable", "no uri is like \"%s\": %s", l->name.p, why);
    }
}

static void look_location(struct conf *cf, const struct conf_line *line)
{
    const struct location *l = line->inner->object;
    if (l->kind == LOCATION_REGEX) look_regex(cf, line, l);
    look_kind(cf, line, l);
}

/* The regular expressions and what they keep requests from. */
static void look_level(struct conf *cf, const struct conf_block *b)
{
    struct table seen;
    const struct conf_line *all = NULL;
    table_init(&seen, cf->scratch, false);
    for (const struct conf_line *line = lint_first(b, "location"); line; line = lint_next(line)) {
        const struct location *l = line->inner->object;
        if (l->kind != LOCATION_REGEX) continue;
        struct text key = pool_printf(cf->scratch, "%s%s", text_starts(line->words[1], T("~*")) ? "*" : "", l->name.p);
        const struct conf_line *first = all ? all : table_get(&seen, key);
        if (first) lint_say(cf, line, "location-unreachable", "\"%s\" of line %u matches first; take this one out or put it before that", first->words[first->count - 1].p, first->line);
        table_put(&seen, key, (void *) line);
        if (!all && matches_all(l->name)) all = line;
    }
    if (!all) return;
    for (const struct conf_line *line = lint_first(b, "location"); line; line = lint_next(line)) {
        const struct location *l = line->inner->object;
        if (l->kind == LOCATION_PREFIX && !l->inner)
            lint_say(cf, line, "location-unreachable", "the regular expression of line %u matches all uris and is asked before \"%s\"; write \"location ^~ %s\"", all->line, l->name.p, l->name.p);
    }
}

static void look_server(struct conf *cf, const struct conf_line *line)
{
    if (!line->inner || line->inner->kind != IN_SERVER) return;
    const struct conf_line *answer = lint_first(line->inner, "return"), *first = lint_first(line->inner, "location");
    if (!first) return;
    if (answer) lint_say(cf, first, "location-unreachable", "\"return\" of line %u answers all requests of the server before a location is looked for; put it into \"location / { … }\"", answer->line);
    look_level(cf, line->inner);
}

static const struct lint_rule rules[] = {
    { "server", look_server },
    { "location", look_location },
    { "alias", look_alias },
    { "proxy_pass", look_pass },
    { "if", look_if },
    { "return", look_return },
    { "allow", look_allow },
    { NULL, NULL },
};

static const struct lint_part part = { ids, rules };
struct module lint_location_module = { .name = "lint_location", .part = &part, .part_kind = &lint_part_kind };
