#include "tls/vault.h"
#include "tls/pair.h"
#include <sys/mman.h>
#include <unistd.h>

struct vault_key *vault_keys;
void (*vault_added)(int fd);
static bool on;

void vault_use(bool wanted) { on = wanted; }
bool vault_is_on(void) { return on; }

bool vault_id_of(EVP_PKEY *key, unsigned char id[VAULT_ID])
{
    unsigned char *der = NULL;
    int n = i2d_PUBKEY(key, &der);
    bool fine = n > 0 && EVP_Digest(der, (size_t) n, id, NULL, EVP_sha256(), NULL) == 1;
    OPENSSL_free(der);
    return fine;
}

static struct vault_key *find(const unsigned char *id)
{
    struct vault_key *k = vault_keys;
    while (k && memcmp(k->id, id, VAULT_ID) != 0) k = k->next;
    return k;
}

void vault_hold(const unsigned char *id)
{
    struct vault_key *k = find(id);
    if (k) k->holds++;
}

/* wipe: the memory is there. */
static void end(struct vault_key *k, bool wipe)
{
    if (wipe) {
        OPENSSL_cleanse(k->der, k->n);
        munmap(k->der, k->size);
    }
    free(k);
}

void vault_release(const unsigned char *id)
{
    struct vault_key **at = &vault_keys;
    while (*at && memcmp((*at)->id, id, VAULT_ID) != 0) at = &(*at)->next;
    struct vault_key *k = *at;
    if (!k || --k->holds) return;
    *at = k->next;
    end(k, true);
}

void vault_leave(bool wipe)
{
    on = false;
    for (struct vault_key *next; vault_keys; vault_keys = next) {
        next = vault_keys->next;
        end(vault_keys, wipe);
    }
}

/* Children are forked with the key's description, but without its memory: there k->der points nowhere, and is not looked at. */
static struct vault_key *make(const unsigned char *id, size_t n)
{
    size_t page = (size_t) sysconf(_SC_PAGESIZE), size = (n + page - 1) / page * page;
    void *room = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (room == MAP_FAILED) return NULL;
    if (madvise(room, size, MADV_DONTFORK) != 0 || madvise(room, size, MADV_DONTDUMP) != 0) {
        munmap(room, size);
        return NULL;
    }
    mlock(room, size);               /* where the limit allows it */
    struct vault_key *k = base_zalloc(1, sizeof(*k));
    *k = (struct vault_key) { .next = vault_keys, .n = n, .size = size, .der = room };
    memcpy(k->id, id, VAULT_ID);
    return vault_keys = k;
}

/* By memory that has no name: no copy lies in a buffer of ours. */
static void hand_over(const struct vault_key *k)
{
    int fd = vault_added ? memfd_create("key", MFD_CLOEXEC) : -1;
    if (fd < 0) return;
    if (write(fd, k->der, k->n) == (ssize_t) k->n) vault_added(fd);
    close(fd);
}

static EVP_PKEY *put(EVP_PKEY *key, const unsigned char *id, int n)
{
    struct vault_key *k = make(id, (size_t) n);
    if (!k) return NULL;
    unsigned char *p = k->der;
    k->holds = 1;
    EVP_PKEY *standin = i2d_PrivateKey(key, &p) == n ? standin_open(key) : NULL;
    if (standin) hand_over(k);
    vault_release(id);               /* who stands in holds it */
    return standin;
}

static EVP_PKEY *replace(EVP_PKEY *key, int n)
{
    unsigned char id[VAULT_ID];
    return !vault_id_of(key, id) ? NULL : find(id) ? standin_open(key) : put(key, id, n);
}

const char *vault_take(EVP_PKEY **key)
{
    ASSERT(on);
    if (standin_is(*key)) return NULL;
    tls_wipe(true);
    int n = i2d_PrivateKey(*key, NULL);
    EVP_PKEY *standin = n > 0 ? replace(*key, n) : NULL;
    if (n <= 0) ERR_clear_error();   /* not even we can read it */
    else EVP_PKEY_free(*key);
    tls_wipe(false);
    if (n <= 0) return NULL;
    *key = standin;
    return standin ? NULL : "it cannot be kept apart (\"ssl_key_isolation\")";
}

void vault_share(bool shared)
{
    for (struct vault_key *k = vault_keys; k; k = k->next)
        if (madvise(k->der, k->size, shared ? MADV_DOFORK : MADV_DONTFORK) != 0) ASSERT(!"a key's memory is left to children");
}
