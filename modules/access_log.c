/* access_log: a line for each request, into files, files named by variables, or syslog. */
#include "modules/module.h"
#include "eval/log_format.h"
#include "os/syslog.h"
#include "process/log_path.h"
#include "process/log_writer.h"
#include "weir_config.h"
#include <errno.h>
#include <sys/stat.h>

/* One access_log line: one of file, path and syslog is set. */
struct access_log {
    const struct log_format *format;
    struct log_file         *file;
    struct template         *path;
    struct syslog           *syslog;
    struct template         *filter;      /* if=, or NULL */
};
struct access_logs { struct access_log *v; size_t n, cap; bool off; };

struct access_log_conf {
    struct access_logs     logs;
    struct log_path_rules  paths;
    struct log_paths      *open_paths;    /* made with paths */
    struct table          *formats;       /* the top's: by name */
};

extern struct module access_log_module;

/* ---- words that need no value made of them ---- */

static uint64_t sent(const struct request *r) { return r->conn->sent - r->main->sent_at_start; }

static void put_status(struct eval *e, struct build *b)
{
    int status = request_status(request_of(e));
    char three[3] = { (char) ('0' + status / 100 % 10), (char) ('0' + status / 10 % 10), (char) ('0' + status % 10) };
    build_text(b, text_of(three, sizeof three));
}

static void put_body_bytes_sent(struct eval *e, struct build *b)
{
    const struct request *r = request_of(e);
    uint64_t all = sent(r), head = r->main->out.head_bytes;
    build_u64(b, all > head ? all - head : 0);
}

static void put_remote_addr(struct eval *e, struct build *b)
{
    const struct addr *a = request_of(e)->peer;
    if (a->family != AF_INET) {
        addr_print(b, a, true);
        return;
    }
    uint32_t ip = ntohl(a->in.sin_addr.s_addr);
    for (int shift = 24; shift >= 0; shift -= 8) {
        unsigned n = ip >> shift & 255;
        if (n >= 100) build_char(b, (char) ('0' + n / 100));
        if (n >= 10) build_char(b, (char) ('0' + n / 10 % 10));
        build_char(b, (char) ('0' + n % 10));
        if (shift) build_char(b, '.');
    }
}

static void put_bytes_sent(struct eval *e, struct build *b) { build_u64(b, sent(request_of(e))); }
static void put_request_length(struct eval *e, struct build *b) { build_u64(b, request_of(e)->in_bytes); }
static void put_request_time(struct eval *e, struct build *b) { build_ms(b, clock_now.ms - request_of(e)->started_ms); }
static void put_msec(struct eval *e, struct build *b) { (void) e; build_ms(b, clock_now.wall_ms); }
static void put_time_local(struct eval *e, struct build *b) { (void) e; build_text(b, clock_log()); }
static void put_time_iso8601(struct eval *e, struct build *b) { (void) e; build_text(b, clock_iso()); }
static void put_pipe(struct eval *e, struct build *b) { build_char(b, request_of(e)->main->pipelined ? 'p' : '.'); }

static const struct log_word words[] = {
    { "body_bytes_sent", put_body_bytes_sent }, { "bytes_sent", put_bytes_sent }, { "msec", put_msec }, { "pipe", put_pipe },
    { "remote_addr", put_remote_addr }, { "request_length", put_request_length }, { "request_time", put_request_time },
    { "status", put_status }, { "time_iso8601", put_time_iso8601 }, { "time_local", put_time_local },
    { .name = NULL },
};

/* ---- log_format ---- */

static const struct text combined[] = {
    TEXT_INIT("$remote_addr - $remote_user [$time_local] \"$request\" $status $body_bytes_sent \"$http_referer\" \"$http_user_agent\""),
};

static struct table *formats(struct conf *cf)
{
    struct access_log_conf *top = conf_own_values(cf, cf->top, &access_log_module);
    if (!top->formats) {
        top->formats = pool_new(cf->pool, struct table);
        table_init(top->formats, cf->pool, false);
    }
    return top->formats;
}

