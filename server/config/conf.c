#include "config/conf_inside.h"
#include "config/lint.h"
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

const char conf_invalid[] = "invalid value";
const char conf_duplicate[] = "is duplicate";
const char conf_said[] = "";

/* A message is cut there, so that the place is never lost. */
enum { MESSAGE_MAX = 1024 };

/* The pseudo file of -g; known by its address. */
static const char command_line[] = "command line";

/* The reader: the file we are in, and one array of words a depth, so that those of an outer directive stay. */
struct conf_source {
    struct source       in;
    struct source_words words[CONF_NESTING_MAX + CONF_INCLUDE_MAX + 2];
    unsigned            depth, includes;
    bool                in_memory;
    struct table        dumped;                               /* names of files in dump */
    FILE               *dump;                                 /* what conf_dump_out will show, in memory; or NULL */
    char               *dump_text;
    size_t              dump_n;
    conf_result       (*entry)(struct conf *cf, void *arg);   /* inside conf_entries; else NULL */
    bool              (*entry_file)(struct conf *cf, const char *path, void *arg);   /* instead of reading an included file; or NULL */
    void               *entry_arg;
};

/* What a run of directives is read from, which tells how it may end. */
enum run { RUN_FILE, RUN_BLOCK, RUN_PARAM };

static bool read_run(struct conf *cf, enum run run);

/* ---- messages ---- */

static void put_place(const struct conf *cf, struct build *b)
{
    if (!cf->file) return;
    build_lit(b, " in ");
    build_c(b, cf->file);
    if (cf->file == command_line) return;
    build_char(b, ':');
    build_u64(b, cf->line);
}

__attribute__((format(printf, 3, 0)))
static void log_place(const struct conf *cf, enum log_level level, const char *fmt, va_list args)
{
    char room[MESSAGE_MAX + LOG_LINE_MAX];
    struct build b = build_in_room(room, sizeof room);
    int n = vsnprintf(room, MESSAGE_MAX, fmt, args);
    b.n = n < 0 ? 0 : min_of((size_t) n, (size_t) MESSAGE_MAX - 1);
    put_place(cf, &b);
    log_at(log_main, level, NULL, 0, "%.*s", TEXT_ARG(build_done(&b)));
}

void conf_emerg(struct conf *cf, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    log_place(cf, L_EMERG, fmt, args);
    va_end(args);
    cf->errors++;
}

void conf_error_at(struct conf *cf, const char *file, unsigned line, const char *fmt, ...)
{
    const char *was_file = cf->file;
    unsigned was_line = cf->line;
    va_list args;
    cf->file = file;
    cf->line = line;
    va_start(args, fmt);
    log_place(cf, L_EMERG, fmt, args);
    va_end(args);
    cf->file = was_file;
    cf->line = was_line;
    cf->errors++;
}

void conf_warn(struct conf *cf, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    log_place(cf, L_WARN, fmt, args);
    va_end(args);
    cf->warnings++;
}

void conf_warn_once(struct conf *cf, const char *key, const char *fmt, ...)
{
    va_list args;
    if (table_get(&cf->noted, text_c(key))) return;
    table_add(&cf->noted, pool_text(cf->pool, text_c(key)), cf);
    va_start(args, fmt);
    log_place(cf, L_WARN, fmt, args);
    va_end(args);
    cf->warnings++;
}

conf_result conf_say(struct conf *cf, const char *fmt, ...)
{
    char room[MESSAGE_MAX];
    va_list args;
    va_start(args, fmt);
    vsnprintf(room, sizeof room, fmt, args);
    va_end(args);
    return pool_cstr(cf->pool, text_c(room));
}

void conf_fail(struct conf *cf, conf_result why)
{
    const char *name = cf->words[0].p;
    if (why == conf_said) cf->errors++;
    else if (*why == '!') conf_emerg(cf, "%s", why + 1);
    else if (why == conf_invalid && cf->count > 1) conf_emerg(cf, "invalid value \"%s\" in \"%s\" directive", cf->words[1].p, name);
    else conf_emerg(cf, "\"%s\" directive %s", name, why);
}

static void emerg_errno(struct conf *cf, const char *call, const char *path, int err)
{
    char room[128];
    conf_emerg(cf, "%s \"%s\" failed (%d: %s)", call, path, err, strerror_r(err, room, sizeof room));
}

/* ---- one directive ---- */

struct conf_own *conf_own_find(const struct conf_block *b, unsigned slot)
{
    struct conf_own *own = b->own;
    while (own && own->slot < slot) own = own->next;
    return own && own->slot == slot ? own : NULL;
}

