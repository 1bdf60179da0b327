#include "modules/auth_jwt.h"
#include "base/clock.h"
#include "wire/base64.h"
#include <errno.h>
#include <fcntl.h>
#include <openssl/core_names.h>
#include <openssl/param_build.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FILE_MOST = 1 << 20, RSA_LEAST = 2048, KEPT = 32 };

struct jwk_set { struct jwk *first, **end; };

const struct jwk *jwk_set_first(const struct jwk_set *s) { return s->first; }

static void end_key(struct jwk *k)
{
    EVP_PKEY_free(k->pkey);
    if (k->secret) explicit_bzero(k->secret, k->secret_n);
    free(k->secret);
    free(k->kid);
    free(k->alg);
    free(k);
}

void jwk_set_end(struct jwk_set **s)
{
    if (!*s) return;
    for (struct jwk *k = (*s)->first, *next; k; k = next) {
        next = k->next;
        end_key(k);
    }
    free(*s);
    *s = NULL;
}

/* ---- one key ---- */

static const char *member(const json_t *j, const char *name) { return json_string_value(json_object_get(j, name)); }
static char *copy(const char *s) { return s ? memcpy(base_alloc(strlen(s) + 1), s, strlen(s) + 1) : NULL; }

/* base64url bytes of a member, to be freed. NULL: there are none. */
static unsigned char *bytes_of(const json_t *j, const char *name, size_t *n_out)
{
    struct text t = text_c(member(j, name));
    struct pool *scratch = pool_open(0);
    struct build b = build_in_pool(scratch, t.n + 4, 0);
    unsigned char *out = NULL;
    if (t.n && base64_decode(&b, t, true) && b.n) {
        out = memcpy(base_alloc(b.n), b.p, b.n);
        *n_out = b.n;
        explicit_bzero(b.p, b.n);
    }
    pool_close(&scratch);
    return out;
}

static EVP_PKEY *make_key(const char *type, OSSL_PARAM_BLD *build, int selection)
{
    EVP_PKEY *key = NULL;
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, type, NULL);
    OSSL_PARAM *params = OSSL_PARAM_BLD_to_param(build);
    if (ctx && params && EVP_PKEY_fromdata_init(ctx) > 0 && EVP_PKEY_fromdata(ctx, &key, selection, params) <= 0) key = NULL;
    EVP_PKEY_CTX_free(ctx);
    OSSL_PARAM_free(params);
    /* a point that is not on its curve, a number that is no modulus */
    ctx = key ? EVP_PKEY_CTX_new_from_pkey(NULL, key, NULL) : NULL;
    if (key && (!ctx || EVP_PKEY_public_check(ctx) != 1)) {
        EVP_PKEY_free(key);
        key = NULL;
    }
    EVP_PKEY_CTX_free(ctx);
    return key;
}

/* RFC 7518 6.3: all or none of what comes after d; with them it is quicker. */
static const struct { const char *member, *param; } rsa_parts[] = {
    { "n", OSSL_PKEY_PARAM_RSA_N }, { "e", OSSL_PKEY_PARAM_RSA_E }, { "d", OSSL_PKEY_PARAM_RSA_D }, { "p", OSSL_PKEY_PARAM_RSA_FACTOR1 }, { "q", OSSL_PKEY_PARAM_RSA_FACTOR2 },
    { "dp", OSSL_PKEY_PARAM_RSA_EXPONENT1 }, { "dq", OSSL_PKEY_PARAM_RSA_EXPONENT2 }, { "qi", OSSL_PKEY_PARAM_RSA_COEFFICIENT1 },
};
enum { RSA_PUBLIC = 2, RSA_PRIVATE = 3 };       /* how many parts make one */

static BIGNUM *number_of(const json_t *j, const char *name, bool secret)
{
    size_t n = 0;
    unsigned char *v = bytes_of(j, name, &n);
    BIGNUM *b = v && n <= INT32_MAX ? secret ? BN_secure_new() : BN_new() : NULL;
    if (b && !BN_bin2bn(v, (int) n, b)) BN_clear_free(b), b = NULL;
    if (v) explicit_bzero(v, n);
    free(v);
    return b;
}