static conf_result parse_format(struct conf *cf, const struct directive *d, void *field)
{
    (void) d, (void) field;
    conf_result why;
    struct text name = pool_text(cf->pool, cf->words[1]);
    if (text_eq(name, T("combined")) || table_get(formats(cf), name)) return conf_say(cf, "!duplicate \"log_format\" name \"%.*s\"", TEXT_ARG(name));
    struct log_format *f = log_format_compile(cf, EVAL_HTTP, cf->words + 2, cf->count - 2, words, &why);
    if (f) table_add(formats(cf), name, f);
    return why;
}

/* NULL: no such format. "combined" is compiled when it is first wanted. */
static const struct log_format *find_format(struct conf *cf, struct text name)
{
    conf_result why;
    const struct log_format *f = table_get(formats(cf), name);
    if (f || !text_eq(name, T("combined"))) return f;
    f = log_format_compile(cf, EVAL_HTTP, combined, countof(combined), words, &why);
    ASSERT(f);
    table_add(formats(cf), T("combined"), (void *) f);
    return f;
}

/* ---- access_log ---- */

static conf_result read_gzip(struct conf *cf, struct text word, struct log_rules *rules)
{
    rules->gzip = 1;
    if (!rules->size) rules->size = 65536;
    if (word.n == strlen("gzip")) return NULL;
    struct text level = text_from(word, strlen("gzip="));
    if (level.n != 1 || level.p[0] < '1' || level.p[0] > '9') return conf_say(cf, "!invalid compression level \"%.*s\"", TEXT_ARG(level));
    rules->gzip = level.p[0] - '0';
    return NULL;
}

static conf_result read_parameter(struct conf *cf, struct text word, struct access_log *log, struct log_rules *rules)
{
    conf_result why = NULL;
    struct text value = text_from(word, (size_t) (text_find_char(word, '=') + 1));
    if (text_starts(word, T("buffer="))) {
        uint64_t size;
        if (!conf_read_bytes(value, &size) || !size || size > (1u << 30)) return conf_say(cf, "!invalid buffer size \"%.*s\"", TEXT_ARG(value));
        rules->size = size;
    } else if (text_starts(word, T("flush="))) {
        if (!conf_read_span(value, &rules->flush_ms) || !rules->flush_ms) return conf_say(cf, "!invalid flush time \"%.*s\"", TEXT_ARG(value));
    } else if (text_eq(word, T("gzip")) || text_starts(word, T("gzip="))) {
        return read_gzip(cf, word, rules);
    } else if (text_starts(word, T("if="))) {
        log->filter = template_compile(cf, value, &why);
    } else {
        return conf_say(cf, "!invalid parameter \"%.*s\"", TEXT_ARG(word));
    }
    return why;
}

/* Where the lines go: a file, a path with variables, syslog. */
static conf_result read_target(struct conf *cf, struct text word, struct access_log *log)
{
    conf_result why = NULL;
    if (text_starts(word, T("syslog:"))) {
        log->syslog = pool_new(cf->pool, struct syslog);
        const char *wrong = syslog_parse(cf->pool, text_from(word, strlen("syslog:")), log->syslog);
        return wrong ? conf_say(cf, "!%s", wrong) : NULL;
    }
    struct text path = conf_full_path(cf, word, false);
    if (text_find_char(word, '$') >= 0) log->path = template_compile(cf, path, &why);
    else log->file = cycle_log_file(cf, path);
    return why;
}

static conf_result check_rules(struct conf *cf, const struct access_log *log, const struct log_rules *rules)
{
    if (rules->flush_ms && !rules->size) return conf_say(cf, "!no buffer is defined for access_log \"%.*s\"", TEXT_ARG(cf->words[1]));
    if (rules->size && log->path) return "!buffered logs cannot have variables in name";
    if (rules->size && log->syslog) return "!logs to syslog cannot be buffered";
    if (log->file && !log_writer_rules(log->file, cf->pool, rules))
        return conf_say(cf, "!access_log \"%.*s\" already defined with conflicting parameters", TEXT_ARG(cf->words[1]));
    return NULL;
}

