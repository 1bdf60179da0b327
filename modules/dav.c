/* dav: PUT, DELETE, MKCOL, COPY and MOVE on files (RFC 9110 9.3, RFC 4918 9). */
#include "event/thread.h"
#include "http/file_answer.h"
#include "http/reqbody.h"
#include "http/vhost.h"
#include "modules/module.h"
#include "os/tree.h"
#include "wire/date.h"
#include "wire/uri.h"
#include "wire/value.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <unistd.h>

enum { ORDER_DAV = 250 };                /* after autoindex, before gzip_static */
enum { DEPTH_INFINITY = 2, DEPTH_INVALID };
enum { EXECUTE_OF_READ = 2 };            /* a folder that may be read may be entered: r is x two bits to the right */

struct dav_conf { unsigned methods; flag create_full_put_path; int64_t min_delete_depth; mode_t access; };
extern struct module dav_module;

/* ---- the work: system calls only, perhaps in a thread ---- */

struct dav_job {
    struct thread_job job;               /* first */
    struct request   *r;                 /* NULL: it is gone */
    bool              through;
    enum method       method;
    const char       *path, *to, *temp;  /* to: COPY, MOVE; temp: PUT's body */
    struct open_links links, to_links;
    bool              slash, to_slash;   /* the uri ended so: a collection is meant */
    bool              create_path, overwrite;
    mode_t            access;
    time_t            modified;          /* of PUT's file, -1: now */
    int               body;              /* PUT's file */
    int               status, err;       /* and why */
    const char       *call, *about;
    bool              moved;             /* temp is no more */
};

/* Keeps the first reason. */
static void say(struct dav_job *j, int status, int err, const char *call, const char *about)
{
    if (j->status) return;
    j->status = status;
    j->err = err;
    j->call = call;
    j->about = about;
}

static void failed(struct dav_job *j, int not_found, const char *call, const char *about)
{
    int status = 500, err = errno;
    switch (err) {
    case ENOENT: case ENOTDIR: case ENAMETOOLONG: status = not_found; break;
    case EACCES: case EPERM: case ELOOP: status = 403; break;
    case EEXIST: status = 405; break;
    case ENOSPC: case EDQUOT: status = 507; break;
    }
    say(j, status, err, call, about);
}

/* What is missing above path. */
static bool make_folders(const char *path, struct open_links links, mode_t mode)
{
    char room[PATH_MAX];
    size_t n = strlen(path);
    if (n >= sizeof room) return errno = ENAMETOOLONG, false;
    memcpy(room, path, n + 1);
    for (size_t i = 1; i < n; i++) {
        const char *name;
        if (room[i] != '/') continue;
        room[i] = '\0';
        int fd = walk_parent(room, links.trusted, links.how, &name);
        bool made = fd >= 0 && (!*name || mkdirat(fd, name, mode) == 0 || errno == EEXIST);
        int err = errno;
        if (fd >= 0) close(fd);
        errno = err;
        if (!made) return false;
        room[i] = '/';
    }
    return true;
}

static mode_t folder_mode(mode_t access) { return access | (access & 0444) >> EXECUTE_OF_READ; }

/* The folder of a file that is to be there soon. */
static int parent_of_new(struct dav_job *j, const char *path, struct open_links links, const char **name_out)
{
    int fd = walk_parent(path, links.trusted, links.how, name_out);
    if (fd < 0 && errno == ENOENT && j->create_path && make_folders(path, links, folder_mode(j->access))) fd = walk_parent(path, links.trusted, links.how, name_out);
    return fd;
}

/* fd's file, named temp, becomes name in folder: by a rename, or across file systems by a copy beside it and a rename. */
static bool put_in_place(struct dav_job *j, int folder, const char *name)
{
    struct timespec times[2] = { { .tv_nsec = UTIME_NOW }, { .tv_sec = j->modified } };
    if (fchmod(j->body, j->access) != 0) return failed(j, 500, "fchmod()", j->temp), false;
    if (j->modified != -1 && futimens(j->body, times) != 0) return failed(j, 500, "futimens()", j->temp), false;
    if (renameat(AT_FDCWD, j->temp, folder, name) == 0) return j->moved = true;
    if (errno != EXDEV) return failed(j, 500, "rename()", j->path), false;
    struct stat st;
    const char *call = "fstat()";
    if (fstat(j->body, &st) == 0 && tree_copy_file(j->body, folder, name, j->access, st.st_mtime, &call) == 0) return true;
    return failed(j, 500, call, j->path), false;
}

