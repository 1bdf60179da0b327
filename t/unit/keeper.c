/* What the key process does for whoever asks: for a worker in other hands as well. */
#include "os/socket.h"
#include "tls/vault.h"
#include "t/unit/tap.h"
#include <errno.h>
#include <openssl/rsa.h>
#include <sys/socket.h>
#include <unistd.h>

static unsigned char rsa_id[VAULT_ID], ec_id[VAULT_ID], ed_id[VAULT_ID];
static EVP_PKEY *rsa, *ec, *ed, *standins[3];
static struct { struct key_request head; unsigned char bytes[KEY_BYTES_MOST + 100]; } in;
static struct { struct key_answer head; unsigned char bytes[8192]; } out;
static unsigned missed;
static void missing(void) { missed++; }

static void into_vault(EVP_PKEY *key, unsigned char id[VAULT_ID])
{
    EVP_PKEY *copy = EVP_PKEY_dup(key), *standin = copy;
    static size_t count;
    vault_id_of(key, id);
    is_str(vault_take(&standin) ? "no" : "yes", "yes", "a key is taken");
    ok(standin_is(standin) && EVP_PKEY_eq(standin, key) == 1 && i2d_PrivateKey(standin, NULL) <= 0, "what stands in has the public part alone");
    standins[count++] = standin;
    ERR_clear_error();
}

static void open_all(void)
{
    rsa = EVP_RSA_gen(2048);
    ec = EVP_EC_gen("P-256");
    ed = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
    vault_use(true);
    into_vault(rsa, rsa_id);
    into_vault(ec, ec_id);
    into_vault(ed, ed_id);
    EVP_PKEY *other = EVP_PKEY_Q_keygen(NULL, NULL, "X25519");
    ok(vault_take(&other) != NULL && !other, "one that could not be kept apart is refused, not left where it is");
    ERR_clear_error();
    keeper_open();
    vault_leave(true);
    ok(vault_keys == NULL, "the vault is left");
}

/* ---- one question ---- */

static struct keeper_line line;
static int other_end;

static void open_line(void)
{
    int pair[2];
    ASSERT(socket_pair(pair) == 0);
    line = (struct keeper_line) { .fd = pair[0] };
    other_end = pair[1];
}

static struct key_request sign_of(const unsigned char *id, const char *md, int padding)
{
    struct key_request r = { .what = KEY_SIGN, .padding = padding, .salt = RSA_PSS_SALTLEN_DIGEST };
    memcpy(r.id, id, VAULT_ID);
    memcpy(r.md, md, min_of(strlen(md) + 1, sizeof r.md));
    return r;
}

/* Bytes that came back, or what n of the answer says when it is a refusal; -2: no answer at all. */
static int ask_sized(struct key_request r, size_t n, size_t said)
{
    static uint64_t number;
    r.number = ++number;
    r.n = (int32_t) said;
    in.head = r;
    ASSERT(send(other_end, &in, sizeof in.head + n, 0) > 0);
    enum keeper_turn turn = keeper_serve(&line, missing);
    ASSERT(turn == KEEPER_MORE && keeper_serve(&line, missing) == KEEPER_IDLE);
    ssize_t got = recv(other_end, &out, sizeof out, MSG_DONTWAIT);
    if (got < (ssize_t) sizeof out.head) return -2;
    ASSERT(out.head.number == number);
    return out.head.n < 0 ? -1 : (int) (got - (ssize_t) sizeof out.head);
}
static int ask(struct key_request r, size_t n) { return ask_sized(r, n, n); }

static bool is_signed(EVP_PKEY *key, const char *md, int padding, size_t n, int got)
{
    EVP_PKEY_CTX *c = EVP_PKEY_CTX_new(key, NULL);
    bool fine = got > 0 && EVP_PKEY_verify_init(c) == 1 && (!padding || EVP_PKEY_CTX_set_rsa_padding(c, padding) == 1)
                && EVP_PKEY_CTX_set_signature_md(c, EVP_get_digestbyname(md)) == 1
                && EVP_PKEY_verify(c, out.bytes, (size_t) got, in.bytes, n) == 1;
    EVP_PKEY_CTX_free(c);
    return fine;
}

static void test_signs(void)
{
    for (size_t i = 0; i < sizeof in.bytes; i++) in.bytes[i] = (unsigned char) (i * 7);
    ok(is_signed(rsa, "SHA256", RSA_PKCS1_PADDING, 32, ask(sign_of(rsa_id, "SHA256", RSA_PKCS1_PADDING), 32)), "RSA");
    ok(is_signed(rsa, "SHA384", RSA_PKCS1_PSS_PADDING, 48, ask(sign_of(rsa_id, "SHA384", RSA_PKCS1_PSS_PADDING), 48)), "RSA-PSS");
    ok(is_signed(ec, "SHA256", 0, 32, ask(sign_of(ec_id, "SHA256", RSA_PKCS1_PADDING), 32)), "ECDSA");
    int got = ask(sign_of(ed_id, "", 0), 1000);
    EVP_MD_CTX *c = EVP_MD_CTX_new();
    ok(got == 64 && EVP_DigestVerifyInit(c, NULL, NULL, NULL, ed) == 1 && EVP_DigestVerify(c, out.bytes, 64, in.bytes, 1000) == 1, "Ed25519");
    EVP_MD_CTX_free(c);
}

