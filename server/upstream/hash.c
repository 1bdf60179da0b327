/*
 * A key's CRC decides, as in Perl's Cache::Memcached and nginx: ((crc32([n] key) >> 16) & 0x7fff) and what it was before,
 * n counting the times that the peer found could not be asked. After 20 of them it goes by turns.
 */
#include "upstream/balance.h"
#include "upstream/shares.h"
#include "eval/template.h"
#include <zlib.h>

enum { TRIES = 20 };

struct hash { struct template *key; };
struct place { struct text key; uint32_t hash, again; };

conf_result balance_hash_set(struct conf *cf, struct group *g, struct text key)
{
    conf_result why;
    struct hash *c = pool_new(cf->pool, struct hash);
    c->key = template_compile_kind(cf, g->kind, key, &why);
    if (!c->key) return why;
    balance_set(cf, g, &balance_hash, c);
    return NULL;
}

static void begin(struct pick *p)
{
    const struct hash *c = p->group->balance_conf;
    const struct shares *s = p->set->prepared;
    struct text key = p->eval && s->total ? template_render(c->key, p->eval) : T("");
    if (!key.n) return;
    struct place *at = p->data = pool_new(p->pool, struct place);
    at->key = key;
}

static uint32_t hash_again(struct place *at)
{
    char room[16];
    uLong crc = 0;
    if (at->again) {
        struct build b = build_in_room(room, sizeof room);
        build_u64(&b, at->again);
        crc = crc32_z(crc, (const Bytef *) room, b.n);
    }
    crc = crc32_z(crc, (const Bytef *) at->key.p, at->key.n);
    at->again++;
    return at->hash += crc >> 16 & 0x7fff;
}

static struct peer *next(struct pick *p, uint32_t from, uint32_t to)
{
    const struct shares *s = p->set->prepared;
    struct place *at = p->data;
    while (at && !p->from && p->looks <= TRIES) {
        struct peer *peer = shares_peer(s, p->set, hash_again(at) % s->total);
        if (pick_take(p, peer)) return peer;
        p->looks++;
    }
    return round_robin_next(p, from, to);
}

const struct balance balance_hash = { .name = "hash", .no_backup = true, .prepare = shares_prepare, .open = begin, .next = next, .done = round_robin_done };