static bool read_rsa(const json_t *j, struct jwk *k)
{
    BIGNUM *parts[countof(rsa_parts)];
    size_t n = 0;
    OSSL_PARAM_BLD *build = OSSL_PARAM_BLD_new();
    k->family = JWT_RS;
    while (n < countof(parts) && (parts[n] = number_of(j, rsa_parts[n].member, n >= RSA_PUBLIC)) != NULL) n++;
    size_t used = n == countof(parts) ? n : min_of(n, (size_t) RSA_PRIVATE);
    bool good = build && n >= RSA_PUBLIC && BN_num_bits(parts[0]) >= RSA_LEAST;
    for (size_t i = 0; good && i < used; i++) good = OSSL_PARAM_BLD_push_BN(build, rsa_parts[i].param, parts[i]) == 1;
    k->private = used >= RSA_PRIVATE;
    if (good) k->pkey = make_key("RSA", build, k->private ? EVP_PKEY_KEYPAIR : EVP_PKEY_PUBLIC_KEY);
    OSSL_PARAM_BLD_free(build);
    while (n > 0) BN_clear_free(parts[--n]);
    return k->pkey != NULL;
}

static bool read_ec(const json_t *j, struct jwk *k)
{
    static const struct { const char *name, *group; unsigned bits, size; } curves[] = { { "P-256", "P-256", 256, 32 }, { "P-384", "P-384", 384, 48 }, { "P-521", "P-521", 512, 66 } };
    const char *name = member(j, "crv");
    size_t x_size = 0, y_size = 0;
    unsigned char *x = bytes_of(j, "x", &x_size), *y = bytes_of(j, "y", &y_size), point[1 + 2 * 66] = { 4 };
    k->family = JWT_ES;
    for (size_t i = 0; name && x && y && i < countof(curves); i++) {
        if (strcmp(name, curves[i].name) != 0 || x_size != curves[i].size || y_size != curves[i].size) continue;
        memcpy(point + 1, x, x_size);
        memcpy(point + 1 + x_size, y, y_size);
        k->bits = curves[i].bits;
        OSSL_PARAM_BLD *build = OSSL_PARAM_BLD_new();
        if (build && OSSL_PARAM_BLD_push_utf8_string(build, OSSL_PKEY_PARAM_GROUP_NAME, curves[i].group, 0)
            && OSSL_PARAM_BLD_push_octet_string(build, OSSL_PKEY_PARAM_PUB_KEY, point, 1 + x_size + y_size)) k->pkey = make_key("EC", build, EVP_PKEY_PUBLIC_KEY);
        OSSL_PARAM_BLD_free(build);
    }
    free(x);
    free(y);
    return k->pkey != NULL;
}

static bool read_okp(const json_t *j, struct jwk *k)
{
    const char *name = member(j, "crv");
    size_t size = 0;
    unsigned char *x = bytes_of(j, "x", &size);
    k->family = JWT_EDDSA;
    if (name && x && (strcmp(name, "Ed25519") == 0 || strcmp(name, "Ed448") == 0)) k->pkey = EVP_PKEY_new_raw_public_key_ex(NULL, name, NULL, x, size);
    free(x);
    return k->pkey != NULL;
}

static bool read_oct(const json_t *j, struct jwk *k)
{
    k->family = JWT_HS;
    k->secret = bytes_of(j, "k", &k->secret_n);
    return k->secret != NULL && k->secret_n <= INT32_MAX;
}

static bool has_op(const json_t *ops, const char *name)
{
    const json_t *op;
    size_t i;
    json_array_foreach(ops, i, op)
        if (json_is_string(op) && strcmp(json_string_value(op), name) == 0) return true;
    return false;
}

/* RFC 7517 4.2, 4.3: what a key says that it is for. False: for nothing that is done here. */
static bool read_purpose(const json_t *j, struct jwk *k)
{
    const json_t *ops = json_object_get(j, "key_ops"), *use = json_object_get(j, "use");
    const char *says = json_string_value(use);
    k->signs = (!use || (says && strcmp(says, "sig") == 0)) && (!ops || has_op(ops, "verify"));
    k->opens = (!use || (says && strcmp(says, "enc") == 0)) && (!ops || has_op(ops, "decrypt") || has_op(ops, "unwrapKey"));
    return k->signs || k->opens;
}

