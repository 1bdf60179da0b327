/*
 * acme's rooms: certificates from an ACME server (RFC 8555), without anybody's doing.
 *
 * Glossary
 *   issuer       an acme_issuer block: the server, our account there, how names are proved.
 *   certificate  what acme_certificate asks for: names, and the type of its key. Servers that ask for the same share it.
 *   shelf        a certificate's place in shared memory: the pair in force, the order under way, when it is due. Outlives reloads.
 *   desk         an issuer's place in shared memory: the account; and which manager works for it, since two run side by side in a reload.
 *   challenge    what proves that a name is ours: lies in shared memory, where every worker finds it.
 *   agent        what works for one issuer in the manager, one job at a time; call: one request of its and the answer.
 *
 *   acme_jws, acme_answer   pure: what is signed (RFC 7515), what servers answer (JSON)
 *   acme_key                keys, requests and certificates
 *   acme_zone, acme_store   shared memory; the state folder
 *   acme_issuer, acme       rows; acme_open: the master's part
 *   acme_call < acme_account < acme_order < acme_agent   the manager's part
 */
#ifndef MODULES_ACME_H
#define MODULES_ACME_H

#include "modules/module.h"
#include "event/resolve.h"
#include "event/thread.h"
#include "http/fetch.h"
#include "http/vhost.h"
#include "process/cycle.h"
#include "tls/issued.h"
#include <jansson.h>
#include <openssl/evp.h>

enum {
    ACME_URL_MOST = 1024, ACME_TOKEN_MOST = 256, ACME_NAMES_MOST = 100, ACME_NAME_MOST = 255, ACME_CONTACTS_MOST = 1024, ACME_CHALLENGES_MOST = 1000,
    ACME_ANSWER_MOST = 128 << 10, ACME_PEM_MOST = 64 << 10, ACME_SECRET_MOST = 1 << 14, ACME_DETAIL_MOST = 400, ACME_NONCE_MOST = 256,
};

/* Bytes of the heap, some of them secret. acme_bytes_end wipes, frees and empties. */
struct acme_bytes { char *p; size_t n; };
struct acme_bytes acme_bytes_copy(struct text t);
void acme_bytes_end(struct acme_bytes *b);
static inline struct text acme_bytes_text(struct acme_bytes b) { return text_of(b.p, b.n); }

/* An identifier (RFC 8555 7.1.4, RFC 8738): a DNS name in lower case, or an address as inet_ntop has it. */
struct acme_name { bool ip; struct text text; };
struct acme_names { struct acme_name *v; size_t n, cap; };

/* ---- acme_key: keys, requests, certificates ---- */

struct acme_kind { const char *name, *group; unsigned bits; };      /* group: of the curve; NULL: RSA */
/* "ecdsa", "ecdsa:384", "rsa:4096" …; NULL: none of these. */
const struct acme_kind *acme_kind_read(struct text t);
/* NULL: OpenSSL's errors tell why. */
EVP_PKEY *acme_key_make(const struct acme_kind *k);
EVP_PKEY *acme_key_read(struct text pem);
struct acme_bytes acme_key_write(EVP_PKEY *key);
/* A request for a certificate (RFC 2986), DER. False: OpenSSL's errors tell why. */
bool acme_key_request(EVP_PKEY *key, const struct acme_names *names, bool common_name, struct build *der);
/* A certificate that key signs itself, PEM: until there is a better one; with a digest (32 bytes): RFC 8737 3, for a challenge. */
bool acme_key_certificate(EVP_PKEY *key, const struct acme_names *names, const unsigned char *digest, struct build *pem);

struct acme_facts { int64_t from_s, to_s; char id[256]; };      /* id: RFC 9773 4.1; empty: it cannot be named */
/* What a chain (PEM) says. NULL, or what is wrong: its first certificate must be that of key (NULL: any), bear all names and not be expired. */
const char *acme_chain_read(struct text pem, EVP_PKEY *key, const struct acme_names *names, int64_t now_s, struct acme_facts *out);
/* Was its topmost certificate issued by somebody of this common name? */
bool acme_chain_ends_at(struct text pem, struct text name);

/* ---- acme_jws: what is signed ---- */