struct conf_own *conf_own_make(struct conf *cf, struct conf_block *b, const struct module *m)
{
    struct conf_own **at = &b->own, *own;
    while (*at && (*at)->slot < m->slot) at = &(*at)->next;
    if (*at && (*at)->slot == m->slot) return *at;
    size_t bits = m->row_count + conf_names_layout(m->slot)->fields_n;
    own = pool_zalloc(cf->pool, sizeof *own + (bits + 63) / 64 * sizeof *own->set);
    own->slot = m->slot;
    own->values = m->conf_size ? pool_zalloc(cf->pool, m->conf_size) : NULL;
    own->next = *at;
    if (b != cf->top) cf->given[m->slot] = 1;
    return *at = own;
}

bool conf_given(const struct conf *cf, const struct module *m) { return cf->given[m->slot]; }

void *conf_own_values(struct conf *cf, struct conf_block *b, const struct module *m)
{
    return conf_own_make(cf, b, m)->values;
}

bool conf_is_set(const struct conf_block *b, const struct module *m, size_t offset)
{
    const struct conf_own *own = conf_own_find(b, m->slot);
    uint32_t bit;
    if (!own) return false;
    if (conf_names_field(m->slot, offset, &bit)) return conf_bit(own->set, bit);
    return own->other && own->other[offset / 8] >> offset % 8 & 1;
}

void conf_mark_set(struct conf *cf, struct conf_block *b, const struct module *m, size_t offset)
{
    struct conf_own *own = conf_own_make(cf, b, m);
    uint32_t bit;
    ASSERT(offset < m->conf_size);
    if (conf_names_field(m->slot, offset, &bit)) {
        conf_set_bit(own->set, bit);
        return;
    }
    if (!own->other) own->other = pool_zalloc(cf->pool, m->conf_size / 8 + 1);
    own->other[offset / 8] |= (uint8_t) (1 << offset % 8);
}

static conf_result check_count(struct conf *cf, const struct directive *d)
{
    if (cf->count - 1 >= d->type->min && cf->count - 1 <= d->type->max) return NULL;
    return conf_say(cf, "!invalid number of arguments in \"%s\" directive", d->name);
}

conf_result conf_apply(struct conf *cf, const struct directive *d, void *field)
{
    conf_result why = check_count(cf, d);
    return why ? why : d->type->parse(cf, d, field);
}

static conf_result find_duplicate(struct conf *cf, const struct conf_row *row, const struct conf_own *own)
{
    const struct directive *d = row->d;
    if (d->type->flags & CONF_MULTI) return NULL;
    if (conf_bit(own->set, row->bit)) return conf_duplicate;
    if (!row->field || !conf_bit(own->set, row->field)) return NULL;
    for (size_t i = 0; i < row->module->row_count; i++) {
        const struct directive *other = &row->module->rows[i];
        if (other->offset == d->offset && other->type->size && conf_bit(own->set, (uint32_t) i))
            return conf_say(cf, "is duplicate, \"%s\" directive was specified earlier", other->name);
    }
    return conf_duplicate;
}

/* What has no effect is missed by nobody who says "off", "0" or what holds without it. */
static bool asks_nothing(const struct conf *cf, const struct directive *d)
{
    const struct text *word = &cf->words[1];
    return cf->count == 2 && (text_eq(*word, T("off")) || text_eq(*word, T("0")) || (d->dflt && text_eq(*word, text_c(d->dflt))));
}

/* The words in hand, for row, into the block in hand. */
static conf_result set_row(struct conf *cf, const struct conf_row *row)
{
    const struct directive *d = row->d;
    const struct conf_type *ty = d->type;
    if ((ty->flags & CONF_NO_EFFECT) && !asks_nothing(cf, d))
        conf_warn_once(cf, d->name, "the \"%s\" directive has no effect in weir, ignored: \"weir -h %s\" says why", d->name, d->name);
    if (ty == &conf_none) return conf_apply(cf, d, NULL);
    struct conf_own *own = conf_own_make(cf, cf->block, row->module);
    conf_result why = check_count(cf, d);
    if (why || (why = find_duplicate(cf, row, own))) return why;
    conf_set_bit(own->set, row->bit);
    if (row->field) conf_set_bit(own->set, row->field);
    return ty->parse(cf, d, (char *) own->values + (ty->size ? d->offset : 0));
}