/* What is no part of TLS would make the key do more than sign. */
static void test_refuses(void)
{
    struct key_request r;
    unsigned char plain[256] = { 0, 2 }, sealed[256];
    size_t n = sizeof sealed;
    EVP_PKEY_CTX *c = EVP_PKEY_CTX_new(rsa, NULL);
    for (size_t i = 2; i < sizeof plain; i++) plain[i] = 0x5a;
    ok(EVP_PKEY_encrypt_init(c) == 1 && EVP_PKEY_CTX_set_rsa_padding(c, RSA_NO_PADDING) == 1 && EVP_PKEY_encrypt(c, sealed, &n, plain, sizeof plain) == 1, "something sealed for the key");
    EVP_PKEY_CTX_free(c);
    memcpy(in.bytes, sealed, sizeof sealed);
    for (int padding = -5; padding < 10; padding++) {
        if (padding == RSA_PKCS1_PADDING || padding == RSA_PKCS1_PSS_PADDING) continue;
        is_int(ask(sign_of(rsa_id, "SHA256", padding), 32), -1, "padding %d is refused", padding);
        is_int(ask(sign_of(rsa_id, "SHA256", padding), 256), -1, "padding %d, of all that is sealed, as well", padding);
    }
    r = sign_of(rsa_id, "", 0);
    r.what = KEY_DECRYPT;
    r.version = 0x0303;
    is_int(ask(r, 256), 48, "what is sealed is opened as TLS has it alone: 48 bytes, whatever it was");
    ok(memcmp(out.bytes, plain + 2, 48) != 0, "and not what it was, when that is no secret of TLS's");
    r.version = r.other_version = -1;
    ok(ask(r, 256) <= 48, "of whatever version");
    is_int(ask(r, 257), -1, "too long a thing is refused");
    memcpy(r.id, ec_id, VAULT_ID);
    is_int(ask(r, 256), -1, "and one for a key that cannot open anything");
    r.what = 99;
    is_int(ask(r, 32), -1, "nor is anything else done");
    is_int(ask(sign_of(ec_id, "no-such-digest", 1), 32), -1, "an unknown digest");
    is_int(ask(sign_of(ec_id, "SHA256", 1), 31), -1, "a digest of another size");
    r = sign_of(ec_id, "", 1);
    memset(r.md, 'A', sizeof r.md);
    is_int(ask(r, 32), -1, "a name without an end");
    r = sign_of(rsa_id, "SHA256", RSA_PKCS1_PSS_PADDING);
    r.salt = 1 << 30;
    is_int(ask(r, 32), -1, "a salt larger than the key");
    unsigned before = missed;
    is_int(ask(sign_of((const unsigned char *) "................................", "SHA256", 1), 32), -1, "a key that is not there");
    is_int(missed, before + 1, "for which the master is heard once");
}

static void test_sizes(void)
{
    is_int(ask_sized(sign_of(ec_id, "SHA256", 1), 32, 33), -1, "fewer bytes than it says");
    is_int(ask_sized(sign_of(ec_id, "SHA256", 1), 32, 31), -1, "more");
    is_int(ask_sized(sign_of(ec_id, "SHA256", 1), 32, (size_t) -1), -1, "a length below nothing");
    is_int(ask(sign_of(ed_id, "", 0), KEY_BYTES_MOST), 64, "the most");
    is_int(ask(sign_of(ed_id, "", 0), KEY_BYTES_MOST + 1), -1, "more than that");
    ok(send(other_end, "x", 1, 0) == 1 && keeper_serve(&line, missing) == KEEPER_MORE && recv(other_end, &out, sizeof out, MSG_DONTWAIT) < 0, "what is no question has no answer");
}

/* ---- who asks, and does not listen ---- */

static void test_deaf(void)
{
    struct keeper_line deaf = line;
    int deaf_end = other_end;
    in.head = sign_of(ec_id, "SHA256", 1);
    in.head.n = 32;
    size_t asked = 0, answered = 0;
    enum keeper_turn turn = KEEPER_MORE;
    while (asked < 100000 && turn != KEEPER_FULL) {
        if (send(deaf_end, &in, sizeof in.head + 32, MSG_DONTWAIT) > 0) asked++;
        turn = keeper_serve(&deaf, missing);
    }
    ok(turn == KEEPER_FULL && deaf.left, "who does not take its answers is left waiting, not waited for (%zu)", asked);
    while (send(deaf_end, &in, sizeof in.head + 32, MSG_DONTWAIT) > 0) asked++;
    is_int(keeper_serve(&deaf, missing), KEEPER_FULL, "and gets no more of them");
    open_line();
    ok(ask(sign_of(ec_id, "SHA256", 1), 32) > 0, "others are served meanwhile");
    close(line.fd);
    close(other_end);
    for (size_t idle = 0; idle < 2;) {
        bool got = recv(deaf_end, &out, sizeof out, MSG_DONTWAIT) > 0;
        answered += got;
        idle = !got && keeper_serve(&deaf, missing) == KEEPER_IDLE ? idle + 1 : 0;
    }
    is_int(answered, asked, "when it listens, it has all");
    close(deaf_end);
    is_int(keeper_serve(&deaf, missing), KEEPER_OVER, "its end is seen");
    keeper_drop(&deaf);
    close(deaf.fd);
}

int main(void)
{
    static struct log quiet;
    log_main = &quiet;
    open_all();
    open_line();
    test_signs();
    test_refuses();
    test_sizes();
    test_deaf();
    EVP_PKEY_free(rsa), EVP_PKEY_free(ec), EVP_PKEY_free(ed);
    for (size_t i = 0; i < countof(standins); i++) EVP_PKEY_free(standins[i]);      /* after the vault */
    return done();
}
