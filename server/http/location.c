#include "http/vhost.h"

/* One name: what is exactly it, what begins with it. */
struct node { struct text name; struct location *exact, *prefix; uint32_t up; /* 1 + the longest other node that begins it, 0: none */ };

struct locations {
    struct location  *first, *last;
    struct node      *nodes;              /* sorted by name */
    struct location **regexes, **named;
    uint32_t          node_count, regex_count, named_count;
    bool              any_redirect;
};

/* ---- while reading ---- */

struct location *location_open(struct conf *cf, enum location_kind kind, struct text name, struct location *parent)
{
    struct location *l = pool_new(cf->pool, struct location);
    *l = (struct location) { .magic = LOCATION_MAGIC, .kind = kind, .name = name, .parent = parent };
    if (kind != LOCATION_NONAME || !parent) return l;
    l->next = parent->nameless;
    parent->nameless = l;
    return l;
}

struct location *location_reading(struct conf *cf)
{
    if (!(cf->block->kind & (IN_LOCATION | IN_IF | IN_LIMIT_EXCEPT))) return NULL;
    struct location *l = cf->block->object;
    NEED(l, LOCATION_MAGIC);
    return l;
}

conf_result location_set_content(struct conf *cf, struct verdict (*content)(struct request *r), void *data)
{
    struct location *l = location_reading(cf);
    ASSERT(l);
    if (l->content) return conf_duplicate;
    l->content = content;
    l->content_data = data;
    return NULL;
}

void location_redirects_folder(struct conf *cf)
{
    struct location *l = location_reading(cf);
    bool by_name = l && (l->kind == LOCATION_EXACT || l->kind == LOCATION_PREFIX || l->kind == LOCATION_PREFIX_FINAL);
    if (by_name && text_ends(l->name, T("/"))) l->auto_redirect = true;
}

/* "= /x", "=/x", "~* re", "@name" …: kind and name; nocase is true for "~*". */
static conf_result read_name(struct conf *cf, enum location_kind *kind, struct text *name, bool *nocase)
{
    struct text mod = cf->words[1];
    static const struct { const char *sign; enum location_kind kind; bool nocase; } signs[] = {
        { "=", LOCATION_EXACT, false }, { "^~", LOCATION_PREFIX_FINAL, false }, { "~*", LOCATION_REGEX, true }, { "~", LOCATION_REGEX, false },
    };
    for (size_t i = 0; i < countof(signs); i++) {
        struct text sign = text_c(signs[i].sign);
        if (cf->count == 3 ? !text_eq(mod, sign) : !text_starts(mod, sign)) continue;
        *kind = signs[i].kind;
        *nocase = signs[i].nocase;
        *name = cf->count == 3 ? cf->words[2] : text_from(mod, sign.n);
        return NULL;
    }
    if (cf->count == 3) return conf_say(cf, "!invalid location modifier \"%s\"", mod.p);
    *kind = mod.n && mod.p[0] == '@' ? LOCATION_NAMED : LOCATION_PREFIX;
    *name = mod;
    return NULL;
}

static conf_result check_nesting(struct conf *cf, enum location_kind kind, struct text name, const struct location *outer)
{
    if (!outer) return NULL;
    if (outer->kind == LOCATION_EXACT)
        return conf_say(cf, "!location \"%.*s\" cannot be inside the exact location \"%.*s\"", TEXT_ARG(name), TEXT_ARG(outer->name));
    if (outer->kind == LOCATION_NAMED)
        return conf_say(cf, "!location \"%.*s\" cannot be inside the named location \"%.*s\"", TEXT_ARG(name), TEXT_ARG(outer->name));
    if (kind == LOCATION_NAMED)
        return conf_say(cf, "!named location \"%.*s\" can be on the server level only", TEXT_ARG(name));
    if (kind != LOCATION_REGEX && !text_starts(name, outer->name))
        return conf_say(cf, "!location \"%.*s\" is outside location \"%.*s\"", TEXT_ARG(name), TEXT_ARG(outer->name));
    return NULL;
}

static struct locations **set_reading(struct conf *cf, struct location *outer)
{
    if (outer) return &outer->inner;
    struct vhost *v = cf->block->object;
    NEED(v, VHOST_MAGIC);
    return &v->locations;
}

