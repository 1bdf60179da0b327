/*
 * tls: sessions over conns. A conn that has one is read, written and shut down by the same calls as before.
 *
 * Glossary
 *   context  what one server, or one upstream, agrees to: certificates, keys, protocols, ciphers, whom it trusts. Made from
 *            typed settings while a configuration is read; every session made from it keeps it alive.
 *   session  the TLS side of one conn: its layer. It ends with the conn.
 *   cache    sessions in shared memory, by their id, for all workers and generations.
 *   tickets  the keys that tickets are made with; shared, rotated by the manager, or from files.
 *   pair     a certificate, those between it and a root, and its key.
 *   swaps    pairs put into shared memory at run time, which the contexts of all workers take in place of those of the same name.
 *
 * Bytes on the wire are gathered: what one call has to say (a flight of the handshake, the records of one conn_send) leaves by
 * one system call. What the kernel refuses is kept by the session, which then takes no more until it is gone.
 */
#ifndef TLS_TLS_H
#define TLS_TLS_H

#include "base/pool.h"
#include "event/event.h"
#include "os/shm.h"

struct ssl_st;          /* OpenSSL's SSL, SSL_CTX, SSL_SESSION */
struct ssl_ctx_st;
struct ssl_session_st;

struct tls_context;
struct tls_cache;
struct tls_tickets;

/* ---- settings ---- */

enum { TLS_V1 = 1, TLS_V1_1 = 2, TLS_V1_2 = 4, TLS_V1_3 = 8 };
enum tls_verify { TLS_VERIFY_OFF, TLS_VERIFY_ON, TLS_VERIFY_OPTIONAL, TLS_VERIFY_OPTIONAL_NO_CA };
enum tls_caching { TLS_CACHE_NONE, TLS_CACHE_OFF, TLS_CACHE_BUILTIN, TLS_CACHE_SHARED };   /* NONE: ids are given, none is kept */

/* certificate: a full path, or "data:" and PEM. key: these, "store:" and a uri of an OpenSSL store, or "engine:NAME:ID". */
struct tls_pair { struct text certificate, key; };
/* What pairs are read with. */
struct tls_pair_cache;
struct tls_keyring {
    const struct text     *passwords;       /* tried in order on encrypted keys */
    size_t                 password_count;
    struct tls_pair_cache *cache;           /* for pairs named by variables; NULL: each is read anew */
};
struct tls_command { struct text name, value; };        /* SSL_CONF_cmd(3) */

/* The user's part in a handshake; all may be NULL. None may close a conn. */
struct tls_counts;

struct tls_hooks {
    /* The client's name for the server (lower case, without a dot at its end; empty: it gave none), before anything is
     * agreed on. The context to go on with; NULL: refused with unrecognized_name. */
    struct tls_context *(*server_name)(struct conn *c, struct text name);
    /* What we speak, most wanted first, in wire form (RFC 7301 3.1); empty: nothing is answered. */
    struct text (*alpn)(struct conn *c);
    /* For contexts that are late: now say the pair, by tls_present. False: the handshake fails. */
    bool (*pair)(struct conn *c);
    /* The client speaks acme-tls/1 and nothing else (RFC 8737 3): presents the certificate that it looks for, by tls_present_only.
     * False: it looks in vain, and the handshake goes its usual way. */
    bool (*challenge)(struct conn *c, struct text name);
    /* Client side: a session that tls_connect may resume later, for so many seconds; DER, valid during the call. */
    void (*session)(struct conn *c, struct text der, uint64_t seconds);
    /* Where what becomes of the handshake is counted besides the metrics; NULL: nowhere. Any time before its end. */
    struct tls_counts *(*counts)(struct conn *c);
};

/* Records that begin small, so that a client can read the first of them when few packets are there: low bytes each for so many
 * records, then high for as many, then what a record may have; anew after a pause. The field's "dynamic record size". */
struct tls_ramp {
    size_t   low, high;
    unsigned records;         /* 0: no ramp */
    uint64_t pause_ms;
};