static conf_result parse_log(struct conf *cf, const struct directive *d, void *field)
{
    (void) d;
    struct access_logs *logs = field;
    struct access_log log = { 0 };
    struct log_rules rules = { 0 };
    if (cf->block == cf->top) return NULL;     /* the default is made in finish, where it is needed */
    if (text_eq(cf->words[1], T("off"))) {
        logs->off = true;
        return cf->count == 2 ? NULL : conf_say(cf, "!invalid parameter \"%.*s\"", TEXT_ARG(cf->words[2]));
    }
    conf_result why = read_target(cf, cf->words[1], &log);
    struct text format = cf->count > 2 ? cf->words[2] : T("combined");
    if (!why && !(log.format = find_format(cf, format))) why = conf_say(cf, "!unknown log format \"%.*s\"", TEXT_ARG(format));
    for (size_t i = 3; i < cf->count && !why; i++) why = read_parameter(cf, cf->words[i], &log, &rules);
    if (!why) why = check_rules(cf, &log, &rules);
    if (why) return why;
    if (logs->n == logs->cap) logs->v = pool_grow(cf->pool, logs->v, logs->n, &logs->cap, sizeof *logs->v);
    logs->v[logs->n++] = log;
    return NULL;
}

static conf_result parse_cache(struct conf *cf, const struct directive *d, void *field)
{
    (void) d;
    struct log_path_rules *rules = field;
    uint64_t max = 0, uses = 1;
    *rules = (struct log_path_rules) { .inactive_ms = 10000, .valid_ms = 60000 };
    if (text_eq(cf->words[1], T("off"))) return cf->count == 2 ? NULL : "!invalid number of arguments in \"open_log_file_cache\" directive";
    for (size_t i = 1; i < cf->count; i++) {
        struct text word = cf->words[i], value = text_from(word, (size_t) (text_find_char(word, '=') + 1));
        bool good = text_starts(word, T("max=")) ? text_u64(value, &max) && max && max <= 1000000
                  : text_starts(word, T("inactive=")) ? conf_read_span(value, &rules->inactive_ms)
                  : text_starts(word, T("min_uses=")) ? text_u64(value, &uses) && uses && uses <= UINT32_MAX
                  : text_starts(word, T("valid=")) && conf_read_span(value, &rules->valid_ms);
        if (!good) return conf_say(cf, "!invalid \"open_log_file_cache\" parameter \"%.*s\"", TEXT_ARG(word));
    }
    if (!max) return "!\"open_log_file_cache\" must have \"max\" parameter";
    rules->max = (unsigned) max;
    rules->min_uses = (unsigned) uses;
    return NULL;
}

static conf_result check(struct conf *cf, struct conf_block *b, void *values)
{
    struct access_log_conf *c = values;
    bool wanted = false;
    /* The default format is wanted in finish: its variables must be known before those of the file are resolved and counted. */
    for (const struct conf_block *in = b->parent ? NULL : b->children; in; in = in->next)
        if (in->kind == IN_HTTP) find_format(cf, T("combined"));
    for (size_t i = 0; i < c->logs.n; i++) wanted |= c->logs.v[i].path != NULL;
    if (wanted) c->open_paths = log_paths_open(cf->pool, &c->paths);
    return NULL;
}

/* Every place that logs, and says nowhere how, logs as the default says. */
static void give_default(struct conf *cf, struct conf_block *b, struct access_logs *logs)
{
    for (; b; b = b->next) {
        struct access_log_conf *c = conf_values(b, &access_log_module);
        if (b->kind & (IN_SERVER | IN_LOCATION | IN_IF | IN_LIMIT_EXCEPT) && !c->logs.n && !c->logs.off) {
            if (!logs->n) {
                const struct log_rules rules = { 0 };
                struct log_file *file = cycle_log_file(cf, conf_full_path(cf, T(WEIR_HTTP_LOG_PATH), false));
                log_writer_rules(file, cf->pool, &rules);
                *logs = (struct access_logs) { .v = pool_new(cf->pool, struct access_log), .n = 1 };
                logs->v[0] = (struct access_log) { .format = find_format(cf, T("combined")), .file = file };
            }
            c->logs = *logs;
        }
        if (b->kind & (IN_HTTP | IN_SERVER | IN_LOCATION)) give_default(cf, b->children, logs);
    }
}