static void put_nearest(struct build *b, struct text name, uint32_t kind)
{
    struct text near = conf_nearest(name, kind);
    uint32_t where = 0;
    if (near.n) {
        build_fmt(b, " (did you mean \"%.*s\"?)", TEXT_ARG(near));
        return;
    }
    near = conf_nearest(name, UINT32_MAX);
    if (!near.n) return;
    for (const struct conf_row *r = conf_names_find(near); r; r = r->next) where |= r->d->where;
    build_fmt(b, " (did you mean \"%.*s\"? It belongs in: ", TEXT_ARG(near));
    conf_where_text(b, where);
    build_char(b, ')');
}

/* No row of this name may stand here: says why, and what would help. */
static bool fail_unknown(struct conf *cf, const struct conf_row *rows)
{
    char room[512];
    struct build b = build_in_room(room, sizeof room);
    uint32_t where = 0;
    if (rows) {
        for (; rows; rows = rows->next) where |= rows->d->where;
        build_lit(&b, " (it belongs in: ");
        conf_where_text(&b, where);
        build_char(&b, ')');
        conf_emerg(cf, "\"%s\" directive is not allowed here%.*s", cf->words[0].p, TEXT_ARG(build_done(&b)));
    } else {
        put_nearest(&b, cf->words[0], cf->block->kind);
        conf_emerg(cf, "unknown directive \"%s\"%.*s", cf->words[0].p, TEXT_ARG(build_done(&b)));
    }
    return false;
}

static bool dispatch(struct conf *cf)
{
    const struct conf_row *rows = conf_names_find(cf->words[0]), *row = rows;
    while (row && !(row->d->where & cf->block->kind)) row = row->next;
    if (unlikely(!row)) return fail_unknown(cf, rows);
    unsigned flags = row->d->type->flags;
    if (cf->opened && !(flags & (CONF_BLOCK | CONF_OPT_BLOCK))) {
        conf_emerg(cf, "directive \"%s\" is not terminated by \";\"", cf->words[0].p);
        return false;
    }
    if (!cf->opened && flags & CONF_BLOCK) {
        conf_emerg(cf, "directive \"%s\" has no opening \"{\"", cf->words[0].p);
        return false;
    }
    if (unlikely(cf->lint != NULL)) lint_line_read(cf);
    conf_result why = set_row(cf, row);
    if (likely(!why)) return true;
    conf_fail(cf, why);
    return false;
}

static bool give_entry(struct conf *cf)
{
    conf_result why;
    if (cf->opened) {
        conf_emerg(cf, "unexpected \"{\"");
        return false;
    }
    if (!(why = cf->source->entry(cf, cf->source->entry_arg))) return true;
    if (why == conf_said) cf->errors++;
    else if (why == conf_invalid) conf_emerg(cf, "invalid value \"%s\"", cf->words[cf->count - 1].p);
    else conf_emerg(cf, "%s", why + (*why == '!'));
    return false;
}

/* ---- files ---- */

/* The whole content with room for one byte more, malloc'ed; NULL after an [emerg]. */
static char *slurp(struct conf *cf, const char *path, size_t *n_out)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) < 0) {
        emerg_errno(cf, "open()", path, errno);
        if (fd >= 0) close(fd);
        return NULL;
    }
    size_t n = 0, cap = S_ISREG(st.st_mode) ? (size_t) st.st_size + 2 : 65536;
    char *room = base_alloc(cap);
    ssize_t got;
    while ((got = read(fd, room + n, cap - n - 1)) > 0 || (got < 0 && errno == EINTR)) {
        if (got > 0) n += (size_t) got;
        if (n + 1 == cap) room = base_realloc(room, cap *= 2);
    }
    if (got < 0) {
        emerg_errno(cf, "read()", path, errno);
        free(room);
        room = NULL;
    }
    close(fd);
    *n_out = n;
    return room;
}

static void dump_file(struct conf *cf, const char *path, struct text content)
{
    struct conf_source *s = cf->source;
    if (!cf->dump || !table_add(&s->dumped, text_c(path), cf)) return;
    if (!s->dump) ASSERT((s->dump = open_memstream(&s->dump_text, &s->dump_n)));
    fprintf(s->dump, "# configuration file %s:\n", path);
    fwrite(content.p, 1, content.n, s->dump);
    fputc('\n', s->dump);
}

void conf_dump_out(struct conf *cf)
{
    if (!cf->source || !cf->source->dump) return;
    fflush(cf->source->dump);
    fwrite(cf->source->dump_text, 1, cf->source->dump_n, cf->dump);
}