static void put(struct dav_job *j)
{
    const char *name;
    struct stat st;
    int folder = parent_of_new(j, j->path, j->links, &name);
    if (folder < 0) {
        failed(j, 409, "open()", j->path);      /* RFC 4918 9.7.1 */
        return;
    }
    bool there = fstatat(folder, name, &st, j->links.how == WALK_ALL ? 0 : AT_SYMLINK_NOFOLLOW) == 0;
    if (there && S_ISDIR(st.st_mode)) say(j, 409, EISDIR, NULL, j->path);
    else if (put_in_place(j, folder, name)) j->status = there ? 204 : 201;
    close(folder);
}

static void delete(struct dav_job *j)
{
    struct stat st;
    const char *name, *call = "lstat()";
    int folder = walk_parent(j->path, j->links.trusted, j->links.how, &name);
    if (folder < 0 || tree_look(folder, name, &st, &call) != 0) failed(j, errno == ENOTDIR ? 409 : 404, call, j->path);
    else if (!S_ISDIR(st.st_mode) && j->slash) say(j, 409, ENOTDIR, "lstat()", j->path);
    else if (S_ISDIR(st.st_mode) && !j->slash) say(j, 409, EISDIR, "DELETE", j->path);
    else if (tree_remove(folder, name, &call) != 0) failed(j, 404, call, j->path);
    else j->status = 204;
    if (folder >= 0) close(folder);
}

static void mkcol(struct dav_job *j)
{
    const char *name;
    int folder = walk_parent(j->path, j->links.trusted, j->links.how, &name);
    if (folder < 0 || mkdirat(folder, name, folder_mode(j->access)) != 0) failed(j, 409, "mkdir()", j->path);
    else j->status = 201;
    if (folder >= 0) close(folder);
}

struct both { int from, to; const char *from_name, *to_name; struct stat st, to_st; bool there; };

static void move_or_copy_folder(struct dav_job *j, struct both *b)
{
    const char *call = "rename()";
    if (b->there && tree_remove(b->to, b->to_name, &call) != 0) return failed(j, 404, call, j->to);
    if (j->method == METHOD_MOVE && renameat(b->from, b->from_name, b->to, b->to_name) == 0) return say(j, 201, 0, NULL, NULL);
    if (j->method == METHOD_MOVE && errno == EINVAL) return failed(j, 404, "rename()", j->path);
    if (tree_copy(b->from, b->from_name, b->to, b->to_name, &call) != 0) return failed(j, 404, call, j->to);
    if (j->method == METHOD_MOVE && tree_remove(b->from, b->from_name, &call) != 0) return failed(j, 404, call, j->path);
    say(j, 201, 0, NULL, NULL);
}

/* The file's bytes, by way of links as far as they are followed. */
static void copy_file(struct dav_job *j, struct both *b)
{
    const char *call = "open()";
    int fd = walk_open(j->path, j->links.trusted, j->links.how, O_RDONLY | O_NONBLOCK | O_NOCTTY, 0);
    if (fd >= 0 && fstat(fd, &b->st) == 0 && !S_ISREG(b->st.st_mode)) say(j, 403, 0, "not a regular file:", j->path);
    else if (fd < 0 || tree_copy_file(fd, b->to, b->to_name, b->st.st_mode & 0777, b->st.st_mtime, &call) != 0) failed(j, 500, call, fd < 0 ? j->path : j->to);
    else j->status = 204;
    if (fd >= 0) close(fd);
}

static void move_or_copy_file(struct dav_job *j, struct both *b)
{
    const char *call = "unlink()";
    if (j->method == METHOD_COPY) return copy_file(j, b);
    if (renameat(b->from, b->from_name, b->to, b->to_name) == 0) return say(j, 204, 0, NULL, NULL);
    if (errno != EXDEV) return failed(j, 500, "rename()", j->to);
    copy_file(j, b);
    if (j->status == 204 && tree_remove(b->from, b->from_name, &call) != 0) {
        j->status = 0;
        failed(j, 500, call, j->path);
    }
}

