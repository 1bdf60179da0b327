/* PROXY headers: shorter pieces ask for more, what was read can be written and read again. */
#include "t/fuzz/fuzz.h"
#include "wire/proxy_protocol.h"

static bool same_end(const struct proxy_protocol_end *a, const struct proxy_protocol_end *b)
{
    return memcmp(a->address, b->address, sizeof a->address) == 0 && a->port == b->port && text_eq(a->path, b->path);
}

static void write_again(const struct proxy_protocol *p)
{
    struct pool *pool = pool_open(0);
    struct build b = build_in_pool(pool, 0, 0);
    struct proxy_protocol again;
    const char *why;
    proxy_protocol_write(&b, p);
    if (p->tlvs.n == 0) {       /* a checksum would be another one */
        HOLD(proxy_protocol_read(b.p, b.n, &again, &why) == PROXY_PROTOCOL_DONE && again.length == b.n);
        HOLD(again.family == p->family && again.local == p->local);
        HOLD(same_end(&again.source, &p->source) && same_end(&again.target, &p->target));
    }
    pool_close(&pool);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct proxy_protocol p, part;
    const char *why;
    char *exact = fuzz_exact((const char *) data, size);
    enum proxy_protocol_result got = proxy_protocol_read(exact, size, &p, &why);
    if (got == PROXY_PROTOCOL_DONE) {
        struct text rest = p.tlvs, value;
        uint8_t type;
        HOLD(p.length > 0 && p.length <= size && p.length <= PROXY_PROTOCOL_MOST);
        while (proxy_protocol_tlv(&rest, &type, &value)) { }
        HOLD(rest.n == 0);
        for (size_t n = 0; n < p.length; n += 1 + n / 8) {
            HOLD(proxy_protocol_read((const char *) data, n, &part, &why) == PROXY_PROTOCOL_MORE);
        }
        write_again(&p);
    } else if (got == PROXY_PROTOCOL_BAD) {
        HOLD(why != NULL && why[0]);
    }
    free(exact);
    return 0;
}
