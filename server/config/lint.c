#include "config/lint.h"
#include "config/conf_inside.h"

/* So many findings of one kind are told one by one; blocks with more lines than SCAN have an index. */
enum { TOLD = 50, SCAN = 16, MESSAGE = 1400, COLUMNS = 78 };

const int lint_part_kind;

struct rules { const struct lint_rule *rule; struct rules *next; };
struct kind { const struct lint_id *id; unsigned found; };

struct lint {
    struct table      ids;          /* identifier to struct kind */
    struct table      silenced;     /* "file:line" to struct build of identifiers */
    struct build      waiting;      /* of comments on lines of their own: for the next directive */
    bool              has_waiting;
    struct conf_line *last;
    struct conf_lines *long_ones;   /* those of more than SCAN */
    unsigned          found;
};

static void each_part(void (*fn)(const struct lint_part *p, void *arg), void *arg)
{
    for (struct module *const *m = module_list; *m; m++)
        for (const struct module *part = *m; part; part = part->extra)
            if (part->part && part->part_kind == &lint_part_kind) fn(part->part, arg);
}

/* ---- while reading ---- */

static void add_ids(const struct lint_part *p, void *arg)
{
    struct conf *cf = arg;
    for (const struct lint_id *id = p->ids; id->id; id++) {
        struct kind *k = pool_new(cf->pool, struct kind);
        k->id = id;
        ASSERT(table_add(&cf->lint->ids, text_c(id->id), k));
    }
}

void lint_open(struct conf *cf)
{
    cf->lint = pool_new(cf->pool, struct lint);
    table_init(&cf->lint->ids, cf->pool, false);
    table_init(&cf->lint->silenced, cf->pool, false);
    cf->lint->waiting = build_in_pool(cf->pool, 0, 0);
    each_part(add_ids, cf);
}

static struct text place_key(struct pool *pool, const char *file, unsigned line) { return pool_printf(pool, "%s:%u", file, line); }

static void silence(struct conf *cf, const char *file, unsigned line, struct text ids)
{
    struct text key = place_key(cf->pool, file, line);
    struct build *b = table_get(&cf->lint->silenced, key);
    if (!b) {
        b = pool_new(cf->pool, struct build);
        *b = build_in_pool(cf->pool, 0, 0);
        table_add(&cf->lint->silenced, key, b);
    }
    build_text(b, ids);
    build_char(b, '\n');
}

/* " lint: off a b": what follows "off". */
static bool read_comment(struct text t, struct text *ids_out)
{
    t = text_trim(t);
    if (!text_starts(t, T("lint:"))) return false;
    t = text_trim(text_from(t, 5));
    if (!text_starts(t, T("off")) || (t.n > 3 && t.p[3] != ' ' && t.p[3] != '\t')) return false;
    *ids_out = text_trim(text_from(t, 3));
    return true;
}

void lint_remark(void *arg, unsigned line, bool behind, struct text comment)
{
    struct conf *cf = arg;
    struct text ids;
    if (!read_comment(comment, &ids)) return;
    if (behind) {
        silence(cf, cf->file, line, ids);
        return;
    }
    build_text(&cf->lint->waiting, ids);
    build_char(&cf->lint->waiting, '\n');
    cf->lint->has_waiting = true;
}

static struct conf_lines *lines_of(struct conf *cf, struct conf_block *b)
{
    if (!b->lines) b->lines = pool_new(cf->pool, struct conf_lines);
    return b->lines;
}

void lint_line_read(struct conf *cf)
{
    struct lint *l = cf->lint;
    struct conf_lines *all = lines_of(cf, cf->block);
    size_t head = sizeof(struct conf_line) + cf->count * sizeof(struct text), n = head;
    for (size_t i = 0; i < cf->count; i++) n += cf->words[i].n + 1;
    struct conf_line *line = pool_alloc(cf->pool, n);
    char *to = (char *) line + head;
    *line = (struct conf_line) { .block = cf->block, .file = cf->file, .line = cf->line, .count = (unsigned) cf->count };
    for (size_t i = 0; i < cf->count; i++) {
        line->words[i] = text_of(to, cf->words[i].n);
        memcpy(to, cf->words[i].p, cf->words[i].n + 1);
        to += cf->words[i].n + 1;
    }
    if (all->last) all->last->next = line;
    else all->first = line;
    all->last = l->last = line;
    if (++all->n == SCAN + 1) all->next_long = l->long_ones, l->long_ones = all;
    if (likely(!l->has_waiting)) return;
    silence(cf, line->file, line->line, text_of(l->waiting.p, l->waiting.n - 1));     /* without the last line end */
    l->waiting = build_in_pool(cf->pool, 0, 0);
    l->has_waiting = false;
}

void lint_entered(struct conf *cf, struct conf_block *b)
{
    struct conf_line *opener = cf->lint->last;
    opener->inner = b;
    lines_of(cf, b)->opener = opener;
}

/* ---- looking ---- */

static void index_lines(struct pool *pool, struct conf_lines *all)
{
    struct table ends;
    all->index = pool_new(pool, struct table);
    table_init(all->index, pool, false);
    table_init(&ends, pool, false);
    for (struct conf_line *line = all->first; line; line = line->next) {
        struct conf_line *before = table_get(&ends, line->words[0]);
        if (before) before->same = line;
        else table_add(all->index, line->words[0], line);
        table_put(&ends, line->words[0], line);
    }
}

static const struct conf_line *scan(const struct conf_line *line, struct text name)
{
    while (line && !text_eq(line->words[0], name)) line = line->next;
    return line;
}