/* Reads n bytes (changed) as the file name, whose text lives as long as the conf. */
static bool read_bytes(struct conf *cf, const char *name, char *content, size_t n, enum run run)
{
    struct source was = cf->source->in;
    const char *was_file = cf->file;
    unsigned was_line = cf->line;
    cf->source->in = source_of(content, n, run == RUN_PARAM);
    if (cf->lint) cf->source->in.remark = lint_remark, cf->source->in.remark_arg = cf;
    cf->file = name;
    bool fine = read_run(cf, run);
    cf->source->in = was;
    cf->file = was_file;
    cf->line = was_line;
    return fine;
}

/* path ends with NUL and lives as long as the conf. */
static bool read_file(struct conf *cf, const char *path)
{
    size_t n;
    if (cf->source->entry_file && cf->source->entry_file(cf, path, cf->source->entry_arg)) return true;
    char *content = slurp(cf, path, &n);
    if (!content) return false;
    dump_file(cf, path, text_of(content, n));
    bool fine = read_bytes(cf, path, content, n, RUN_FILE);
    free(content);
    return fine;
}

static bool read_glob(struct conf *cf, const char *pattern)
{
    glob_t found;
    bool fine = true;
    int rc = glob(pattern, 0, NULL, &found);
    if (rc == GLOB_NOMATCH) return true;
    if (rc) {
        emerg_errno(cf, "glob()", pattern, errno);
        return false;
    }
    for (size_t i = 0; fine && i < found.gl_pathc; i++)
        fine = read_file(cf, pool_cstr(cf->pool, text_c(found.gl_pathv[i])));
    globfree(&found);
    return fine;
}

static bool include(struct conf *cf)
{
    if (cf->count != 2) {
        conf_emerg(cf, "invalid number of arguments in \"include\" directive");
        return false;
    }
    if (cf->source->in_memory) {
        conf_emerg(cf, "\"include\" directive is not possible here");
        return false;
    }
    if (cf->source->includes == CONF_INCLUDE_MAX) {
        conf_emerg(cf, "\"include\" directive is nested too deeply, at most %d files", CONF_INCLUDE_MAX);
        return false;
    }
    struct text path = conf_full_path(cf, cf->words[1], true);
    cf->source->includes++;
    bool fine = path.n && strpbrk(path.p, "*?[") ? read_glob(cf, path.p) : read_file(cf, path.p);
    cf->source->includes--;
    return fine;
}

/* ---- the loop ---- */

static bool run_ends(struct conf *cf, enum run run, enum source_stop stop)
{
    if (stop == SOURCE_CLOSE && run == RUN_BLOCK) return true;
    if (stop == SOURCE_END && run != RUN_BLOCK) return true;
    if (stop == SOURCE_CLOSE) conf_emerg(cf, "unexpected \"}\"");
    else if (stop == SOURCE_END) conf_emerg(cf, "unexpected end of file, expecting \"}\"");
    else conf_emerg(cf, "%s", cf->source->in.why);
    return false;
}

static bool take(struct conf *cf)
{
    bool in_entries = cf->source->entry != NULL;
    if (text_eq(cf->words[0], T("include")) && !cf->opened && !(in_entries && cf->count != 2)) return include(cf);
    return in_entries ? give_entry(cf) : dispatch(cf);
}

static bool read_run(struct conf *cf, enum run run)
{
    struct conf_source *s = cf->source;
    ASSERT(s->depth < countof(s->words));
    struct source_words *w = &s->words[s->depth++];
    struct text *was_words = cf->words;
    size_t was_count = cf->count;
    bool fine = false;
    for (;;) {
        enum source_stop stop = source_read(&s->in, cf->scratch, w);
        cf->line = s->in.line;
        if (stop != SOURCE_SEMICOLON && stop != SOURCE_OPEN) {
            fine = run_ends(cf, run, stop);
            break;
        }
        if (stop == SOURCE_OPEN && run == RUN_PARAM) {
            conf_emerg(cf, "block directives are not supported in -g option");
            break;
        }
        cf->words = w->v;
        cf->count = w->n;
        cf->opened = stop == SOURCE_OPEN;
        if (!take(cf)) break;
    }
    s->depth--;
    cf->words = was_words;
    cf->count = was_count;
    cf->opened = run == RUN_BLOCK;
    return fine;
}

/* The rest of the block in hand, up to its "}". */
static conf_result read_block(struct conf *cf)
{
    if (cf->depth == CONF_NESTING_MAX) return conf_say(cf, "is nested too deeply, at most %d blocks", CONF_NESTING_MAX);
    cf->depth++;
    bool fine = read_run(cf, RUN_BLOCK);
    cf->depth--;
    return fine ? NULL : conf_said;
}

