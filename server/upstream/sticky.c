#include "upstream/sticky.h"
#include "base/table.h"
#include <openssl/evp.h>

enum { MD5_SIZE = 16 };

struct sticky_set { struct table by_name; struct text *names; };

static struct text md5_hex(struct text t, struct pool *pool)
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned n = 0;
    if (!EVP_Digest(t.p, t.n, digest, &n, EVP_md5(), NULL) || n != MD5_SIZE) return T("");
    struct build b = build_in_pool(pool, MD5_SIZE * 2, 0);
    for (unsigned i = 0; i < n; i++) build_fmt(&b, "%02x", digest[i]);
    return build_done(&b);
}

void sticky_prepare(struct peer_set *set, struct pool *pool)
{
    const struct sticky *s = set->group->sticky;
    NEED(s, STICKY_MAGIC);
    struct sticky_set *made = set->sticky = pool_new(pool, struct sticky_set);
    table_init(&made->by_name, pool, false);
    made->names = pool_array(pool, struct text, set->count);
    for (uint32_t i = 0; i < set->count; i++) {
        struct peer *peer = &set->peers[i];
        struct text *name = &made->names[i];
        *name = s->names == STICKY_BY_ADDRESS ? T("") : peer->route;
        if (!name->n && s->names != STICKY_BY_ROUTE) *name = md5_hex(peer->name, pool);
        if (name->n) table_add(&made->by_name, *name, peer);
    }
}

struct peer *sticky_peer(struct pick *p)
{
    const struct sticky *s = p->group->sticky;
    NEED(s, STICKY_MAGIC);
    const struct sticky_set *set = p->set->sticky;
    struct text name = p->eval ? s->wanted(s, p) : T("");
    return name.n ? table_get(&set->by_name, name) : NULL;
}

struct text sticky_name(const struct pick *p, const struct peer *peer)
{
    const struct sticky_set *set = p->set->sticky;
    return set->names[peer->index];
}
