#include "http/core_conf.h"
#include "http/location.h"
#include "http/verdict.h"
#include "weir_config.h"

/* ---- types of our own ---- */

static conf_result bad_word(struct conf *cf, const struct directive *d, size_t i)
{
    return conf_say(cf, "!invalid value \"%s\" in \"%s\" directive", cf->words[i].p, d->name);
}

static conf_result parse_keepalive(struct conf *cf, const struct directive *d, void *field)
{
    struct http_keepalive *k = field;
    if (!conf_read_span(cf->words[1], &k->ms)) return bad_word(cf, d, 1);
    if (cf->count == 3 && !conf_read_span(cf->words[2], &k->header_ms)) return bad_word(cf, d, 2);
    return NULL;
}

static const struct conf_type type_keepalive = { "timeout [header_timeout]", sizeof(struct http_keepalive), 0, 1, 2, parse_keepalive };

/* source with variables, or a full path where it has none. */
static conf_result read_root(struct conf *cf, struct text source, struct http_root *root)
{
    conf_result why = NULL;
    if (source.n && source.p[0] != '$') source = conf_full_path(cf, source, false);
    struct template *t = template_compile(cf, source, &why);
    if (!t) return why;
    if (template_is_constant(t)) root->path = pool_printf(cf->pool, "%.*s", TEXT_ARG(source));
    else root->dynamic = t;
    return NULL;
}

static conf_result check_root(struct conf *cf, const struct directive *d)
{
    struct text path = cf->words[1];
    static const struct { struct text name; } never[] = { { TEXT_INIT("$document_root") }, { TEXT_INIT("${document_root}") }, { TEXT_INIT("$realpath_root") }, { TEXT_INIT("${realpath_root}") } };
    for (size_t i = 0; i < countof(never); i++)
        if (text_find(path, never[i].name) >= 0)
            return conf_say(cf, "!the %s variable cannot be used in the \"%s\" directive", i < 2 ? "$document_root" : "$realpath_root", d->name);
    return NULL;
}

static conf_result parse_root(struct conf *cf, const struct directive *d, void *field)
{
    struct text path = cf->words[1];
    conf_result why = check_root(cf, d);
    if (why) return why;
    if (path.n && path.p[path.n - 1] == '/') path.n--;
    return read_root(cf, path, field);
}

static conf_result parse_alias(struct conf *cf, const struct directive *d, void *field)
{
    struct http_root *root = field;
    conf_result why = check_root(cf, d);
    if (why) return why;
    root->alias_of = location_reading(cf);
    if (root->alias_of->kind == LOCATION_NAMED) return conf_say(cf, "!the \"alias\" directive cannot be used inside the named location");
    return read_root(cf, cf->words[1], root);
}

static const struct conf_type type_root = { "path", sizeof(struct http_root), 0, 1, 1, parse_root };
static const struct conf_type type_alias = { "path", sizeof(struct http_root), 0, 1, 1, parse_alias };

/* One line of types: "text/html html htm;" */
static conf_result add_type(struct conf *cf, void *arg)
{
    struct table *types = arg;
    struct text *type = pool_new(cf->pool, struct text);
    *type = pool_text(cf->pool, cf->words[0]);
    for (size_t i = 1; i < cf->count; i++) {
        struct text exten = pool_text(cf->pool, cf->words[i]), *old = table_get(types, exten);
        if (old) conf_warn(cf, "duplicate extension \"%.*s\", content type: \"%.*s\", previous content type: \"%.*s\"", TEXT_ARG(exten), TEXT_ARG(*type), TEXT_ARG(*old));
        table_put(types, exten, type);
    }
    return NULL;
}

static conf_result parse_types(struct conf *cf, const struct directive *d, void *field)
{
    struct table **types = field;
    (void) d;
    if (!*types) {
        *types = pool_new(cf->pool, struct table);
        table_init(*types, cf->pool, true);
    }
    return conf_entries(cf, add_type, *types);
}

static const struct conf_type type_types = { "{ type extension ...; ... }", sizeof(struct table *), CONF_BLOCK | CONF_MULTI, 0, 0, parse_types };

