/* variables: the names of a configuration and their indexes. */
#include "eval/variables.h"

struct eval_conf { struct variables *kinds[EVAL_KINDS]; };

static const uint32_t in_stream = IN_STREAM | IN_STREAM_SERVER | IN_STREAM_UPSTREAM;

static struct text lower_copy(struct pool *pool, struct text t)
{
    char *p = pool_bytes(pool, t.n + 1);
    for (size_t i = 0; i < t.n; i++) p[i] = (char) text_lower((unsigned char) t.p[i]);
    p[t.n] = '\0';
    return text_of(p, t.n);
}

static struct variables *make(struct pool *pool, enum eval_kind kind)
{
    struct variables *names = pool_new(pool, struct variables);
    names->kind = kind;
    table_init(&names->by_name, pool, false);
    table_init(&names->indexed, pool, false);
    return names;
}

struct variables *variables_of(struct conf *cf, enum eval_kind kind)
{
    struct eval_conf *ec = conf_own_values(cf, cf->top, &eval_module);
    if (!ec->kinds[kind]) ec->kinds[kind] = make(cf->pool, kind);
    return ec->kinds[kind];
}

struct variables *variables_here(struct conf *cf)
{
    for (const struct conf_block *b = cf->block; b; b = b->parent)
        if (b->kind & in_stream) return variables_of(cf, EVAL_STREAM);
    return variables_of(cf, EVAL_HTTP);
}

enum eval_kind variables_kind(const struct variables *names) { return names->kind; }

const struct variable *variables_lookup(const struct variables *names, struct text name)
{
    const struct variable *v = table_get(&names->by_name, name);
    for (size_t i = 0; !v && i < names->prefix_count; i++)
        if (text_starts(name, text_c(names->prefixes[i]->name))) v = names->prefixes[i];
    return v;
}

const struct variable *variables_find(const struct variables *names, struct text name)
{
    char room[256];
    if (name.n > sizeof room) return NULL;
    for (size_t i = 0; i < name.n; i++) room[i] = (char) text_lower((unsigned char) name.p[i]);
    return variables_lookup(names, text_of(room, name.n));
}

static void add_prefix(struct conf *cf, struct variables *names, const struct variable *v)
{
    if (names->prefix_count == names->prefix_cap)
        names->prefixes = pool_grow(cf->pool, names->prefixes, names->prefix_count, &names->prefix_cap, sizeof *names->prefixes);
    size_t i = names->prefix_count++;
    for (; i && strlen(names->prefixes[i - 1]->name) < strlen(v->name); i--) names->prefixes[i] = names->prefixes[i - 1];
    names->prefixes[i] = v;
}

conf_result variables_add(struct conf *cf, enum eval_kind kind, const struct variable *v)
{
    struct variables *names = variables_of(cf, kind);
    ASSERT(!names->resolved);
    if (v->flags & VAR_PREFIX) {
        add_prefix(cf, names, v);
        return NULL;
    }
    struct text name = lower_copy(cf->pool, text_c(v->name));
    const struct variable *old = table_get(&names->by_name, name);
    if (old && !(old->flags & VAR_CHANGEABLE)) return conf_say(cf, "!the duplicate \"%s\" variable", v->name);
    if (!old || v->get) table_put(&names->by_name, name, (void *) v);
    return NULL;
}

conf_result variables_add_rows(struct conf *cf, enum eval_kind kind, const struct variable *rows)
{
    conf_result why = NULL;
    for (; rows->name && !why; rows++) why = variables_add(cf, kind, rows);
    return why;
}

/* The defined name most like this one; empty: none is near. */
static struct text nearest(const struct variables *names, struct text name)
{
    struct text best = { NULL, 0 }, key;
    unsigned least = name.n < 4 ? 2 : name.n < 9 ? 3 : 4;    /* edits it may not reach */
    void *value;
    for (size_t at = 0; table_next(&names->by_name, &at, &key, &value);) {
        unsigned edits = text_distance(name, key, least + 1);
        if (edits < least || (edits == least && best.p && text_cmp(key, best) < 0)) least = edits, best = key;
    }
    return best;
}

static const struct variable nobody = { .name = "", .help = "Stands where a configuration has nothing of the kind." };

static void resolve(struct conf *cf, const struct variables *names, struct variable_index *x)
{
    x->v = variables_lookup(names, x->name);
    if (x->v) return;
    x->v = &nobody;
    if (!x->file && !names->by_name.count) return;    /* a default, and no such block in the file */
    struct text near = nearest(names, x->name);
    if (near.n) conf_error_at(cf, x->file, x->line, "unknown \"%.*s\" variable, did you mean \"$%.*s\"?", TEXT_ARG(x->name), TEXT_ARG(near));
    else conf_error_at(cf, x->file, x->line, "unknown \"%.*s\" variable", TEXT_ARG(x->name));
}

static unsigned index_in(struct conf *cf, struct variables *names, struct text given)
{
    struct text name = lower_copy(cf->pool, given);
    uintptr_t known = (uintptr_t) table_get(&names->indexed, name);
    if (known) return (unsigned) known - 1;
    if (names->count == names->cap) names->index = pool_grow(cf->pool, names->index, names->count, &names->cap, sizeof *names->index);
    struct variable_index *x = &names->index[names->count++];
    *x = (struct variable_index) { .name = name, .file = cf->file, .line = cf->line };
    table_add(&names->indexed, name, (void *) (uintptr_t) names->count);
    if (names->resolved) resolve(cf, names, x);
    return (unsigned) names->count - 1;
}

unsigned variables_index(struct conf *cf, struct text name) { return index_in(cf, variables_here(cf), name); }
unsigned variables_index_of(struct conf *cf, enum eval_kind kind, struct text name) { return index_in(cf, variables_of(cf, kind), name); }

const struct variable *variables_at(const struct variables *names, unsigned index)
{
    ASSERT(index < names->count);
    return names->index[index].v;
}

void variables_list(struct conf *cf, enum eval_kind kind, FILE *out)
{
    const struct variables *names = variables_of(cf, kind);
    struct text name;
    void *v;
    for (size_t at = 0; table_next(&names->by_name, &at, &name, &v);) fprintf(out, "$%.*s\t%s\n", TEXT_ARG(name), ((const struct variable *) v)->help);
    for (size_t i = 0; i < names->prefix_count; i++) fprintf(out, "$%s\t%s\n", names->prefixes[i]->name, names->prefixes[i]->help);
}

size_t eval_value_count(const struct variables *names) { return names->count; }

static conf_result finish(struct conf *cf, void *values)
{
    struct eval_conf *ec = values;
    for (unsigned k = 0; k < EVAL_KINDS; k++) {
        struct variables *names = ec->kinds[k];
        if (!names) continue;
        names->resolved = true;
        for (size_t i = 0; i < names->count; i++) resolve(cf, names, &names->index[i]);
    }
    return NULL;
}

static const struct directive rows[] = {
    D_NONE("variables_hash_max_size", IN_HTTP | IN_STREAM, "size", "1024", "Greatest size of the table of variables, which here grows by itself."),
    D_NONE("variables_hash_bucket_size", IN_HTTP | IN_STREAM, "size", "64", "Size of a bucket of the table of variables, which here has none."),
    { .name = NULL },
};

struct module eval_module = {
    .name = "eval", .conf_size = sizeof(struct eval_conf), .rows = rows, .finish = finish,
};

bool variables_are_used(const struct variables *names, struct text name) { return table_get(&names->indexed, name) != NULL; }
