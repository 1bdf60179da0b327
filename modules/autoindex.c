/* autoindex: the listing of a folder, as a page, or for programs. */
#include "http/open_file.h"
#include "modules/module.h"
#include "wire/date.h"
#include "wire/uri.h"
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

enum { ORDER_AUTOINDEX = 200 };                  /* after index, before static */
enum { NAME_SHOWN = 50, CUT_TO = NAME_SHOWN - 3, CALLBACK_MOST = 128 };
enum { AS_HTML, AS_JSON, AS_JSONP, AS_XML };

struct autoindex_conf { flag on, exact_size, localtime; int format; };
extern struct module autoindex_module;

struct entry { struct text name; mode_t mode; time_t modified; off_t size; };
struct listing { struct entry *v; size_t n, cap; };

/* ---- reading the folder ---- */

/* A link that leads nowhere is listed as what it is; what may not be looked at is left out. 0 or errno. */
static int look_at(DIR *dir, const char *name, struct stat *st, bool *skip_out)
{
    *skip_out = false;
    if (fstatat(dirfd(dir), name, st, 0) == 0) return 0;
    if (errno == EACCES) *skip_out = true;
    else if ((errno != ENOENT && errno != ELOOP) || fstatat(dirfd(dir), name, st, AT_SYMLINK_NOFOLLOW) != 0) return errno;
    return 0;
}

static int read_folder(struct request *r, DIR *dir, struct listing *list)
{
    const struct dirent *d;
    struct stat st;
    while (errno = 0, (d = readdir(dir))) {
        bool skip;
        if (d->d_name[0] == '.') continue;
        int err = look_at(dir, d->d_name, &st, &skip);
        if (err == ENOENT || skip) continue;
        if (err) return err;
        if (list->n == list->cap) list->v = pool_grow(r->pool, list->v, list->n, &list->cap, sizeof *list->v);
        list->v[list->n++] = (struct entry) { pool_text(r->pool, text_c(d->d_name)), st.st_mode, st.st_mtime, st.st_size };
    }
    return errno;
}

/* Folders first. */
static int compare(const void *a, const void *b)
{
    const struct entry *x = a, *y = b;
    if (S_ISDIR(x->mode) != S_ISDIR(y->mode)) return S_ISDIR(x->mode) ? -1 : 1;
    return text_cmp(x->name, y->name);
}

/* ---- writing ---- */

/* Bytes of the UTF-8 character at t's front, 0: it is none. RFC 3629 4 */
static size_t character(struct text t)
{
    unsigned char c = (unsigned char) t.p[0];
    size_t n = c < 0x80 ? 1 : c >= 0xc2 && c < 0xe0 ? 2 : c >= 0xe0 && c < 0xf0 ? 3 : c >= 0xf0 && c < 0xf5 ? 4 : 0;
    if (n > t.n) return 0;
    for (size_t i = 1; i < n; i++)
        if ((t.p[i] & 0xc0) != 0x80) return 0;
    return n;
}

/* How many characters t has (bytes, where it is not UTF-8), and in *cut_out the bytes of the first so many of them. */
static size_t measure(struct text t, bool utf8, size_t first, size_t *cut_out)
{
    size_t chars = 0;
    *cut_out = t.n;
    for (size_t i = 0, n; i < t.n; i += n, chars++) {
        n = utf8 ? character(text_from(t, i)) : 1;
        if (!n) return measure(t, false, first, cut_out);
        if (chars == first) *cut_out = i;
    }
    return chars;
}

static void put_spaces(struct build *b, size_t n)
{
    while (n--) build_char(b, ' ');
}

static void put_name(struct build *b, const struct entry *e, bool utf8)
{
    size_t cut, chars = measure(e->name, utf8, CUT_TO, &cut);
    build_lit(b, "<a href=\"");
    uri_escape(b, e->name, URI_ESCAPE_COMPONENT);
    if (S_ISDIR(e->mode)) build_char(b, '/');
    build_lit(b, "\">");
    if (chars > NAME_SHOWN) {
        build_html(b, text_upto(e->name, cut));
        build_lit(b, "..&gt;</a>");
        return;
    }
    build_html(b, e->name);
    if (S_ISDIR(e->mode) && chars < NAME_SHOWN) {
        build_char(b, '/');
        chars++;
    }
    build_lit(b, "</a>");
    put_spaces(b, NAME_SHOWN - chars);
}