/* The code words of error_page: all before "=…" and the uri. */
static conf_result add_codes(struct conf *cf, const struct directive *d, struct error_pages *pages, struct error_page page, size_t count)
{
    for (size_t i = 1; i < count; i++) {
        uint64_t code;
        if (!text_u64(cf->words[i], &code) || code == 499) return bad_word(cf, d, i);
        if (code < 300 || code > 599) return conf_say(cf, "!value \"%s\" must be between 300 and 599", cf->words[i].p);
        if (pages->n == pages->cap) pages->v = pool_grow(cf->pool, pages->v, pages->n, &pages->cap, sizeof *pages->v);
        struct error_page *at = &pages->v[pages->n++];
        *at = page;
        at->status = (int) code;
        /* codes of nginx's own, never to be seen by a client */
        if (page.answer < 0 && code >= 494 && code <= 497) at->answer = 400;
    }
    return NULL;
}

static conf_result parse_error_page(struct conf *cf, const struct directive *d, void *field)
{
    conf_result why = NULL;
    struct error_page page = { .answer = -1 };
    struct text uri = cf->words[cf->count - 1], over = cf->words[cf->count - 2];
    size_t codes = cf->count - 1;
    if (over.n && over.p[0] == '=') {
        uint64_t answer = 0;
        if (over.n > 1 && (!text_u64(text_from(over, 1), &answer) || answer > 999)) return bad_word(cf, d, cf->count - 2);
        page.answer = (int) answer;
        codes--;
    }
    if (codes < 2) return conf_say(cf, "!invalid number of arguments in \"%s\" directive", d->name);
    if (!(page.uri = template_compile(cf, uri, &why))) return why;
    if (template_is_constant(page.uri) && uri.n && uri.p[0] == '/') {
        ssize_t q = text_find_char(uri, '?');
        if (q >= 0) {
            page.has_args = true;
            page.args = pool_text(cf->pool, text_from(uri, (size_t) q + 1));
            if (!(page.uri = template_compile(cf, text_upto(uri, (size_t) q), &why))) return why;
        }
    }
    return add_codes(cf, d, field, page, codes);
}

static const struct conf_type type_error_page = { "code ... [=[response]] uri", sizeof(struct error_pages), CONF_MULTI, 2, UINT32_MAX, parse_error_page };

static conf_result parse_default_type(struct conf *cf, const struct directive *d, void *field)
{
    (void) d;
    *(struct text *) field = pool_text(cf->pool, cf->words[1]);
    return NULL;
}

static const struct conf_type type_mime = { "mime-type", sizeof(struct text), 0, 1, 1, parse_default_type };

static conf_result parse_tokens(struct conf *cf, const struct directive *d, void *field)
{
    static const char *const words[] = { [TOKENS_OFF] = "off", [TOKENS_ON] = "on", [TOKENS_BUILD] = "build" };
    struct http_tokens *t = field;
    conf_result why = NULL;
    (void) d;
    for (t->how = TOKENS_OFF; t->how < TOKENS_TEXT; t->how++) if (text_eq(cf->words[1], text_c(words[t->how]))) return NULL;
    t->text = template_compile(cf, cf->words[1], &why);
    return why;
}

static conf_result parse_tag(struct conf *cf, const struct directive *d, void *field)
{
    struct log_tags *tags = field;
    conf_result why = NULL;
    (void) d;
    if (tags->n == tags->cap) tags->v = pool_grow(cf->pool, tags->v, tags->n, &tags->cap, sizeof *tags->v);
    struct log_tag *tag = &tags->v[tags->n++];
    tag->name = pool_text(cf->pool, cf->words[1]);
    tag->value = template_compile(cf, cf->words[2], &why);
    return why;
}

static const struct conf_type type_tokens = { "on | off | build | string", sizeof(struct http_tokens), 0, 1, 1, parse_tokens };
static const struct conf_type type_tag = { "name value", sizeof(struct log_tags), CONF_MULTI, 2, 2, parse_tag };

static const struct conf_bounds from_1 = { 1, 0 };

/* ---- rows ---- */

static const struct conf_choice disables[] = { { "none", KEEPALIVE_NONE }, { "msie6", KEEPALIVE_MSIE6 }, { "safari", KEEPALIVE_SAFARI }, { 0 } };
static const struct conf_choice lingerings[] = { { "off", LINGERING_OFF }, { "on", LINGERING_ON }, { "always", LINGERING_ALWAYS }, { 0 } };
static const struct conf_choice satisfies[] = { { "all", SATISFY_ALL }, { "any", SATISFY_ANY }, { 0 } };
static const struct conf_choice sinces[] = { { "off", SINCE_OFF }, { "exact", SINCE_EXACT }, { "before", SINCE_BEFORE }, { 0 } };
static const struct conf_choice in_files[] = { { "off", BODY_FILE_OFF }, { "on", BODY_FILE_ON }, { "clean", BODY_FILE_CLEAN }, { 0 } };

