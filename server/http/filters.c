/* filters: the one ordered list of what a response passes through, nearest the source first. */
#include "http/steps.h"

static const char *const order[] = {
    "slice",
    "not_modified",     /* 304 and 412 */
    "headers",          /* add_header, expires: they see a 200 that becomes a 206 later, and stand before Accept-Ranges */
    "userid", "sticky", "gunzip", "addition", "sub", "charset", "ssi", "postpone", 
    "coding",           /* br, zstd, gzip: the one that the client likes best */
    "range",            /* cuts what is left */
    "limit_quota", "limit_rate", "limit_rate_by",
    "aio",              /* nearest the connection: it sees which parts of files are really sent */
    NULL
};

static size_t place(const char *name)
{
    size_t i = 0;
    while (order[i] && strcmp(order[i], name)) i++;
    return i;
}

struct taking { struct conf *cf; struct http *h; size_t cap; bool bad; };

static void take(const struct http_part *p, const struct module *m, void *arg)
{
    struct taking *t = arg;
    struct http *h = t->h;
    if (p->if_given && !conf_given(t->cf, m)) return;
    for (const struct filter *const *f = p->filters; f && *f; f++) {
        if (!order[place((*f)->name)]) {
            log_at(log_main, L_ALERT, NULL, 0, "filter \"%s\" of module %s has no place in the order", (*f)->name, m->name);
            t->bad = true;
            continue;
        }
        if (h->filter_count == t->cap) h->filters = pool_grow(t->cf->pool, h->filters, h->filter_count, &t->cap, sizeof *h->filters);
        size_t at = h->filter_count++;
        for (; at && place(h->filters[at - 1]->name) > place((*f)->name); at--) h->filters[at] = h->filters[at - 1];
        h->filters[at] = *f;
    }
}

bool filters_build(struct conf *cf, struct http *h)
{
    struct taking t = { .cf = cf, .h = h };
    steps_parts_each(take, &t);
    return !t.bad;
}
