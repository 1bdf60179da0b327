/*
 * The client's address decides: the first three bytes of an IPv4 one, all of an IPv6 one; the same peer as nginx has for it.
 * When that one may not be asked the address is hashed again, 20 times; then it goes by turns.
 */
#include "upstream/balance.h"
#include "upstream/shares.h"

enum { TRIES = 20, SEED = 89, FACTOR = 113, MODULUS = 6271 };

struct addresses { unsigned variable; };
struct address { struct text bytes; uint32_t hash; };

conf_result balance_ip_hash_set(struct conf *cf, struct group *g)
{
    struct addresses *c = pool_new(cf->pool, struct addresses);
    c->variable = variables_index_of(cf, g->kind, T("binary_remote_addr"));
    balance_set(cf, g, &balance_ip_hash, c);
    return NULL;
}

static void begin(struct pick *p)
{
    const struct addresses *c = p->group->balance_conf;
    const struct shares *s = p->set->prepared;
    if (!p->eval || !s->total) return;
    struct address *a = p->data = pool_new(p->pool, struct address);
    a->hash = SEED;
    a->bytes = value_text(eval_get(p->eval, c->variable));
    if (a->bytes.n == 4) a->bytes.n = 3;
    else if (a->bytes.n != 16) a->bytes = T("\0\0\0");       /* unix: */
}

static struct peer *next(struct pick *p, uint32_t from, uint32_t to)
{
    const struct shares *s = p->set->prepared;
    struct address *a = p->data;
    while (a && !p->from && p->looks <= TRIES) {
        for (size_t i = 0; i < a->bytes.n; i++) a->hash = (a->hash * FACTOR + (unsigned char) a->bytes.p[i]) % MODULUS;
        struct peer *peer = shares_peer(s, p->set, a->hash % s->total);
        if (pick_take(p, peer)) return peer;
        p->looks++;
    }
    return round_robin_next(p, from, to);
}

const struct balance balance_ip_hash = { .name = "ip_hash", .no_backup = true, .prepare = shares_prepare, .open = begin, .next = next, .done = round_robin_done };
