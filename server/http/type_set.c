#include "http/type_set.h"

static bool has(const struct type_set *set, struct text type)
{
    for (size_t i = 0; i < set->n; i++)
        if (text_eq_nocase(set->v[i], type)) return true;
    return false;
}

static void add(struct conf *cf, struct type_set *set, struct text type)
{
    if (set->n == set->cap) set->v = pool_grow(cf->pool, set->v, set->n, &set->cap, sizeof *set->v);
    set->v[set->n++] = pool_text(cf->pool, type);
}

static conf_result parse(struct conf *cf, const struct directive *d, void *field)
{
    struct type_set *set = field;
    bool is_default = !cf->file;
    (void) d;
    if (!set->n) add(cf, set, T("text/html"));
    for (size_t i = 1; i < cf->count; i++) {
        if (text_eq(cf->words[i], T("*"))) set->any = true;
        else if (!has(set, cf->words[i])) add(cf, set, cf->words[i]);
        else if (!is_default) conf_warn(cf, "duplicate MIME type \"%s\"", cf->words[i].p);
    }
    return NULL;
}

const struct conf_type type_set_type = { "mime-type ...", sizeof(struct type_set), CONF_MULTI, 1, UINT32_MAX, parse };

bool type_set_has(const struct type_set *set, const struct request *r)
{
    return set->any || (r->out.type.n && has(set, r->out.type));
}