conf_result location_read(struct conf *cf)
{
    struct location *outer = location_reading(cf);
    enum location_kind kind = LOCATION_PREFIX;
    struct text name = T("");
    bool nocase = false;
    conf_result why = read_name(cf, &kind, &name, &nocase);
    if (!why) why = check_nesting(cf, kind, name, outer);
    if (why) return why;
    struct location *l = location_open(cf, kind, text_of(pool_cstr(cf->pool, name), name.n), outer);
    if (kind == LOCATION_REGEX && !(l->regex = regex_compile(cf, l->name, nocase, &why))) return why;
    struct locations **set = set_reading(cf, outer);
    if (!*set) *set = locations_open(cf);
    locations_add(*set, l);
    return conf_enter(cf, IN_LOCATION, l, &l->block);
}

/* ---- the set ---- */

struct locations *locations_open(struct conf *cf)
{
    return pool_new(cf->pool, struct locations);
}

void locations_add(struct locations *set, struct location *l)
{
    NEED(l, LOCATION_MAGIC);
    if (set->last) set->last->next = l;
    else set->first = l;
    set->last = l;
    if (l->kind == LOCATION_REGEX) set->regex_count++;
    else if (l->kind == LOCATION_NAMED) set->named_count++;
    else set->node_count++;
}

static int by_name(const void *a, const void *b)
{
    return text_cmp(((const struct node *) a)->name, ((const struct node *) b)->name);
}

/* Equal names become one node. */
static bool join(struct conf *cf, struct node *into, const struct node *from)
{
    if ((into->exact && from->exact) || (into->prefix && from->prefix)) {
        const struct location *a = from->exact ? from->exact : from->prefix, *b = from->exact ? into->exact : into->prefix;
        const struct conf_block *later = (a->block->line > b->block->line ? a : b)->block;
        conf_error_at(cf, later->file, later->line, "duplicate location \"%.*s\"", TEXT_ARG(into->name));
        return false;
    }
    if (from->exact) into->exact = from->exact;
    else into->prefix = from->prefix;
    return true;
}

/* For each node the longest other one that its name begins with: those are nested, so a stack of indexes by "up" does. */
static void link_up(struct locations *set)
{
    for (uint32_t i = 0; i < set->node_count; i++) {
        uint32_t up = i;
        while (up && !text_starts(set->nodes[i].name, set->nodes[up - 1].name)) up = set->nodes[up - 1].up;
        set->nodes[i].up = up;
    }
}

static bool build_nodes(struct conf *cf, struct locations *set)
{
    uint32_t n = 0, kept = 0;
    set->nodes = pool_array(cf->pool, struct node, set->node_count);
    for (struct location *l = set->first; l; l = l->next) {
        if (l->kind == LOCATION_REGEX || l->kind == LOCATION_NAMED) continue;
        struct node *node = &set->nodes[n++];
        node->name = l->name;
        if (l->kind == LOCATION_EXACT) node->exact = l;
        else node->prefix = l;
        set->any_redirect |= l->auto_redirect;
    }
    qsort(set->nodes, n, sizeof *set->nodes, by_name);
    for (uint32_t i = 0; i < n; i++) {
        if (kept && text_eq(set->nodes[kept - 1].name, set->nodes[i].name)) {
            if (!join(cf, &set->nodes[kept - 1], &set->nodes[i])) return false;
        } else {
            set->nodes[kept++] = set->nodes[i];
        }
    }
    set->node_count = kept;
    link_up(set);
    return true;
}

static void build_lists(struct conf *cf, struct locations *set)
{
    uint32_t regexes = 0, named = 0;
    if (set->regex_count) set->regexes = pool_array(cf->pool, struct location *, set->regex_count);
    if (set->named_count) set->named = pool_array(cf->pool, struct location *, set->named_count);
    for (struct location *l = set->first; l; l = l->next) {
        if (l->kind == LOCATION_REGEX) set->regexes[regexes++] = l;
        if (l->kind != LOCATION_NAMED) continue;
        for (uint32_t i = 0; i < named; i++) {
            if (!text_eq(set->named[i]->name, l->name)) continue;
            log_at(log_main, L_WARN, NULL, 0, "duplicate location \"%.*s\" in %s:%u, the first one stays", TEXT_ARG(l->name), l->block->file, l->block->line);
        }
        set->named[named++] = l;
    }
}