/* The algorithm of a key's signatures (RFC 7518 3.1); NULL: none that ACME servers take. */
const char *acme_jws_alg(const EVP_PKEY *key);
/* RFC 7638 3: the public key, its members in order. */
bool acme_jws_jwk(const EVP_PKEY *key, struct build *b);
/* RFC 8555 8.1: token.thumbprint */
bool acme_jws_authorization(const EVP_PKEY *key, struct text token, struct build *b);
/* RFC 8555 6.2: payload for url, as JSON; kid empty: the key itself is told. False: it cannot be signed. */
bool acme_jws_sign(EVP_PKEY *key, struct text kid, struct text nonce, struct text url, struct text payload, struct build *b);
/* RFC 8555 7.3.4: the account's key under a key that both know. */
bool acme_jws_bind(const EVP_PKEY *key, struct text kid, struct text secret, struct text url, struct build *b);

/* ---- acme_answer: what servers say. All texts lie in pool and are bounded; addresses are "https://". NULL, or what is wrong ---- */

struct acme_url { struct text text, host, target; uint16_t port; };     /* host: without port and brackets */
bool acme_url_read(struct text t, struct pool *pool, struct acme_url *out);

struct acme_directory { struct text new_nonce, new_account, new_order, renewal_info, terms; bool wants_binding, has_profiles; json_t *profiles; };
const char *acme_answer_directory(struct text json, struct pool *pool, struct acme_directory *out);
bool acme_answer_has_profile(const struct acme_directory *d, struct text name);

enum acme_status { ACME_PENDING, ACME_READY, ACME_PROCESSING, ACME_VALID, ACME_INVALID, ACME_DEACTIVATED, ACME_EXPIRED, ACME_REVOKED };
/* RFC 7807: made fit for log lines. type: without "urn:ietf:params:acme:error:" */
struct acme_problem { char type[64], detail[ACME_DETAIL_MOST]; };
bool acme_answer_problem(struct text json, struct acme_problem *out);

struct acme_order { enum acme_status status; struct text finalize, certificate, *authorizations; size_t count; struct acme_problem problem; };
const char *acme_answer_order(struct text json, struct pool *pool, struct acme_order *out);

struct acme_authorization { enum acme_status status, challenge; struct acme_name name; bool wildcard; struct text url, token; struct acme_problem problem; };
/* type: of the challenge looked for; url empty: it is not offered. */
const char *acme_answer_authorization(struct text json, struct text type, struct pool *pool, struct acme_authorization *out);
const char *acme_answer_account(struct text json, enum acme_status *out);
/* RFC 9773 4.2 */
struct acme_window { int64_t from_s, to_s; char why[ACME_DETAIL_MOST]; };      /* why: an address with an explanation, or empty */
const char *acme_answer_window(struct text json, struct acme_window *out);
/* RFC 3339 */
bool acme_answer_time(struct text t, int64_t *out);

/* ---- what is configured ---- */

struct acme_key_word { const struct acme_kind *kind; struct text path; };      /* to be made; or read from a file */
struct acme_issuer_conf {
    struct text          uri, preferred_chain, trusted, state_path, profile, kid;
    struct text          bind_path;                  /* external_account_key: a file, or "data:" and the key */
    struct acme_key_word account_key;
    int                  challenge;                  /* enum acme_challenge_kind */
    struct conf_texts    contacts;
    flag                 common_name, verify, agrees, require_profile;
    struct acme_retry { uint64_t least_ms, most_ms; } retry;
};
enum acme_challenge_kind { ACME_HTTP_01, ACME_TLS_ALPN_01 };

struct acme_agent; struct acme_shelf; struct acme_desk;
struct acme_issuer {
    struct acme_issuer       *next;
    struct text               name;
    struct conf_block        *block;
    const char               *file;                  /* where it stands; NULL: it was only named so far */
    unsigned                  line;
    const struct acme_issuer_conf *conf;             /* once the configuration is whole */
    struct acme_url           url;
    struct text               folder;                /* full path; empty: state_path off */
    struct acme_bytes         binding;               /* the secret of external_account_key */
    struct acme_bytes         account_pem;           /* of account_key FILE */
    struct tls_context       *tls;
    struct acme_desk         *desk;
    struct acme_certificate  *first, **end;
    struct acme_agent        *agent;                 /* in the manager */
};
struct acme_certificate {
    struct acme_certificate *next;
    struct acme_issuer      *issuer;
    struct acme_names        names;
    const struct acme_kind  *kind;
    struct text              id;                     /* of its files and shelf: the first name, and a digest of all */
    struct acme_shelf       *shelf;
    struct tls_issued        issued;
    struct acme_bytes        chain, key;             /* what issued shows, until contexts were made */
    uint64_t                 handed;                 /* version of the pair that this manager has given to the workers */
};
struct acme_conf {
    /* of the top alone */
    struct acme_issuer *first, **end;
    struct text         zone_name;
    uint64_t            zone_size;
    struct zone        *zone;
    struct acme_challenges *challenges;
    const struct resolver_values *resolver;
    /* of a server */
    struct acme_want { struct acme_issuer *issuer; const struct acme_kind *kind; struct acme_names names; const char *file; unsigned line; } want;
    struct acme_certificate *certificate;
};
extern struct module acme_module, acme_issuer_module;
struct acme_conf *acme_top(const struct conf *cf);
/* An identifier as it is written. NULL, or what is wrong with it. */
const char *acme_name_read(struct pool *pool, struct text t, struct acme_name *out);
/* The block of an acme_issuer. */
conf_result acme_issuer_read(struct conf *cf, struct acme_issuer *i);
/* Before it is used; false after [emerg] lines. */
bool acme_issuer_check(struct conf *cf, struct acme_issuer *i);

