/* h1: a head parsed at once and piece by piece must give the same facts. For the targets of both sides. */
#ifndef FUZZ_HEADS_H
#define FUZZ_HEADS_H

#include "t/fuzz/fuzz.h"
#include "wire/framing.h"
#include "wire/h1.h"
#include "wire/uri.h"

enum { FUZZ_FIELDS_MOST = 64 };

/* What came out so far, as text. */
struct head { struct h1_parse parse; struct pool *pool; struct build said; bool began; enum h1_result result; };

static void add_fact(struct head *h, struct text t)
{
    build_u64(&h->said, t.n);
    build_char(&h->said, ':');
    build_text(&h->said, t);
    build_char(&h->said, ';');
}

static void add_field(struct head *h, const struct field *f)
{
    HOLD(f->name.n > 0 && fuzz_one_line(f->name) && fuzz_one_line(f->value));
    HOLD(text_find_char(f->name, ':') < 0 && text_find_char(f->name, ' ') < 0);
    HOLD(text_eq(text_trim(f->value), f->value));
    HOLD(f->id == FIELD_OTHER || text_eq_nocase(f->name, field_row(f->id)->name));
    add_fact(h, f->name);
    add_fact(h, f->value);
    build_u64(&h->said, f->id);
}

/* One target's own first line: H1_DONE when it is there, its facts added. */
static enum h1_result first_line(struct head *h, const char *buf, size_t len);

static void go_on(struct head *h, const char *buf, size_t len)
{
    struct field f;
    if (!h->began) {
        h->result = first_line(h, buf, len);
        h->began = h->result == H1_DONE;
        if (!h->began) return;
    }
    while ((h->result = h1_field(&h->parse, buf, len, &f)) == H1_FIELD) add_field(h, &f);
}

static void begin_head(struct head *h, enum h1_kind kind)
{
    *h = (struct head) { .pool = pool_open(0) };
    h1_begin(&h->parse, kind);
    h->said = build_in_pool(h->pool, 0, 0);
}

/* The fields once more, for those who look at all of them. */
static size_t collect(struct head *h, const char *buf, size_t from, size_t len, struct field *fields)
{
    struct h1_parse p;
    size_t n = 0;
    h1_begin(&p, h->parse.kind);
    p.line = p.at = from;
    while (n < FUZZ_FIELDS_MOST && h1_field(&p, buf, len, &fields[n]) == H1_FIELD) n++;
    return n;
}

static void check_splits(const uint8_t *data, size_t size, enum h1_kind kind)
{
    if (size == 0) return;
    uint32_t seed = data[0];
    const char *all = (const char *) data + 1;
    struct head whole, slow;
    size--;
    begin_head(&whole, kind);
    begin_head(&slow, kind);
    char *exact = fuzz_exact(all, size);
    go_on(&whole, exact, size);
    free(exact);
    for (size_t n = 0; n < size && slow.result == H1_MORE;) {
        n += fuzz_piece(&seed, size - n);
        exact = fuzz_exact(all, n);
        go_on(&slow, exact, n);
        free(exact);
    }
    HOLD(size == 0 || whole.result == slow.result);
    HOLD(whole.parse.fault == slow.parse.fault);
    HOLD((whole.result == H1_BAD) == (whole.parse.fault != FAULT_NONE));
    HOLD(text_eq(build_done(&whole.said), build_done(&slow.said)));
    if (whole.result == H1_END) HOLD(whole.parse.at == slow.parse.at && all[whole.parse.at - 1] == '\n');
    pool_close(&whole.pool);
    pool_close(&slow.pool);
}

#endif