enum { HS = IN_HTTP | IN_SERVER, HSLI = IN_HSL | IN_IF };
typedef struct http_core_conf core;
#define OWN(f, Ty, ty, nm, wh, df, hp) D_TYPE(core, f, Ty, ty, nm, wh, df, hp)

static const struct directive rows[] = {
    D_SIZE(core, client_header_buffer_size, "client_header_buffer_size", HS, "1k", "How much of a request's head is read before large_client_header_buffers are counted."),
    D_BUFS(core, large_client_header_buffers, "large_client_header_buffers", HS, "4 8k", "The most buffers that a request's head may fill, and their size, which the request line or one header line may not exceed."),
    D_TIME(core, client_header_timeout, "client_header_timeout", HS, "60s", "How long a client may take to send the head of a request."),
    { .name = "max_headers", .type = &conf_num, .where = HS, .offset = FIELD(core, max_headers, int64_t), .dflt = "1000", .help = "The most header lines that a request may have.", .data = &from_1 },
    D_FLAG(core, ignore_invalid_headers, "ignore_invalid_headers", HS, "on", "Whether header lines with other characters than letters, digits and hyphens in their names are dropped."),
    D_FLAG(core, underscores_in_headers, "underscores_in_headers", HS, "off", "Whether underscores may stand in names of headers."),
    D_FLAG(core, merge_slashes, "merge_slashes", HS, "on", "Whether several slashes side by side in a uri become one."),
    D_ENUM(core, client_body_in_file_only, "client_body_in_file_only", IN_HSL, "off", in_files, "Whether request bodies always go to a file, and whether that file stays."),
    D_SIZE(core, client_max_body_size, "client_max_body_size", IN_HSL, "1m", "The largest request body; 0: any size."),
    D_SIZE(core, client_body_buffer_size, "client_body_buffer_size", IN_HSL, "16k", "How much of a request body is kept in memory; the rest goes to a temporary file."),
    D_TIME(core, client_body_timeout, "client_body_timeout", IN_HSL, "60s", "The longest silence between two reads of a request body."),
    OWN(client_body_temp_path, struct temp_path, &temp_path_type, "client_body_temp_path", IN_HSL, "\"" WEIR_HTTP_CLIENT_TEMP_PATH "\"", "The folder of temporary files for request bodies, and how it is divided into levels."),
    OWN(keepalive_timeout, struct http_keepalive, &type_keepalive, "keepalive_timeout", IN_HSL, "75s", "How long an idle connection of a client stays open (0: closed after each response), and what the Keep-Alive header says of it."),
    D_TIME(core, keepalive_min_timeout, "keepalive_min_timeout", IN_HSL, "0", "How long an idle connection of a client is not closed for reuse or at a graceful end of the worker."),
    D_TIME(core, keepalive_time, "keepalive_time", IN_HSL, "1h", "How old a connection may become and still serve another request."),
    D_NUM(core, keepalive_requests, "keepalive_requests", IN_HSL, "1000", "How many requests one connection may serve."),
    D_BITS(core, keepalive_disable, "keepalive_disable", IN_HSL, "msie6", disables, "Browsers that connections are not kept open with."),
    D_ENUM(core, lingering_close, "lingering_close", IN_HSL, "on", lingerings, "Whether what a client still sends is read and dropped before its connection is closed, so that it sees the response."),
    D_TIME(core, lingering_time, "lingering_time", IN_HSL, "30s", "How long in all a client's data is read and dropped before closing."),
    D_TIME(core, lingering_timeout, "lingering_timeout", IN_HSL, "5s", "How long to wait for more of a client's data before closing."),
    D_TIME(core, send_timeout, "send_timeout", IN_HSL, "60s", "The longest time between two writes to a client that takes nothing."),
    D_FLAG(core, reset_timedout_connection, "reset_timedout_connection", IN_HSL, "off", "Whether connections that timed out are reset, which frees their memory in the kernel at once."),
    D_FLAG(core, tcp_nodelay, "tcp_nodelay", IN_HSL, "on", "Whether small packets go out at once on connections that are kept open."),
    D_NONE("tcp_nopush", IN_HSL, "on | off", "off", "Whether head and first bytes of a file go in one packet, and full packets after it; weir always sends so (MSG_MORE), without the calls for it."),
    D_FLAG(core, chunked_transfer_encoding, "chunked_transfer_encoding", IN_HSL, "on", "Whether a body of unknown length is sent chunked to HTTP/1.1 clients."),
    D_FLAG(core, absolute_redirect, "absolute_redirect", IN_HSL, "on", "Whether redirects made here have an absolute address."),
    D_FLAG(core, server_name_in_redirect, "server_name_in_redirect", IN_HSL, "off", "Whether absolute redirects name the server by its first server_name instead of the Host of the request."),
    D_FLAG(core, port_in_redirect, "port_in_redirect", IN_HSL, "on", "Whether absolute redirects name the port."),
    D_FLAG(core, etag, "etag", IN_HSL, "on", "Whether responses made of files have an ETag."),
    D_FLAG(core, msie_padding, "msie_padding", IN_HSL, "on", "Whether short error pages are made longer than 512 bytes for browsers that would replace them."),
    D_FLAG(core, msie_refresh, "msie_refresh", IN_HSL, "off", "Whether MSIE is redirected by a page instead of a status."),
    D_FLAG(core, log_not_found, "log_not_found", IN_HSL, "on", "Whether files that are not there are written to the error log."),
    D_FLAG(core, log_subrequest, "log_subrequest", IN_HSL, "off", "Whether subrequests are written to the access log."),
    D_SIZE(core, subrequest_output_buffer_size, "subrequest_output_buffer_size", IN_HSL, "4k", "The most of a subrequest's response that is kept in memory for a variable."),
    D_FLAG(core, recursive_error_pages, "recursive_error_pages", IN_HSL, "off", "Whether an error while an error page is made leads to another error page."),
    OWN(server_tokens, struct http_tokens, &type_tokens, "server_tokens", IN_HSL, "on", "Whether the Server header and built-in pages tell the version, or also the build name; or the text, with variables, that they have instead: an empty one leaves the header out."),
    OWN(error_log_tags, struct log_tags, &type_tag, "error_log_tag", IN_HSL, NULL, "A name and a value, with variables, that lines about requests in the error log end with."),
    D_ENUM(core, satisfy, "satisfy", IN_HSL, "all", satisfies, "Whether all access checks must let a request through, or any one of them is enough."),
    D_TIME(core, auth_delay, "auth_delay", IN_HSL, "0s", "How long the answer 401 is held back, which slows down those who guess."),
    D_ENUM(core, if_modified_since, "if_modified_since", IN_HSL, "exact", sinces, "How If-Modified-Since is compared with the time of change: equal, not later, or not at all."),
    D_NUM(core, max_ranges, "max_ranges", IN_HSL, "2147483647", "The most byte ranges that one request may ask for; 0: ranges are not served."),
    OWN(default_type, struct text, &type_mime, "default_type", IN_HSL, "text/plain", "The type of files whose extension is not known."),
    OWN(types, struct table *, &type_types, "types", IN_HSL, NULL, "Content types by file name extension; without it html, gif and jpg are known."),
    OWN(error_pages, struct error_pages, &type_error_page, "error_page", IN_HSL | IN_IF, NULL, "The uri that answers for these statuses, and the status that the answer then has."),
    OWN(root, struct http_root, &type_root, "root", HSLI, "html", "The folder that files are served from: the whole uri is added to it."),
    OWN(root, struct http_root, &type_alias, "alias", IN_LOCATION, NULL, "The folder that stands for the location's name: what follows the name in the uri is added to it."),
    D_FLAG(core, sendfile, "sendfile", HSLI, "off", "Whether files are sent by sendfile() where no filter needs the bytes, or read and sent."),
    D_BUFS(core, output_buffers, "output_buffers", IN_HSL, "2 32k", "How much of a file is read for one call where sendfile is off or directio reads it, at most 1m: so many buffers of this size, each read by itself."),
    D_SIZE(core, sendfile_max_chunk, "sendfile_max_chunk", IN_HSL, "2m", "The most bytes of a file that are sent to one client at a time; 0: any number."),
    { 0 }
};

struct module http_core_module = { .name = "http_core", .conf_size = sizeof(struct http_core_conf), .rows = rows };
