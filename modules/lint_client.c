/* lint_client: traps in which the client chooses what should be the server's to say. */
#include "config/lint.h"
#include "modules/module.h"

static const struct lint_id ids[] = {
    { "header-splitting",
      "$uri, $document_uri and some captures are decoded: %0d%0a in a request becomes a line end in the header, and the client writes headers, or a whole response, for somebody else.",
      "Use $request_uri, which is as it came, or a capture that cannot hold a line end: \"([^/\\s]*)\" or \"(.*)\"." },
    { "proxy-open",
      "The host that proxy_pass leads to comes from the request: a client can make this server ask any host, those of the inner network included.",
      "Name the host, or choose it with a \"map\" that has a default; or make the location \"internal\"." },
    { "proxy-host",
      "$http_host is the Host header as the client sent it: it may be missing, or another one than that of the request line, by which the server was chosen.",
      "Write \"proxy_set_header Host $host;\", with \":$server_port\" behind it where the port matters." },
    { NULL, NULL, NULL },
};

/* ---- variables in a word ---- */

static bool is_name(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_'; }

/* The next variable of *rest, which moves behind it. before_out: the text between. */
static bool next_variable(struct text *rest, struct text *before_out, struct text *name_out)
{
    ssize_t at = text_find_char(*rest, '$');
    if (at < 0) return false;
    *before_out = text_upto(*rest, (size_t) at);
    struct text t = text_from(*rest, (size_t) at + 1);
    bool braces = t.n && t.p[0] == '{';
    size_t n = 0;
    if (braces) t = text_from(t, 1);
    if (!braces && t.n && t.p[0] >= '0' && t.p[0] <= '9') n = 1;
    else while (n < t.n && is_name(t.p[n])) n++;
    *name_out = text_upto(t, n);
    *rest = text_from(t, min_of(n + braces, t.n));
    return true;
}

static bool is_any(struct text name, const char *const *all)
{
    for (; *all; all++) if (text_eq(name, text_c(*all))) return true;
    return false;
}

static bool is_number(struct text name) { return name.n == 1 && name.p[0] >= '1' && name.p[0] <= '9'; }

/* ---- captures ---- */

/* What stands in the group of that number or name in a regular expression, or empty. */
static struct text group_of(struct text re, struct text name)
{
    size_t starts[32], depth = 0;
    bool wanted[32], in_class = false;
    int number = 0;
    for (size_t i = 0; i < re.n; i++) {
        char c = re.p[i];
        if (c == '\\') { i++; continue; }
        if (in_class) { in_class = c != ']'; continue; }
        if (c == '[') in_class = true;
        if (c == '(' && depth < countof(starts)) {
            struct text t = text_from(re, i + 1);
            bool plain = !text_starts(t, T("?"));
            if (text_starts(t, T("?P<"))) t = text_from(t, 3);
            else if (text_starts(t, T("?<")) && !text_starts(t, T("?<=")) && !text_starts(t, T("?<!"))) t = text_from(t, 2);
            else t.n = 0;
            bool named = t.n && text_starts(t, name) && t.n > name.n && t.p[name.n] == '>';
            if (plain || t.n) number++;
            wanted[depth] = named || ((plain || t.n) && is_number(name) && number == name.p[0] - '0');
            starts[depth++] = i + 1;
        } else if (c == ')' && depth && wanted[--depth]) {
            return text_upto(text_from(re, starts[depth]), i - starts[depth]);
        }
    }
    return T("");
}

/* The words of "if ($subject ~ re)": the subject and the expression; false: no such condition. */
static bool if_regex(const struct conf_line *line, struct text *subject_out, struct text *re_out)
{
    unsigned i = 1;
    struct text t = line->words[1];
    if (text_starts(t, T("("))) t = text_from(t, 1);
    if (!t.n && ++i < line->count) t = line->words[i];
    if (i + 2 >= line->count || !text_starts(line->words[i + 1], T("~"))) return false;
    *subject_out = t;
    *re_out = line->words[i + 2];
    if (i + 3 == line->count && text_ends(*re_out, T(")"))) re_out->n--;
    return true;
}

/* The group that a capture in this line speaks of, in what the uri is compared with; empty: none, or of something that is not decoded. */
static struct text capture_in(const struct conf_line *line, struct text name)
{
    for (const struct conf_block *b = line->block; b && b->kind & (IN_LOCATION | IN_IF | IN_IF_SERVER | IN_SERVER); b = b->parent) {
        const struct conf_line *opener = lint_opener(b);
        struct text subject, re;
        if (b->kind & (IN_IF | IN_IF_SERVER) && if_regex(opener, &subject, &re)) {
            struct text group = group_of(re, name);
            if (group.n) return text_eq(subject, T("$uri")) || text_eq(subject, T("$document_uri")) ? group : T("");
            if (is_number(name)) return T("");
        }
        if (b->kind == IN_LOCATION && ((const struct location *) b->object)->kind == LOCATION_REGEX)
            return group_of(((const struct location *) b->object)->name, name);
    }
    return T("");
}

/* A negated class, unless it leaves line ends out, or one of PCRE's that has them. */
static bool holds_line_end(struct text group)
{
    for (size_t i = 0; i + 1 < group.n; i++) {
        if (group.p[i] == '\\' && strchr("sWD", group.p[i + 1])) return true;
        if (group.p[i] == '\\') i++;
        if (group.p[i] != '[') continue;
        ssize_t end = text_find_char(text_from(group, i), ']');
        struct text in = text_from(group, i + 1);
        if (end > 0) in = text_upto(in, (size_t) end - 1);
        if (in.n && in.p[0] == '^' ? text_find(in, T("\\s")) < 0 && text_find(in, T("\\n")) < 0 : text_find(in, T("\\s")) >= 0) return true;
        i += in.n;
    }
    return false;
}

/* A class or a dot: more than a choice of words. */
static bool is_wide(struct text group)
{
    for (size_t i = 0; i < group.n; i++) {
        if (group.p[i] == '.' || group.p[i] == '[') return true;
        if (group.p[i] == '\\' && ++i < group.n && strchr("wSDW", group.p[i])) return true;
    }
    return false;
}

/* ---- header-splitting ---- */

static const char *const decoded[] = { "uri", "document_uri", NULL };

static void look_value(struct conf *cf, const struct conf_line *line, struct text value, const char *what, bool captures)
{
    struct text before, name;
    while (next_variable(&value, &before, &name)) {
        if (is_any(name, decoded)) {
            lint_say(cf, line, "header-splitting", "a client can put line ends into %s by $%.*s, which is decoded; write $request_uri", what, TEXT_ARG(name));
            return;
        }
        if (!captures || !holds_line_end(capture_in(line, name))) continue;
        lint_say(cf, line, "header-splitting", "a client can put line ends into %s by $%.*s, which captures a decoded uri; leave \\s out of what it captures", what, TEXT_ARG(name));
        return;
    }
}

static void look_return(struct conf *cf, const struct conf_line *line)
{
    uint64_t status = 302;
    if (line->count > 2 && !text_u64(line->words[1], &status)) return;
    if (line->count == 2 && text_u64(line->words[1], &status)) return;
    if (status == 301 || status == 302 || status == 303 || status == 307 || status == 308)
        look_value(cf, line, line->words[line->count - 1], "Location", true);
}

static void look_rewrite(struct conf *cf, const struct conf_line *line)
{
    struct text to = line->words[2];
    bool redirect = text_starts(to, T("http://")) || text_starts(to, T("https://")) || text_starts(to, T("$scheme"));
    if (line->count > 3) redirect |= text_eq(line->words[3], T("redirect")) || text_eq(line->words[3], T("permanent"));
    if (redirect) look_value(cf, line, to, "Location", false);      /* captures are encoded again */
}

static void look_header(struct conf *cf, const struct conf_line *line)
{
    if (line->count > 2) look_value(cf, line, line->words[2], line->words[1].p, true);
}

static void look_set_header(struct conf *cf, const struct conf_line *line)
{
    look_header(cf, line);
    if (text_eq_nocase(line->words[1], T("Host")) && (text_eq(line->words[2], T("$http_host")) || text_eq(line->words[2], T("${http_host}"))))
        lint_say(cf, line, "proxy-host", "$http_host may be missing or not the host that this server was chosen by; write \"proxy_set_header Host $host;\"");
}

/* ---- proxy-open ---- */

static bool client_chooses(const struct conf_line *line, struct text name, unsigned depth);

/* What "set" gives the variable, in the blocks around line. */
static bool set_by_client(const struct conf_line *line, struct text name, unsigned depth)
{
    for (const struct conf_block *b = line->block; b && b->kind & (IN_LOCATION | IN_IF | IN_IF_SERVER | IN_SERVER); b = b->parent)
        for (const struct conf_line *s = lint_first(b, "set"); s; s = lint_next(s)) {
            struct text value = s->words[2], before, inner;
            if (!text_eq(text_from(s->words[1], 1), name)) continue;
            while (next_variable(&value, &before, &inner))
                if (client_chooses(s, inner, depth + 1)) return true;
        }
    return false;
}

static bool client_chooses(const struct conf_line *line, struct text name, unsigned depth)
{
    static const char *const chosen[] = { "host", "http_host", "uri", "document_uri", "request_uri", "args", "query_string", "request", NULL };
    static const char *const families[] = { "http_", "arg_", "cookie_" };
    if (is_any(name, chosen)) return true;
    for (size_t i = 0; i < countof(families); i++) if (text_starts(name, text_c(families[i]))) return true;
    if (is_wide(capture_in(line, name))) return true;
    return depth < 8 && set_by_client(line, name, depth);
}

static bool is_internal(const struct conf_block *b)
{
    for (; b && b->kind & (IN_LOCATION | IN_IF); b = b->parent)
        if (b->kind == IN_LOCATION && (((const struct location *) b->object)->internal || ((const struct location *) b->object)->kind == LOCATION_NAMED)) return true;
    return false;
}

static void look_pass(struct conf *cf, const struct conf_line *line)
{
    static const char *const paths[] = { "uri", "document_uri", "request_uri", "is_args", NULL };    /* these end the host */
    struct text url = line->words[1], before, name;
    ssize_t at = text_find(url, T("://"));
    if (at >= 0) url = text_from(url, (size_t) at + 3);
    if (is_internal(line->block)) return;
    for (bool begun = false; next_variable(&url, &before, &name); begun = true) {
        if (text_find_char(before, '/') >= 0 || text_find_char(before, '?') >= 0) return;
        if ((begun || before.n) && is_any(name, paths)) return;
        if (!client_chooses(line, name, 0)) continue;
        lint_say(cf, line, "proxy-open", "a client chooses the host that this leads to, by $%.*s; name it, or choose it by a \"map\"", TEXT_ARG(name));
        return;
    }
}

static const struct lint_rule rules[] = {
    { "return", look_return },
    { "rewrite", look_rewrite },
    { "add_header", look_header },
    { "proxy_set_header", look_set_header },
    { "proxy_pass", look_pass },
    { NULL, NULL },
};

static const struct lint_part part = { ids, rules };
struct module lint_client_module = { .name = "lint_client", .part = &part, .part_kind = &lint_part_kind };