static void move_or_copy_found(struct dav_job *j, struct both *b)
{
    const char *call = "lstat()";
    b->there = tree_look(b->to, b->to_name, &b->to_st, &call) == 0;
    if (!b->there && errno != ENOENT) return failed(j, 404, call, j->to);
    if (b->there && S_ISDIR(b->to_st.st_mode) && !j->to_slash) return say(j, 409, EISDIR, j->method == METHOD_COPY ? "COPY to" : "MOVE to", j->to);
    if (b->there && !j->overwrite) return say(j, 412, EEXIST, NULL, j->to);
    if (tree_look(b->from, b->from_name, &b->st, &call) != 0) return failed(j, 404, call, j->path);
    if (S_ISDIR(b->st.st_mode) && !j->slash) return say(j, 400, EISDIR, "lstat()", j->path);
    if (!S_ISDIR(b->st.st_mode) && j->slash) return say(j, 404, ENOTDIR, "lstat()", j->path);
    if (b->there && b->st.st_dev == b->to_st.st_dev && b->st.st_ino == b->to_st.st_ino) return say(j, 403, EEXIST, "the same file:", j->to);
    if (S_ISDIR(b->st.st_mode)) move_or_copy_folder(j, b);
    else move_or_copy_file(j, b);
}

static void move_or_copy(struct dav_job *j)
{
    struct both b = { .from = walk_parent(j->path, j->links.trusted, j->links.how, &b.from_name), .to = -1 };
    bool to_is_file = !j->slash;
    if (b.from < 0) failed(j, 404, "lstat()", j->path);
    else if ((b.to = to_is_file ? parent_of_new(j, j->to, j->to_links, &b.to_name) : walk_parent(j->to, j->to_links.trusted, j->to_links.how, &b.to_name)) < 0)
        failed(j, to_is_file ? 409 : 404, "open()", j->to);      /* RFC 4918 9.8.5 */
    else move_or_copy_found(j, &b);
    if (b.from >= 0) close(b.from);
    if (b.to >= 0) close(b.to);
}

static void work(struct thread_job *job)
{
    struct dav_job *j = (struct dav_job *) job;
    switch (j->method) {
    case METHOD_PUT: put(j); break;
    case METHOD_DELETE: delete(j); break;
    case METHOD_MKCOL: mkcol(j); break;
    default: move_or_copy(j);
    }
}

/* ---- what is asked ---- */

static int read_depth(struct request *r, int usual)
{
    struct text t = request_value(r, FIELD_DEPTH);
    if (!request_field(r, FIELD_DEPTH)) return usual;
    if (text_eq(t, T("0"))) return 0;
    if (text_eq(t, T("1"))) return 1;
    if (text_eq(t, T("infinity"))) return DEPTH_INFINITY;
    request_log(r, L_ERR, 0, "client sent invalid \"Depth\" header: \"%.*s\"", TEXT_ARG(t));
    return DEPTH_INVALID;
}

static bool ends_with_slash(struct text t) { return t.n && t.p[t.n - 1] == '/'; }

static const char *path_of(struct request *r, bool *slash_out)
{
    struct text path = request_map_path(r, 0, NULL);
    *slash_out = ends_with_slash(r->uri);
    while (path.n > 1 && path.p[path.n - 1] == '/') ((char *) (uintptr_t) path.p)[--path.n] = '\0';
    return path.n ? path.p : NULL;
}

static struct verdict refuse(struct request *r, int status, const char *why)
{
    request_log(r, L_ERR, 0, "%s", why);
    return v_reply(status);
}

/* RFC 9110 13: a PUT or DELETE of what has changed meanwhile is refused. */
static bool conditions_hold(struct request *r, const char *path)
{
    const struct field *match = request_field(r, FIELD_IF_MATCH), *none = request_field(r, FIELD_IF_NONE_MATCH), *since = request_field(r, FIELD_IF_UNMODIFIED_SINCE);
    struct open_file f = { 0 };
    struct stat st;
    time_t then;
    if (!match && !none && !since) return true;
    bool there = stat(path, &st) == 0;
    if (there) f = (struct open_file) { .size = st.st_size, .modified = st.st_mtime };
    struct text etag = there ? file_etag(r, &f) : T("");
    if (match && (!there || !value_etag_in(match->value, etag, true))) return false;
    if (!match && since && there && date_parse(since->value, &then) && st.st_mtime > then) return false;
    return !none || !there || !value_etag_in(none->value, etag, false);
}

