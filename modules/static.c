/* static: files by root and alias. */
#include "modules/module.h"
#include "wire/uri.h"
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

enum { ORDER_STATIC = 300 };     /* after index and autoindex */

/* nginx's form: time and size in hex. */
static struct text make_etag(struct request *r, const struct stat *st)
{
    struct build b = build_in_pool(r->pool, 40, 0);
    build_char(&b, '"');
    build_hex(&b, (uint64_t) st->st_mtime, 1);
    build_char(&b, '-');
    build_hex(&b, (uint64_t) st->st_size, 1);
    build_char(&b, '"');
    return build_done(&b);
}

static struct verdict refuse(struct request *r, int err, const char *call, const char *path)
{
    int status = 500;
    enum log_level level = L_CRIT;
    switch (err) {
    case ENOENT: case ENOTDIR: case ENAMETOOLONG: level = L_ERR; status = 404; break;
    case EACCES: case ELOOP: case EMLINK: level = L_ERR; status = 403; break;
    }
    if (status != 404 || http_core(r)->log_not_found.on) request_log(r, level, err, "%s \"%s\" failed", call, path);
    return v_reply(status);
}

/* "/folder" → "/folder/" */
static struct verdict redirect(struct request *r)
{
    struct build b = build_in_pool(r->pool, r->uri.n + r->args.n + 16, 0);
    uri_escape(&b, r->uri, URI_ESCAPE_URI);
    build_char(&b, '/');
    if (r->args.n) {
        build_char(&b, '?');
        build_text(&b, r->args);
    }
    r->out.location = build_done(&b);
    return v_reply(301);
}

static struct verdict send_file(struct request *r, int fd, const struct stat *st)
{
    struct chain body = CHAIN_EMPTY;
    struct chain_file *file = chain_file_open(fd);
    r->out.status = 200;
    r->out.length = st->st_size;
    r->out.modified = st->st_mtime;
    if (http_core(r)->etag.on) r->out.etag = make_etag(r, st);
    request_set_type(r);
    r->out.accept_ranges = true;
    if (response_head(r)) {
        if (st->st_size) chain_add_file(&body, file, 0, (size_t) st->st_size);
        response_body(r, &body, BODY_FINAL);
    }
    chain_file_drop(&file);
    return v_over();
}

static struct verdict serve(struct request *r)
{
    struct stat st;
    if (!(r->method == METHOD_GET || r->method == METHOD_HEAD || r->method == METHOD_POST)) return v_reply(405);
    if (r->uri.p[r->uri.n - 1] == '/') return v_next();
    struct text path = request_map_path(r, 0, NULL);
    if (!path.n) return v_reply(500);
    int fd = open(path.p, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0) return refuse(r, errno, "open()", path.p);
    if (fstat(fd, &st) < 0) {
        int err = errno;
        close(fd);
        return refuse(r, err, "fstat()", path.p);
    }
    if (!S_ISREG(st.st_mode)) {
        close(fd);
        if (S_ISDIR(st.st_mode)) return redirect(r);
        request_log(r, L_CRIT, 0, "\"%s\" is not a regular file", path.p);
        return v_reply(404);
    }
    if (r->method == METHOD_POST) {
        close(fd);
        return v_reply(405);
    }
    return send_file(r, fd, &st);
}

static const struct hook hooks[] = { { .step = &step_content, .name = "static", .run = serve, .order = ORDER_STATIC }, { .step = NULL } };
static const struct http_part part = { .hooks = hooks };

struct module static_module = { .name = "static", .part = &part, .part_kind = &http_part_kind };