static struct jwk *read_key(const json_t *j)
{
    static const struct { const char *type; bool (*read)(const json_t *j, struct jwk *k); } types[] = { { "RSA", read_rsa }, { "EC", read_ec }, { "OKP", read_okp }, { "oct", read_oct } };
    const char *type = member(j, "kty");
    struct jwk *k = base_zalloc(1, sizeof *k);
    for (size_t i = 0; type && read_purpose(j, k) && i < countof(types); i++) {
        if (strcmp(type, types[i].type) != 0 || !types[i].read(j, k) || (!k->signs && !k->private && !k->secret)) continue;
        k->kid = copy(member(j, "kid"));
        k->alg = copy(member(j, "alg"));
        return k;
    }
    end_key(k);
    return NULL;
}

struct jwk_set *jwk_set_read(struct text json, const char **why_out, unsigned *unused_out)
{
    json_t *j = json_loadb(json.p, json.n, JSON_REJECT_DUPLICATES, NULL), *one;
    const json_t *list = json_object_get(j, "keys");
    size_t i;
    *unused_out = 0;
    if (!json_is_array(list)) {
        *why_out = "it is no JSON object with a list of keys";
        json_decref(j);
        return NULL;
    }
    struct jwk_set *s = base_zalloc(1, sizeof *s);
    s->end = &s->first;
    json_array_foreach(list, i, one) {
        struct jwk *k = read_key(one);
        if (!k) ++*unused_out;
        else *s->end = k, s->end = &k->next;
    }
    json_decref(j);
    return s;
}

/* ---- files ---- */

struct kept { struct kept *next; struct jwk_set *set; struct stat stat; uint64_t looked_ms; size_t path_n; char path[]; };
static struct kept *kept;        /* the last one used first */

static bool is_same(const struct stat *a, const struct stat *b)
{
    return a->st_ino == b->st_ino && a->st_dev == b->st_dev && a->st_size == b->st_size && a->st_mtim.tv_sec == b->st_mtim.tv_sec
        && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec && a->st_ctim.tv_sec == b->st_ctim.tv_sec && a->st_ctim.tv_nsec == b->st_ctim.tv_nsec;
}

static struct kept *take(struct text path)
{
    unsigned n = 0;
    for (struct kept **at = &kept; *at; at = &(*at)->next) {
        struct kept *k = *at;
        bool found = text_eq(text_of(k->path, k->path_n), path);
        if (!found && ++n < KEPT) continue;
        *at = k->next;
        if (found) return k;
        jwk_set_end(&k->set);
        free(k);
        return NULL;
    }
    return NULL;
}

static struct jwk_set *read_file(struct text path, struct stat *st, const char **why_out)
{
    struct jwk_set *s = NULL;
    unsigned unused = 0;
    int fd = open(path.p, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    *why_out = "it cannot be read";
    if (fd < 0) return NULL;
    errno = 0;
    if (fstat(fd, st) == 0 && S_ISREG(st->st_mode) && st->st_size <= FILE_MOST) {
        char *room = base_alloc((size_t) st->st_size + 1);
        ssize_t n = read(fd, room, (size_t) st->st_size);
        if (n >= 0) errno = 0, s = jwk_set_read(text_of(room, (size_t) n), why_out, &unused);
        explicit_bzero(room, (size_t) st->st_size);
        free(room);
    }
    close(fd);
    if (s && unused) log_at(log_main, L_WARN, NULL, 0, "%u keys of \"%s\" cannot be used", unused, path.p);
    return s;
}

const struct jwk_set *jwk_set_of_file(struct text path, uint64_t look_ms, const struct log *log, const struct log_about *about)
{
    struct stat st;
    const char *why = "it cannot be read";
    struct kept *k = take(path);
    bool recent = k && clock_now.ms - k->looked_ms < look_ms;
    bool fresh = recent || (k && stat(path.p, &st) == 0 && is_same(&st, &k->stat));
    if (k && !fresh) {
        jwk_set_end(&k->set);
        free(k);
        k = NULL;
    }
    if (!k) {
        struct jwk_set *set = read_file(path, &st, &why);
        if (!set) {
            log_at(log, L_ERR, about, errno, "keys of \"%.*s\" cannot be had: %s", TEXT_ARG(path), why);
            return NULL;
        }
        k = base_zalloc(1, sizeof *k + path.n);
        k->set = set;
        k->stat = st;
        k->path_n = path.n;
        memcpy(k->path, path.p, path.n);
    }
    if (!recent) k->looked_ms = clock_now.ms;
    k->next = kept;
    kept = k;
    return k->set;
}