/* ---- the destination of COPY and MOVE ---- */

/* The path of an absolute uri of this very server, or a path. */
static bool strip_authority(struct request *r, struct text *uri, struct verdict *why)
{
    struct text scheme = r->conn->ops == &conn_plain ? T("http://") : T("https://");
    struct uri_host host;
    if (uri->n && uri->p[0] == '/') return true;
    if (!r->host.n || !text_starts(*uri, scheme)) return false;
    struct text rest = text_from(*uri, scheme.n);
    ssize_t slash = text_find_char(rest, '/');
    if (slash < 0 || uri_host(text_upto(rest, (size_t) slash), r->pool, &host) != FAULT_NONE) return false;
    if (!text_eq(host.name, r->host)) {
        request_log(r, L_ERR, 0, "\"Destination\" URI \"%.*s\" is handled by different repository than the source URI", TEXT_ARG(*uri));
        *why = v_reply(400);
        return false;
    }
    *uri = text_from(rest, (size_t) slash);
    return true;
}

/* Has a segment "..", plain or escaped? */
static bool climbs(struct request *r, struct text uri)
{
    ssize_t end = text_find_char(uri, '?');
    struct build b = build_in_pool(r->pool, uri.n, 0);
    struct text rest, part;
    uri_unescape(&b, end < 0 ? uri : text_upto(uri, (size_t) end));
    rest = build_done(&b);
    while (text_split(&rest, '/', &part))
        if (text_eq(part, T(".."))) return true;
    return memchr(b.p, '\0', b.n) != NULL;
}

/* May the method write there? The location of the destination must allow it too, so that a file cannot leave what dav_methods opens. */
static bool is_open(struct request *r, struct text uri)
{
    bool redirect;
    struct location *l = locations_find(r->vhost->locations, uri, NULL, &redirect);
    if (!l) l = r->vhost->self;
    const struct location *alias = http_core(r)->root.alias_of;
    if (alias && alias->kind != LOCATION_REGEX && !text_starts(uri, alias->name)) return false;
    return l == r->location || (!l->internal && ((struct dav_conf *) l->block->values[dav_module.slot])->methods & 1u << r->method);
}

static struct verdict read_destination(struct request *r, struct text *uri_out)
{
    struct text t = request_value(r, FIELD_DESTINATION), path = t;
    struct uri uri;
    struct verdict why = v_next();
    if (!request_field(r, FIELD_DESTINATION)) return refuse(r, 400, "client sent no \"Destination\" header");
    bool fine = strip_authority(r, &path, &why);
    if (why.what != V_NEXT) return why;
    if (!fine || climbs(r, path) || uri_parse(path, true, r->pool, &uri) != FAULT_NONE) {
        request_log(r, L_ERR, 0, "client sent invalid \"Destination\" header: \"%.*s\"", TEXT_ARG(t));
        return v_reply(400);
    }
    *uri_out = uri.path;
    if (is_open(r, uri.path)) return v_next();
    request_log(r, L_ERR, 0, "\"Destination\" URI \"%.*s\" is not open to %.*s", TEXT_ARG(t), TEXT_ARG(r->method_name));
    return v_reply(403);
}

static bool read_overwrite(struct request *r, bool *out)
{
    struct text t = request_value(r, FIELD_OVERWRITE);
    *out = !request_field(r, FIELD_OVERWRITE) || text_eq_nocase(t, T("T"));
    if (*out || text_eq_nocase(t, T("F"))) return true;
    request_log(r, L_ERR, 0, "client sent invalid \"Overwrite\" header: \"%.*s\"", TEXT_ARG(t));
    return false;
}

/* RFC 4918 9.8.5: neither may be within the other. */
static bool within(const char *inner, const char *outer)
{
    size_t n = strlen(outer);
    return strncmp(inner, outer, n) == 0 && (inner[n] == '/' || inner[n] == '\0');
}

