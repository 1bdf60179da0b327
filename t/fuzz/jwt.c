/* jwt: any bytes as a token against keys of every type; and as a set of keys. */
#include "modules/auth_jwt.h"
#include "t/fuzz/fuzz.h"

static const char keys[] =
    "{\"keys\": [{\"kty\": \"oct\", \"k\": \"c2VjcmV0\"}, {\"kty\": \"OKP\", \"crv\": \"Ed25519\", \"x\": \"iwXgMJQ5HhmPup0J8Gji7-CuZ94o3_8qrR9bCdsAZWU\"},"
    " {\"kty\": \"EC\", \"crv\": \"P-256\", \"x\": \"bxgXxOwfaU_6buc29xQv7n3LBUSwpMMGRpW4wmWhuC4\", \"y\": \"1P5_RV440mZDvsEy3rkYyKsLB9DAvM_pAWo9ckN3PlM\"}]}";

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct jwk_set *set;
    const char *why;
    unsigned unused = 0;
    struct jwt t;
    if (!set) set = jwk_set_read(text_c(keys), &why, &unused);
    HOLD(set && !unused);
    struct pool *pool = pool_open(0);
    struct text in = { (const char *) data, size };
    if (!jwt_read(pool, in, &t)) {
        jwt_check_times(&t, 1700000000, 60);
        jwt_verify(&t, set);
    }
    struct jwk_set *other = jwk_set_read(in, &why, &unused);
    jwk_set_end(&other);
    pool_close(&pool);
    return 0;
}