struct tls_settings {
    bool                      server;
    const struct tls_pair    *pairs;            size_t pair_count;
    const struct text        *names;            /* of the pairs, in swaps, or empty: a certificate's path is its name. NULL: all are */
    bool                      late;             /* no pairs now: hooks->pair says one for each session */
    struct tls_keyring        ring;
    struct tls_swaps         *swaps;            /* pairs read from files are replaced by those put under the certificate's path; NULL: never */
    const struct tls_command *commands;         size_t command_count;
    unsigned                  protocols;        /* TLS_V1 | …; 0: TLS 1.2 and 1.3 */
    struct text               ciphers;          /* TLS 1.2 and below; empty: the library's */
    bool                      prefer_server;    /* our order of ciphers */
    struct text               curves;           /* empty, "auto": the library's */
    struct text               dhparam;          /* file; empty: no DHE */
    enum tls_verify           verify;           /* clients: not OFF means on */
    unsigned                  depth;            /* 0: the library's, unless limit_depth */
    bool                      limit_depth;
    struct text               client_ca;        /* file: trusted, its names are sent to clients */
    struct text               trusted;          /* file: trusted */
    bool                      system_trusted;   /* the system's authorities, where trusted is empty */
    struct text               crl;              /* file */
    enum tls_caching          caching;
    struct tls_cache         *cache;            /* for SHARED */
    size_t                    builtin;          /* sessions kept, for BUILTIN; 0: the library's 20480 */
    bool                      no_tickets;
    struct tls_tickets       *tickets;          /* NULL: keys of this context's own */
    uint64_t                  session_ms;       /* how long sessions and tickets are good; 0: 5 minutes */
    bool                      compress;         /* certificates, where tls_compresses */
    bool                      early;            /* servers take 0-RTT data (RFC 8446 2.3), which may be a replay */
    void                    (*key_line)(void *arg, struct text line);   /* secrets of sessions, as NSS logs them; NULL: not told */
    void                     *key_arg;
    size_t                    record;           /* most bytes in a record; 0: 16384 */
    struct tls_ramp           ramp;
    struct text               id;               /* sessions are good for contexts of the same id, certificates and CAs only */
    const struct tls_hooks   *hooks;
};

/* NULL after [emerg] lines to log. Keeps nothing of s but hooks, cache and tickets, which must outlive it and its sessions. */
struct tls_context *tls_context_open(const struct tls_settings *s, const struct log *log);
/* Before the first key is read: private parts of keys then lie in memory that is in no core dump, not swapped where the system
 * allows it, and wiped when freed. Room for this many keys, and as many again for reloads, twice. Later calls change nothing. */
void tls_protect_keys(size_t keys);
/* From now on the engine called name does what it can, in this process and its children. False after an [emerg] line, which tells of
 * the place that asked for it. */
bool tls_engine_use(struct text name, const char *file, unsigned line, const struct log *log);
/* Can certificates be compressed (RFC 8879)? */
bool tls_compresses(void);
/* Sessions made from it live on. NULL is fine. */
void tls_context_close(struct tls_context **x);
struct ssl_ctx_st *tls_context_raw(struct tls_context *x);

/* ---- handshake ---- */

enum tls_outcome {
    TLS_READY,      /* c->ready is the owner's again; c->readable tells whether bytes came along */
    TLS_PLAIN,      /* the client does not speak TLS: c is plain again, what it said is given */
    TLS_FAILED,     /* logged; close c */
};
/* The last thing done with c in a turn: the owner may close c in it, and in it only what was given lasts. */
typedef void tls_done(struct conn *c, enum tls_outcome outcome, struct text said);

/* Begins the handshake of an accepted, plain conn. Until done is called (perhaps before this returns) c->ready is ours, but
 * for CONN_TIMEOUT, which the owner is told: the time is its own to limit. first: bytes that the owner has read already (they
 * came along with a PROXY header); copied. */
void tls_accept(struct conn *c, struct tls_context *x, struct text first, tls_done *done);

struct tls_target {
    struct text name;        /* server name to send; empty: none */
    struct text verify;      /* name (or address) that the certificate must bear; empty: any. Only where the context verifies */
    struct text session;     /* DER of one to resume; empty: none */
    struct text alpn;        /* wire form; empty: none */
    uint64_t    tag;         /* the owner's: tls_tag tells it */
    const struct tls_pair    *pair;      /* to show instead of the context's; NULL: that */
    const struct tls_keyring *ring;      /* for pair */
};
/* The same as a client, on a connected conn. An unverified or misnamed certificate is a failure. */
void tls_connect(struct conn *c, struct tls_context *x, const struct tls_target *to, tls_done *done);

/* In hooks->pair: what this session shows. False after an [error] line. */
bool tls_present(struct conn *c, const struct tls_pair *p, const struct tls_keyring *ring);
/* In hooks->challenge: the same, in place of all that its context has. */
bool tls_present_only(struct conn *c, const struct tls_pair *p, const struct tls_keyring *ring);

/* At most max pairs of paths, in this process; one that was not asked for during inactive_ms goes, after valid_ms it is read anew. */
struct tls_pair_cache *tls_pair_cache_open(unsigned max, uint64_t inactive_ms, uint64_t valid_ms);
void tls_pair_cache_close(struct tls_pair_cache **k);

/* ---- facts, of a conn that has a session (tls_is_on) ---- */