/* ---- acme_zone: in shared memory ---- */

/* In the master. False after an [emerg] line. */
bool acme_zone_open(struct acme_conf *top);
bool acme_zone_place(struct acme_conf *top, struct acme_issuer *i);      /* the desk, and the shelves */

/* The manager that works for an issuer: true when it is this process. To be called each second; who dies or is silent loses it. */
bool acme_desk_take(struct acme_desk *d);
void acme_desk_leave(struct acme_desk *d);
/* The account. Texts: in pool; key to be ended. of: the server and the key that it belongs to. */
struct acme_account { struct text of, kid, contacts; struct acme_bytes key; };
struct acme_account acme_desk_account(struct acme_desk *d, struct pool *pool);
bool acme_desk_set_account(struct zone *z, struct acme_desk *d, const struct acme_account *a);      /* false: the zone is full */

/* Not under the lock: numbers that the manager alone changes. */
/* taken_s: when it came. ask_s: for renewal information, 0: never. least_s: the server wants nothing before. alone: "replaces" was refused. */
struct acme_plan { int64_t due_s, ask_s, taken_s, least_s; uint32_t fails; bool alone; };
struct acme_plan acme_shelf_plan(struct acme_shelf *s);
void acme_shelf_set_plan(struct acme_shelf *s, struct acme_plan p);
uint64_t acme_shelf_version(const struct acme_shelf *s);                       /* 0: there is no pair */
bool acme_shelf_put(struct zone *z, struct acme_shelf *s, struct text uri, struct text chain, struct text key);
/* Copies, to be ended; key may be NULL. False: there is none. *version_out may be NULL. */
bool acme_shelf_get(struct acme_shelf *s, struct acme_bytes *chain_out, struct acme_bytes *key_out, uint64_t *version_out);
bool acme_shelf_is_of(struct acme_shelf *s, struct text uri);                  /* did the server at uri issue it? */
/* The order under way: its address, and the key that its certificate will have, if it was made already. url empty: none. */
bool acme_shelf_set_order(struct zone *z, struct acme_shelf *s, struct text url, struct text key);
bool acme_shelf_order(struct acme_shelf *s, struct acme_bytes *url_out, struct acme_bytes *key_out);

struct acme_challenge { enum acme_challenge_kind kind; struct text name, token, authorization, chain, key; };
bool acme_challenge_put(struct acme_conf *top, const struct acme_challenge *c);
void acme_challenge_drop(struct acme_conf *top, struct text token);
/* In a worker. Empty, false: there is none of that token, of that server name. */
struct text acme_challenge_answer(struct acme_conf *top, struct text token, struct pool *pool);
bool acme_challenge_pair(struct acme_conf *top, struct text name, struct acme_bytes *chain_out, struct acme_bytes *key_out);

/* ---- acme_store: the state folder ---- */

/* In the master: made, and owned by who writes there. False after an [emerg] line. */
bool acme_store_open(const struct acme_issuer *i, uid_t uid);
/* A private file of the folder; n 0: it is not there, or after a [warn] line cannot be used. */
struct acme_bytes acme_store_read(const struct acme_issuer *i, const char *name, const char *end);
/* Atomically, 0600. A failure is an [error] line: what is in memory serves on. */
bool acme_store_write(const struct acme_issuer *i, const char *name, const char *end, struct text t);
bool acme_store_load_account(const struct acme_issuer *i, struct pool *pool, struct acme_account *out);
void acme_store_save_account(const struct acme_issuer *i, const struct acme_account *a);
/* The pair of c and its plan, onto its shelf. */
void acme_store_load(struct zone *z, struct acme_certificate *c);
void acme_store_save(struct acme_certificate *c, struct text chain, struct text key);
void acme_store_save_plan(struct acme_certificate *c);

/* ---- acme_open: the master's part ---- */

bool acme_open(struct cycle *c);