/* "  12K": rounded to the nearest */
static void put_rounded(struct build *b, int64_t size)
{
    static const struct { int64_t unit, from; char name; } units[] = { { 1 << 30, 1 << 30, 'G' }, { 1 << 20, 1 << 20, 'M' }, { 1 << 10, 10000, 'K' } };
    for (size_t i = 0; i < countof(units); i++) {
        if (size < units[i].from) continue;
        build_fmt(b, "%6lld%c", (long long) (size / units[i].unit + (size % units[i].unit >= units[i].unit / 2)), units[i].name);
        return;
    }
    build_fmt(b, " %6lld", (long long) size);
}

static void put_row(struct build *b, const struct autoindex_conf *conf, const struct entry *e, long zone, bool utf8)
{
    static const char months[12][4] = { "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec" };
    time_t t = e->modified + zone;
    struct tm tm = { 0 };
    gmtime_r(&t, &tm);
    put_name(b, e, utf8);
    build_fmt(b, " %02d-%s-%d %02d:%02d ", tm.tm_mday, months[tm.tm_mon], tm.tm_year + 1900, tm.tm_hour, tm.tm_min);
    if (S_ISDIR(e->mode)) build_c(b, conf->exact_size.on ? "                  -" : "      -");
    else if (conf->exact_size.on) build_fmt(b, "%19lld", (long long) e->size);
    else put_rounded(b, e->size);
    build_lit(b, "\r\n");
}

/* Pages alone are in local time, as in nginx. */
static long zone_of(const struct autoindex_conf *conf)
{
    struct tm tm = { 0 };
    if (!conf->localtime.on) return 0;
    localtime_r(&clock_now.wall, &tm);
    return tm.tm_gmtoff;
}

static void put_page(struct request *r, struct build *b, const struct listing *list)
{
    const struct autoindex_conf *conf = request_values(r, &autoindex_module);
    long zone = zone_of(conf);
    bool utf8 = text_eq_nocase(r->out.charset, T("utf-8"));
    build_lit(b, "<html>\r\n<head><title>Index of ");
    build_html(b, r->uri);
    build_lit(b, "</title></head>\r\n<body>\r\n<h1>Index of ");
    build_html(b, r->uri);
    build_lit(b, "</h1><hr><pre><a href=\"../\">../</a>\r\n");
    for (size_t i = 0; i < list->n; i++) put_row(b, conf, &list->v[i], zone, utf8);
    build_lit(b, "</pre><hr></body>\r\n</html>\r\n");
}

static const char *kind_of(const struct entry *e)
{
    return S_ISDIR(e->mode) ? "directory" : S_ISREG(e->mode) ? "file" : "other";
}

static void put_json(struct build *b, const struct listing *list, struct text callback)
{
    char date[DATE_LENGTH];
    if (callback.n) {
        build_lit(b, "/* callback */\r\n");
        build_text(b, callback);
        build_char(b, '(');
    }
    build_char(b, '[');
    for (size_t i = 0; i < list->n; i++) {
        const struct entry *e = &list->v[i];
        build_c(b, i ? ",\r\n{ \"name\":\"" : "\r\n{ \"name\":\"");
        build_json(b, e->name);
        build_fmt(b, "\", \"type\":\"%s\", \"mtime\":\"%.*s\"", kind_of(e), TEXT_ARG(date_format(date, e->modified)));
        if (S_ISREG(e->mode)) build_fmt(b, ", \"size\":%lld", (long long) e->size);
        build_lit(b, " }");
    }
    build_lit(b, "\r\n]");
    if (callback.n) build_lit(b, ");");
}

static void put_xml(struct build *b, const struct listing *list)
{
    build_lit(b, "<?xml version=\"1.0\"?>\r\n<list>\r\n");
    for (size_t i = 0; i < list->n; i++) {
        const struct entry *e = &list->v[i];
        struct tm tm = { 0 };
        gmtime_r(&e->modified, &tm);
        build_fmt(b, "<%s mtime=\"%4d-%02d-%02dT%02d:%02d:%02dZ\"", kind_of(e), tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec);
        if (S_ISREG(e->mode)) build_fmt(b, " size=\"%lld\"", (long long) e->size);
        build_char(b, '>');
        build_html(b, e->name);
        build_fmt(b, "</%s>\r\n", kind_of(e));
    }
    build_lit(b, "</list>\r\n");
}