const struct conf_line *lint_first(const struct conf_block *b, const char *name)
{
    const struct conf_lines *all = b->lines;
    if (!all) return NULL;
    return all->index ? table_get(all->index, text_c(name)) : scan(all->first, text_c(name));
}

const struct conf_line *lint_next(const struct conf_line *line)
{
    return line->block->lines->index ? line->same : scan(line->next, line->words[0]);
}

static void add_rules(const struct lint_part *p, void *arg)
{
    struct table *t = arg;
    for (const struct lint_rule *rule = p->rules; rule->directive; rule++) {
        struct rules *r = pool_new(t->pool, struct rules);
        *r = (struct rules) { rule, table_get(t, text_c(rule->directive)) };
        table_put(t, text_c(rule->directive), r);
    }
}

static void look(struct conf *cf, const struct table *rules, const struct conf_block *b)
{
    for (const struct conf_line *line = b->lines ? b->lines->first : NULL; line; line = line->next) {
        for (const struct rules *r = table_get(rules, line->words[0]); r; r = r->next) r->rule->look(cf, line);
        if (line->inner) look(cf, rules, line->inner);
    }
}

static void tell_rest(const struct conf *cf)
{
    size_t at = 0;
    struct text name;
    void *value;
    while (table_next(&cf->lint->ids, &at, &name, &value)) {
        const struct kind *k = value;
        if (k->found > TOLD) log_at(log_main, L_WARN, NULL, 0, "%s: %u more of these", k->id->id, k->found - TOLD);
    }
}

void lint_run(struct conf *cf)
{
    struct table rules;
    table_init(&rules, cf->scratch, false);
    each_part(add_rules, &rules);
    for (struct conf_lines *all = cf->lint->long_ones; all; all = all->next_long) index_lines(cf->pool, all);
    look(cf, &rules, cf->top);
    tell_rest(cf);
}

/* ---- findings ---- */

unsigned lint_count(const struct conf *cf) { return cf->lint ? cf->lint->found : 0; }

/* ids: lines of identifiers; an empty line means all. */
static bool names_id(struct text ids, struct text id)
{
    while (ids.n) {
        ssize_t end = text_find_char(ids, '\n');
        struct text line = text_upto(ids, (size_t) end);
        ids = text_from(ids, (size_t) end + 1);
        if (!line.n) return true;
        while (line.n) {
            size_t n = 0;
            while (n < line.n && !strchr(" \t,", line.p[n])) n++;
            if (text_eq(text_upto(line, n), id)) return true;
            line = text_from(line, min_of(n + 1, line.n));
        }
    }
    return false;
}

static bool is_silenced(const struct conf *cf, const struct conf_block *b, const char *file, unsigned line, const char *id)
{
    if (!cf->lint->silenced.count) return false;
    for (;;) {
        const struct build *ids = table_get(&cf->lint->silenced, place_key(cf->pool, file, line));
        if (ids && names_id(text_of(ids->p, ids->n), text_c(id))) return true;
        const struct conf_line *opener = b ? lint_opener(b) : NULL;
        if (!opener) return false;
        file = opener->file;
        line = opener->line;
        b = opener->block;
    }
}

__attribute__((format(printf, 6, 0)))
static void say(struct conf *cf, const struct conf_block *b, const char *file, unsigned line, const char *id, const char *fmt, va_list args)
{
    char room[MESSAGE];
    struct kind *k = table_get(&cf->lint->ids, text_c(id));
    ASSERT(k);
    if (is_silenced(cf, b, file, line, id)) return;
    cf->lint->found++;
    if (k->found++ >= TOLD) return;
    vsnprintf(room, sizeof room, fmt, args);
    log_at(log_main, L_WARN, NULL, 0, "%s: %s in %s:%u", id, room, file, line);
}

void lint_say(struct conf *cf, const struct conf_line *line, const char *id, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    say(cf, line->block, line->file, line->line, id, fmt, args);
    va_end(args);
}

void lint_say_at(struct conf *cf, const struct conf_block *b, const char *file, unsigned line, const char *id, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    say(cf, b, file, line, id, fmt, args);
    va_end(args);
}

/* ---- help ---- */

static void list_ids(const struct lint_part *p, void *arg)
{
    for (const struct lint_id *id = p->ids; id->id; id++) fprintf(arg, "%s\t%s\t%s\n", id->id, id->why, id->instead);
}

void lint_help_list(FILE *out) { each_part(list_ids, out); }

static void print_wrapped(FILE *out, const char *label, struct text t)
{
    while (t.n) {
        size_t n = t.n;
        if (n > COLUMNS - 10) {
            ssize_t space = text_rfind_char(text_upto(t, COLUMNS - 10 + 1), ' ');
            if (space > 0) n = (size_t) space;
        }
        fprintf(out, "%-10s%.*s\n", label, (int) n, t.p);
        label = "";
        t = text_from(t, min_of(n + 1, t.n));
    }
}

struct asking { FILE *out; struct text id; bool found; };

static void explain_id(const struct lint_part *p, void *arg)
{
    struct asking *a = arg;
    for (const struct lint_id *id = p->ids; id->id; id++) {
        if (!text_eq(a->id, text_c(id->id))) continue;
        a->found = true;
        fprintf(a->out, "Lint:     %s\n", id->id);
        print_wrapped(a->out, "Why:", text_c(id->why));
        print_wrapped(a->out, "Instead:", text_c(id->instead));
        fprintf(a->out, "Silence:  # lint: off %s\n          on the line before the directive or at the end of its line\n", id->id);
    }
}

bool lint_help(FILE *out, struct text id)
{
    struct asking a = { out, id, false };
    each_part(explain_id, &a);
    return a.found;
}
