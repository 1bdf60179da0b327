/*
 * vault: private keys in one process (ssl_key_isolation). What a context has in their place does all but what only the key can,
 * and asks for that.
 *
 * Glossary
 *   vault     where the master keeps private keys: memory that no child has, but the keeper.
 *   stand-in  a key without its private part, in a context: of an OpenSSL provider of ours (standin.c). Its id is the digest of the
 *             public key.
 *   keeper    the key process: it has what was in the vault when it was forked, and what is added later; signs and decrypts.
 *   keyline   a worker's end of a socket to the keeper. The steps of handshakes are done by fibers (os/fiber.h) there: one that needs the key
 *             waits until the answer is there, and other connections go on meanwhile.
 */
#ifndef TLS_VAULT_H
#define TLS_VAULT_H

#include "tls/session.h"

enum { VAULT_ID = 32 };                      /* SHA-256 of the SubjectPublicKeyInfo */
bool vault_id_of(EVP_PKEY *key, unsigned char id_out[VAULT_ID]);

/* ---- vault.c: the master ---- */

/* Keys that are read from now on go there. False: not. */
void vault_use(bool on);
bool vault_is_on(void);
/* Takes the private part: *key is a stand-in then, or as it was, where it cannot be taken out of where it is (hardware). Else why not. */
const char *vault_take(EVP_PKEY **key);
/* In a child: nothing there is this process's. The keeper, which has it, wipes it. */
void vault_leave(bool wipe);
/* A stand-in is no more, or one more: keys without any are wiped. */
void vault_hold(const unsigned char *id);
void vault_release(const unsigned char *id);
/* Around the fork of who is to have what lies there: the keeper, the master that becomes a daemon. */
void vault_share(bool on);
/* A key was added while a keeper runs: fd, closed after it, holds it for vault_add. */
extern void (*vault_added)(int fd);

/* ---- standin.c ---- */

/* For the key of this public part (its private one is ignored). NULL: out of memory. */
EVP_PKEY *standin_open(EVP_PKEY *key);
bool standin_is(const EVP_PKEY *key);

/* ---- keyline.c: a worker ---- */

enum { KEY_SIGN = 1, KEY_DECRYPT };
enum { KEY_BYTES_MOST = 32768, KEY_PENDING_MOST = 1024, KEY_WAIT_MS = 10000, KEY_MD = 32 };

/* What is asked, as it goes over the line; bytes: a digest, or (md empty) what is signed whole, or what is decrypted. */
struct key_request {
    uint64_t      number;
    unsigned char id[VAULT_ID];
    char          md[KEY_MD];
    int32_t       what, padding, salt, version, other_version, n;
};
struct key_answer { uint64_t number; int32_t n; };        /* n < 0: not done; else bytes follow */

/* fd: a worker's or the manager's end; from then on in its loop. False after a log line. */
bool keyline_open(int fd);
bool keyline_is_open(void);
/* From within the fiber of a conn's handshake: waits, while others go on. Bytes of the answer, or -1. */
int  keyline_ask(struct key_request *r, const void *bytes, unsigned char *out, size_t size);
/* Before each step of a handshake: whose. */
void keyline_begin(struct conn *c, void (*resume)(struct conn *c));
/* c ends: what it waits for is not done; its fiber is to go on, to be told so. */
void keyline_abandon(struct conn *c);
/* NULL, or why what was asked for c last was not done; forgotten then. */
const char *keyline_fault(void);

/* ---- keeper.c: the key process ---- */

/* First: what is in the vault becomes keys. */
void keeper_open(void);
/* What vault_added gave; closes it. */
void keeper_add(int fd);
/* Begins zeroed but for fd. left: an answer that its other end has no room for. */
struct keeper_line { int fd; void *left; size_t left_n; };
/* To a line whose other end may have asked one before us: what is not answered is to be asked again. */
void keeper_hello(struct keeper_line *l);
enum keeper_turn { KEEPER_MORE, KEEPER_IDLE, KEEPER_FULL, KEEPER_OVER };      /* idle: nothing is asked; full: wait until it can be written to; over: the other end is gone */
/* One question of a line, answered, never waiting; missing is called once when its key is not known, and may add keys. */
enum keeper_turn keeper_serve(struct keeper_line *l, void (*missing)(void));
/* Wipes and forgets what is left. */
void keeper_drop(struct keeper_line *l);

/* for keeper.c: each key in the vault, PKCS #8 or the like, DER */
struct vault_key { struct vault_key *next; unsigned char id[VAULT_ID]; unsigned holds; size_t n, size; unsigned char *der; };
extern struct vault_key *vault_keys;

#endif
