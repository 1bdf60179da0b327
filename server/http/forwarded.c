#include "http/forwarded.h"

conf_result forwarded_trust(struct conf *cf, struct forwarded *f, struct text word)
{
    if (f->n == f->cap) f->v = pool_grow(cf->pool, f->v, f->n, &f->cap, sizeof *f->v);
    if (!addr_parse_cidr(word, &f->v[f->n])) return conf_say(cf, "!invalid network \"%.*s\"", TEXT_ARG(word));
    if (f->v[f->n].low_bits) conf_warn(cf, "low address bits of %.*s are meaningless", TEXT_ARG(word));
    f->n++;
    return NULL;
}

static bool is_trusted(const struct forwarded *f, const struct addr *a)
{
    for (size_t i = 0; i < f->n; i++)
        if (addr_in_cidr(a, &f->v[i])) return true;
    return false;
}

struct addr forwarded_address(const struct forwarded *f, bool recursive, struct request *r, struct addr a)
{
    unsigned i = r->in.n;
    struct text line = { NULL, 0 };
    while (is_trusted(f, &a)) {
        struct addr said;
        while (!line.n && i > 0)
            if (r->in.v[--i].id == FIELD_X_FORWARDED_FOR) line = r->in.v[i].value;
        if (!line.n) break;
        ssize_t comma = text_rfind_char(line, ',');
        struct text last = text_trim(text_from(line, (size_t) (comma + 1)));
        line = comma < 0 ? T("") : text_upto(line, (size_t) comma);
        if (!addr_parse(r->pool, last, 0, &said) || said.family == AF_UNIX) break;
        a = said;
        if (!recursive) break;
    }
    return a;
}
