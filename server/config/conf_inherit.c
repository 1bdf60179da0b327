/* conf_inherit: from what was set to what holds: defaults at the top, then "set here, or wholly from above". */
#include "config/conf_inside.h"
#include "config/lint.h"

static const struct directive *default_row(const struct module *m, size_t offset)
{
    for (size_t i = 0; i < m->row_count; i++) {
        const struct directive *d = &m->rows[i];
        if (d->offset == offset && d->type->size && d->dflt && d->type != &conf_none) return d;
    }
    return NULL;
}

/* The row's default, read by its own parser as if it stood in the main context. */
static bool read_default(struct conf *cf, const struct directive *d, void *field)
{
    struct text line = pool_printf(cf->scratch, "%s %s;", d->name, d->dflt);
    struct source in = source_of((char *) line.p, line.n, false);
    struct source_words words = { 0 };
    conf_result why = "cannot be read";
    if (source_read(&in, cf->scratch, &words) == SOURCE_SEMICOLON) {
        cf->words = words.v;
        cf->count = words.n;
        cf->opened = false;
        why = conf_apply(cf, d, field);
    }
    if (!why) return true;
    log_at(log_main, L_ALERT, NULL, 0, "the default \"%s\" of \"%s\" is refused: %s", d->dflt, d->name, why);
    return false;
}

static bool set_defaults(struct conf *cf, const struct conf_layout *l, struct conf_own *own)
{
    bool fine = true;
    for (size_t i = 0; i < l->fields_n; i++) {
        const struct directive *d;
        if (conf_bit(own->set, (uint32_t) (l->module->row_count + i))) continue;
        if (!(d = default_row(l->module, l->fields[i].offset))) continue;
        fine &= read_default(cf, d, (char *) own->values + d->offset);
    }
    return fine;
}

static bool check(struct conf *cf, struct conf_block *b, const struct module *m, void *values)
{
    unsigned errors = cf->errors;
    if (!m->check) return true;
    cf->block = b;
    cf->file = b->file;
    cf->line = b->line;
    conf_result why = m->check(cf, b, values);
    if (why && why != conf_said) conf_emerg(cf, "%s", why + (*why == '!'));
    else if (why) cf->errors++;
    return cf->errors == errors;
}

static bool finish_top(struct conf *cf)
{
    struct conf_block *top = cf->top;
    bool fine = true;
    top->values = pool_array(cf->pool, void *, conf_slots());
    cf->block = top;
    cf->file = NULL;
    for (unsigned i = 0; i < conf_slots(); i++) {
        const struct module *m = conf_names_layout(i)->module;
        if (!m->conf_size) continue;
        struct conf_own *own = conf_own_make(cf, top, m);
        fine &= set_defaults(cf, conf_names_layout(i), own);
        top->values[i] = own->values;
    }
    for (unsigned i = 0; fine && i < conf_slots(); i++)
        fine = check(cf, top, conf_names_layout(i)->module, top->values[i]);
    return fine;
}

static void inherit_fields(const struct conf_layout *l, struct conf_own *own, const void *from)
{
    uint32_t bit = (uint32_t) l->module->row_count;
    for (size_t i = 0; i < l->fields_n; i++, bit++) {
        const struct conf_field *f = &l->fields[i];
        if (!conf_bit(own->set, bit)) memcpy((char *) own->values + f->offset, (const char *) from + f->offset, f->size);
    }
}

static bool finish_block(struct conf *cf, struct conf_block *b)
{
    size_t size = conf_slots() * sizeof *b->values;
    b->values = b->parent->values;
    if (!b->own) return true;
    b->values = memcpy(pool_alloc(cf->pool, size), b->parent->values, size);
    for (struct conf_own *own = b->own; own; own = own->next) {
        const struct conf_layout *l = conf_names_layout(own->slot);
        if (!own->values) continue;
        inherit_fields(l, own, b->parent->values[own->slot]);
        b->values[own->slot] = own->values;
    }
    for (struct conf_own *own = b->own; own; own = own->next)
        if (!check(cf, b, conf_names_layout(own->slot)->module, own->values)) return false;
    return true;
}

/* Blocks in the file's order, a parent before its children; no deeper than blocks may nest. */
static bool finish_children(struct conf *cf, struct conf_block *parent)
{
    for (struct conf_block *b = parent->children; b; b = b->next)
        if (!finish_block(cf, b) || !finish_children(cf, b)) return false;
    return true;
}

static bool finish_modules(struct conf *cf)
{
    cf->block = cf->top;
    cf->file = NULL;
    for (unsigned i = 0; i < conf_slots(); i++) {
        const struct module *m = conf_names_layout(i)->module;
        unsigned errors = cf->errors;
        conf_result why = m->finish ? m->finish(cf, cf->top->values[i]) : NULL;
        if (why && why != conf_said) conf_emerg(cf, "%s", why + (*why == '!'));
        if (why || cf->errors != errors) return false;
    }
    return true;
}

bool conf_finish(struct conf *cf)
{
    bool fine = !cf->errors && finish_top(cf) && finish_children(cf, cf->top) && finish_modules(cf);
    struct conf *ended = cf;
    if (fine && cf->lint) lint_run(cf);
    if (fine) conf_dump_out(cf);
    conf_close(&ended);
    return fine;
}