bool locations_build(struct conf *cf, struct locations *set)
{
    if (!set) return true;
    for (struct location *l = set->first; l; l = l->next)
        if (!locations_build(cf, l->inner)) return false;
    build_lists(cf, set);
    return build_nodes(cf, set);
}

void locations_each(const struct locations *set, void (*fn)(struct location *l, void *arg), void *arg)
{
    if (!set) return;
    for (struct location *l = set->first; l; l = l->next) {
        fn(l, arg);
        locations_each(l->inner, fn, arg);
    }
}

/* ---- lookup ---- */

/* How many names are not above t. */
static uint32_t upper_bound(const struct locations *set, struct text t)
{
    uint32_t low = 0, high = set->node_count;
    while (low < high) {
        uint32_t mid = (low + high) / 2;
        if (text_cmp(set->nodes[mid].name, t) <= 0) low = mid + 1;
        else high = mid;
    }
    return low;
}

/* "/name" where only "/name/" is known. */
static struct location *find_redirect(const struct locations *set, struct text uri)
{
    for (uint32_t low = 0, high = set->node_count; low < high; ) {
        uint32_t mid = (low + high) / 2;
        const struct node *n = &set->nodes[mid];
        int d = text_cmp(text_upto(n->name, min_of(n->name.n, uri.n)), uri);
        if (d == 0) d = n->name.n == uri.n ? -1 : n->name.p[uri.n] != '/' ? (unsigned char) n->name.p[uri.n] - '/' : n->name.n > uri.n + 1;
        if (d < 0) low = mid + 1;
        else if (d > 0) high = mid;
        else if ((n->exact && n->exact->auto_redirect) || (n->prefix && n->prefix->auto_redirect)) return n->exact ? n->exact : n->prefix;
        else return NULL;
    }
    return NULL;
}

/* The longest name that begins uri; *sure_out: nothing else is to be asked. */
static struct location *find_prefix(const struct locations *set, struct text uri, bool *sure_out, bool *redirect_out)
{
    uint32_t at = upper_bound(set, uri);
    while (at && !text_starts(uri, set->nodes[at - 1].name)) at = set->nodes[at - 1].up;
    if (at && set->nodes[at - 1].name.n == uri.n) {
        const struct node *n = &set->nodes[at - 1];
        *sure_out = n->exact != NULL;
        return n->exact ? n->exact : n->prefix;
    }
    if (set->any_redirect) {
        struct location *l = find_redirect(set, uri);
        if (l) {
            *sure_out = *redirect_out = true;
            return l;
        }
    }
    while (at && !set->nodes[at - 1].prefix) at = set->nodes[at - 1].up;
    return at ? set->nodes[at - 1].prefix : NULL;
}

/* Sure: the answer stands, regexes of outer levels are not asked. */
static struct location *find(const struct locations *set, struct text uri, struct eval *e, bool *sure_out, bool *redirect_out)
{
    *sure_out = false;
    struct location *l = find_prefix(set, uri, sure_out, redirect_out), *inner;
    if (*sure_out) return l;
    bool final = l && l->kind == LOCATION_PREFIX_FINAL;
    if (l && l->inner) {
        inner = find(l->inner, uri, e, sure_out, redirect_out);
        if (inner) l = inner;
        if (*sure_out) return l;
    }
    for (uint32_t i = 0; !final && i < set->regex_count; i++) {
        if (!regex_match(set->regexes[i]->regex, uri, e)) continue;
        l = set->regexes[i];
        inner = l->inner ? find(l->inner, uri, e, sure_out, redirect_out) : NULL;
        *sure_out = true;
        return inner ? inner : l;
    }
    return l;
}

struct location *locations_find(const struct locations *set, struct text uri, struct eval *e, bool *redirect_out)
{
    bool sure;
    *redirect_out = false;
    return set ? find(set, uri, e, &sure, redirect_out) : NULL;
}

struct location *locations_named(const struct locations *set, struct text name)
{
    for (uint32_t i = 0; set && i < set->named_count; i++)
        if (text_eq(set->named[i]->name, name)) return set->named[i];
    return NULL;
}