/* ---- acme_agent and below: the manager's part ---- */

enum acme_fault { ACME_UNREACHED, ACME_WRONG, ACME_REFUSED };       /* the network; an answer that is none; an answer that says no */

struct acme_reply {
    unsigned            status;
    struct text         body, location;
    int64_t             retry_s;               /* Retry-After, seconds from now; 0: none */
    bool                refused;               /* status 400 and above: problem tells why */
    struct acme_problem problem;
    const struct fields *fields;
};
typedef void acme_done(struct acme_agent *a, const struct acme_reply *r);

struct acme_agent {
    struct acme_issuer    *issuer;
    struct acme_conf      *top;
    const char            *doing;              /* for log lines: "creating the account"; NULL: nothing */
    struct pool           *pool;               /* of the job */
    struct acme_certificate *certificate;      /* that the job is for */
    uint64_t               until_ms;           /* when the job is given up */
    bool                   leaving;            /* this manager ends: no more calls */
    bool                   took;               /* the desk was ours before */
    struct timer           timer;
    acme_done             *then;               /* after the timer */
    bool                   asking;             /* the job is to ask when to renew (RFC 9773), not to renew */
    /* acme_call */
    struct {
        acme_done         *done;
        struct acme_url    url;
        struct text        payload;
        bool               post, bare, signing_nonce;   /* bare: RFC 8555 6.2, without the account's address */
        unsigned           tries;
        struct lookup      lookup;
        struct fetch      *fetch;
        struct fetch_kept  kept;
        char               at[320];            /* host:port that addrs and kept are of */
        struct pool       *pool;               /* of one call */
        struct addr        addrs[4];
        size_t             addr_count, addr;
    } call;
    char                   nonce[ACME_NONCE_MOST];
    /* acme_account */
    struct pool           *directory_pool;
    struct acme_directory  directory;
    acme_done             *after_directory, *after_account;
    uint64_t               directory_ms;
    EVP_PKEY              *key;
    struct acme_bytes      kid;
    bool                   key_is_file, account_renewed;
    struct { struct thread_job job; const struct acme_kind *kind; EVP_PKEY *key; bool on, orphan; void (*made)(struct acme_agent *a, EVP_PKEY *key); } making;
    /* acme_order */
    struct acme_order      order;
    struct text            order_url, *tokens;
    size_t                 at, polls;
    EVP_PKEY              *new_key;
    struct acme_bytes      chain;
    struct text            alternates[8];
    size_t                 alternate_count;
};

/* Calls: POST (signed; payload empty: POST-as-GET) or GET. done is called once, never at once, with whatever the server answered; where no
 * answer came, or none that makes sense, the job ends by acme_agent_fail. */
void acme_call_post(struct acme_agent *a, struct text url, struct text payload, acme_done *done);
void acme_call_get(struct acme_agent *a, struct text url, acme_done *done);
/* With the key itself in place of the account's address. */
void acme_call_bare(struct acme_agent *a, struct text url, struct text payload, acme_done *done);
void acme_call_end(struct acme_agent *a);

/* A directory and an account, then then(a, NULL). */
void acme_account_need(struct acme_agent *a, acme_done *then);
void acme_directory_need(struct acme_agent *a, acme_done *then);
/* Is the problem the account's? Then it is made anew, and the job begins once more; false: it is not, or that was tried. */
bool acme_account_lost(struct acme_agent *a, const struct acme_reply *r, acme_done *again);
/* Ends what the agent holds of them. */
void acme_account_end(struct acme_agent *a);

void acme_order_begin(struct acme_agent *a, const struct acme_reply *none);
void acme_order_end(struct acme_agent *a);

/* The job is over. */
void acme_agent_fail(struct acme_agent *a, enum acme_fault how, int64_t retry_s, const char *fmt, ...) __attribute__((format(printf, 4, 5)));
void acme_agent_refused(struct acme_agent *a, const struct acme_reply *r);
void acme_agent_done(struct acme_agent *a);
/* then(a, NULL) after ms. */
void acme_agent_wait(struct acme_agent *a, uint64_t ms, acme_done *then);
/* A key, made in a thread. */
void acme_agent_make_key(struct acme_agent *a, const struct acme_kind *k, void (*made)(struct acme_agent *a, EVP_PKEY *key));
/* A certificate has come: kept, planned, and handed to the workers. */
void acme_agent_take(struct acme_agent *a, struct text chain, const struct acme_facts *f);

void acme_agents_start(struct cycle *c);
void acme_agents_second(struct cycle *c);
void acme_agents_quit(struct cycle *c);

#endif