static struct conf_block *add_block(struct conf *cf, uint32_t kind, void *object)
{
    struct conf_block *b = pool_new(cf->pool, struct conf_block), *parent = cf->block;
    *b = (struct conf_block) { .parent = parent, .kind = kind, .file = cf->file, .line = cf->line, .object = object };
    if (!parent) return b;
    if (parent->last_child) parent->last_child->next = b;
    else parent->children = b;
    return parent->last_child = b;
}

conf_result conf_enter(struct conf *cf, uint32_t kind, void *object, struct conf_block **out)
{
    struct conf_block *b = add_block(cf, kind, object), *was = cf->block;
    ASSERT(cf->opened);
    ASSERT(kind && !(kind & (kind - 1)));
    if (out) *out = b;
    if (unlikely(cf->lint != NULL)) lint_entered(cf, b);
    cf->block = b;
    conf_result why = read_block(cf);
    cf->block = was;
    return why;
}

conf_result conf_entries_files(struct conf *cf, conf_result (*fn)(struct conf *cf, void *arg),
                               bool (*file)(struct conf *cf, const char *path, void *arg), void *arg)
{
    struct conf_source *s = cf->source;
    conf_result (*was)(struct conf *, void *) = s->entry;
    bool (*was_file)(struct conf *, const char *, void *) = s->entry_file;
    void *was_arg = s->entry_arg;
    ASSERT(cf->opened);
    s->entry = fn;
    s->entry_file = file;
    s->entry_arg = arg;
    conf_result why = read_block(cf);
    s->entry = was;
    s->entry_file = was_file;
    s->entry_arg = was_arg;
    return why;
}

conf_result conf_entries(struct conf *cf, conf_result (*fn)(struct conf *cf, void *arg), void *arg) { return conf_entries_files(cf, fn, NULL, arg); }

/* ---- open and close ---- */

struct text conf_full_path(struct conf *cf, struct text path, bool from_conf_folder)
{
    struct text start = from_conf_folder ? cf->conf_prefix : cf->prefix;
    if (path.n && path.p[0] == '/') start.n = 0;
    return pool_printf(cf->pool, "%.*s%.*s", TEXT_ARG(start), TEXT_ARG(path));
}

static struct conf *make(struct pool *pool, struct text file, struct text prefix)
{
    struct conf *cf = pool_new(pool, struct conf);
    cf->pool = pool;
    cf->scratch = pool_open(0);
    cf->source = pool_new(cf->scratch, struct conf_source);
    cf->prefix = pool_text(pool, prefix);
    cf->conf_prefix = pool_text(pool, text_upto(file, (size_t) (text_rfind_char(file, '/') + 1)));
    table_init(&cf->noted, pool, false);
    cf->given = pool_zalloc(pool, conf_slots());
    table_init(&cf->source->dumped, cf->scratch, false);
    cf->block = cf->top = add_block(cf, IN_MAIN, NULL);
    return cf;
}

static bool read_globals(struct conf *cf, struct text globals)
{
    if (!globals.n) return true;
    return read_bytes(cf, command_line, pool_cstr(cf->scratch, globals), globals.n, RUN_PARAM);
}

struct conf *conf_open(struct pool *pool, const char *file, struct text globals, struct text prefix, void *cycle, bool testing, FILE *dump)
{
    struct conf *cf = make(pool, text_c(file), prefix);
    cf->cycle = cycle;
    cf->testing = testing;
    cf->dump = dump;
    cf->top->file = pool_cstr(pool, text_c(file));
    if (testing) lint_open(cf);
    if (!read_globals(cf, globals) || !read_file(cf, cf->top->file)) conf_close(&cf);
    return cf;
}

struct conf *conf_open_text(struct pool *pool, const char *name, struct text content, struct text globals, struct text prefix)
{
    struct conf *cf = make(pool, text_c(name), prefix);
    cf->source->in_memory = true;
    cf->top->file = pool_cstr(pool, text_c(name));
    if (!read_globals(cf, globals) ||
        !read_bytes(cf, cf->top->file, pool_cstr(cf->scratch, content), content.n, RUN_FILE)) conf_close(&cf);
    return cf;
}

void conf_close(struct conf **cf)
{
    if (!*cf) return;
    if ((*cf)->source && (*cf)->source->dump) {
        fclose((*cf)->source->dump);
        free((*cf)->source->dump_text);
    }
    pool_close(&(*cf)->scratch);
    (*cf)->source = NULL;
    (*cf)->words = NULL;
    *cf = NULL;
}
