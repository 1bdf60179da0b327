#include "modules/auth_basic.h"
#include "wire/base64.h"
#include <crypt.h>
#include <openssl/evp.h>
#include <openssl/sha.h>

enum { PASSWORD_MOST = CRYPT_MAX_PASSPHRASE_SIZE - 1, SSHA_MOST = 256 };

bool password_is_slow(struct text hash)
{
    return !text_starts(hash, T("{PLAIN}")) && !text_starts(hash, T("{SHA}")) && !text_starts(hash, T("{SSHA}"));
}

/* {SHA}: base64 of the digest; {SSHA}: of the digest of password and salt, and then the salt. */
static bool fits_sha(struct text password, struct text encoded, bool salted)
{
    char room[SSHA_MOST];
    unsigned char digest[SHA_DIGEST_LENGTH];
    struct build b = build_in_room(room, sizeof room);
    if (!base64_decode(&b, encoded, false) || !build_ok(&b) || b.n < sizeof digest || (!salted && b.n != sizeof digest)) return false;
    EVP_MD_CTX *md = EVP_MD_CTX_new();
    bool made = md && EVP_DigestInit_ex(md, EVP_sha1(), NULL) && EVP_DigestUpdate(md, password.p, password.n)
             && EVP_DigestUpdate(md, room + sizeof digest, b.n - sizeof digest) && EVP_DigestFinal_ex(md, digest, NULL);
    EVP_MD_CTX_free(md);
    return made && text_eq_secret(text_of(room, sizeof digest), text_of((char *) digest, sizeof digest));
}

/* ---- Apache's MD5, as htpasswd -m makes it ---- */

struct md5 { EVP_MD_CTX *ctx; bool good; };
static void begin(struct md5 *m) { m->good &= EVP_DigestInit_ex(m->ctx, EVP_md5(), NULL) == 1; }
static void take(struct md5 *m, struct text t) { m->good &= EVP_DigestUpdate(m->ctx, t.p, t.n) == 1; }
static void finish(struct md5 *m, unsigned char out[16]) { m->good &= EVP_DigestFinal_ex(m->ctx, out, NULL) == 1; }

static void put64(struct build *b, unsigned v, unsigned digits)
{
    static const char set[] = "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    for (; digits--; v >>= 6) build_char(b, set[v & 63]);
}

static void mix_apr1(struct md5 *m, struct text password, struct text salt, unsigned char sum[16])
{
    const struct text so_far = { (char *) sum, 16 };
    begin(m);
    take(m, password);
    take(m, salt);
    take(m, password);
    finish(m, sum);
    begin(m);
    take(m, password);
    take(m, T("$apr1$"));
    take(m, salt);
    for (size_t left = password.n; left; left -= min_of(left, (size_t) 16)) take(m, text_upto(so_far, min_of(left, (size_t) 16)));
    for (size_t i = password.n; i; i >>= 1) take(m, i & 1 ? text_of("", 1) : text_upto(password, 1));
    finish(m, sum);
    for (unsigned i = 0; i < 1000; i++) {
        begin(m);
        take(m, i & 1 ? password : so_far);
        if (i % 3) take(m, salt);
        if (i % 7) take(m, password);
        take(m, i & 1 ? so_far : password);
        finish(m, sum);
    }
}

static bool fits_apr1(struct text password, struct text hash)
{
    unsigned char s[16];
    char room[32];
    struct text salt = text_from(hash, strlen("$apr1$"));
    ssize_t end = text_find_char(salt, '$');
    if (end < 0) return false;
    struct text given = text_from(salt, (size_t) end + 1);
    salt = text_upto(salt, min_of((size_t) end, (size_t) 8));
    struct md5 m = { EVP_MD_CTX_new(), true };
    if (m.ctx) mix_apr1(&m, password, salt, s);
    EVP_MD_CTX_free(m.ctx);
    struct build b = build_in_room(room, sizeof room);
    for (unsigned i = 0; i < 5; i++) put64(&b, (unsigned) s[i] << 16 | (unsigned) s[i + 6] << 8 | s[i == 4 ? 5 : i + 12], 4);
    put64(&b, s[11], 2);
    return m.ctx && m.good && text_eq_secret(build_done(&b), given);
}

/* ---- the system's ---- */

static bool fits_crypt(struct text password, struct text hash)
{
    char key[CRYPT_MAX_PASSPHRASE_SIZE], setting[CRYPT_OUTPUT_SIZE];
    bool fits = false;
    if (hash.n >= sizeof setting) return false;
    struct crypt_data *data = base_zalloc(1, sizeof *data);
    memcpy(key, password.p, password.n);
    key[password.n] = '\0';
    memcpy(setting, hash.p, hash.n);
    setting[hash.n] = '\0';
    const char *made = crypt_r(key, setting, data);
    if (made && made[0] != '*') fits = text_eq_secret(text_c(made), hash);
    explicit_bzero(key, sizeof key);
    explicit_bzero(data, sizeof *data);
    free(data);
    return fits;
}

bool password_fits(struct text password, struct text hash)
{
    /* What ends a C string would be compared up to there only. */
    if (password.n > PASSWORD_MOST || (password.n && memchr(password.p, '\0', password.n)) || (hash.n && memchr(hash.p, '\0', hash.n))) return false;
    if (text_starts(hash, T("{PLAIN}"))) return text_eq_secret(password, text_from(hash, strlen("{PLAIN}")));
    if (text_starts(hash, T("{SHA}"))) return fits_sha(password, text_from(hash, strlen("{SHA}")), false);
    if (text_starts(hash, T("{SSHA}"))) return fits_sha(password, text_from(hash, strlen("{SSHA}")), true);
    if (text_starts(hash, T("$apr1$"))) return fits_apr1(password, hash);
    return hash.n && fits_crypt(password, hash);
}