static conf_result finish(struct conf *cf, void *values)
{
    struct access_logs logs = { 0 };
    (void) values;
    give_default(cf, cf->top->children, &logs);
    return NULL;
}

/* ---- the line ---- */

static struct text whole_line(const struct access_log *log, struct request *r, bool newline)
{
    struct build b = build_in_pool(r->pool, 512, 0);
    log_format_build(log->format, &r->eval, &b);
    if (newline) build_char(&b, '\n');
    return build_done(&b);
}

static void log_to_file(const struct access_log *log, struct request *r)
{
    for (int tries = 0; tries < 2; tries++) {
        struct build b = log_writer_begin(log->file);
        log_format_build(log->format, &r->eval, &b);
        if (likely(log_writer_end(log->file, &b))) return;
    }
    log_writer_put(log->file, whole_line(log, r, true));
}

/* As nginx: a name made of what a client sent makes no files where there is no site. */
static bool root_exists(struct request *r)
{
    struct stat st;
    size_t root;
    struct text path = request_map_path(r, 0, &root);
    if (!path.n) return false;
    char *folder = pool_cstr(r->pool, text_upto(path, root));
    if (stat(folder, &st) == 0 && S_ISDIR(st.st_mode)) return true;
    request_log(r, L_ERR, errno ? errno : ENOTDIR, "testing \"%s\" existence failed", folder);
    return false;
}

static void log_to_path(const struct access_log_conf *c, const struct access_log *log, struct request *r)
{
    if (!root_exists(r)) return;
    struct text path = template_render(log->path, &r->eval);
    log_paths_write(c->open_paths, path, whole_line(log, r, true), r->log, r->about);
}

static struct verdict write_logs(struct request *r)
{
    const struct access_log_conf *c = request_values(r, &access_log_module);
    if (c->logs.off) return v_next();
    for (size_t i = 0; i < c->logs.n; i++) {
        const struct access_log *log = &c->logs.v[i];
        if (log->filter) {
            struct text t = template_render(log->filter, &r->eval);
            if (!t.n || (t.n == 1 && t.p[0] == '0')) continue;
        }
        if (likely(log->file != NULL)) log_to_file(log, r);
        else if (log->path) log_to_path(c, log, r);
        else syslog_send(log->syslog, log->syslog->severity, whole_line(log, r, false));
    }
    return v_next();
}

static const struct conf_type type_log = { .syntax = "path [format [buffer=size] [gzip[=level]] [flush=time] [if=condition]] | off",
    .size = sizeof(struct access_logs), .flags = CONF_MULTI, .min = 1, .max = 7, .parse = parse_log };
static const struct conf_type type_format = { .syntax = "name [escape=default|json|none] string ...", .flags = CONF_MULTI, .min = 2, .max = 1000, .parse = parse_format };
static const struct conf_type type_cache = { .syntax = "max=N [inactive=time] [min_uses=N] [valid=time] | off",
    .size = sizeof(struct log_path_rules), .min = 1, .max = 4, .parse = parse_cache };

static const struct directive rows[] = {
    D_TYPE(struct access_log_conf, logs, struct access_logs, &type_log, "access_log", IN_HSL | IN_IF | IN_LIMIT_EXCEPT, WEIR_HTTP_LOG_PATH " combined",
           "Writes a line for each request to a file (which may have variables in its name) or to syslog."),
    D_DO(&type_format, "log_format", IN_HTTP, NULL, "combined \"...\"", "Names a format of access log lines."),
    D_TYPE(struct access_log_conf, paths, struct log_path_rules, &type_cache, "open_log_file_cache", IN_HSL, "off",
           "Keeps access logs with variables in their names open for a while."),
    { .name = NULL },
};

static const struct hook hooks[] = { { .step = &step_log, .name = "access_log", .run = write_logs }, { .step = NULL } };
static const struct http_part part = { .hooks = hooks };

struct module access_log_module = {
    .name = "log", .conf_size = sizeof(struct access_log_conf), .rows = rows, .check = check, .finish = finish,
    .part = &part, .part_kind = &http_part_kind,
};
