/* eval: the values of one request or session. */
#include "eval/eval.h"
#include "eval/variables.h"

static const struct value missing = { "", 0, VALUE_MISSING };

static struct value ask(struct eval *e, const struct variable *v, struct text name)
{
    struct text t = { NULL, 0 };
    if (unlikely(e->depth >= EVAL_DEPTH_MAX)) {
        log_at(e->log, L_ERR, e->about, 0, "cycle while evaluating variable \"%.*s\"", TEXT_ARG(name));
        return missing;
    }
    e->depth++;
    bool found = v->get && v->get(e, v, name, &t);
    e->depth--;
    if (!found) return missing;
    ASSERT(t.n <= UINT32_MAX);
    return (struct value) { t.p, (uint32_t) t.n, VALUE_FOUND };
}

struct value eval_ask(struct eval *e, unsigned index)
{
    const struct variable_index *x = &e->names->index[index];
    struct value v = ask(e, x->v, x->name);
    if (!(x->v->flags & VAR_NO_CACHE)) e->values[index] = v;
    return v;
}

struct value eval_get_name(struct eval *e, struct text given)
{
    char room[256];
    if (given.n > sizeof room) return missing;
    for (size_t i = 0; i < given.n; i++) room[i] = (char) text_lower((unsigned char) given.p[i]);
    struct text name = text_of(room, given.n);
    uintptr_t known = (uintptr_t) table_get(&e->names->indexed, name);
    if (known) return eval_get(e, (unsigned) known - 1);
    const struct variable *v = variables_lookup(e->names, name);
    return v ? ask(e, v, pool_text(e->pool, name)) : missing;
}

void eval_set(struct eval *e, unsigned index, struct text t)
{
    const struct variable *v = e->names->index[index].v;
    ASSERT(t.n <= UINT32_MAX);
    if (v->set) v->set(e, v, t);
    else e->values[index] = (struct value) { t.p, (uint32_t) t.n, VALUE_FOUND };
}

struct text eval_capture(const struct eval *e, unsigned n)
{
    const struct captures *c = e->captures;
    if (!c || n >= c->count || c->at[2 * n] < 0) return text_of(NULL, 0);
    return text_of(c->subject.p + c->at[2 * n], (size_t) (c->at[2 * n + 1] - c->at[2 * n]));
}
