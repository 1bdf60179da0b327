/*
 * acme_store: the state folder of an issuer. account.json and account.key; for each certificate ID.pem, the chain and its key, and
 * ID.json, which says who issued it and when it is due. The master makes the folder (0700) and reads; the manager writes, each file whole (0600).
 * Whoever writes there may be the lesser user: what is read is a plain file, of bounded size, and no link.
 */
#include "modules/acme.h"
#include "os/file.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

bool acme_store_open(const struct acme_issuer *i, uid_t uid)
{
    const char *call;
    if (!i->folder.n || file_own_folder(i->folder.p, uid, &call) == 0) return true;
    log_at(log_main, L_EMERG, NULL, errno, "%s \"%.*s\" failed", call, TEXT_ARG(i->folder));
    return false;
}

static bool put_path(const struct acme_issuer *i, const char *name, const char *end, char *room)
{
    return i->folder.n && (size_t) snprintf(room, PATH_MAX, "%.*s/%s%s", TEXT_ARG(i->folder), name, end) < PATH_MAX;
}

static ssize_t read_plain(const char *path, char *room, size_t size)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
    if (fd < 0) return -1;
    size_t n = 0;
    ssize_t got = -1;
    if (fstat(fd, &st) == 0) {
        if (!S_ISREG(st.st_mode) || (uint64_t) st.st_size >= size) errno = EINVAL;
        else while (n < size && (got = read(fd, room + n, size - n)) > 0) n += (size_t) got;
    }
    int err = errno;
    close(fd);
    errno = err;
    return got < 0 ? -1 : (ssize_t) n;
}

struct acme_bytes acme_store_read(const struct acme_issuer *i, const char *name, const char *end)
{
    static char room[ACME_PEM_MOST];
    char path[PATH_MAX];
    struct acme_bytes b = { NULL, 0 };
    if (!put_path(i, name, end, path)) return b;
    ssize_t n = read_plain(path, room, sizeof room);
    if (n > 0) b = acme_bytes_copy(text_of(room, (size_t) n));
    else if (n < 0 && errno != ENOENT) log_at(log_main, L_WARN, NULL, errno, "\"%s\" cannot be used", path);
    if (n > 0) OPENSSL_cleanse(room, (size_t) n);
    return b;
}

bool acme_store_write(const struct acme_issuer *i, const char *name, const char *end, struct text t)
{
    char path[PATH_MAX];
    if (!i->folder.n) return true;
    if (put_path(i, name, end, path) && file_replace(path, t, 0600) == 0) return true;
    log_at(log_main, L_ERR, NULL, errno, "\"%s\" cannot be written: a restart would ask for it anew", path);
    return false;
}

/* ---- the account ---- */

static struct text member(const json_t *j, const char *name, size_t most)
{
    const json_t *v = json_object_get(j, name);
    return json_is_string(v) && json_string_length(v) <= most ? text_of(json_string_value(v), json_string_length(v)) : T("");
}

static json_t *read_json(const struct acme_issuer *i, const char *name)
{
    struct acme_bytes b = acme_store_read(i, name, ".json");
    json_t *j = b.n ? json_loadb(b.p, b.n, JSON_REJECT_DUPLICATES, NULL) : NULL;
    acme_bytes_end(&b);
    return j;
}

static void write_json(const struct acme_issuer *i, const char *name, json_t *j)
{
    char *text = json_dumps(j, JSON_INDENT(2) | JSON_SORT_KEYS);
    ASSERT(text);
    acme_store_write(i, name, ".json", text_c(text));
    free(text);
    json_decref(j);
}

bool acme_store_load_account(const struct acme_issuer *i, struct pool *pool, struct acme_account *out)
{
    json_t *j = read_json(i, "account");
    *out = (struct acme_account) { pool_text(pool, member(j, "of", 2 * ACME_URL_MOST)), pool_text(pool, member(j, "account", ACME_URL_MOST)), pool_text(pool, member(j, "contacts", ACME_CONTACTS_MOST)), { NULL, 0 } };
    json_decref(j);
    out->key = acme_store_read(i, "account", ".key");
    return out->kid.n || out->key.n;
}

static json_t *text_json(struct text t) { return json_stringn(t.p ? t.p : "", t.n); }

void acme_store_save_account(const struct acme_issuer *i, const struct acme_account *a)
{
    if (!i->folder.n) return;
    acme_store_write(i, "account", ".key", acme_bytes_text(a->key));
    write_json(i, "account", json_pack("{s:o,s:o,s:o}", "of", text_json(a->of), "account", text_json(a->kid), "contacts", text_json(a->contacts)));
}

/* ---- certificates ---- */

static const char *load(struct zone *z, struct acme_certificate *c, struct text chain, struct text key)
{
    struct acme_facts f;
    EVP_PKEY *k = acme_key_read(key);
    const char *wrong = k ? acme_chain_read(chain, k, &c->names, 0, &f) : "its key cannot be read";
    EVP_PKEY_free(k);
    if (wrong) return wrong;
    json_t *j = read_json(c->issuer, c->id.p);
    struct acme_plan p = { .due_s = json_integer_value(json_object_get(j, "renew_at")), .ask_s = json_integer_value(json_object_get(j, "ask_at")) };
    acme_shelf_set_plan(c->shelf, p);
    acme_shelf_put(z, c->shelf, member(j, "directory", ACME_URL_MOST), chain, key);
    json_decref(j);
    return NULL;
}

/* The key stands behind the chain. */
void acme_store_load(struct zone *z, struct acme_certificate *c)
{
    struct acme_bytes b = acme_store_read(c->issuer, c->id.p, ".pem");
    struct text t = acme_bytes_text(b);
    ssize_t at = text_find(t, T("-----BEGIN PRIVATE KEY-----"));
    const char *wrong = !b.n ? NULL : at < 0 ? "it has no key" : load(z, c, text_upto(t, (size_t) at), text_from(t, (size_t) at));
    if (wrong) log_at(log_main, L_WARN, NULL, 0, "\"%.*s/%.*s.pem\" is not used: %s", TEXT_ARG(c->issuer->folder), TEXT_ARG(c->id), wrong);
    acme_bytes_end(&b);
}

void acme_store_save_plan(struct acme_certificate *c)
{
    struct acme_plan p = acme_shelf_plan(c->shelf);
    if (c->issuer->folder.n)
        write_json(c->issuer, c->id.p, json_pack("{s:o,s:I,s:I}", "directory", text_json(c->issuer->url.text), "renew_at", (json_int_t) p.due_s, "ask_at", (json_int_t) p.ask_s));
}

/* In one file, so that nobody sees one without the other. */
void acme_store_save(struct acme_certificate *c, struct text chain, struct text key)
{
    struct acme_bytes both = { base_alloc(chain.n + key.n + 2), chain.n + key.n + 1 };
    memcpy(both.p, chain.p, chain.n);
    both.p[chain.n] = '\n';
    memcpy(both.p + chain.n + 1, key.p, key.n);
    if (acme_store_write(c->issuer, c->id.p, ".pem", acme_bytes_text(both))) acme_store_save_plan(c);
    acme_bytes_end(&both);
}