/* ---- the answer ---- */

/* A name that a script may call; else false, after a log line. */
static bool read_callback(struct request *r, struct text *out)
{
    struct text raw = value_text(eval_get_name(&r->eval, T("arg_callback")));
    if (raw.n > CALLBACK_MOST) {
        request_log(r, L_INFO, 0, "client sent too long callback name: \"%.*s\"", TEXT_ARG(raw));
        return false;
    }
    *out = raw;
    for (size_t i = 0; i < out->n; i++) {
        unsigned char c = text_lower((unsigned char) out->p[i]);
        if ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '.') continue;
        request_log(r, L_INFO, 0, "client sent invalid callback name: \"%.*s\"", TEXT_ARG(raw));
        return false;
    }
    return true;
}

static void send_listing(struct request *r, struct listing *list, int format, struct text callback)
{
    struct chain body = CHAIN_EMPTY;
    struct build b = build_in_pool(r->pool, 256 + list->n * 160, 0);
    if (list->n) qsort(list->v, list->n, sizeof *list->v, compare);
    if (format == AS_HTML) put_page(r, &b, list);
    else if (format == AS_XML) put_xml(&b, list);
    else put_json(&b, list, callback);
    chain_add_text(&body, build_done(&b));
    response_body(r, &body, BODY_FINAL);
}

static struct verdict list_folder(struct request *r, DIR *dir, const char *path)
{
    static const struct text types[] = { TEXT_INIT("text/html"), TEXT_INIT("application/json"), TEXT_INIT("application/javascript"), TEXT_INIT("text/xml") };
    int format = ((struct autoindex_conf *) request_values(r, &autoindex_module))->format;
    struct text callback = T("");
    struct listing list = { 0 };
    if (format == AS_JSONP && !read_callback(r, &callback)) return v_reply(400);
    if (format == AS_JSONP && !callback.n) format = AS_JSON;
    int err = r->method == METHOD_HEAD ? 0 : read_folder(r, dir, &list);
    if (err) return open_folder_refuse(r, err, "readdir()", path);
    r->out.status = 200;
    r->out.type = types[format];
    if (format == AS_XML) r->out.charset = T("utf-8");
    if (response_head(r)) send_listing(r, &list, format, callback);
    return v_over();
}

static struct verdict answer(struct request *r)
{
    const struct autoindex_conf *conf = request_values(r, &autoindex_module);
    const char *path;
    DIR *dir = NULL;
    if (!conf->on.on || r->uri.p[r->uri.n - 1] != '/' || (r->method != METHOD_GET && r->method != METHOD_HEAD)) return v_next();
    struct verdict v = open_folder(r, &dir, &path);
    if (!dir) return v;
    v = list_folder(r, dir, path);
    closedir(dir);
    return v;
}

static const struct conf_choice formats[] = { { "html", AS_HTML }, { "json", AS_JSON }, { "jsonp", AS_JSONP }, { "xml", AS_XML }, { 0 } };

typedef struct autoindex_conf own;
static const struct directive rows[] = {
    D_FLAG(own, on, "autoindex", IN_HSL, "off", "Whether a folder without an index file is answered with the listing of what is in it."),
    D_FLAG(own, exact_size, "autoindex_exact_size", IN_HSL, "on", "Whether a page tells sizes in bytes, or rounded to K, M and G."),
    D_ENUM(own, format, "autoindex_format", IN_HSL, "html", formats, "Whether a listing is a page, XML, JSON, or JSON in a call of the function named by the argument callback."),
    D_FLAG(own, localtime, "autoindex_localtime", IN_HSL, "off", "Whether times in pages of listings are local, or GMT."),
    { 0 }
};

static const struct hook hooks[] = { { .step = &step_content, .name = "autoindex", .run = answer, .order = ORDER_AUTOINDEX }, { .step = NULL } };
static const struct http_part part = { .hooks = hooks, .if_given = true };

struct module autoindex_module = { .name = "autoindex", .conf_size = sizeof(struct autoindex_conf), .rows = rows, .part = &part, .part_kind = &http_part_kind };
