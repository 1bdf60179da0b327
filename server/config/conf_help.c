#include "config/conf_help.h"
#include "config/conf_inside.h"

enum { WIDTH = 78, INDENT = 10, NEAREST = 4, ALIKE = 6 };

/* A choice shows what there is to choose. */
static void put_syntax(struct build *b, const struct directive *d)
{
    bool bits = d->type == &conf_bits;
    if (d->syntax || !(bits || d->type == &conf_enum)) {
        build_c(b, d->syntax ? d->syntax : d->type->syntax);
        return;
    }
    for (const struct conf_choice *c = d->data; c->name; c++) {
        if (c != d->data) build_lit(b, " | ");
        build_c(b, c->name);
    }
    if (bits) build_lit(b, " ...");
}

static bool is_plain(struct text t)
{
    for (size_t i = 0; i < t.n; i++)
        if (strchr(" \t;{}'\\#", t.p[i])) return false;
    return t.n != 0;
}

/* The words of a default, without the quotes that they do not need. */
static void put_default(struct build *b, const char *dflt)
{
    struct text rest = text_c(dflt);
    ssize_t end;
    while (rest.n) {
        if (rest.p[0] == '"' && (end = text_find_char(text_from(rest, 1), '"')) >= 0 && is_plain(text_of(rest.p + 1, (size_t) end))) {
            build_text(b, text_of(rest.p + 1, (size_t) end));
            rest = text_from(rest, (size_t) end + 2);
        } else {
            build_char(b, rest.p[0]);
            rest = text_from(rest, 1);
        }
    }
    while (b->n && b->p[b->n - 1] == ' ') b->n--;
}

static void put_where(struct build *b, uint32_t where)
{
    if (where == UINT32_MAX) build_lit(b, "any");
    else conf_where_text(b, where);
}

/* help, in lines of at most WIDTH columns. */
static void print_wrapped(FILE *out, struct text t)
{
    while (t.n) {
        size_t n = t.n;
        if (n > WIDTH - INDENT) {
            ssize_t space = text_rfind_char(text_upto(t, WIDTH - INDENT + 1), ' ');
            if (space > 0) n = (size_t) space;
        }
        fprintf(out, "%*s%.*s\n", INDENT, "", (int) n, t.p);
        t = text_from(t, min_of(n + 1, t.n));
    }
}

static void print_row(FILE *out, const struct conf_row *row)
{
    char room[1024];
    const struct directive *d = row->d;
    struct build b = build_in_room(room, sizeof room);
    build_fmt(&b, "Syntax:   %s ", d->name);
    put_syntax(&b, d);
    if (b.n && b.p[b.n - 1] == ' ') b.n--;
    if (b.n && b.p[b.n - 1] != '}') build_char(&b, ';');
    build_lit(&b, "\nDefault:  ");
    if (d->dflt) put_default(&b, d->dflt);
    else build_lit(&b, "none");
    build_lit(&b, "\nContext:  ");
    put_where(&b, d->where);
    fprintf(out, "%.*s\nModule:   %s%s\n", TEXT_ARG(build_done(&b)), row->module->name,
            d->since && strcmp(d->since, "weir") == 0 ? " (not in nginx)" : "");
    print_wrapped(out, text_c(d->help));
}

bool conf_help(FILE *out, struct text name)
{
    const struct conf_row *row = conf_names_find(name), *first = row;
    for (; row; row = row->next) {
        if (row != first) fputc('\n', out);
        print_row(out, row);
    }
    return first != NULL;
}

static void list_row(FILE *out, const struct module *m, const struct directive *d)
{
    char room[1024];
    struct build b = build_in_room(room, sizeof room);
    put_syntax(&b, d);
    build_char(&b, '\t');
    if (d->dflt) put_default(&b, d->dflt);
    build_char(&b, '\t');
    put_where(&b, d->where);
    fprintf(out, "%s\t%s\t%.*s\t%s\n", m->name, d->name, TEXT_ARG(build_done(&b)), d->help);
}

void conf_help_list(FILE *out)
{
    for (size_t i = 0; i < conf_slots(); i++) {
        const struct module *m = conf_names_layout((unsigned) i)->module;
        for (size_t k = 0; k < m->row_count; k++) list_row(out, m, &m->rows[k]);
    }
}

/* Keeps the NEAREST best, nearest first. */
static void offer(struct text *best, unsigned *far, struct text name, unsigned distance)
{
    for (size_t i = 0; i < NEAREST; i++) {
        if (best[i].n && (far[i] < distance || (far[i] == distance && text_cmp(best[i], name) <= 0))) {
            if (text_eq(best[i], name)) return;
            continue;
        }
        memmove(best + i + 1, best + i, (NEAREST - 1 - i) * sizeof *best);
        memmove(far + i + 1, far + i, (NEAREST - 1 - i) * sizeof *far);
        best[i] = name;
        far[i] = distance;
        return;
    }
}

void conf_help_nearest(struct build *b, struct text name)
{
    struct text best[NEAREST] = { { NULL, 0 } };
    unsigned far[NEAREST] = { 0 };
    for (size_t i = 0; i < conf_slots(); i++) {
        const struct module *m = conf_names_layout((unsigned) i)->module;
        for (size_t k = 0; k < m->row_count; k++) {
            struct text known = text_c(m->rows[k].name);
            bool part = name.n > 2 && text_find(known, name) >= 0;
            unsigned distance = text_distance(name, known, ALIKE);
            if (part || distance < min_of((size_t) ALIKE, name.n / 2 + 1)) offer(best, far, known, distance);
        }
    }
    for (size_t i = 0; i < NEAREST && best[i].n; i++) {
        if (i) build_lit(b, ", ");
        build_text(b, best[i]);
    }
}
