/* jwt: any bytes as a token against keys of every type; and as a set of keys. */
#include "modules/auth_jwt.h"
#include "t/fuzz/fuzz.h"

static const char keys[] =
    "{\"keys\": [{\"kty\": \"oct\", \"k\": \"c2VjcmV0\"}, {\"kty\": \"OKP\", \"crv\": \"Ed25519\", \"x\": \"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\"},"
    " {\"kty\": \"EC\", \"crv\": \"P-256\", \"x\": \"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU\", \"y\": \"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0\"}]}";

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct jwk_set *set;
    const char *why;
    unsigned unused;
    struct jwt t;
    if (!set) set = jwk_set_read(text_c(keys), &why, &unused);
    ASSERT(set && !unused);
    struct pool *pool = pool_open(0);
    struct text in = { (const char *) data, size };
    if (!jwt_read(pool, in, &t)) {
        jwt_check_times(&t, 1700000000, 60);
        /* What is taken here was signed by nobody who had the keys: only an HMAC of a weak secret could be found. */
        if (!jwt_verify(&t, set)) ASSERT(t.alg->family == JWT_HS);
    }
    struct jwk_set *other = jwk_set_read(in, &why, &unused);
    jwk_set_end(&other);
    pool_close(&pool);
    return 0;
}