extern const struct conn_ops conn_tls;
static inline bool tls_is_on(const struct conn *c) { return c->ops == &conn_tls; }
struct ssl_st      *tls_raw(struct conn *c);
uint64_t    tls_tag(struct conn *c);              /* of the tls_target; may be asked in hooks */
struct tls_context *tls_context_of(struct conn *c);    /* that server_name chose */
struct text tls_name(struct conn *c);             /* the server name given; empty: none */
struct text tls_alpn(struct conn *c);             /* agreed on; empty: none */
const char *tls_protocol(struct conn *c);         /* "TLSv1.3" */
const char *tls_cipher(struct conn *c);
bool        tls_is_challenge(struct conn *c);     /* hooks->challenge agreed: nothing may be said over it */
bool        tls_is_resumed(struct conn *c);
bool        tls_is_truncated(struct conn *c);     /* IO_EOF came without close_notify (RFC 8446 6.1) */
/* A good certificate of the peer, or none: 0; else OpenSSL's number of what is wrong. */
long        tls_peer_result(struct conn *c);
bool        tls_peer_came(struct conn *c);        /* it gave a certificate */
/* Is result only that nobody whom we trust has signed? */
bool        tls_result_is_untrusted(long result);
const char *tls_result_words(long result);
/* For the metrics: a peer was refused because of its certificate; 0: it had to show one. */
void tls_count_fault(struct conn *c, long result);
/* The session is not to be resumed. */
void        tls_forget(struct conn *c);
/* What is wrong with the peer's certificate: NULL when it is good; "NONE" when none was given. */
const char *tls_peer_fault(struct conn *c);

/* The owner was told by others that a certificate which is good in itself is not to be trusted: tls_peer_fault says why from then on,
 * tls_peer_distrust as well; NULL: nobody said so. why lasts. */
void        tls_distrust(struct conn *c, const char *why);
const char *tls_peer_distrust(struct conn *c);

/* Who waits for something beside a session: at most one. end: the session ends, and it is to be forgotten. */
struct tls_guest { void (*end)(struct tls_guest *g); };
void        tls_invite(struct conn *c, struct tls_guest *g);      /* NULL: nobody any more */

/* Is all that the client said until now 0-RTT data: may it be a replay? */
bool        tls_is_early(struct conn *c);

/* The scheme of our signature in the handshake, of the peer's, of a number; NULL: none, or not known. */
const char *tls_sigalg(struct conn *c);
const char *tls_peer_sigalg(struct conn *c);
const char *tls_sigalg_name(unsigned code);

/* Hellos of clients are to be remembered by their fingerprints: said while a configuration is read, for good. */
void        tls_want_fingerprints(void);
struct text tls_ja3(struct conn *c);              /* the text that is hashed; empty: not known */
struct text tls_ja4(struct conn *c);

/* ---- swaps: pairs that change at run time, in all workers ---- */

/* What lies in z as "tls-swaps". Opened by the master before the contexts that are to follow it. NULL: the zone is too small. */
struct tls_swaps *tls_swaps_open(struct zone *z);
/* From any process that may read it: the pair is to take the place of the one whose certificate's path is name, in all contexts
 * opened with these swaps. It must be whole, match, and not be expired, else false after one [error] line and nothing changes.
 * Keys of a store or engine cannot be handed over. The zone holds a copy of each name's newest pair. */
bool tls_swaps_put(struct tls_swaps *k, struct text name, const struct tls_pair *p, const struct tls_keyring *ring, const struct log *log);
/* In each worker, when it starts and about once a second: the contexts of this process take what is newer than their own. Sessions
 * that are open keep what they have; tickets and ids stay good. How many pairs changed. Costs one read when there is nothing new. */
unsigned tls_swaps_take(struct tls_swaps *k, const struct log *log);

/* ---- cache ---- */

/* The cache that lives in z as "tls-sessions". NULL: the zone is too small. */
struct tls_cache *tls_cache_open(struct zone *z);
struct tls_cache_figures { uint64_t stored, found, missed, evicted; unsigned now; };
struct tls_cache_figures tls_cache_figures(struct tls_cache *cache);

/* For sessions of ours with servers: one under each name (at most 32 bytes), the last. What is longer than TLS_SESSION_MOST is not kept. */
enum { TLS_SESSION_MOST = 8192 };
void   tls_cache_keep(struct tls_cache *cache, struct text name, struct text der, uint64_t seconds);
/* Bytes of DER in room, TLS_SESSION_MOST large; 0: there is none, or its time is over. */
size_t tls_cache_find(struct tls_cache *cache, struct text name, char *room);
void   tls_cache_forget(struct tls_cache *cache, struct text name);

/* ---- tickets ---- */

enum { TLS_TICKET_SHORT = 48, TLS_TICKET_LONG = 80 };      /* a key file: name 16, then AES and HMAC keys of 16 or 32 each */

/* Keys in z as "tls-tickets": one is made when there is none. NULL: the zone is too small. */
struct tls_tickets *tls_tickets_shared(struct zone *z);
/* Makes a new key when the newest is older than ms; the one before it still opens tickets. True: rotated. By the manager. */
bool tls_tickets_rotate(struct tls_tickets *t, uint64_t ms);
/* From the bytes of key files: the first encrypts, all decrypt. NULL: one is not 48 or 80 bytes, or more than 8. Lives in p. */
struct tls_tickets *tls_tickets_fixed(struct pool *p, const struct text *keys, size_t count);

/* ---- errors ---- */

/* log_line, with what OpenSSL's error queue holds, " (SSL: …)", which is emptied. */
__attribute__((format(printf, 5, 6), cold))
void tls_log(const struct log *log, enum log_level level, const struct log_about *about, int err, const char *fmt, ...);

#endif
