#include "config/conf_inside.h"

static struct pool *keep;
static struct table names;
static struct conf_layout *layouts;
static size_t slots;

size_t conf_slots(void) { return slots; }

const struct conf_row *conf_names_find(struct text name) { return table_get(&names, name); }

const struct conf_layout *conf_names_layout(unsigned slot)
{
    ASSERT(slot < slots);
    return &layouts[slot];
}

const struct conf_field *conf_names_field(unsigned slot, size_t offset, uint32_t *bit_out)
{
    const struct conf_layout *l = conf_names_layout(slot);
    for (size_t i = 0; i < l->fields_n; i++) {
        if (l->fields[i].offset != offset) continue;
        *bit_out = (uint32_t) (l->module->row_count + i);
        return &l->fields[i];
    }
    return NULL;
}

static bool refuse(const struct module *m, const struct directive *d, const char *why)
{
    log_at(log_main, L_ALERT, NULL, 0, "module %s, directive \"%s\": %s", m->name, d->name, why);
    return false;
}

static bool check_row(const struct module *m, const struct directive *d)
{
    if (!d->help || !*d->help) return refuse(m, d, "has no help");
    if (!d->type || !d->type->parse) return refuse(m, d, "has no type");
    if (!d->where) return refuse(m, d, "may stand nowhere");
    if (!d->syntax && !d->type->syntax) return refuse(m, d, "has no syntax");
    if (d->offset + d->type->size > m->conf_size) return refuse(m, d, "fills a field outside its struct");
    return true;
}

static bool add_name(const struct module *m, const struct directive *d, struct conf_row *row)
{
    struct text name = text_c(d->name);
    struct conf_row *first = table_get(&names, name);
    for (const struct conf_row *r = first; r; r = r->next)
        if (r->d->where & d->where) return refuse(m, d, "exists already in the same place");
    row->next = first;
    table_put(&names, name, row);
    return true;
}

/* The bit of the row's field; rows of one offset share it. */
static uint32_t add_field(struct conf_layout *l, const struct directive *d)
{
    uint32_t bit;
    if (!d->type->size) return 0;
    struct conf_field *f = (struct conf_field *) conf_names_field(l->module->slot, d->offset, &bit);
    if (!f) {
        bit = (uint32_t) (l->module->row_count + l->fields_n);
        f = &l->fields[l->fields_n++];
        *f = (struct conf_field) { d->offset, 0 };
    }
    f->size = max_of(f->size, (uint32_t) d->type->size);
    return bit;
}

static bool add_module(struct module *m, struct conf_layout *l)
{
    bool fine = true;
    m->row_count = 0;
    while (m->rows && m->rows[m->row_count].name) m->row_count++;
    *l = (struct conf_layout) { m, pool_array(keep, struct conf_field, m->row_count), 0 };
    for (size_t i = 0; i < m->row_count; i++) {
        const struct directive *d = &m->rows[i];
        struct conf_row *row = pool_new(keep, struct conf_row);
        if (!check_row(m, d)) { fine = false; continue; }
        *row = (struct conf_row) { NULL, m, d, (uint32_t) i, add_field(l, d) };
        fine &= add_name(m, d, row);
    }
    return fine;
}

bool conf_register(void)
{
    bool fine = true;
    pool_close(&keep);
    keep = pool_open(0);
    table_init(&names, keep, false);
    for (slots = 0; module_list[slots]; slots++) module_list[slots]->slot = (unsigned) slots;
    layouts = pool_array(keep, struct conf_layout, slots);
    for (size_t i = 0; i < slots; i++) fine &= add_module(module_list[i], &layouts[i]);
    return fine;
}

bool conf_knows(struct text name) { return conf_names_find(name) != NULL; }

struct text conf_nearest(struct text name, uint32_t kinds)
{
    struct text best = { NULL, 0 }, key;
    unsigned limit = (unsigned) min_of(name.n / 4 + 2, (size_t) 5), least = limit;
    void *value;
    for (size_t at = 0; table_next(&names, &at, &key, &value);) {
        uint32_t where = 0;
        for (const struct conf_row *r = value; r; r = r->next) where |= r->d->where;
        if (!(where & kinds)) continue;
        unsigned d = text_distance(name, key, limit);
        if (d > least || (d == least && (!best.n || text_cmp(key, best) > 0))) continue;
        if (d == limit) continue;
        least = d;
        best = key;
    }
    return best;
}

void conf_where_text(struct build *b, uint32_t where)
{
    static const struct { uint32_t bit; const char *name; } places[] = {
        { IN_MAIN, "main" }, { IN_EVENTS, "events" }, { IN_HTTP, "http" }, { IN_MGMT, "mgmt" }, { IN_STREAM, "stream" },
        { IN_SERVER | IN_STREAM_SERVER, "server" }, { IN_LOCATION, "location" }, { IN_IF_SERVER, "if in server" },
        { IN_IF, "if in location" }, { IN_LIMIT_EXCEPT, "limit_except" }, { IN_UPSTREAM | IN_STREAM_UPSTREAM, "upstream" },
        { IN_MATCH, "match" }, { IN_ACME, "acme_issuer" },
    };
    size_t before = b->n;
    for (size_t i = 0; i < countof(places); i++) {
        const char *name = places[i].name;
        if (!(where & places[i].bit)) continue;
        if (places[i].bit == IN_IF && where & IN_IF_SERVER) continue;
        if (places[i].bit == IN_IF_SERVER && where & IN_IF) name = "if";
        if (b->n > before) build_lit(b, ", ");
        build_c(b, name);
    }
}