static struct verdict check_move_or_copy(struct request *r, struct dav_job *j)
{
    struct text to, uri = r->uri;
    if (!reqbody_none(r)) return refuse(r, 415, "COPY and MOVE with body are unsupported");
    struct verdict v = read_destination(r, &to);
    if (v.what != V_NEXT) return v;
    if (ends_with_slash(uri) != ends_with_slash(to)) {
        request_log(r, L_ERR, 0, "both URI \"%.*s\" and \"Destination\" URI \"%.*s\" should be either collections or non-collections", TEXT_ARG(uri), TEXT_ARG(to));
        return v_reply(409);
    }
    int depth = read_depth(r, DEPTH_INFINITY);
    if (depth != DEPTH_INFINITY && r->method == METHOD_MOVE) return refuse(r, 400, "\"Depth\" header must be infinity");
    if (depth != DEPTH_INFINITY && depth != 0) return refuse(r, 400, "\"Depth\" header must be 0 or infinity");
    if (!read_overwrite(r, &j->overwrite)) return v_reply(400);
    r->uri = to;
    j->to = path_of(r, &j->to_slash);
    r->uri = uri;
    if (!j->to) return v_reply(500);
    j->to_links = open_file_links(r, text_c(j->to));
    j->create_path = r->method == METHOD_MOVE;
    if (!within(j->to, j->path) && !within(j->path, j->to)) return v_next();
    request_log(r, L_ERR, 0, "\"%s\" and \"%s\" are one, or one is in the other", j->path, j->to);
    return v_reply(403);
}

/* ---- the other methods ---- */

static struct verdict check_delete(struct request *r, struct dav_job *j)
{
    const struct dav_conf *conf = request_values(r, &dav_module);
    int64_t depth = 0;
    if (!reqbody_none(r)) return refuse(r, 415, "DELETE with body is unsupported");
    for (size_t i = 0; i + 1 < r->uri.n; i++) depth += r->uri.p[i] == '/';
    if (depth < conf->min_delete_depth) {
        request_log(r, L_ERR, 0, "insufficient URI depth:%lld to DELETE", (long long) depth);
        return v_reply(409);
    }
    int given = read_depth(r, DEPTH_INFINITY);
    if (j->slash && given != DEPTH_INFINITY) return refuse(r, 400, "\"Depth\" header must be infinity");
    if (given != 0 && given != DEPTH_INFINITY) return refuse(r, 400, "\"Depth\" header must be 0 or infinity");
    return conditions_hold(r, j->path) ? v_next() : v_reply(412);
}

static struct verdict check_mkcol(struct request *r, struct dav_job *j)
{
    if (!reqbody_none(r)) return refuse(r, 415, "MKCOL with body is unsupported");
    return j->slash ? v_next() : refuse(r, 409, "MKCOL can create a collection only");
}

static struct verdict check_put(struct request *r, struct dav_job *j)
{
    if (j->slash) return refuse(r, 409, "cannot PUT to a collection");
    if (request_field(r, FIELD_CONTENT_RANGE)) return refuse(r, 501, "PUT with range is unsupported");
    struct verdict v = reqbody_whole_file(r);
    if (v.what != V_NEXT) return v;
    if (!conditions_hold(r, j->path)) return v_reply(412);
    j->temp = r->body->file_name.p;
    j->body = r->body->file->fd;
    j->create_path = ((struct dav_conf *) request_values(r, &dav_module))->create_full_put_path.on;
    if (!request_field(r, FIELD_DATE) || !date_parse(request_value(r, FIELD_DATE), &j->modified)) j->modified = -1;
    return v_next();
}

/* v_next: j may be worked on. */
static struct verdict prepare(struct request *r, struct dav_job *j)
{
    j->path = path_of(r, &j->slash);
    if (!j->path) return v_reply(500);
    j->links = open_file_links(r, text_c(j->path));
    switch (r->method) {
    case METHOD_PUT: return check_put(r, j);
    case METHOD_DELETE: return check_delete(r, j);
    case METHOD_MKCOL: return check_mkcol(r, j);
    default: return check_move_or_copy(r, j);
    }
}

/* ---- the answer ---- */

static struct verdict answer(struct request *r, const struct dav_job *j)
{
    struct chain none = CHAIN_EMPTY;
    r->out.status = j->status;
    r->out.length = 0;
    if (j->status == 201 && (r->method == METHOD_PUT || r->method == METHOD_MKCOL)) {
        struct build b = build_in_pool(r->pool, r->uri.n, 0);
        uri_escape(&b, r->uri, URI_ESCAPE_URI);
        r->out.location = build_done(&b);
    }
    if (response_head(r)) response_body(r, &none, BODY_FINAL);
    return v_over();
}

static struct verdict finish(struct request *r, struct dav_job *j)
{
    if (j->moved) reqbody_file_taken(r);
    if (j->status < 300) return answer(r, j);
    enum log_level level = j->status >= 500 ? L_CRIT : L_ERR;
    if (j->call) request_log(r, level, j->err, "%s \"%s\" failed", j->call, j->about);
    else request_log(r, level, j->err, "\"%s\" could not be created", j->about);
    return v_reply(j->status);
}

/* ---- in a thread, the job with its own copies of what it needs ---- */

static void end_job(struct dav_job *j)
{
    if (j->body >= 0) close(j->body);
    free(j);
}

static void request_is_gone(struct request *r, void *arg)
{
    struct dav_job *j = arg;
    (void) r;
    j->r = NULL;
    if (j->through) end_job(j);
}

static void worked(struct thread_job *job)
{
    struct dav_job *j = (struct dav_job *) job;
    j->through = true;
    if (j->r) request_resume(j->r);
    else end_job(j);
}

static const char *keep(char **at, const char *s)
{
    if (!s) return NULL;
    size_t n = strlen(s) + 1;
    char *p = memcpy(*at, s, n);
    *at += n;
    return p;
}

static size_t length(const char *s) { return s ? strlen(s) + 1 : 0; }

static bool post(struct request *r, const struct dav_job *given, struct thread_pool *pool)
{
    struct dav_job *j = base_zalloc(1, sizeof *j + length(given->path) + length(given->to) + length(given->temp));
    char *room = (char *) (j + 1);
    *j = *given;
    j->job = (struct thread_job) { .work = work, .done = worked };
    j->path = keep(&room, given->path);
    j->to = keep(&room, given->to);
    j->temp = keep(&room, given->temp);
    if (given->body >= 0) j->body = fcntl(given->body, F_DUPFD_CLOEXEC, 0);
    j->r = r;
    if ((given->body >= 0 && j->body < 0) || !thread_post(pool, &j->job)) {
        end_job(j);
        return false;
    }
    *request_context(r, &dav_module) = j;
    request_at_close(r, request_is_gone, j);
    return true;
}

static struct verdict run(struct request *r)
{
    const struct dav_conf *conf = request_values(r, &dav_module);
    if (!(conf->methods & 1u << r->method) || r->method == METHOD_OTHER) return v_next();
    struct dav_job *posted = *request_context(r, &dav_module);
    if (posted) return posted->through ? finish(r, posted) : v_wait();
    struct dav_job j = { .method = r->method, .access = conf->access, .modified = -1, .body = -1 };
    struct verdict v = prepare(r, &j);
    if (v.what != V_NEXT) return v;
    struct thread_pool *pool = open_file_threads(r);
    if (pool && post(r, &j, pool)) return v_wait();
    work(&j.job);
    return finish(r, &j);
}

/* ---- directives ---- */

static const struct conf_choice methods[] = { { "off", 1 << METHOD_OTHER }, { "put", 1 << METHOD_PUT }, { "delete", 1 << METHOD_DELETE }, { "mkcol", 1 << METHOD_MKCOL },
                                              { "copy", 1 << METHOD_COPY }, { "move", 1 << METHOD_MOVE }, { 0 } };

typedef struct dav_conf own;
static const struct directive rows[] = {
    { .name = "dav_methods", .type = &conf_bits, .where = IN_HSL, .offset = FIELD(own, methods, unsigned), .dflt = "off", .syntax = "off | method ...", .data = methods,
      .help = "Which of PUT, DELETE, MKCOL, COPY and MOVE change files here." },
    D_FLAG(own, create_full_put_path, "create_full_put_path", IN_HSL, "off", "Whether PUT makes the folders that are missing."),
    D_NUM(own, min_delete_depth, "min_delete_depth", IN_HSL, "0", "The least number of elements that the path of a DELETE must have."),
    D_TYPE(own, access, mode_t, &conf_access, "dav_access", IN_HSL, "user:rw", "The permissions of files and folders that are made: user, group and all, each with r or rw."),
    { 0 }
};

static const struct hook hooks[] = { { .step = &step_content, .name = "dav", .run = run, .order = ORDER_DAV }, { .step = NULL } };
static const struct http_part part = { .hooks = hooks, .if_given = true };

struct module dav_module = { .name = "dav", .conf_size = sizeof(struct dav_conf), .rows = rows, .part = &part, .part_kind = &http_part_kind };
